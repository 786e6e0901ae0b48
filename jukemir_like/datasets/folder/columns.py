"""What one label column holds: its type, its labels, and how its cells are read.

====================================================  =========================================================================
values                                                type
====================================================  =========================================================================
a list, or words with ``;`` or ``|`` between them     multilabel: the tags of a file
numbers                                               regression
whole numbers that repeat; 1 and 0                    multiclass: most items share their number with another, as with ids of genres
names of keys (``Eb minor``)                          key; sharps are read as flats
anything else                                         multiclass
====================================================  =========================================================================

A column in which most values are numbers, keys or lists and some are not holds a mistake: it is refused, with the line.
"""

from __future__ import annotations

import math
import shlex
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from jukemir_like.core.files import printable
from jukemir_like.datasets.dataset import KEYS, NUMERIC_TYPES, TEMPI, TaskType, is_tempo, key_name
from jukemir_like.datasets.folder.table import (
    LabelTable,
    has_thousands,
    integer_name,
    is_like_a_number,
    is_missing,
    parse_flag,
    parse_number,
    parse_tags,
)

_SEPARATORS = (";", "|")
_LabelsAndMeanings = tuple[tuple[str, ...], dict[str, Any]]


@dataclass(frozen=True)
class Column:
    """One column of labels, as it was read.

    Args:
        name: in the table.
        type: of the task.
        labels: classes, tags, or the column itself where it holds numbers.
        meanings: cell → its label (a class, a list of tags, a number, or whether it has the tag), of every cell that is not missing.
        missing: word for a missing value, as written → number of rows.
        notes: how else the column could be read, and how to ask for that.
    """

    name: str
    type: TaskType
    labels: tuple[str, ...]
    meanings: dict[str, Any]
    missing: dict[str, int]
    notes: tuple[str, ...] = ()

    def label(self, cell: str) -> Any:
        """The label of a cell, None where it is missing."""
        return self.meanings.get(cell)


class ColumnValues:
    """The distinct values of one column with their counts; words for a missing value are kept apart.

    Attributes:
        table, column: where they are from.
        counts: value → number of rows.
        missing: word for a missing value → number of rows.
    """

    def __init__(self, table: LabelTable, column: str) -> None:
        self.table = table
        self.column = column
        self.counts = Counter(row.cells[column] for row in table.rows)
        self.missing = {word: self.counts.pop(word) for word in sorted(self.counts) if is_missing(word)}

    def all(self, holds: Callable[[str], Any]) -> bool:
        """Whether ``holds`` is true of every value."""
        return all(map(holds, self.counts))

    def most(self, holds: Callable[[str], Any]) -> bool:
        """Whether ``holds`` is true in more than half of the rows that have a value."""
        return 2 * sum(number for value, number in self.counts.items() if holds(value)) > self.counts.total()

    def require(self, holds: Callable[[str], Any], what: str, remedy: str = "correct it, or leave the cell empty") -> None:
        """Raises RequestError for the first value of which ``holds`` is not true."""
        wrong = next((value for value in self.counts if not holds(value)), None)
        if wrong is not None:
            line = next(row.line for row in self.table.rows if row.cells[self.column] == wrong)
            raise self.table.error(line, f"column {self.column!r} holds {wrong!r}, which is not {what}: {remedy}")


def read_column(values: ColumnValues, type: TaskType | None) -> Column:  # noqa: A002
    """The type, the labels and the meaning of each cell of a column.

    Args:
        values: of the column.
        type: as the user gives it; None: by its values.

    Raises:
        RequestError: it holds a value that does not fit the others or the type.
    """
    readers = {"multiclass": _classes, "multilabel": _tags, "regression": _numbers, "key": _keys, "tempo": _tempi}
    chosen = type or _infer_type(values)
    labels, meanings = readers[chosen](values)
    notes = (*([] if type else _alternatives(values, chosen)), *_warnings(values, chosen, labels))
    return Column(values.column, chosen, labels, meanings, values.missing, notes)


