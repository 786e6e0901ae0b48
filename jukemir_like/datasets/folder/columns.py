"""What one label column holds: its type, its labels, and how its cells are read.

====================================================  =========================================================================
values                                                type
====================================================  =========================================================================
a list, or words with ``;`` or ``|`` between them     multilabel: the tags of a file
numbers                                               regression
whole numbers that repeat; 1 and 0                    multiclass: most items share their number with another, as ids of genres do
names of keys (``Eb minor``)                          key; sharps are read as flats
anything else                                         multiclass
====================================================  =========================================================================

A column in which most values are numbers, keys or lists and some are not is a column with a mistake in it: it is refused, with the line.
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
from jukemir_like.datasets import KEYS, TaskType
from jukemir_like.datasets.folder import cells
from jukemir_like.datasets.folder.table import Table
from jukemir_like.datasets.keys import key_name

_SEPARATORS = (";", "|")
_Read = tuple[tuple[str, ...], dict[str, Any]]
"""Labels, and the meaning of each cell."""


@dataclass(frozen=True)
class Column:
    """One column of labels, as it was understood.

    Args:
        name: in the table.
        type: of the task.
        labels: classes, tags, or the column itself where it holds numbers.
        meanings: cell → its label (a class, a list of tags, a number, or whether it has the tag), of every cell that is not missing.
        missing: word for a missing value, as written → number of rows.
        notes: what could be otherwise, and how to have it so.
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


class Values:
    """The different values of one column: how often each is there, those for a missing one apart."""

    def __init__(self, table: Table, column: str) -> None:
        self.table = table
        self.column = column
        self.counts = Counter(row.cells[column] for row in table.rows)
        self.missing = {word: self.counts.pop(word) for word in sorted(self.counts) if cells.is_missing(word)}

    def all(self, holds: Callable[[str], Any]) -> bool:
        return all(map(holds, self.counts))

    def most(self, holds: Callable[[str], Any]) -> bool:
        return 2 * sum(number for value, number in self.counts.items() if holds(value)) > self.counts.total()

    def require(self, holds: Callable[[str], Any], what: str, remedy: str = "correct it, or leave the cell empty") -> None:
        """Refuses the first value that is not so."""
        wrong = next((value for value in self.counts if not holds(value)), None)
        if wrong is not None:
            line = next(row.line for row in self.table.rows if row.cells[self.column] == wrong)
            raise self.table.refusal(line, f"column {self.column!r} holds {wrong!r}, which is not {what}: {remedy}")


def understand(values: Values, type: TaskType | None) -> Column:  # noqa: A002
    """What a column holds.

    Args:
        values: of the column.
        type: what the user says it is; None: what its values say.

    Raises:
        RequestError: it holds a value that does not fit the others or the type.
    """
    read = {"multiclass": _classes, "multilabel": _tags, "regression": _numbers, "key": _keys}
    chosen = type or _type(values)
    labels, meanings = read[chosen](values)
    notes = (*([] if type else _other_ways(values, chosen)), *_doubts(values, chosen, labels))
    return Column(values.column, chosen, labels, meanings, values.missing, notes)


def holds_flags(values: Values) -> bool:
    """Whether a column says yes or no, in one of the ways that :func:`cells.flag` reads, and nothing else."""
    return values.all(lambda cell: cells.flag(cell) is not None)


def flags(values: Values, *notes: str) -> Column:
    """A column of yes and no as a tag that an item has or has not."""
    meanings = {cell: cells.flag(cell) for cell in values.counts}
    if len(set(meanings.values())) == 1:
        notes += ("all items say the same: nothing to tell apart",)
    return Column(values.column, "multilabel", (values.column,), meanings, values.missing, notes)


def counts_rows(table: Table, column: str) -> bool:
    """Whether a column does no more than count the rows, from 0 or 1; of fewer than five rows that could be chance."""
    rows = table.rows
    return len(rows) >= 5 and any(all(row.cells[column] == str(count) for count, row in enumerate(rows, start)) for start in (0, 1))


def said(column: str, type: str) -> str:  # noqa: A002
    """How to say on the command line what a column holds."""
    return f"--task {shlex.quote(f'{printable(column)}={type}')}"


def _type(values: Values) -> TaskType:
    remedy = f"correct it, leave the cell empty, or say what the column holds ({said(values.column, 'multiclass')})"
    if values.most(_is_list):
        values.require(_is_list, "a list as the others are", remedy)
        values.require(lambda cell: not _is_vector(cell), "one number: give every number a column of its own", remedy)
        return "multilabel"
    if values.most(cells.is_like_a_number):
        is_number = _numbers_of(values).is_number
        values.require(is_number, "a plain finite number as the others are", remedy)
        return "multiclass" if _are_classes(values) else "regression"
    if values.most(key_name):
        values.require(key_name, "a key such as 'Eb minor', as the others are", remedy)
        return "key"
    several = any(len(cells.tags(value) or ()) > 1 for value in values.counts)
    return "multilabel" if several or _separator(values) else "multiclass"


def _classes(values: Values) -> _Read:
    name = cells.whole if _are_whole(values) else str
    meanings = {cell: name(cell) for cell in values.counts}
    return tuple(sorted(set(meanings.values()))), meanings


