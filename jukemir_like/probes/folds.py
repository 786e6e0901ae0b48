"""Folds: labels and vectors of a task as one :class:`~jukemir_like.probes.tasks.ProbeData` for each fold that is tested.

A dataset may come in folds (``folds`` in its ``dataset.json``), or they are drawn: by group and class, from a seed. Drawing looks at labels
and groups only, so all representations are tested in the same folds, whichever vectors are missing. Each fold is tested once. Protocol
``linear`` validates inside the other folds; the others are validated on the next fold in cyclic order on which the primary metric is
defined, and fitted on the rest. The trivial baselines are those of all other folds. Of a deformed dataset, folds are fitted on clean
(:mod:`~jukemir_like.probes.deformed`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from jukemir_like.core.errors import RequestError
from jukemir_like.core.rows import Rows
from jukemir_like.datasets import SPLITS, Task
from jukemir_like.datasets.dataset import label_encoder
from jukemir_like.datasets.processed import ProcessedDataset
from jukemir_like.probes import fold_metrics, metrics
from jukemir_like.probes.assignment import divided_groups, draw_folds, fold_names
from jukemir_like.probes.deformed import Tested
from jukemir_like.probes.tasks import (
    LabelledItems,
    ProbeData,
    Split,
    collect_items,
    labels_not_in,
    left_out_notes,
    make_split,
    out_of_reach_notes,
)
from jukemir_like.probes.vectors import Vectors

Validation = Literal["none", "train", "fold"]
"""What a fold's probe is validated on: nothing (the protocol does so inside train), its train items, or another fold."""

_MOST_NAMES = 5  # folds, or labels, in one line


@dataclass(frozen=True)
class FoldRequest:
    """Which folds.

    Args:
        names: in order.
        seed: they are drawn with; None: they are the dataset's own.
    """

    names: tuple[str, ...]
    seed: int | None = None

    def to_json(self) -> dict[str, Any]:
        """``evaluation`` in ``run.json``."""
        return {"folds": list(self.names), "seed": self.seed}


@dataclass(frozen=True)
class FoldedData:
    """All that probes of one task need, in folds.

    Args:
        task: what is probed.
        source: of the items, for messages.
        X: vectors (any number, dimension).
        items: which of them, with their labels and folds.
        rows: fold → its items, in the order of the folds; folds without items are not among them.
        with_songs: whether recordings are scored, see :class:`~jukemir_like.probes.songs.Songs`.
        left_out, notes: as of :class:`~jukemir_like.probes.tasks.ProbeData`.
        tested: what is tested in the place of the items of a fold, some or all of them, deformed; None: the items themselves.
    """

    task: Task
    source: str
    X: NDArray[np.float32] | Rows
    items: LabelledItems
    rows: dict[str, list[int]]
    with_songs: bool
    left_out: dict[str, Any]
    notes: list[str]
    tested: LabelledItems | None = None

    @property
    def names(self) -> list[str]:
        """The folds, in order."""
        return list(self.rows)

    def fold(self, number: int, validation: Validation) -> ProbeData:
        """What the probe that is tested on one fold needs.

        Args:
            number: of the fold, from 0.
            validation: what it is validated on.

        Raises:
            RequestError: no other fold can validate, or none is left to be fitted on.
        """
        tested = self.names[number]
        others = [name for name in self.names if name != tested]
        splits: dict[str, Split] = {}
        if validation == "fold":
            validates = self._validating(number)
            others.remove(validates)
            splits["valid"] = self._split([validates])
        splits["train"] = self._split(others, copied=validation != "none" or len(self.names) < 3)
        if validation == "train":
            splits["valid"] = splits["train"]
        splits["test"] = self._split([tested]) if self.tested is None else self._tested(self.tested, tested)
        ordered = {name: splits[name] for name in SPLITS if name in splits}
        fitted_on = self._split([tested]) if self.tested is not None and validation == "none" else None
        return ProbeData(self.task, ordered, self.left_out, self.notes, fitted_on)

    def all(self, validation: Validation) -> Sequence[ProbeData]:
        """:meth:`fold` for each; made when it is asked for, so that memory holds few of them."""
        return _Folds(self, validation)

    def _split(self, names: Sequence[str], *, copied: bool = True) -> Split:
        """Folds as a split. Not copied, the vectors are read from the whole matrix where they are asked for."""
        indices = sorted(index for name in names for index in self.rows[name])
        X = self.X if copied or isinstance(self.X, Rows) else Rows.of_array(self.X)
        return make_split(self.task, f"fold {' and '.join(names)} of {self.source}", X, self.items, indices, self.with_songs)

    def _tested(self, items: LabelledItems, name: str) -> Split:
        indices = [index for index, fold in enumerate(items.split) if fold == name]
        return make_split(self.task, f"fold {name} of {self.source}", self.X, items, indices, self.with_songs)

    def _validating(self, number: int) -> str:
        """The next fold on which the primary metric is defined."""
        names = self.names
        if len(names) < 3:
            raise RequestError(
                f"{self.task.name}: two folds leave nothing to fit on, as one is tested and the other validates: "
                "take three or more, or protocol linear, which validates inside the others"
            )
        following = [names[(number + step) % len(names)] for step in range(1, len(names))]
        for name in following:
            if _is_defined(self.task, np.array([self.items.y[index] for index in self.rows[name]])):
                return name
        raise RequestError(
            f"{self.task.name}: {self.task.primary_metric} is undefined in each fold of {self.source} other than {names[number]}, which is "
            "tested, so none can validate: take larger folds, or protocol linear, which validates inside all others"
        )


