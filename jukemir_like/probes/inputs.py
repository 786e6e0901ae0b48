"""From arrays to the data of a probe: what ``X``, ``y``, ``split`` and ``groups`` of :func:`jukemir_like.probes.arrays.probe` may be.

The type of a task follows from the labels unless it is given:

=========================================================  ===========================================================
labels                                                     type
=========================================================  ===========================================================
lists, tuples or sets of words; a matrix of booleans or 0  multilabel
and 1
words that all are keys (``Eb minor``, ``D# minor``)       key
other words; booleans                                      multiclass
whole numbers of which most repeat, or nothing but 0       multiclass
and 1
other whole numbers; numbers with a fraction; a matrix     regression
of numbers
=========================================================  ===========================================================

A label that is None, NaN or empty is missing: its item is left out and counted, as is an item whose split is missing.
"""

from __future__ import annotations

import numbers
from collections import Counter
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jukemir_like.core.errors import RequestError
from jukemir_like.datasets import KEYS, LARGEST, PRIMARY_METRICS, SPLITS, Task, TaskType
from jukemir_like.datasets.keys import key_name
from jukemir_like.probes.tasks import LabelledItems, ProbeData, assemble

SHARES = {"train": 0.7, "valid": 0.15, "test": 0.15}
"""Of a split that is drawn."""

_SPLIT_WORDS = {
    "train": ("train", "training"),
    "valid": ("valid", "val", "validation", "dev", "development"),
    "test": ("test", "testing", "eval", "evaluation"),
}
_SPLIT_OF = {word: split for split, words in _SPLIT_WORDS.items() for word in words}


@dataclass(frozen=True)
class Inputs:
    """Arrays, understood.

    Args:
        data: of the probe.
        classes: the classes as they were given, the tags, or the names of the outputs; in the order of the columns of scores.
        positions: name of an item, or of a recording → row of ``X`` (of its first clip).
        notes: everything that was guessed or left out, one line each.
    """

    data: ProbeData
    classes: tuple[Any, ...]
    positions: dict[str, int]
    notes: tuple[str, ...]


