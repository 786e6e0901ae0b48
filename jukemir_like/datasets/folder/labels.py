"""From columns of labels to tasks and to the labels of every row; and a description of how the table was read, for files and people.

Several columns of yes and no are the tags of one task, ``tags``. Where all columns are numbers, they are the outputs of one regression,
``values``. Any other column is a task by itself.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_args
from urllib.parse import quote

from tabulate import tabulate

from jukemir_like.core.errors import RequestError
from jukemir_like.core.files import printable
from jukemir_like.datasets.dataset import NUMERIC_TYPES, SPLITS, Task, TaskType
from jukemir_like.datasets.folder.columns import (
    Column,
    ColumnValues,
    counts_rows,
    holds_flags,
    read_column,
    read_flags,
    task_option,
)
from jukemir_like.datasets.folder.table import RESERVED, LabelTable, Row, join_names

_NAMELESS = re.compile(r"unnamed: ?\d+.*", re.IGNORECASE)
TAGS = "tags"
VALUES = "values"
_LONGEST_NAME = 200  # a task's name is the name of a folder

CHANGE = (
    "to change it: --task COLUMN=TYPE (multiclass, multilabel, regression, key or tempo), --label COLUMN for these columns only, "
    "--group COLUMN, --fold COLUMN, or another name for a column"
)
_WIDTH = 60  # of a cell of the printed table, in characters
_MOST_COLUMNS = 10  # of one task that are printed
_MOST_PARTS = 10  # folds whose numbers of items are printed


@dataclass(frozen=True)
class TableLabels:
    """The tasks and labels of a table.

    Args:
        tasks: by name.
        columns: the columns of each task, by its name.
        rows: the labels of every row, by task; None where a label is missing.
    """

    tasks: dict[str, Task]
    columns: dict[str, list[Column]]
    rows: list[dict[str, Any]]


def choose_columns(
    table: LabelTable, wanted: Sequence[str], group: str | None, fold: str | None = None, unused_folds: Mapping[str, str] | None = None
) -> tuple[list[str], dict[str, str]]:
    """The columns of labels; and each column that is neither a label nor reserved, with the reason.

    Args:
        table: the table.
        wanted: those that the user named; none: all that look like labels.
        group: the column that names what must not be divided.
        fold: the column of folds.
        unused_folds: columns of folds that are not used, with the reason.

    Raises:
        RequestError: there is no column of labels.
    """
    if wanted:
        chosen = list(dict.fromkeys(map(table.column, wanted)))
        return chosen, {column: "not among the columns chosen by --label" for column in table.columns if column not in chosen}
    used = {*table.reserved.values(), group, fold}
    unused_folds = unused_folds or {}
    reasons = {column: unused_folds.get(column) or _why_no_label(table, column) for column in table.columns if column not in used}
    ignored = {column: reason for column, reason in reasons.items() if reason}
    chosen = [column for column in table.columns if column not in used and column not in ignored]
    if not chosen:
        listed = "".join(f" ({printable(column)!r} {reason})" for column, reason in ignored.items())
        raise RequestError(
            f"{table.path} has no label column among {join_names(table.columns)}{listed}: add one, e.g. 'label', or name one by --label"
        )
    return chosen, ignored


def read_labels(table: LabelTable, chosen: Sequence[str], task_type: TaskType | None, column_types: Mapping[str, TaskType]) -> TableLabels:
    """The tasks and labels of the columns ``chosen``.

    Args:
        table: the table.
        chosen: its columns of labels.
        task_type: of all of them; None: by their values.
        column_types: of single columns; takes precedence.

    Raises:
        RequestError: a column is empty, holds a value that does not fit, or has a name that no task can have.
    """
    types: dict[str, TaskType | None] = dict.fromkeys(chosen, task_type)
    for name, type in column_types.items():  # noqa: A001
        if table.column(name) not in types:
            raise RequestError(f"{name!r} is not a label column of {table.path}, which has: {join_names(tuple(chosen))}")
        types[table.column(name)] = type
    for chosen_type in types.values():
        if chosen_type is not None and chosen_type not in get_args(TaskType):
            raise RequestError(f"unknown type of task {chosen_type!r}: choose one of {', '.join(get_args(TaskType))}")
    values = {column: ColumnValues(table, column) for column in chosen}
    empty = next((column for column in chosen if not values[column].counts), None)
    if empty is not None:
        raise RequestError(f"{table.path}: column {empty!r} is empty: fill it or leave it out")
    flag_columns = [column for column in chosen if types[column] in (None, "multilabel") and holds_flags(values[column])]
    if len(flag_columns) == 1 and types[flag_columns[0]] is None:
        flag_columns = []  # one column of yes and no: two classes
    if len(flag_columns) > 1 and TAGS in chosen and TAGS not in flag_columns:
        raise RequestError(f"{table.path}: column {TAGS!r} has the name of the task of {join_names(tuple(flag_columns))}: rename it")
    columns = [
        read_flags(values[column], *_flag_note(column, flag_columns))
        if column in flag_columns
        else read_column(values[column], types[column])
        for column in chosen
    ]
    columns_of = _group_by_task(columns, flag_columns)
    tasks, decoders = {}, {}
    for name, task_columns in columns_of.items():
        _check_name(table, name)
        labels = tuple(column.name for column in task_columns) if len(task_columns) > 1 else task_columns[0].labels
        tasks[name] = Task(name, task_columns[0].type, labels)
        decoders[name] = _decoder(task_columns, are_flags=task_columns[0].name in flag_columns)
    return TableLabels(tasks, columns_of, [{task: decode(row) for task, decode in decoders.items()} for row in table.rows])


def _why_no_label(table: LabelTable, column: str) -> str | None:
    """Why a column that has no other use is not a label; None where it is one."""
    if column in table.nameless:
        return "has no name"
    if _NAMELESS.fullmatch(column) or column.casefold() in ("index", "level_0"):
        return "is the index of a data frame"
    if column.casefold() in RESERVED:
        return "is reserved"
    return "counts the rows" if counts_rows(table, column) else None


def _flag_note(column: str, flag_columns: Sequence[str]) -> Iterator[str]:
    """A note for the first of several columns of yes and no."""
    if len(flag_columns) > 1 and column == flag_columns[0]:
        alone = task_option(column, "multiclass")
        yield f"one of {len(flag_columns):,} columns of yes and no, the tags of one task, {TAGS!r}; as a task of its own: {alone}"


def _group_by_task(columns: Sequence[Column], flag_columns: Sequence[str]) -> dict[str, list[Column]]:
    """The columns of each task, by its name."""
    if len(columns) > 1 and all(column.type == "regression" for column in columns):
        return {VALUES: list(columns)}
    grouped: dict[str, list[Column]] = {}
    for column in columns:
        name = TAGS if len(flag_columns) > 1 and column.name in flag_columns else column.name
        grouped.setdefault(name, []).append(column)
    return grouped


def _check_name(table: LabelTable, name: str) -> None:
    if len(quote(name)) > _LONGEST_NAME:
        raise RequestError(f"{table.path}: the name of column {printable(name[:40])!r}… is too long for a task: shorten it")


def _decoder(columns: Sequence[Column], *, are_flags: bool) -> Callable[[Row], Any]:
    """A function from a row to its label for one task; None where any of the task's columns is missing."""
    if not are_flags and columns[0].type != "regression":
        return lambda row: columns[0].label(row.cells[columns[0].name])

    def decode(row: Row) -> list[Any] | None:
        values = [column.label(row.cells[column.name]) for column in columns]
        if any(value is None for value in values):
            return None
        return [column.name for column, value in zip(columns, values, strict=True) if value] if are_flags else values

    return decode