class _Folds(Sequence[ProbeData]):
    def __init__(self, folded: FoldedData, validation: Validation):
        self._folded, self._validation = folded, validation

    def __len__(self) -> int:
        return len(self._folded.rows)

    def __getitem__(self, number: Any) -> Any:
        if isinstance(number, slice):
            return [self[one] for one in range(*number.indices(len(self)))]
        if not -len(self) <= number < len(self):
            raise IndexError(number)
        return self._folded.fold(number % len(self), self._validation)

    def __iter__(self) -> Iterator[ProbeData]:
        return (self._folded.fold(number, self._validation) for number in range(len(self)))


def request_of(processed: ProcessedDataset, number: int | None, seed: int) -> FoldRequest | None:
    """The folds by which a dataset is probed; None where it is probed by its splits.

    Args:
        processed: the dataset.
        number: of folds to draw; None: those of the dataset.
        seed: of the drawing.

    Raises:
        RequestError: fewer than two folds.
    """
    if number is None:
        return FoldRequest(processed.folds) if processed.folds else None
    if number < 2:
        raise RequestError(f"{number} folds: there must be two or more, as each is tested by a probe of the others")
    return FoldRequest(fold_names(number), seed)


def members(processed: ProcessedDataset, request: FoldRequest) -> list[str]:
    """The items that may be in a fold: of the dataset's own folds, their items; of drawn ones, all in a fold or split, or else all."""
    own = [uid for uid in processed.items if processed.fold_of(uid) is not None]
    if request.seed is None:
        return own
    return own or [uid for uid, record in processed.items.items() if record.get("split") is not None] or list(processed.items)