def understand(
    X: Any,
    y: Any,
    *,
    split: Any = None,
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
        RequestError: lengths differ, a number is not finite, labels do not fit together, a split is empty, a group is in two splits.
    """
    matrix = _matrix(X)
    n = len(matrix)
    _check_index(X, y)
    labels = _labels(y, n, task_type, label_names)
    names = _names(uid, n)
    known = [label is not None for label in labels.encoded]
    recording_names = [recording or names[i] for i, recording in enumerate(_texts(recordings, n, "recordings"))]
    group_names = [group or recording_names[i] for i, group in enumerate(_texts(groups, n, "groups"))]
    notes = list(labels.notes)
    if split is None:
        strata = labels.encoded if labels.task.type in ("multiclass", "key") else None
        splits = draw_splits(group_names, known, strata, seed)
        how = "by group" if groups is not None else "by item"
        shares = ", ".join(f"{share:.0%} {name}" for name, share in SHARES.items())
        notes.append(f"the split was drawn {how} with seed {seed}{', stratified by class' if strata else ''} ({shares})")
    else:
        splits = _given_splits(split, n)
        notes += _check_groups(group_names, splits, shared_groups)
    items = LabelledItems()
    for i, of_item in enumerate(splits):
        if of_item is not None and known[i]:
            items.uid.append(names[i])
            items.split.append(of_item)
            items.y.append(labels.encoded[i])
            items.group.append(group_names[i])
            items.recording.append(recording_names[i])
            items.row.append(i)
    no_split = sum(of_item is None for of_item in splits) if split is not None else 0
    no_label = sum(not is_known and of_item is not None for is_known, of_item in zip(known, splits, strict=True))
    if split is None:
        no_label = n - sum(known)
    data = assemble(labels.task, dataset or "the data", matrix, items, {"vectors": {}, "no_label": no_label, "no_split": no_split})
    notes += [f"{no_split:,} items left out: no split"] if no_split else []
    positions = (
        dict(zip(items.recording[::-1], items.row[::-1], strict=True)) if data.train.songs else dict(zip(names, range(n), strict=True))
    )
    return Inputs(data, labels.classes, positions, (*notes, *data.notes))


def draw_splits(groups: Sequence[str], known: Sequence[bool], strata: Sequence[Any] | None, seed: int) -> list[str | None]:
    """A split for every item with a label; no group is divided.

    Groups are put in order of their most frequent class, in random order within a class, and then each goes to the split that lacks most
    of its share. So every split gets its share of every class, as far as groups allow.

    Args:
        groups: of every item.
        known: whether the item has a label; others get None.
        strata: class of every item; None: classes do not matter.
        seed: of the random order.

    >>> draw_splits(list("abcdefghij"), [True] * 10, None, seed=0).count("train")
    6
    """
    members: dict[str, list[int]] = {}
    for i, group in enumerate(groups):
        if known[i]:
            members.setdefault(group, []).append(i)
    order = sorted(members)
    order = [order[i] for i in np.random.default_rng([seed, len(order)]).permutation(len(order))]
    if strata is not None:
        order.sort(key=lambda group: Counter(sorted(strata[i] for i in members[group])).most_common(1)[0][0])
    counts: Counter[str] = Counter()
    splits: list[str | None] = [None] * len(groups)
    for group in order:
        split = min(SPLITS, key=lambda name: (counts[name] + 1) / SHARES[name])
        counts[split] += len(members[group])
        for i in members[group]:
            splits[i] = split
    return splits


def _matrix(X: Any) -> NDArray[np.float32]:
    """Vectors as float32 (n, dimension)."""
    try:
        array = np.asarray(_plain(X))
        if array.ndim != 2 or not array.size:
            raise RequestError(f"X must have the shape (items, dimension), not {array.shape}")
        with np.errstate(over="ignore"):  # a number too large for float32 becomes infinite, which is detected below
            matrix = array.astype(np.float32)
    except (ValueError, TypeError) as error:
        raise RequestError(f"X must be a matrix of numbers: {error}") from error
    finite = np.isfinite(matrix).all(1)
    if not finite.all():
        raise RequestError(f"X holds a number that is not finite in float32, in item {int(finite.argmin())}: remove such items first")
    return matrix


@dataclass(frozen=True)
class _Labels:
    """Labels of all items: the task, one row of ``y`` per item (None where missing), the classes as given, and what was guessed."""

    task: Task
    encoded: list[Any]
    classes: tuple[Any, ...]
    notes: list[str]


def _labels(y: Any, n: int, task_type: TaskType | None, label_names: Sequence[Any] | None) -> _Labels:
    if task_type is not None and task_type not in PRIMARY_METRICS:
        raise RequestError(f"unknown task_type {task_type!r}: choose one of {', '.join(PRIMARY_METRICS)}")
    of_dataset = getattr(y, "task", None)  # labels of a processed dataset name their task, and say which are missing
    if isinstance(of_dataset, Task):
        task_type, label_names = task_type or of_dataset.type, label_names or of_dataset.labels
        values = [None if missing else value for value, missing in zip(_items(y.values, n, "y"), y.missing, strict=True)]
        name = of_dataset.name
    else:
        values = _items(y, n, "y")
        label_names = label_names or (tuple(map(str, y.columns)) if hasattr(y, "columns") else None)
        name = str(getattr(y, "name", None) or "y")
    values = [None if _is_missing(value) else value for value in values]
    present = [value for value in values if value is not None]
    if not present:
        raise RequestError("y holds no label: all are missing")
    kind, reason = (task_type, "") if task_type else _guess(present)
    encode: dict[str, Callable[..., tuple[tuple[Any, ...], list[Any]]]] = {
        "multiclass": _classes,
        "key": _keys,
        "multilabel": _tags,
        "regression": _outputs,
    }
    classes, encoded = encode[kind](values, label_names, name)
    task = Task(name, kind, tuple(map(str, classes)))
    if len(set(task.labels)) < len(task.labels):
        raise RequestError(f"two labels of y have the same name: {Counter(task.labels).most_common(1)[0][0]!r}")
    if kind in ("multiclass", "key") and len({row for row in encoded if row is not None}) < 2:
        raise RequestError(f"y holds one class only, {present[0]!r}: there is nothing to tell apart")
    return _Labels(task, encoded, classes, [f"task type {kind}: {reason} (task_type= decides otherwise)"] if reason else [])


def _guess(values: list[Any]) -> tuple[TaskType, str]:
    """Type of labels that are not missing, and why."""
    if all(map(_is_row, values)):
        entries = {type(entry) for value in values for entry in value}
        if all(issubclass(entry, str) for entry in entries):
            return "multilabel", "labels are lists of words"
        if all(isinstance(entry, bool | np.bool_) or entry in (0, 1) for value in values for entry in value) and not any(
            issubclass(entry, float | np.floating) for entry in entries
        ):
            return "multilabel", "labels are rows of booleans, or of 0 and 1"
        return "regression", "labels are rows of numbers"
    if all(isinstance(value, str) for value in values):
        if all(map(key_name, values)):
            return "key", "all labels are names of keys"
        return "multiclass", "labels are words"
    if all(isinstance(value, bool | np.bool_) for value in values):
        return "multiclass", "labels are booleans"
    if all(isinstance(value, numbers.Integral) for value in values):
        counts = Counter(map(int, values))
        if counts.keys() <= {0, 1} or 2 * sum(count for count in counts.values() if count > 1) > len(values):
            return "multiclass", "labels are whole numbers that repeat"
        return "regression", "labels are whole numbers of which few repeat"
    if all(isinstance(value, numbers.Real) for value in values):
        return "regression", "labels are numbers"
    kinds = ", ".join(sorted({type(value).__name__ for value in values}))
    raise RequestError(f"y holds labels of different kinds ({kinds}): make them all words, numbers, or lists of words")


def _classes(values: list[Any], label_names: Sequence[Any] | None, _: str) -> tuple[tuple[Any, ...], list[int | None]]:
    plain = [value.item() if isinstance(value, np.generic) else value for value in values]
    plain = [int(value) if isinstance(value, float) and value.is_integer() else value for value in plain]
    present = {value for value in plain if value is not None and _check_class(value)}
    if label_names is None:
        try:
            classes = tuple(sorted(present))  # type: ignore[type-var]
        except TypeError:
            raise RequestError("y holds classes of different kinds: make them all words, or all whole numbers") from None
        index: dict[Any, int] = {value: i for i, value in enumerate(classes)}
    else:
        classes = tuple(label_names)
        by_number = all(isinstance(value, int) for value in present) and not any(isinstance(name, int) for name in classes)
        index = dict(enumerate(range(len(classes)))) if by_number else {value: i for i, value in enumerate(classes)}
    return classes, [None if value is None else _index(value, index) for value in plain]


def _check_class(value: Any) -> bool:
    if not isinstance(value, Hashable) or isinstance(value, tuple | frozenset | float):
        raise RequestError(f"y holds {value!r}, which is no class: classes are words or whole numbers")
    return True


def _keys(values: list[Any], label_names: Sequence[Any] | None, _: str) -> tuple[tuple[str, ...], list[int | None]]:
    keys = [None if value is None else key_name(str(value)) for value in values]
    for value, key in zip(values, keys, strict=True):
        if value is not None and key is None:
            raise RequestError(f"y holds {value!r}, which is not a key: keys are named {KEYS[0]!r}, {KEYS[1]!r}, … {KEYS[-1]!r}")
    labels = tuple(map(str, label_names or KEYS))
    index = {label: i for i, label in enumerate(labels)}
    return labels, [None if key is None else _index(key, index) for key in keys]


def _tags(values: list[Any], label_names: Sequence[Any] | None, name: str) -> tuple[tuple[str, ...], list[NDArray[np.bool_] | None]]:
    rows = [None if value is None else list(value) if _is_row(value) else [value] for value in values]
    by_name = all(isinstance(entry, str) for row in rows if row is not None for entry in row)
    if not by_name:
        width = _width(rows)
        labels = tuple(map(str, label_names)) if label_names else (name,) if width == 1 else tuple(f"{name} {i}" for i in range(width))
        _check_width(width, labels)
        if any(entry not in (0, 1) for row in rows if row is not None for entry in row):
            raise RequestError("y is no matrix of tags: it holds numbers other than 0 and 1")
        return labels, [None if row is None else np.array(row, bool) for row in rows]
    labels = tuple(map(str, label_names or sorted({entry for row in rows if row is not None for entry in row})))
    index = {label: i for i, label in enumerate(labels)}
    columns = np.arange(len(labels))
    encoded = [None if row is None else np.isin(columns, [_index(tag, index) for tag in row]) for row in rows]
    return labels, encoded


def _outputs(values: list[Any], label_names: Sequence[Any] | None, name: str) -> tuple[tuple[str, ...], list[NDArray[np.float64] | None]]:
    rows = [None if value is None else value if _is_row(value) else [value] for value in values]
    width = _width(rows)
    labels = tuple(map(str, label_names)) if label_names else (name,) if width == 1 else tuple(f"{name} {i}" for i in range(width))
    _check_width(width, labels)
    try:
        encoded = [None if row is None else np.array(row, np.float64) for row in rows]
    except (ValueError, TypeError) as error:
        raise RequestError(f"y holds a label that is no number: {error}") from error
    wrong = next((i for i, row in enumerate(encoded) if row is not None and not (np.abs(row) < LARGEST).all()), None)
    if wrong is not None:
        raise RequestError(f"y holds a number that is too large, in item {wrong}")
    return labels, encoded


def _index(value: Any, index: Mapping[Any, int]) -> int:
    if value not in index:
        raise RequestError(f"y holds {value!r}, which is not among the {len(index)} label_names")
    return index[value]


def _width(rows: Sequence[Any]) -> int:
    widths = {len(row) for row in rows if row is not None}
    if len(widths) != 1 or not max(widths):
        raise RequestError(f"the rows of y differ in length ({min(widths)} to {max(widths)})")
    return widths.pop()


def _check_width(width: int, labels: tuple[str, ...]) -> None:
    if len(labels) != width:
        raise RequestError(f"y has {width} columns, but there are {len(labels)} label_names")


def _given_splits(split: Any, n: int) -> list[str | None]:
    """The split of every item; None where it names none."""
    splits: list[str | None] = []
    for i, word in enumerate(_items(split, n, "split")):
        if _is_missing(word):
            splits.append(None)
        elif isinstance(word, str) and word.casefold() in _SPLIT_OF:
            splits.append(_SPLIT_OF[word.casefold()])
        else:
            raise RequestError(f"split {word!r} of item {i} is not one of train, valid, test (or another usual word for these)")
    return splits


def _check_groups(groups: Sequence[str], splits: Sequence[str | None], shared_groups: bool) -> list[str]:
    """Notes on groups in several splits."""
    found: dict[str, set[str]] = {}
    for group, split in zip(groups, splits, strict=True):
        if split is not None:
            found.setdefault(group, set()).add(split)
    divided = {group: [split for split in SPLITS if split in names] for group, names in found.items() if len(names) > 1}
    if divided and not shared_groups:
        group, names = next(iter(divided.items()))
        raise RequestError(
            f"group {group!r} has items in {' and '.join(names)} ({len(divided):,} such groups): "
            "leave split out to have it drawn by group, or pass shared_groups=True"
        )
    return [f"{len(divided):,} groups have items in several splits: a probe may recognise them"] if divided else []


def _names(uid: Any, n: int) -> list[str]:
    """Names of the items, in whose order they are resampled."""
    if uid is None:
        return [f"{i:09d}" for i in range(n)]
    names = [str(name) for name in _items(uid, n, "uid")]
    if len(set(names)) < n:
        raise RequestError(f"uid {Counter(names).most_common(1)[0][0]!r} is duplicate: every item needs a name of its own")
    return names


def _texts(values: Any, n: int, what: str) -> list[str]:
    """One text per item, empty where missing."""
    if values is None:
        return [""] * n
    return ["" if _is_missing(value) else str(value) for value in _items(values, n, what)]


def _items(values: Any, n: int, what: str) -> list[Any]:
    """One value, or one row, per item."""
    plain = _plain(values)
    if isinstance(plain, str | bytes | Mapping) or not hasattr(plain, "__len__") or (isinstance(plain, np.ndarray) and plain.ndim == 0):
        raise RequestError(f"{what} must hold one value per item of X, not {type(values).__name__}")
    if len(plain) != n:
        raise RequestError(f"X has {n:,} items, but {what} has {len(plain):,}")
    return list(plain)


def _plain(values: Any) -> Any:
    """A tensor, Series or DataFrame as NumPy array; anything else as it is."""
    if hasattr(values, "detach"):
        return values.detach().cpu().numpy()
    return values.to_numpy() if hasattr(values, "to_numpy") else values


def _check_index(X: Any, y: Any) -> None:
    """The indices of two pandas objects must be equal: otherwise labels would go to other items than pandas says."""
    first, second = getattr(X, "index", None), getattr(y, "index", None)
    if hasattr(first, "equals") and hasattr(second, "equals") and not first.equals(second):  # type: ignore[union-attr]
        raise RequestError("X and y have different indices: align them first, for example y = y.loc[X.index]")


def _is_row(value: Any) -> bool:
    return isinstance(value, list | tuple | set | frozenset) or (isinstance(value, np.ndarray) and value.ndim == 1)


def _is_missing(value: Any) -> bool:
    """None, NaN (of NumPy, pandas or Python), an empty text, or a row with a NaN."""
    if value is None or type(value).__name__ in ("NAType", "NaTType"):
        return True
    if isinstance(value, str):
        return not value
    if isinstance(value, float | np.floating):
        return bool(np.isnan(value))
    return _is_row(value) and not isinstance(value, set | frozenset) and any(map(_is_missing, value)) and not _all_words(value)


def _all_words(row: Any) -> bool:
    return all(isinstance(entry, str) for entry in row)
