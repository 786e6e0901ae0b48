"""A user's own folder of audio, with a table of labels, as a dataset.

The table is a CSV (or, named ``.tsv``, tab-separated) with a header. Reserved columns:

- ``uid`` or ``path``: the file's path within the folder, without or with its extension; the bare name is enough where it is unique.
- ``split`` (optional): train, valid, test, or empty. What is missing is drawn by group with a seed, 70/15/15 % of the items.
- ``group`` (optional; another column can be named): what must not be divided between splits, e.g. the artist.

Every other column is a label (or those that are named):

====================================  =========================================================
values                                task
====================================  =========================================================
one column of numbers                 regression
several columns, all of 0 and 1       one multi-label task, ``tags``; a column is a tag
several columns, all of numbers       one regression task, ``values``, with that many outputs
a column with ``;`` in it             multi-label: the tags of a file, with ``;`` between them
a column of key names (``Eb minor``)  key; sharps are read as flats
any other column                      multiclass
====================================  =========================================================
"""

from __future__ import annotations

import csv
import hashlib
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, get_args

import numpy as np

from jukemir_like import audio
from jukemir_like.datasets import KEYS, SPLITS, Dataset, Item, Task, TaskType
from jukemir_like.datasets.keys import key_name
from jukemir_like.errors import RequestError

_RESERVED = {"uid", "path", "split", "group"}
_SPLIT_NAMES = {"train": "train", "valid": "valid", "test": "test", "val": "valid", "validation": "valid", "dev": "valid", "": None}
_SHARES = {"train": 0.7, "valid": 0.15, "test": 0.15}

Row = dict[str, str]


def dataset(
    folder: Path,
    labels: Path,
    *,
    name: str = "folder",
    label_columns: Sequence[str] = (),
    task_type: TaskType | None = None,
    group_column: str = "group",
    seed: int = 0,
) -> Dataset:
    """The audio of ``folder`` with the labels of the table ``labels``.

    Args:
        folder: audio files, sub-folders included.
        labels: CSV or TSV, UTF-8, see the module's description.
        name: of the dataset.
        label_columns: which columns are labels; none: all that are not reserved.
        task_type: what a single label column is, where its values could be read in two ways (classes that are numbers, say).
        group_column: whose items must not be divided between splits.
        seed: of the draw of missing splits.

    Raises:
        RequestError: the table cannot be used. A row without a label or without its file is no such error: its item carries the reason.
    """
    rows = _read(labels)
    columns = list(rows[0])
    chosen = list(label_columns) or [column for column in columns if column not in _RESERVED | {group_column}]
    for column in chosen:
        if column not in columns:
            raise RequestError(f"{labels} has no column {column!r}; its columns are: {', '.join(columns)}")
    if not chosen:
        raise RequestError(f"{labels} has no label column beside {', '.join(columns)}: add one, e.g. 'label'")
    tasks, decoders = _tasks(rows, chosen, task_type, labels)
    files = _match(rows, folder, labels)
    splits = _splits(rows, group_column, seed, labels)
    items = []
    for row, uid, split in zip(rows, files.uids, splits, strict=True):
        y = {task: decoders[task](row) for task in tasks}
        extra: dict[str, Any] = {group_column: row[group_column]} if group_column in row else {}
        source = files.sources.get(uid)
        if any(value is None for value in y.values()):
            extra["failed"] = "has no label"
            source = None
        elif source is None:
            extra["failed"] = f"no such audio file in {folder}"
        items.append(Item(uid, split, y if len(tasks) > 1 else next(iter(y.values())), source, extra=extra))
    sources = {"labels": hashlib.sha256(labels.read_bytes()).hexdigest(), "seed": seed, "audio_without_a_row": files.unlabelled}
    return Dataset(name, tasks, items, group_column if group_column in columns else None, sources=sources)


def _read(labels: Path) -> list[Row]:
    try:
        with open(labels, newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, delimiter="\t" if labels.suffix.lower() == ".tsv" else ",", strict=True)
            rows = [{(key or "").strip(): (value or "").strip() for key, value in row.items() if key is not None} for row in reader]
    except OSError as error:
        raise RequestError(f"cannot read {labels}: {error.strerror}") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise RequestError(f"{labels} is not a table in UTF-8 ({error}): save it as CSV, UTF-8") from error
    if not rows:
        raise RequestError(f"{labels} has no rows below its header")
    if "uid" not in rows[0] and "path" not in rows[0]:
        raise RequestError(f"{labels} has neither a column 'uid' nor 'path'; its columns are: {', '.join(rows[0])}")
    return rows


class _Files:
    """Which audio file each row means."""

    def __init__(self) -> None:
        self.uids: list[str] = []
        self.sources: dict[str, Path] = {}
        self.unlabelled = 0