def holds_flags(values: ColumnValues) -> bool:
    """Whether a column holds yes and no, as :func:`~jukemir_like.datasets.folder.table.parse_flag` reads them, and nothing else."""
    return values.all(lambda cell: parse_flag(cell) is not None)


def read_flags(values: ColumnValues, *notes: str) -> Column:
    """A column of yes and no as a tag that an item has or has not."""
    meanings = {cell: parse_flag(cell) for cell in values.counts}
    if len(set(meanings.values())) == 1:
        notes += ("all items have the same value: there is nothing to learn",)
    return Column(values.column, "multilabel", (values.column,), meanings, values.missing, notes)


def counts_rows(table: LabelTable, column: str) -> bool:
    """Whether a column only counts the rows, from 0 or 1. In fewer than five rows that could be chance."""
    rows = table.rows
    return len(rows) >= 5 and any(all(row.cells[column] == str(count) for count, row in enumerate(rows, start)) for start in (0, 1))


def task_option(column: str, type: str) -> str:  # noqa: A002
    """The command-line option that gives the type of a column.

    >>> task_option("beats per minute", "regression")
    "--task 'beats per minute=regression'"
    """
    return f"--task {shlex.quote(f'{printable(column)}={type}')}"


def _infer_type(values: ColumnValues) -> TaskType:
    remedy = f"correct it, leave the cell empty, or say what the column holds ({task_option(values.column, 'multiclass')})"
    if values.most(_is_list):
        values.require(_is_list, "a list as the others are", remedy)
        values.require(lambda cell: not _is_vector(cell), "one number: give every number a column of its own", remedy)
        return "multilabel"
    if values.most(is_like_a_number):
        is_number = _number_format(values).is_number
        values.require(is_number, "a plain finite number as the others are", remedy)
        return "multiclass" if _are_classes(values) else "regression"
    if values.most(key_name):
        values.require(key_name, "a key such as 'Eb minor', as the others are", remedy)
        return "key"
    several = any(len(parse_tags(value) or ()) > 1 for value in values.counts)
    return "multilabel" if several or _separator(values) else "multiclass"


def _classes(values: ColumnValues) -> _LabelsAndMeanings:
    name = integer_name if _are_whole(values) else str
    meanings = {cell: name(cell) for cell in values.counts}
    return tuple(sorted(set(meanings.values()))), meanings


def _tags(values: ColumnValues) -> _LabelsAndMeanings:
    separator = _separator(values)
    meanings = {}
    for cell in values.counts:
        tags = parse_tags(cell)
        if tags is None:
            tags = cell.split(separator) if separator else [cell]
        meanings[cell] = list(dict.fromkeys(tag.strip() for tag in tags if tag.strip()))
    values.require(lambda cell: not any(map(is_missing, meanings[cell])), "a list of tags: a missing value is among them")
    return tuple(sorted({tag for tags in meanings.values() for tag in tags})), meanings


def _numbers(values: ColumnValues) -> _LabelsAndMeanings:
    number_format = _number_format(values)
    values.require(number_format.is_number, "a finite number")
    return (values.column,), {cell: number_format.read(cell) for cell in values.counts}


def _tempi(values: ColumnValues) -> _LabelsAndMeanings:
    _, meanings = _numbers(values)
    values.require(lambda cell: is_tempo(meanings[cell]), "a tempo above 0, in beats per minute")
    return TEMPI, meanings


def _keys(values: ColumnValues) -> _LabelsAndMeanings:
    values.require(key_name, "a key such as 'Eb minor'")
    return KEYS, {cell: key_name(cell) for cell in values.counts}


@dataclass(frozen=True)
class _NumberFormat:
    """Reads finite numbers; with ``decimal_comma`` also those with a comma."""

    decimal_comma: bool

    def read(self, cell: str) -> float | None:
        value = parse_number(cell, decimal_comma=self.decimal_comma)
        return value if value is not None and math.isfinite(value) else None

    def is_number(self, cell: str) -> bool:
        return self.read(cell) is not None