def describe(
    table: LabelTable,
    labels: TableLabels,
    ignored: Mapping[str, str],
    uses: Mapping[str, str],
    parts: Sequence[str | None],
    names: Sequence[str],
    notes: Sequence[str],
) -> dict[str, Any]:
    """How a table was read, for ``dataset.json``: of each column its task, type, labels or range, missing values, items by split or fold.

    Args:
        table: the table.
        labels: its labels.
        ignored: column that is not used → the reason.
        uses: column that is not a label → what it is used for.
        parts: the split, or the fold, of every row.
        names: of the splits or folds.
        notes: on the table as a whole.
    """
    tasks = {column.name: (task, column) for task, columns in labels.columns.items() for column in columns}
    described: list[dict[str, Any]] = []
    for name in table.columns:
        if name in tasks:
            described.append({"column": name, "use": "label"} | _describe_label(table, *tasks[name], parts, names))
        elif name in uses:
            described.append({"column": name, "use": uses[name]})
        else:
            described.append({"column": name, "use": "ignored", "notes": [ignored.get(name, "is reserved")]})
    return {
        "table": table.path.name,
        "rows": len(table.rows),
        "separator": table.separator,
        "encoding": table.encoding,
        "columns": described,
        "notes": list(notes),
        "change": CHANGE,
    }