def _tags(values: Values) -> _Read:
    separator = _separator(values)
    meanings = {}
    for cell in values.counts:
        found = cells.tags(cell)
        if found is None:
            found = cell.split(separator) if separator else [cell]
        meanings[cell] = list(dict.fromkeys(tag.strip() for tag in found if tag.strip()))
    values.require(lambda cell: not any(map(cells.is_missing, meanings[cell])), "a list of tags: a missing value is among them")
    return tuple(sorted({tag for own in meanings.values() for tag in own})), meanings


def _numbers(values: Values) -> _Read:
    numbers = _numbers_of(values)
    values.require(numbers.is_number, "a finite number")
    return (values.column,), {cell: numbers.read(cell) for cell in values.counts}


def _keys(values: Values) -> _Read:
    values.require(key_name, "a key such as 'Eb minor'")
    return KEYS, {cell: key_name(cell) for cell in values.counts}


@dataclass(frozen=True)
class _Numbers:
    """Reads finite numbers; with ``decimal_comma`` those with a comma too."""

    decimal_comma: bool

    def read(self, cell: str) -> float | None:
        value = cells.number(cell, decimal_comma=self.decimal_comma)
        return value if value is not None and math.isfinite(value) else None

    def is_number(self, cell: str) -> bool:
        return self.read(cell) is not None


def _numbers_of(values: Values) -> _Numbers:
    """How the column's numbers are written.

    A comma is decimal where the table leaves no doubt: where it does not separate the cells and could not stand between thousands, or
    where nothing but one zero follows it (whole numbers as pandas writes them beside missing ones).
    """
    with_comma = [value for value in values.counts if "," in value]
    separator = values.table.separator
    doubtful = separator == "," or (separator != ";" and all(map(cells.has_thousands, with_comma)))
    if not with_comma or any("." in value for value in values.counts):
        return _Numbers(decimal_comma=False)
    return _Numbers(decimal_comma=not doubtful or all(value.endswith(",0") for value in with_comma))


def _are_whole(values: Values) -> bool:
    numbers = map(_numbers_of(values).read, values.counts)
    return all(number is not None and number.is_integer() for number in numbers)


def _are_classes(values: Values) -> bool:
    """Whether numbers are names: whole, and most items share theirs with another; or nothing but 1 and 0."""
    if not _are_whole(values):
        return False
    read = _numbers_of(values).read
    numbers: Counter[float | None] = Counter()
    for value, count in values.counts.items():
        numbers[read(value)] += count
    return numbers.keys() <= {0.0, 1.0} or 2 * sum(count for count in numbers.values() if count > 1) > numbers.total()


def _is_list(cell: str) -> bool:
    return cells.tags(cell) is not None


def _is_vector(cell: str) -> bool:
    """Whether a list is one of measurements: of numbers with a fraction."""
    found = cells.tags(cell) or []
    return bool(found) and all(map(cells.is_like_a_number, found)) and not all(map(str.isdigit, found))


def _separator(values: Values) -> str | None:
    """What stands between the tags of a cell."""
    return next(
        (separator for separator in _SEPARATORS if any(separator in value and not _is_list(value) for value in values.counts)), None
    )


def _other_ways(values: Values, chosen: TaskType) -> Iterator[str]:
    """What else a column could be that was understood by its values, and how to have it so."""
    as_classes = said(values.column, "multiclass")
    if chosen == "multiclass" and _are_whole(values):
        yield f"whole numbers that repeat are classes; where they are amounts: {said(values.column, 'regression')}"
    elif chosen == "multiclass" and any(map(cells.is_like_a_number, values.counts)):
        number = next(filter(cells.is_like_a_number, values.counts))
        yield f"classes of words and numbers, such as {printable(number)!r}"
    if chosen == "multilabel":
        separator = _separator(values)
        how = f"with {separator!r} between them" if separator else "in lists"
        yield f"tags, {how}; where each cell is one class: {as_classes}"
    if chosen == "regression":
        if _numbers_of(values).decimal_comma:
            yield "decimal commas"
        if _are_whole(values):
            yield f"whole numbers of which few repeat are amounts; where they are classes: {as_classes}"
    if chosen == "key":
        yield f"keys, sharps read as flats; as they are written: {as_classes}"


def _doubts(values: Values, chosen: TaskType, labels: tuple[str, ...]) -> Iterator[str]:
    """What may not be meant, whoever decided."""
    if chosen == "regression":
        if len(values.counts) == 1:
            yield "all items have the same number: nothing to predict"
        return
    if chosen == "key":
        return
    if len(labels) == 1:
        yield "one label alone: nothing to tell apart"
    alike: dict[str, list[str]] = {}
    for label in labels:
        alike.setdefault(" ".join(unicodedata.normalize("NFKC", label).casefold().split()), []).append(label)
    same = [group for group in alike.values() if len(group) > 1]
    if same:
        yield f"labels that differ in spelling alone are labels of their own, such as {', '.join(map(printable, same[0]))}"
    if any("," in label for label in labels):
        yield "commas are part of a label; between tags stands ';'"
    once = sum(count == 1 for count in values.counts.values())
    if chosen == "multiclass" and len(labels) > 2 and 2 * once > len(labels):
        yield f"{once:,} of {len(labels):,} classes have one item; leave out columns that are no labels by naming those that are (--label)"