def _number_format(values: ColumnValues) -> _NumberFormat:
    """How the column's numbers are written.

    A comma is decimal where that is unambiguous: where it does not separate the cells and could not separate thousands, or where exactly
    one zero follows it (as pandas writes whole numbers in a column with missing values).
    """
    with_comma = [value for value in values.counts if "," in value]
    separator = values.table.separator
    is_ambiguous = separator == "," or (separator != ";" and all(map(has_thousands, with_comma)))
    if not with_comma or any("." in value for value in values.counts):
        return _NumberFormat(decimal_comma=False)
    return _NumberFormat(decimal_comma=not is_ambiguous or all(value.endswith(",0") for value in with_comma))


def _are_whole(values: ColumnValues) -> bool:
    numbers = map(_number_format(values).read, values.counts)
    return all(number is not None and number.is_integer() for number in numbers)


def _are_classes(values: ColumnValues) -> bool:
    """Whether numbers are names of classes: whole, and most items share theirs with another; or only 1 and 0."""
    if not _are_whole(values):
        return False
    read = _number_format(values).read
    numbers: Counter[float | None] = Counter()
    for value, count in values.counts.items():
        numbers[read(value)] += count
    return numbers.keys() <= {0.0, 1.0} or 2 * sum(count for count in numbers.values() if count > 1) > numbers.total()


def _is_list(cell: str) -> bool:
    return parse_tags(cell) is not None


def _is_vector(cell: str) -> bool:
    """Whether a list holds measurements: numbers, of which some have a fraction."""
    entries = parse_tags(cell) or []
    return bool(entries) and all(map(is_like_a_number, entries)) and not all(map(str.isdigit, entries))


def _separator(values: ColumnValues) -> str | None:
    """The separator between the tags of a cell; None where no cell has one."""
    return next(
        (separator for separator in _SEPARATORS if any(separator in value and not _is_list(value) for value in values.counts)), None
    )


def _alternatives(values: ColumnValues, chosen: TaskType) -> Iterator[str]:
    """Notes on how else a column whose type was inferred could be read, and how to ask for that."""
    as_classes = task_option(values.column, "multiclass")
    if chosen == "multiclass" and _are_whole(values):
        yield f"whole numbers that repeat are classes; where they are amounts: {task_option(values.column, 'regression')}, or =tempo"
    elif chosen == "multiclass" and any(map(is_like_a_number, values.counts)):
        number = next(filter(is_like_a_number, values.counts))
        yield f"classes of words and numbers, such as {printable(number)!r}"
    if chosen == "multilabel":
        separator = _separator(values)
        how = f"with {separator!r} between them" if separator else "in lists"
        yield f"tags, {how}; where each cell is one class: {as_classes}"
    if chosen == "regression":
        if _number_format(values).decimal_comma:
            yield "decimal commas"
        if _are_whole(values):
            yield f"whole numbers of which few repeat are amounts; where they are classes: {as_classes}"
    if chosen == "key":
        yield f"keys, sharps read as flats; to keep the spelling: {as_classes}"


def _warnings(values: ColumnValues, chosen: TaskType, labels: tuple[str, ...]) -> Iterator[str]:
    """Notes on what may not be intended, whether the type was given or inferred."""
    if chosen in NUMERIC_TYPES:
        if len(values.counts) == 1:
            yield "all items have the same number: there is nothing to predict"
        return
    if chosen == "key":
        return
    if len(labels) == 1:
        yield "only one label: there is nothing to learn"
    alike: dict[str, list[str]] = {}
    for label in labels:
        alike.setdefault(" ".join(unicodedata.normalize("NFKC", label).casefold().split()), []).append(label)
    same = [group for group in alike.values() if len(group) > 1]
    if same:
        yield f"labels that differ only in spelling are different labels, such as {', '.join(map(printable, same[0]))}"
    if any("," in label for label in labels):
        yield "commas are part of a label; tags are separated by ';'"
    once = sum(count == 1 for count in values.counts.values())
    if chosen == "multiclass" and len(labels) > 2 and 2 * once > len(labels):
        yield f"{once:,} of {len(labels):,} classes have one item; leave out columns that are not labels by naming those that are (--label)"
