"""From the columns of labels to tasks and to every row's labels.

Several columns of yes and no are the tags of one task, ``tags``; where all columns are numbers, they are the outputs of one regression,
``values``; any other column is a task by itself.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_args
from urllib.parse import quote

from jukemir_like.core.errors import RequestError
from jukemir_like.core.files import printable
from jukemir_like.datasets import Task, TaskType
from jukemir_like.datasets.folder import columns
from jukemir_like.datasets.folder.columns import Column, Values
from jukemir_like.datasets.folder.table import RESERVED, Row, Table, listed

_NAMELESS = re.compile(r"unnamed: ?\d+.*", re.IGNORECASE)
TAGS = "tags"
VALUES = "values"
_LONGEST_NAME = 200  # a task's name is the name of a folder


@dataclass(frozen=True)
class Labels:
    """What a table asks.

    Args:
        tasks: by name.
        columns: those of each task, by its name.
        rows: the labels of every row, by task; None where a label is missing.
    """

    tasks: dict[str, Task]
    columns: dict[str, list[Column]]
    rows: list[dict[str, Any]]


def choose(table: Table, wanted: Sequence[str], group: str | None) -> tuple[list[str], dict[str, str]]:
    """The columns of labels, and of those that are neither labels nor reserved: why not.

    Args:
        table: the table.
        wanted: those that the user named; none: all that look like labels.
        group: the column that names what must not be divided.

    Raises:
        RequestError: there is none.
    """
    if wanted:
        chosen = list(dict.fromkeys(map(table.column, wanted)))
        return chosen, {column: "not among the columns chosen by --label" for column in table.columns if column not in chosen}
    used = {*table.reserved.values(), group}
    ignored = {column: reason for column in table.columns if column not in used and (reason := _no_label(table, column))}
    chosen = [column for column in table.columns if column not in used and column not in ignored]
    if not chosen:
        why = "".join(f" ({printable(column)!r} {reason})" for column, reason in ignored.items())
        raise RequestError(
            f"{table.path} has no label column beside {listed(table.columns)}{why}: add one, e.g. 'label', or name one by --label"
        )
    return chosen, ignored


def understand(table: Table, chosen: Sequence[str], every: TaskType | None, each: Mapping[str, TaskType]) -> Labels:
    """Tasks and labels of the columns ``chosen``.

    Args:
        table: the table.
        chosen: its columns of labels.
        every: what they are; None: what their values say.
        each: what single ones are.

    Raises:
        RequestError: a column is empty, holds something else than it should, or has a name that no task can have.
    """
    types: dict[str, TaskType | None] = dict.fromkeys(chosen, every)
    for name, type in each.items():  # noqa: A001
        if table.column(name) not in types:
            raise RequestError(f"{name!r} is not a label column of {table.path}, which has: {listed(tuple(chosen))}")
        types[table.column(name)] = type
    for chosen_type in types.values():
        if chosen_type is not None and chosen_type not in get_args(TaskType):
            raise RequestError(f"unknown type of task {chosen_type!r}: choose one of {', '.join(get_args(TaskType))}")
    values = {column: Values(table, column) for column in chosen}
    empty = next((column for column in chosen if not values[column].counts), None)
    if empty is not None:
        raise RequestError(f"{table.path}: column {empty!r} is empty: fill it or leave it out")
    yes_or_no = [column for column in chosen if types[column] in (None, "multilabel") and columns.holds_flags(values[column])]
    if len(yes_or_no) == 1 and types[yes_or_no[0]] is None:
        yes_or_no = []  # two classes
    if len(yes_or_no) > 1 and TAGS in chosen and TAGS not in yes_or_no:
        raise RequestError(f"{table.path}: column {TAGS!r} has the name of the task of {listed(tuple(yes_or_no))}: rename it")
    understood = [
        columns.flags(values[column], *_note(column, yes_or_no))
        if column in yes_or_no
        else columns.understand(values[column], types[column])
        for column in chosen
    ]
    grouped = _grouped(understood, yes_or_no)
    tasks, decoders = {}, {}
    for name, own in grouped.items():
        _check_name(table, name)
        tasks[name] = Task(name, own[0].type, tuple(column.name for column in own) if len(own) > 1 else own[0].labels)
        decoders[name] = _decoder(own, are_flags=own[0].name in yes_or_no)
    return Labels(tasks, grouped, [{task: decode(row) for task, decode in decoders.items()} for row in table.rows])


def _no_label(table: Table, column: str) -> str | None:
    """Why a column is no label, though no other use is known for it."""
    if column in table.nameless:
        return "has no name"
    if _NAMELESS.fullmatch(column) or column.casefold() in ("index", "level_0"):
        return "is the index of a data frame"
    if column.casefold() in ("fold", "folds"):
        return "is the number of a fold, which belongs to a protocol of evaluation"
    if column.casefold() in RESERVED:
        return "is reserved"
    return "counts the rows" if columns.counts_rows(table, column) else None


def _note(column: str, yes_or_no: Sequence[str]) -> Iterator[str]:
    """Said once, of the first column of several."""
    if len(yes_or_no) > 1 and column == yes_or_no[0]:
        alone = columns.said(column, "multiclass")
        yield f"one of {len(yes_or_no):,} columns of yes and no, the tags of one task, {TAGS!r}; as a task of its own: {alone}"


def _grouped(understood: Sequence[Column], yes_or_no: Sequence[str]) -> dict[str, list[Column]]:
    """Columns by the name of their task."""
    if len(understood) > 1 and all(column.type == "regression" for column in understood):
        return {VALUES: list(understood)}
    grouped: dict[str, list[Column]] = {}
    for column in understood:
        name = TAGS if len(yes_or_no) > 1 and column.name in yes_or_no else column.name
        grouped.setdefault(name, []).append(column)
    return grouped


def _check_name(table: Table, name: str) -> None:
    if len(quote(name)) > _LONGEST_NAME:
        raise RequestError(f"{table.path}: the name of column {printable(name[:40])!r}… is too long for a task: shorten it")


def _decoder(own: Sequence[Column], *, are_flags: bool) -> Callable[[Row], Any]:
    """From a row to its label for one task: None where any of the task's columns is missing."""
    if not are_flags and own[0].type != "regression":
        return lambda row: own[0].label(row.cells[own[0].name])

    def decode(row: Row) -> list[Any] | None:
        values = [column.label(row.cells[column.name]) for column in own]
        if any(value is None for value in values):
            return None
        return [column.name for column, value in zip(own, values, strict=True) if value] if are_flags else values

    return decode
