"""Labels given as arrays or lists: the task that they are of, and how they are encoded.

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

Tempi are regression unless the type is given as ``tempo``. A label that is None, NaN or empty is missing.
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
from jukemir_like.datasets import KEYS, LARGEST_VALUE, PRIMARY_METRICS, TEMPI, Task, TaskType
from jukemir_like.datasets.dataset import is_tempo, key_name


@dataclass(frozen=True)
class EncodedLabels:
    """Labels of all items.

    Args:
        task: name, type, and names of the labels.
        encoded: per item an index, a row of truth values, a row of numbers or a tempo; None where the label is missing.
        classes: the classes as they were given, the tags, or the names of the outputs.
        notes: what was guessed.
    """

    task: Task
    encoded: list[Any]
    classes: tuple[Any, ...]
    notes: list[str]


def read_labels(y: Any, n: int, task_type: TaskType | None = None, label_names: Sequence[Any] | None = None) -> EncodedLabels:
    """Labels of ``n`` items.

    Args:
        y: one per item, see :func:`jukemir_like.probes.arrays.probe`.
        n: number of items.
        task_type: None: what the labels look like.
        label_names: classes, tags or outputs in the order of the encoding; None: those that occur, sorted.

    Raises:
        RequestError: there are not ``n`` labels, they do not fit together or to the type, or all are missing or the same.

    >>> labels = read_labels(["jazz", "blues", None, "jazz"], 4)
    >>> labels.task.type, labels.classes, labels.encoded
    ('multiclass', ('blues', 'jazz'), [1, 0, None, 1])
    """
    if task_type is not None and task_type not in PRIMARY_METRICS:
        raise RequestError(f"unknown task_type {task_type!r}: choose one of {', '.join(PRIMARY_METRICS)}")
    label_names = None if label_names is None else tuple(label_names)
    of_dataset = getattr(y, "task", None)  # labels of a processed dataset have their task, and which of them are missing
    if isinstance(of_dataset, Task):
        task_type, label_names = task_type or of_dataset.type, label_names or of_dataset.labels
        values = [None if missing else value for value, missing in zip(per_item(y.values, n, "y"), y.missing, strict=True)]
        name = of_dataset.name
    else:
        columns = tuple(map(str, y.columns)) if hasattr(y, "columns") else None
        name = str(getattr(y, "name", None) or "y")
        if columns is not None and len(columns) == 1:
            name = columns[0]
        elif columns:
            label_names = label_names or columns
        values = per_item(y, n, "y")
    values = [None if is_missing(value) else value for value in values]
    present = [value for value in values if value is not None]
    if not present:
        raise RequestError("y holds no label: all are missing")
    kind, reason = (task_type, "") if task_type else _guess(present)
    encode: dict[str, Callable[..., tuple[tuple[Any, ...], list[Any]]]] = {
        "multiclass": _classes,
        "key": _keys,
        "multilabel": _tags,
        "regression": _outputs,
        "tempo": _tempi,
    }
    classes, encoded = encode[kind](values, label_names, name)
    task = Task(name, kind, tuple(map(str, classes)))
    if len(set(task.labels)) < len(task.labels):
        raise RequestError(f"two labels of y have the same name: {Counter(task.labels).most_common(1)[0][0]!r}")
    if kind in ("multiclass", "key") and len({row for row in encoded if row is not None}) < 2:
        raise RequestError(f"y holds one class only, {present[0]!r}: there is nothing to tell apart")
    return EncodedLabels(task, encoded, classes, [f"task type {kind}: {reason} (task_type= decides otherwise)"] if reason else [])


def per_item(values: Any, n: int, what: str) -> list[Any]:
    """One value, or one row, per item. A matrix of one column is one value per item.

    Raises:
        RequestError: ``values`` (the argument ``what``) has another length than ``n``, or none.
    """
    plain = to_plain(values)
    if isinstance(plain, str | bytes | Mapping) or not hasattr(plain, "__len__") or (isinstance(plain, np.ndarray) and plain.ndim == 0):
        raise RequestError(f"{what} must hold one value per item of X, not {type(values).__name__}")
    if len(plain) != n:
        raise RequestError(f"X has {n:,} items, but {what} has {len(plain):,}")
    return list(plain[:, 0] if isinstance(plain, np.ndarray) and plain.ndim == 2 and plain.shape[1] == 1 else plain)


def to_plain(values: Any) -> Any:
    """A tensor, Series or DataFrame as NumPy array; anything else as it is."""
    if hasattr(values, "detach"):
        return values.detach().cpu().numpy()
    return values.to_numpy() if hasattr(values, "to_numpy") else values


def is_missing(value: Any) -> bool:
    """None, NaN (of NumPy, pandas or Python), an empty text, or a row with a NaN."""
    if value is None or type(value).__name__ in ("NAType", "NaTType"):
        return True
    if isinstance(value, str):
        return not value
    if isinstance(value, float | np.floating):
        return bool(np.isnan(value))
    return _is_row(value) and not isinstance(value, set | frozenset) and any(map(is_missing, value)) and not _all_words(value)


def _is_row(value: Any) -> bool:
    return isinstance(value, list | tuple | set | frozenset) or (isinstance(value, np.ndarray) and value.ndim == 1)


def _all_words(row: Any) -> bool:
    return all(isinstance(entry, str) for entry in row)


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
    wrong = next((i for i, row in enumerate(encoded) if row is not None and not (np.abs(row) < LARGEST_VALUE).all()), None)
    if wrong is not None:
        raise RequestError(f"y holds a number that is too large, in item {wrong}")
    return labels, encoded


def _tempi(values: list[Any], label_names: Sequence[Any] | None, _: str) -> tuple[tuple[str, ...], list[float | None]]:
    labels = tuple(map(str, label_names or TEMPI))
    wrong = next((value for value in (*values, *labels) if value is not None and not is_tempo(value)), None)
    if wrong is not None:
        raise RequestError(f"y holds {wrong!r}, which is no tempo: tempi are numbers above 0, in beats per minute")
    return labels, [None if value is None else float(value) for value in values]


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