def prepare_folds(
    processed: ProcessedDataset, task: Task, vectors: Vectors, request: FoldRequest, deformed: Tested | None = None
) -> FoldedData:
    """Puts labels and vectors of one task of a processed dataset together, in folds.

    Args:
        processed: the dataset; of a deformed one, the clean items.
        task: of it.
        vectors: of its items.
        request: which folds.
        deformed: what is tested in the place of the items; None: the items themselves.

    Raises:
        RequestError: as :func:`assemble_folds`; a label that the task does not have; fewer groups than folds to draw.
    """
    fold_of: Callable[[str], str | None] = processed.fold_of if request.seed is None else _drawn(processed, task, request).get
    items, left_out = collect_items(processed, task, vectors, fold_of)
    if deformed is None:
        return assemble_folds(task, processed.name, vectors.X, items, left_out, request.names)
    # Only what is fitted on in other folds: the items that the clean dataset is tested on.
    clean = dict(zip(items.uid, items.split, strict=True))
    tested, not_tested = collect_items(deformed.processed, task, deformed.vectors, clean.get)
    reasons = {f"not tested, deformed: {reason}": number for reason, number in not_tested["vectors"].items()}
    left_out = {**left_out, "vectors": left_out["vectors"] | reasons}
    return assemble_folds(task, processed.name, vectors.X, items, left_out, request.names, tested=tested)


def assemble_folds(
    task: Task,
    source: str,
    X: NDArray[np.float32] | Rows,
    items: LabelledItems,
    left_out: Mapping[str, Any],
    names: Sequence[str],
    *,
    note_groups: bool = True,
    tested: LabelledItems | None = None,
) -> FoldedData:
    """The folds of a task, with notes on what is left out and what cannot be learned.

    Args:
        task, source, X, left_out: as for :func:`jukemir_like.probes.tasks.assemble`.
        items: with their folds.
        names: of the folds, in order.
        note_groups: whether a note says that folds divide groups.
        tested: in the place of the items: the same, or some of them, deformed.

    Raises:
        RequestError: fewer than two folds have items, or one has nothing to test; clips of one recording are in several; the primary
            metric is undefined on all items.
    """
    if task.type == "key":
        metrics.mirex_table(task.labels)  # refuses labels that are no keys
    rows: dict[str, list[int]] = {name: [] for name in names}
    for index, name in enumerate(items.split):
        rows[name].append(index)
    empty = [name for name, indices in rows.items() if not indices]
    rows = {name: indices for name, indices in rows.items() if indices}
    if len(rows) < 2:
        raise RequestError(
            f"{task.name}: the items of {source} with a label and a vector are in {len(rows)} fold{'s' if not rows else ''}: "
            "a probe of one fold is fitted on the others, so two or more need items"
        )
    if tested is not None and (untested := [name for name in rows if name not in set(tested.split)]):
        raise RequestError(
            f"{task.name}: nothing is to be tested in fold {_listed(untested)} of {source}, as no item there has a vector of its deformed "
            "audio: deform and extract all items"
        )
    with_songs = task.type == "key" and len(set(items.recording)) < len(items.recording)
    if with_songs and (divided := divided_groups(items.recording, items.split, names)):
        recording, of_recording = next(iter(divided.items()))
        raise RequestError(
            f"{task.name} is scored by recording, and the clips of {recording!r} are in folds {' and '.join(of_recording)}: "
            "give all clips of a recording the same fold"
        )
    y = np.array(items.y)
    fold = np.array(items.split)
    _check_defined(task, source, y, fold)
    notes = left_out_notes(task, left_out) + out_of_reach_notes(task, y)
    if left_out["no_split"]:
        notes.append(f"{task.name}: {left_out['no_split']:,} items left out: no fold")
    if empty:
        notes.append(f"{task.name}: folds without an item are not tested: {_listed(empty)}")
    notes += _notes(task, {name: y[indices] for name, indices in rows.items()})
    if note_groups and (divided := divided_groups(items.group, items.split, names)):
        notes.append(f"{task.name}: {len(divided):,} groups have items in several folds: a probe may recognise them")
    undefined = dict.fromkeys(("valid", "test"), fold_metrics.count_undefined(task, y, fold))
    if tested is not None:
        undefined["test"] = fold_metrics.count_undefined(task, np.array(tested.y), np.array(tested.split))
    left_out = {**left_out, "not_in_train": labels_not_in(task, y), "undefined": undefined}
    return FoldedData(task, source, X, items, rows, with_songs, left_out, notes, tested)