def _describe_label(table: LabelTable, task: str, column: Column, parts: Sequence[str | None], names: Sequence[str]) -> dict[str, Any]:
    cells = [row.cells[column.name] for row in table.rows]
    items = Counter(part for part, cell in zip(parts, cells, strict=True) if cell in column.meanings)
    content: dict[str, Any]
    if column.type in NUMERIC_TYPES:
        content = {"range": [min(column.meanings.values()), max(column.meanings.values())]}
    else:
        counts: Counter[str] = Counter()
        for cell, number in Counter(cells).items():
            for label in _as_list(column.label(cell), column.name):
                counts[label] += number
        content = {"labels": {label: counts[label] for label in column.labels if counts[label] or column.type != "key"}}
    return {
        "task": task,
        "type": column.type,
        **content,
        "missing": column.missing,
        "items": {name: items[name] for name in names},
        "notes": list(column.notes),
    }


def _as_list(label: Any, column: str) -> list[str]:
    """The labels of a cell; those of a flag are the column's name, or none."""
    if label is None or label is False:
        return []
    if label is True:
        return [column]
    return label if isinstance(label, list) else [label]


def description_lines(described: Mapping[str, Any]) -> list[str]:
    """The result of :func:`describe` as lines for a terminal; of a task with many columns only the first ten."""
    rows: list[list[str]] = []
    columns_of_task: Counter[str] = Counter()
    parts = next((list(column["items"]) for column in described["columns"] if column["use"] == "label"), list(SPLITS))
    shown = parts if len(parts) <= _MOST_PARTS else []
    for column in described["columns"]:
        columns_of_task[column.get("task", "")] += 1
        if column["use"] != "label" or columns_of_task[column["task"]] <= _MOST_COLUMNS:
            rows.append(_table_row(column, shown))
    separated = f"separated by {described['separator']!r}, {described['encoding']}"
    notes = [
        f"{number - _MOST_COLUMNS:,} more columns of {_shortened(task)}"
        for task, number in columns_of_task.items()
        if task and number > _MOST_COLUMNS
    ]
    for column in described["columns"]:
        if column["use"] == "label":
            notes += [f"{_shortened(column['column'])}: {note}" for note in column["notes"]]
    return [
        f"{printable(described['table'])}: {described['rows']:,} rows, {separated}, understood as:",
        *tabulate(rows, ["column", "used as", "labels or range", "missing", *_headers(shown)], disable_numparse=True).splitlines(),
        *notes,
        *described["notes"],
        described["change"],
    ]


def _headers(parts: Sequence[str]) -> list[str]:
    """Of columns with the numbers of items: the names of the splits, or of the folds."""
    return [part if part in SPLITS or not part.isdigit() else f"fold {part}" for part in map(_shortened, parts)]


def _table_row(column: Mapping[str, Any], parts: Sequence[str]) -> list[str]:
    name = _shortened(column["column"])
    if column["use"] != "label":
        return [name, column["use"], *map(_shortened, column.get("notes", ()))]
    of_task = "" if column["task"] == column["column"] else f" ({column['task']})"
    if "range" in column:
        least, most = column["range"]
        content = f"{least:g} to {most:g}"
    else:
        content = _shortened(
            f"{len(column['labels']):,}: " + ", ".join(f"{label} ({number:,})" for label, number in column["labels"].items())
        )
    words = ", ".join(f"{word or 'empty'} {number:,}" for word, number in column["missing"].items())
    missing = sum(column["missing"].values())
    return [
        name,
        f"{column['type']}{of_task}",
        content,
        f"{missing:,} ({words})" if missing else "0",
        *(f"{column['items'][part]:,}" for part in parts),
    ]


def _shortened(text: str) -> str:
    """On one line of limited width."""
    shown = printable(text)
    return shown if len(shown) <= _WIDTH else shown[: _WIDTH - 1] + "…"
