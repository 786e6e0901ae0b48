"""From arrays to the data of a probe: ``X``, ``y``, ``split`` or ``folds``, and ``groups`` of :func:`jukemir_like.probes.arrays.probe`.

Items whose label or split is missing are left out and counted. :mod:`jukemir_like.probes.labels` reads the labels.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jukemir_like.core.errors import RequestError
from jukemir_like.core.rows import Rows
from jukemir_like.datasets import SPLITS, TaskType
from jukemir_like.datasets.dataset import SPLIT_OF_WORD, SPLIT_SHARES, natural_order
from jukemir_like.probes.assignment import assign_splits, check_groups, draw_folds, fold_names
from jukemir_like.probes.folds import FoldedData, assemble_folds
from jukemir_like.probes.labels import is_missing, per_item, read_labels, to_plain
from jukemir_like.probes.tasks import LabelledItems, ProbeData, assemble
from jukemir_like.probes.vectors import CHUNKS_ABOVE, note


@dataclass(frozen=True)
class Inputs:
    """The arrays of one probe.

    Args:
        data: of the probe, or of the probes of all folds.
        classes: the classes as they were given, the tags, or the names of the outputs; in the order of the columns of scores.
        positions: name of an item, or of a recording → row of ``X`` (of its first clip).
        notes: everything that was guessed or left out, one line each.
    """

    data: ProbeData | FoldedData
    classes: tuple[Any, ...]
    positions: dict[str, int]
    notes: tuple[str, ...]


def read_inputs(
    X: Any,
    y: Any,
    *,
    split: Any = None,
    folds: Any = None,
    folds_seed: int = 0,
    groups: Any = None,
    shared_groups: bool = False,
    recordings: Any = None,
    uid: Any = None,
    task_type: TaskType | None = None,
    label_names: Sequence[Any] | None = None,
    dataset: str = "",
    seed: int = 0,
) -> Inputs:
    """The data of a probe; arguments as for :func:`jukemir_like.probes.arrays.probe`.

    Raises:
        RequestError: lengths differ, a number is not finite, labels do not fit together, a split is empty, a group is in two parts.
    """
    if split is not None and folds is not None:
        raise RequestError("give split or folds, not both: folds are tested one by one, so no item is in a split")
    if folds_seed and not isinstance(folds, Integral):
        raise RequestError(f"folds_seed={folds_seed}, but no folds are drawn: give folds a number")
    matrix = _matrix(X)
    n = matrix.shape[0]
    _check_index(X, y)
    labels = read_labels(y, n, task_type, label_names)
    names = _names(uid, n)
    known = [label is not None for label in labels.encoded]
    recording_names = [recording or names[i] for i, recording in enumerate(_texts(recordings, n, "recordings"))]
    group_names = [group or recording_names[i] for i, group in enumerate(_texts(groups, n, "groups"))]
    notes = [*labels.notes, *note(matrix)]
    strata = labels.encoded if labels.task.type in ("multiclass", "key") else None
    how = f"{'by group' if groups is not None else 'by item'} with seed {{}}{', stratified by class' if strata else ''}"
    is_assigned = split is None if folds is None else isinstance(folds, Integral)
    if folds is not None and is_assigned:
        fold_order: tuple[str, ...] = fold_names(int(folds))
        labelled = strata or (labels.encoded if labels.task.type == "multilabel" else None)
        parts = draw_folds(group_names, known, labelled, folds_seed, int(folds))
        notes.append(f"{folds} folds were drawn {how.format(folds_seed)}{', stratified by tag' if labelled and not strata else ''}")
    elif folds is not None:
        parts, fold_order = _given_folds(folds, n)
        notes += check_groups(group_names, parts, fold_order, "folds", shared_groups)
    elif split is None:
        parts = assign_splits(group_names, known, strata, seed)
        shares = ", ".join(f"{share:.0%} {name}" for name, share in SPLIT_SHARES.items())
        notes.append(f"the splits were assigned {how.format(seed)} ({shares})")
    else:
        parts = _given_splits(split, n)
        notes += check_groups(group_names, parts, SPLITS, "split", shared_groups)
    items = LabelledItems()
    for i, part in enumerate(parts):
        if part is not None and known[i]:
            items.uid.append(names[i])
            items.split.append(part)
            items.y.append(labels.encoded[i])
            items.group.append(group_names[i])
            items.recording.append(recording_names[i])
            items.row.append(i)
    # A split is assigned to items with a label only; of a given split, items without one are not counted again for their label.
    no_split = 0 if is_assigned else parts.count(None)
    no_label = sum(not is_known and (is_assigned or part is not None) for is_known, part in zip(known, parts, strict=True))
    source, left_out = dataset or "the data", {"vectors": {}, "no_label": no_label, "no_split": no_split}
    data: ProbeData | FoldedData
    if folds is None:
        data = assemble(labels.task, source, matrix, items, left_out)
        notes += [f"{no_split:,} items left out: no split"] if no_split else []
        with_songs = data.train.songs is not None
    else:
        data = assemble_folds(labels.task, source, matrix, items, left_out, fold_order, note_groups=False)
        with_songs = data.with_songs
    positions = dict(zip(items.recording[::-1], items.row[::-1], strict=True)) if with_songs else dict(zip(names, range(n), strict=True))
    return Inputs(data, labels.classes, positions, (*notes, *data.notes))


def _matrix(X: Any) -> NDArray[np.float32] | Rows:
    """Vectors as float32 (n, dimension). Many stay as they are, and are read in chunks: so a memory map stays on disk."""
    try:
        array = np.asarray(to_plain(X))
        if array.ndim != 2 or not array.size:
            raise RequestError(f"X must have the shape (items, dimension), not {array.shape}")
        if array.dtype.kind in "fiub" and 4 * array.size > CHUNKS_ABOVE:
            rows = Rows.of_array(array)
            for part, chunk in rows.chunks():
                _check_finite(chunk, part.start)
            return rows
        with np.errstate(over="ignore"):  # a number too large for float32 becomes infinite, which is detected below
            matrix = array.astype(np.float32)
    except (ValueError, TypeError) as error:
        raise RequestError(f"X must be a matrix of numbers: {error}") from error
    _check_finite(matrix, 0)
    return matrix


def _check_finite(matrix: NDArray[np.float32], first: int) -> None:
    finite = np.isfinite(matrix).all(1)
    if not finite.all():
        item = first + int(finite.argmin())
        raise RequestError(f"X holds a number that is not finite in float32, in item {item}: remove such items first")


def _given_splits(split: Any, n: int) -> list[str | None]:
    """The split of every item; None where it names none."""
    splits: list[str | None] = []
    for i, word in enumerate(per_item(split, n, "split")):
        if is_missing(word):
            splits.append(None)
        elif isinstance(word, str) and word.casefold() in SPLIT_OF_WORD:
            splits.append(SPLIT_OF_WORD[word.casefold()])
        else:
            raise RequestError(f"split {word!r} of item {i} is not one of train, valid, test (or another usual word for these)")
    return splits


def _given_folds(folds: Any, n: int) -> tuple[list[str | None], tuple[str, ...]]:
    """The fold of every item, None where it names none; and the names of the folds in order."""
    names: list[str | None] = []
    for name in per_item(folds, n, "folds"):
        is_whole = isinstance(name, Real) and not isinstance(name, bool) and float(name).is_integer()
        names.append(None if is_missing(name) else str(int(name)) if is_whole else str(name))
    return names, tuple(sorted({name for name in names if name is not None}, key=natural_order))


def _names(uid: Any, n: int) -> list[str]:
    """Names of the items, in whose order they are resampled."""
    if uid is None:
        return [f"{i:09d}" for i in range(n)]
    names = [str(name) for name in per_item(uid, n, "uid")]
    if len(set(names)) < n:
        raise RequestError(f"uid {Counter(names).most_common(1)[0][0]!r} is duplicate: every item needs a name of its own")
    return names


def _texts(values: Any, n: int, what: str) -> list[str]:
    """One text per item, empty where missing."""
    if values is None:
        return [""] * n
    return ["" if is_missing(value) else str(value) for value in per_item(values, n, what)]


def _check_index(X: Any, y: Any) -> None:
    """The indices of two pandas objects must be equal: otherwise labels would go to other items than pandas says."""
    first, second = getattr(X, "index", None), getattr(y, "index", None)
    if hasattr(first, "equals") and hasattr(second, "equals") and not first.equals(second):  # type: ignore[union-attr]
        raise RequestError("X and y have different indices: align them first, for example y = y.loc[X.index]")