def _drawn(processed: ProcessedDataset, task: Task, request: FoldRequest) -> dict[str, str | None]:
    """Item → fold, of all that have a label; with or without a vector."""
    encode = label_encoder(task)
    uids = [uid for uid in members(processed, request) if processed.label_of(uid, task.name) not in (None, "")]
    strata = None
    if task.type in ("multiclass", "key", "multilabel"):
        try:
            strata = [encode(processed.label_of(uid, task.name)) for uid in uids]
        except (ValueError, TypeError):
            strata = None  # the label that does not fit is named where labels are read
    groups = [processed.group_of(uid) for uid in uids]
    seed = request.seed or 0
    return dict(zip(uids, draw_folds(groups, [True] * len(uids), strata, seed, len(request.names)), strict=True))


def _check_defined(task: Task, source: str, y: np.ndarray, fold: np.ndarray) -> None:
    if task.type == "regression" and (constant := np.ptp(y, axis=0) == 0).any():
        raise RequestError(f"R² of {task.name} is undefined: all items of {source} have the same {task.labels[int(constant.argmax())]}")
    if task.type == "multilabel" and fold_metrics.count_undefined(task, y, fold)["roc_auc"] == len(task.labels):
        raise RequestError(
            f"ROC-AUC of {task.name} is undefined: in no fold of {source} has a tag both a positive and a negative; take fewer folds"
        )


def _is_defined(task: Task, y: np.ndarray) -> bool:
    """Whether the primary metric is defined on items with labels ``y``."""
    if task.type == "regression":
        return bool((np.ptp(y, axis=0) > 0).all())
    return task.type != "multilabel" or metrics.count_undefined(task, y)["roc_auc"] < len(task.labels)


def _notes(task: Task, y_of: Mapping[str, np.ndarray]) -> list[str]:
    """What folds lack: items, classes, tags; and what the others lack, so that it cannot be learned."""
    notes = []
    if alone := [name for name, y in y_of.items() if len(y) == 1]:
        notes.append(f"{task.name}: folds of one item: {_listed(alone)}")
    if task.type not in ("multiclass", "multilabel"):
        return notes
    what = "classes" if task.type == "multiclass" else "tags"
    everywhere = labels_not_in(task, np.concatenate(list(y_of.values())))
    lacks = {name: [label for label in labels_not_in(task, y) if label not in everywhere] for name, y in y_of.items()}
    if lacking := {name: labels for name, labels in lacks.items() if labels}:
        shown = _listed([f"{name} ({_listed(labels)})" for name, labels in lacking.items()], "; ")
        notes.append(f"{task.name}: folds that lack {what}, and are tested all the same: {shown}")
    only_in = {label: [name for name in y_of if label not in lacks[name]] for label in task.labels if label not in everywhere}
    once = [f"{label} (fold {names[0]})" for label, names in only_in.items() if len(names) == 1]
    if once:
        notes.append(f"{task.name}: {what} of a single fold, which no probe that is tested on it can learn: {_listed(once)}")
    if task.type == "multiclass":
        fitted_on = {name: np.unique(np.concatenate([y for other, y in y_of.items() if other != name])) for name in y_of}
        if single := [name for name, classes in fitted_on.items() if len(classes) == 1]:
            notes.append(f"{task.name}: folds whose probes are fitted on one class, and predict it always: {_listed(single)}")
    if everywhere:
        notes.append(f"{task.name}: {len(everywhere)} of {len(task.labels)} labels are in no item: {_listed(everywhere)}")
    return notes


def _listed(names: Sequence[str], separator: str = ", ") -> str:
    more = len(names) - _MOST_NAMES
    return separator.join(names[:_MOST_NAMES]) + (f" and {more:,} more" if more > 0 else "")
