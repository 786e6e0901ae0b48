"""From labels, splits and vectors to what a probe is fitted on (:class:`ProbeData`), and what it predicts (:class:`Predictions`).

Items without a split, without a label or without a vector are left out and counted. Songs: where the items of a key task are clips of
recordings, the recording is scored.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from reprlib import repr as shortened
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jukemir_like.core.errors import RequestError
from jukemir_like.core.rows import Rows
from jukemir_like.datasets import SPLITS, Task
from jukemir_like.datasets.dataset import label_encoder
from jukemir_like.datasets.processed import ProcessedDataset
from jukemir_like.probes import metrics, tempo
from jukemir_like.probes.songs import Songs
from jukemir_like.probes.vectors import Vectors

SCORED_SPLITS = ("valid", "test")

Scores = dict[str, NDArray[np.float32]]
"""Split, of :data:`SCORED_SPLITS`, → scores of its items, (n, labels)."""


@dataclass(frozen=True)
class Split:
    """One split of one task.

    Args:
        X: float32 of shape (n, dimension); of a large matrix, its rows on disk.
        y: labels as in ``predictions.npz``.
        uid: n strings. group: n strings.
        songs: which clips belong to which song; None where items are scored.
    """

    X: NDArray[np.float32] | Rows
    y: np.ndarray
    uid: NDArray[np.str_]
    group: NDArray[np.str_]
    songs: Songs | None


@dataclass(frozen=True)
class ProbeData:
    """All that a probe of one task needs.

    Args:
        task: what is probed.
        splits: train, valid and test; valid may be missing, which some protocols can do without.
        left_out: what was left out, as in ``run.json``.
        notes: the same as lines for people.
        test_to_fit: of a fold, its items as the probes of other folds are fitted on them; None: as in test.
    """

    task: Task
    splits: dict[str, Split]
    left_out: dict[str, Any]
    notes: list[str]
    test_to_fit: Split | None = None

    @property
    def train(self) -> Split:
        return self.splits["train"]


@dataclass(frozen=True)
class Predictions:
    """Labels and scores of one split; shapes and meanings are those of ``predictions.npz`` (:mod:`jukemir_like.probes.runs`).

    ``clip_uid``, ``clip_song`` and ``clip_scores`` are None unless songs were scored from clips; ``fold`` is None unless several probes
    scored them, each some: then it names the fold that the probe was tested on.
    """

    uid: np.ndarray
    group: np.ndarray
    y: np.ndarray
    scores: np.ndarray
    clip_uid: np.ndarray | None = None
    clip_song: np.ndarray | None = None
    clip_scores: np.ndarray | None = None
    fold: np.ndarray | None = None

    def take(self, rows: np.ndarray) -> Predictions:
        """Some of the scored items, in this order; without their clips."""
        fold = None if self.fold is None else self.fold[rows]
        return Predictions(self.uid[rows], self.group[rows], self.y[rows], self.scores[rows], fold=fold)

    def arrays(self) -> dict[str, np.ndarray]:
        """The arrays by name, in the order of the file."""
        return {name: value for name, value in vars(self).items() if value is not None}


@dataclass
class LabelledItems:
    """Items of one task that have a split, a label and a vector; all lists are in the order of the items.

    Args:
        uid: names.
        split: train, valid or test; or the fold.
        y: encoded labels: an index, a row of truth values, a row of numbers, or a tempo.
        group: what must stay together when resampling.
        recording: what the item is a clip of; itself where it is no clip.
        row: of the matrix of vectors.
    """

    uid: list[str] = field(default_factory=list)
    split: list[str] = field(default_factory=list)
    y: list[Any] = field(default_factory=list)
    group: list[str] = field(default_factory=list)
    recording: list[str] = field(default_factory=list)
    row: list[int] = field(default_factory=list)


def prepare(processed: ProcessedDataset, task: Task, vectors: Vectors) -> ProbeData:
    """Puts labels and vectors of one task of a processed dataset together.

    Raises:
        RequestError: a label that the task does not have, a split without items, a split whose primary metric is undefined.
    """
    items, left_out = collect_items(processed, task, vectors, lambda uid: processed.items[uid].get("split"))
    return assemble(task, processed.name, vectors.X, items, left_out)


def collect_items(
    processed: ProcessedDataset, task: Task, vectors: Vectors, part_of: Callable[[str], str | None]
) -> tuple[LabelledItems, dict[str, Any]]:
    """The items of one task that have a label, a vector and a part; and what is left out, as :func:`assemble` takes it.

    Args:
        processed, task, vectors: of the dataset.
        part_of: from an item's name to its split or fold; None: it has none.

    Raises:
        RequestError: a label that the task does not have.
    """
    if task.type == "key":
        metrics.mirex_table(task.labels)  # refuses labels that are no keys
    encode = label_encoder(task)
    missing: Counter[str] = Counter()
    items = LabelledItems()
    no_label = no_split = 0
    for uid in processed.items:
        label = processed.label_of(uid, task.name)
        part = part_of(uid)
        if part is None:
            no_split += 1
        elif label is None or label == "":
            no_label += 1
        elif uid not in vectors.row:
            missing[vectors.missing[uid]] += 1
        else:
            try:
                items.y.append(encode(label))
            except (ValueError, TypeError, OverflowError) as error:
                where = f"label {shortened(label)} of {uid} in {processed.name}"
                raise RequestError(f"{where} does not fit task {task.name}: {error}; correct it and process again") from error
            items.uid.append(uid)
            items.split.append(part)
            items.group.append(processed.group_of(uid))
            items.recording.append(processed.recording_of(uid))
            items.row.append(vectors.row[uid])
    return items, {"vectors": dict(sorted(missing.items())), "no_label": no_label, "no_split": no_split}


def assemble(task: Task, source: str, X: NDArray[np.float32] | Rows, items: LabelledItems, left_out: Mapping[str, Any]) -> ProbeData:
    """The splits of a task, with notes on what is left out and what cannot be learned.

    Args:
        task: what is probed.
        source: of the items, for messages.
        X: vectors (any number, dimension).
        items: which of them, with their labels.
        left_out: ``vectors`` (reason → number of items), ``no_label``, ``no_split``.

    Raises:
        RequestError: a split without items, clips of a song with different keys, a split whose primary metric is undefined.
    """
    splits = _splits(task, source, X, items)
    notes = left_out_notes(task, left_out) + out_of_reach_notes(task, np.array(items.y))
    absent = labels_not_in(task, splits["train"].y)
    nowhere = absent if "valid" not in splits else [label for label in labels_not_in(task, splits["valid"].y) if label in absent]
    in_valid = [label for label in absent if label not in nowhere]
    for labels, who in ((nowhere, "no probe can learn them"), (in_valid, "only a probe that is fitted on valid too can learn them")):
        if labels:
            notes.append(f"{task.name}: {len(labels)} of {len(task.labels)} labels are in no train item, {who}: {', '.join(labels)}")
    undefined = {split: metrics.count_undefined(task, splits[split].y) for split in SCORED_SPLITS if split in splits}
    return ProbeData(task, splits, {**left_out, "not_in_train": absent, "undefined": undefined}, notes)


def left_out_notes(task: Task, left_out: Mapping[str, Any]) -> list[str]:
    """What was left out, as lines for people."""
    notes = [f"{task.name}: {count:,} items left out: {reason}" for reason, count in left_out["vectors"].items()]
    return notes + ([f"{task.name}: {left_out['no_label']:,} items left out: no label"] if left_out["no_label"] else [])


def out_of_reach_notes(task: Task, y: np.ndarray) -> list[str]:
    """That tempi are beyond what a probe chooses among (in other units, perhaps), as a line for people."""
    if task.type != "tempo":
        return []
    number = int((tempo.credit(y, task.labels, task.primary_metric) == 0).all(1).sum())
    known = tempo.tempi(task.labels)
    ends = f"{known.min():.0f} to {known.max():.0f} beats per minute"
    return [f"{task.name}: {number:,} of {len(y):,} tempi cannot be predicted, as probes choose from {ends}"] if number else []


def labels_not_in(task: Task, y: np.ndarray) -> list[str]:
    """The classes or tags that no item with labels ``y`` has; none of a task of numbers."""
    if y.dtype.kind == "f":
        return []
    seen = np.isin(np.arange(len(task.labels)), y) if y.ndim == 1 else np.atleast_1d(y.any(0))
    return [label for label, is_seen in zip(task.labels, seen, strict=True) if not is_seen]


def without_vectors(processed: ProcessedDataset, uids: Sequence[str]) -> Vectors:
    """Vectors of no dimension for all items with audio: what the trivial baselines are computed from."""
    used = [uid for uid in uids if uid not in processed.failed]
    missing = {uid: processed.failed[uid] for uid in uids if uid in processed.failed}
    digest = hashlib.sha256("\0".join(used).encode(errors="surrogateescape")).hexdigest()
    return Vectors(np.empty((len(used), 0), np.float32), {uid: i for i, uid in enumerate(used)}, missing, digest, None)


def _splits(task: Task, source: str, X: NDArray[np.float32] | Rows, items: LabelledItems) -> dict[str, Split]:
    where: dict[str, list[int]] = {split: [] for split in SPLITS}
    for index, split in enumerate(items.split):
        where[split].append(index)
    if not where["valid"]:
        del where["valid"]  # protocols that need it say so
    for split, indices in where.items():
        if not indices:
            raise RequestError(
                f"split {split} of {source} has no item with a label for {task.name} and a vector: a probe needs train and test"
            )
    recordings = {split: [items.recording[index] for index in indices] for split, indices in where.items()}
    with_songs = task.type == "key" and any(len(set(names)) < len(names) for names in recordings.values())
    splits = {split: make_split(task, f"split {split} of {source}", X, items, indices, with_songs) for split, indices in where.items()}
    for split in ("valid" if "valid" in splits else "train", "test"):  # train validates where nothing else does
        _check_defined(source, split, task, splits[split].y)
    return splits


def make_split(
    task: Task, where: str, X: NDArray[np.float32] | Rows, items: LabelledItems, indices: Sequence[int], with_songs: bool
) -> Split:
    """Some of the items as a split.

    Args:
        task: what is probed.
        where: they are, for messages.
        X: vectors of all items.
        items: all of them.
        indices: of those in the split.
        with_songs: whether recordings are scored.

    Raises:
        RequestError: clips of a song have different keys.
    """
    y = np.array([items.y[index] for index in indices])
    songs = Songs.from_recordings([items.recording[index] for index in indices]) if with_songs else None
    if songs is not None and (songs.per_song(y)[songs.song_of_clip] != y).any():
        raise RequestError(f"clips of one recording in {where} have different keys: {task.name} is scored by song")
    uid, group = (np.array([names[index] for index in indices]) for names in (items.uid, items.group))
    return Split(X[[items.row[index] for index in indices]], y, uid, group, songs)


def _check_defined(source: str, split: str, task: Task, y: np.ndarray) -> None:
    """The primary metric must exist on ``y``, otherwise nothing can be selected or reported."""
    where = f"of {task.name} is undefined in split {split} of {source}"
    if task.type == "regression" and (constant := np.ptp(y, axis=0) == 0).any():
        raise RequestError(
            f"R² {where}: all {len(y)} items have the same {task.labels[int(constant.argmax())]}; give that split more items"
        )
    if task.type == "multilabel" and metrics.count_undefined(task, y)["roc_auc"] == len(task.labels):
        raise RequestError(f"ROC-AUC {where}: no tag has both a positive and a negative among {len(y)} items; give that split more items")