def _match(rows: Sequence[Row], folder: Path, labels: Path) -> _Files:
    if not folder.is_dir():
        raise RequestError(f"{folder} is not a folder: give the folder of audio files")
    found = audio.find(folder)
    by_uid: dict[str, list[str]] = {}
    by_name: dict[str, list[str]] = {}
    for path in found:
        by_uid.setdefault(str(PurePosixPath(path).with_suffix("")), []).append(path)
        by_name.setdefault(PurePosixPath(path).stem, []).append(path)
    exact = set(found)
    files = _Files()
    seen: set[str] = set()
    for number, row in enumerate(rows, start=2):
        given = row.get("path") or row.get("uid") or ""
        if not given:
            raise RequestError(f"{labels}, row {number}: names no file")
        given = str(PurePosixPath(given))
        candidates = [given] if given in exact else by_uid.get(given) or by_name.get(given) or by_name.get(PurePosixPath(given).stem, [])
        if len(candidates) > 1:
            raise RequestError(
                f"{labels}, row {number}: {given!r} could be {' or '.join(candidates[:3])}: write the path with its extension"
            )
        uid = row.get("uid") or str(PurePosixPath(candidates[0] if candidates else given).with_suffix(""))
        if uid in seen:
            raise RequestError(f"{labels}, row {number}: {uid!r} was already given in an earlier row: keep one of them")
        seen.add(uid)
        files.uids.append(uid)
        if candidates:
            files.sources[uid] = folder / candidates[0]
    files.unlabelled = len(exact) - len(set(files.sources.values()))
    return files


def _tasks(rows: Sequence[Row], columns: Sequence[str], task_type: TaskType | None, labels: Path) -> tuple[dict[str, Task], dict[str, Any]]:
    """Tasks by name, and for each a function from a row to its label (None where it is missing)."""
    if task_type is not None and task_type not in get_args(TaskType):
        raise RequestError(f"unknown type of task {task_type!r}: choose one of {', '.join(get_args(TaskType))}")
    values = {column: {row[column] for row in rows if row[column]} for column in columns}
    for column in columns:
        if not values[column]:
            raise RequestError(f"{labels}: column {column!r} is empty: fill it or leave it out")
    if len(columns) > 1 and all(values[column] <= {"0", "1"} for column in columns) and task_type in (None, "multilabel"):
        task = Task("tags", "multilabel", tuple(columns))
        return {"tags": task}, {"tags": lambda row: _flags(row, columns)}
    if len(columns) > 1 and all(map(_is_number, set().union(*values.values()))) and task_type in (None, "regression"):
        task = Task("values", "regression", tuple(columns))
        return {"values": task}, {"values": lambda row: _numbers(row, columns)}
    tasks, decoders = {}, {}
    for column in columns:
        tasks[column], decoders[column] = _one_column(column, values[column], task_type, labels)
    return tasks, decoders


def _one_column(column: str, values: set[str], task_type: TaskType | None, labels: Path) -> tuple[Task, Any]:
    if task_type is None:
        if any(";" in value for value in values):
            task_type = "multilabel"
        elif all(map(_is_number, values)):
            task_type = "regression"
        else:
            task_type = "key" if all(key_name(value) for value in values) else "multiclass"
    if task_type == "multilabel":
        tags = sorted({tag for value in values for tag in _split(value)})
        return Task(column, "multilabel", tuple(tags)), lambda row: _split(row[column]) if row[column] else None
    if task_type == "regression":
        wrong = next((value for value in sorted(values) if not _is_number(value)), None)
        if wrong is not None:
            raise RequestError(f"{labels}: column {column!r} holds {wrong!r}, which is not a finite number")
        return Task(column, "regression", (column,)), lambda row: _numbers(row, [column])
    if task_type == "key":
        wrong = next((value for value in sorted(values) if not key_name(value)), None)
        if wrong is not None:
            raise RequestError(f"{labels}: column {column!r} holds {wrong!r}, which is not a key such as 'Eb minor'")
        return Task(column, "key", KEYS), lambda row: key_name(row[column])
    return Task(column, "multiclass", tuple(sorted(values))), lambda row: row[column] or None


def _split(value: str) -> list[str]:
    return [tag.strip() for tag in value.split(";") if tag.strip()]


def _flags(row: Row, columns: Sequence[str]) -> list[str] | None:
    return [column for column in columns if row[column] == "1"] if all(row[column] for column in columns) else None


def _numbers(row: Row, columns: Sequence[str]) -> list[float] | None:
    return [float(row[column]) for column in columns] if all(row[column] for column in columns) else None


def _is_number(value: str) -> bool:
    try:
        return math.isfinite(float(value))
    except ValueError:
        return False


def _splits(rows: Sequence[Row], group_column: str, seed: int, labels: Path) -> list[str | None]:
    """The split of every row; missing ones drawn group by group, into the split that lacks most of its share."""
    splits: list[str | None] = []
    for number, row in enumerate(rows, start=2):
        given = row.get("split", "").lower()
        if given not in _SPLIT_NAMES:
            raise RequestError(f"{labels}, row {number}: split {given!r} is not one of train, valid, test (or empty, to have it drawn)")
        splits.append(_SPLIT_NAMES[given])
    groups = [row.get(group_column) or f"\0{number}" for number, row in enumerate(rows)]
    home: dict[str, str] = {group: split for group, split in zip(groups, splits, strict=True) if split}
    counts = Counter(split for split in splits if split)
    sizes = Counter(group for group, split in zip(groups, splits, strict=True) if not split)
    order = sorted(sizes)
    for index in np.random.default_rng([seed, len(order)]).permutation(len(order)):
        group = order[index]
        split = home.setdefault(group, _neediest(counts))
        counts[split] += sizes[group]
    return [split or home[group] for group, split in zip(groups, splits, strict=True)]


def _neediest(counts: Mapping[str, int]) -> str:
    return min(SPLITS, key=lambda split: (counts.get(split, 0) + 1) / _SHARES[split])
