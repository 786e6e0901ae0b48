"""What was understood of a table: as data for ``dataset.json``, and as lines for people."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from tabulate import tabulate

from jukemir_like.core.files import printable
from jukemir_like.datasets import SPLITS
from jukemir_like.datasets.folder.columns import Column
from jukemir_like.datasets.folder.labels import Labels
from jukemir_like.datasets.folder.table import Table

CHANGE = (
    "to change it: --task COLUMN=TYPE (multiclass, multilabel, regression or key), --label COLUMN for these columns only, --group COLUMN, "
    "or another name for a column"
)
_WIDTH = 60
_MOST_COLUMNS = 10


def describe(
    table: Table, labels: Labels, ignored: Mapping[str, str], uses: Mapping[str, str], splits: Sequence[str], notes: Sequence[str]
) -> dict[str, Any]:
    """Column → task, type, labels or range, missing values and items by split, in the order of the table.

    Args:
        table: the table.
        labels: its labels.
        ignored: column that is not used → why.
        uses: column that is no label → what it is used for.
        splits: of every row.
        notes: more that is worth saying.
    """
    tasks = {column.name: (task, column) for task, own in labels.columns.items() for column in own}
    described: list[dict[str, Any]] = []
    for name in table.columns:
        if name in tasks:
            described.append({"column": name, "use": "label"} | _label(table, *tasks[name], splits))
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


def _label(table: Table, task: str, column: Column, splits: Sequence[str]) -> dict[str, Any]:
    cells = [row.cells[column.name] for row in table.rows]
    items = Counter(split for split, cell in zip(splits, cells, strict=True) if cell in column.meanings)
    held: dict[str, Any]
    if column.type == "regression":
        held = {"range": [min(column.meanings.values()), max(column.meanings.values())]}
    else:
        counts: Counter[str] = Counter()
        for cell, number in Counter(cells).items():
            for label in _listed(column.label(cell), column.name):
                counts[label] += number
        held = {"labels": {label: counts[label] for label in column.labels if counts[label] or column.type != "key"}}
    return {
        "task": task,
        "type": column.type,
        **held,
        "missing": column.missing,
        "items": {split: items[split] for split in SPLITS},
        "notes": list(column.notes),
    }


def _listed(label: Any, column: str) -> list[str]:
    """The labels of a cell: of a flag the column's name, or nothing."""
    if label is None or label is False:
        return []
    if label is True:
        return [column]
    return label if isinstance(label, list) else [label]


def lines(described: Mapping[str, Any]) -> list[str]:
    """What :func:`describe` tells, for a terminal; of a task with many columns some."""
    rows: list[list[str]] = []
    of_task: Counter[str] = Counter()
    for column in described["columns"]:
        of_task[column.get("task", "")] += 1
        if column["use"] != "label" or of_task[column["task"]] <= _MOST_COLUMNS:
            rows.append(_row(column))
    separated = f"separated by {described['separator']!r}, {described['encoding']}"
    notes = [
        f"{number - _MOST_COLUMNS:,} more columns of {_shown(task)}" for task, number in of_task.items() if task and number > _MOST_COLUMNS
    ]
    for column in described["columns"]:
        if column["use"] == "label":
            notes += [f"{_shown(column['column'])}: {note}" for note in column["notes"]]
    return [
        f"{printable(described['table'])}: {described['rows']:,} rows, {separated}, understood as:",
        *tabulate(rows, ["column", "used as", "labels or range", "missing", *SPLITS], disable_numparse=True).splitlines(),
        *notes,
        *described["notes"],
        described["change"],
    ]


def _row(column: Mapping[str, Any]) -> list[str]:
    name = _shown(column["column"])
    if column["use"] != "label":
        return [name, column["use"], *map(_shown, column.get("notes", ()))]
    of_task = "" if column["task"] == column["column"] else f" ({column['task']})"
    if "range" in column:
        least, most = column["range"]
        held = f"{least:g} to {most:g}"
    else:
        held = _shown(f"{len(column['labels']):,}: " + ", ".join(f"{label} ({number:,})" for label, number in column["labels"].items()))
    words = ", ".join(f"{word or 'empty'} {number:,}" for word, number in column["missing"].items())
    missing = sum(column["missing"].values())
    return [
        name,
        f"{column['type']}{of_task}",
        held,
        f"{missing:,} ({words})" if missing else "0",
        *(f"{column['items'][split]:,}" for split in SPLITS),
    ]


def _shown(text: str) -> str:
    """On one line, and not longer than a table bears."""
    shown = printable(text)
    return shown if len(shown) <= _WIDTH else shown[: _WIDTH - 1] + "…"
