"""The fold of each row: which column names it, and what it says.

A table that comes in folds has a column called ``fold`` (or another of :data:`HEADERS`), with numbers or names. Its items are in no split:
every fold is tested once, by a probe of the others. In a table that names splits too, these are used, as they are what a fixed test split
is named by; ``--fold COLUMN`` asks for the folds.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

from jukemir_like.core.errors import RequestError
from jukemir_like.core.files import printable
from jukemir_like.datasets.dataset import SPLIT_OF_WORD, natural_order
from jukemir_like.datasets.folder.table import LabelTable, integer_name, is_missing, parse_number

HEADERS = ("fold", "folds", "fold_id", "fold_idx", "fold_index", "fold_number", "cv_fold", "kfold", "k_fold")
"""Names of a column of folds, in any letter case, with spaces or hyphens for underscores."""

_MOST_FOLDS = 20  # more are said: each is a probe of its own


def is_fold_header(column: str) -> bool:
    """Whether a column is called as those of folds are.

    >>> is_fold_header("CV fold"), is_fold_header("Folder")
    (True, False)
    """
    return re.sub(r"[\s-]+", "_", column.strip().casefold()) in HEADERS


def find_fold_column(table: LabelTable, wanted: str | None, taken: Collection[str | None]) -> tuple[str | None, dict[str, str]]:
    """The column of folds, None where the table is not evaluated by folds; and each column of folds that is not used, with the reason.

    Args:
        table: the table.
        wanted: the column that the user named; None: by its header.
        taken: columns that have another use: those of labels that the user named, that of groups.

    Raises:
        RequestError: there is no such column, or several have such a header; it names splits, or one fold only.
    """
    if wanted is not None:
        column = table.column(wanted)
        if column in taken:
            raise RequestError(f"column {column!r} cannot be that of the folds and of labels or groups: name another one by --fold")
        _check(table, column, _cells(table, column))
        return column, {}
    candidates = [column for column in table.columns if is_fold_header(column) and column not in taken]
    split = table.reserved.get("split")
    if split is not None and not all(is_missing(row.cells[split]) for row in table.rows):
        reason = "is the number of a fold; the splits of the table are used (its folds: --fold {})"
        return None, {column: reason.format(printable(column)) for column in candidates}
    if len(candidates) > 1:
        raise RequestError(f"{table.path} has several columns of folds ({', '.join(map(printable, candidates))}): name one by --fold")
    if not candidates:
        return None, {}
    cells = _cells(table, candidates[0])
    if len(set(cells) - {None}) < 2:
        return None, {candidates[0]: "is the number of a fold, but names fewer than two: splits are assigned"}
    _check(table, candidates[0], cells)
    return candidates[0], {}


def read_folds(table: LabelTable, column: str) -> tuple[list[str | None], tuple[str, ...]]:
    """The fold of every row, None where it names none; and the names of the folds in order, numbers within names as numbers."""
    folds = _cells(table, column)
    return folds, tuple(sorted({fold for fold in folds if fold is not None}, key=natural_order))


def fold_notes(folds: Sequence[str | None], names: Sequence[str], groups: Sequence[str], *, shared_groups: bool) -> list[str]:
    """What is worth saying of folds.

    Args:
        folds: of every row.
        names: of the folds.
        groups: of every row; empty where it has none.
        shared_groups: accept groups with items in several folds.

    Raises:
        RequestError: a group is divided.
    """
    notes = [f"{len(names):,} folds: each is tested once, by a probe of the others; there are no splits"]
    if missing := folds.count(None):
        notes.append(f"items without a fold, which probes leave out: {missing:,} of {len(folds):,}")
    if len(names) > _MOST_FOLDS:
        notes.append(f"every fold is a probe of its own: {len(names):,} for each task")
    folds_of: dict[str, set[str]] = {}
    for group, fold in zip(groups, folds, strict=True):
        if group and fold is not None:
            folds_of.setdefault(group, set()).add(fold)
    divided = {group: sorted(of_group, key=natural_order) for group, of_group in folds_of.items() if len(of_group) > 1}
    if divided and not shared_groups:
        group, of_group = next(iter(divided.items()))
        raise RequestError(
            f"the folds divide {len(divided):,} groups, such as {printable(group)!r} (in folds {', '.join(map(printable, of_group))}): "
            "a probe would be tested on a group that it knows; give other folds, or --shared_groups to accept that"
        )
    if divided:
        notes.append(f"groups that the folds divide, so that a probe may recognise them: {len(divided):,}")
    return notes


def _cells(table: LabelTable, column: str) -> list[str | None]:
    cells = [None if is_missing(row.cells[column]) else row.cells[column] for row in table.rows]
    values = [parse_number(cell, decimal_comma=True) for cell in cells if cell is not None]
    if all(value is not None and value.is_integer() for value in values):  # pandas writes 1.0 where a value is missing
        return [None if cell is None else str(int(integer_name(cell))) for cell in cells]
    return cells


def _check(table: LabelTable, column: str, folds: Sequence[str | None]) -> None:
    names = {fold for fold in folds if fold is not None}
    if names and all(name.casefold() in SPLIT_OF_WORD for name in names):
        raise RequestError(f"{table.path}: column {column!r} names splits ({', '.join(sorted(names))}), not folds: call it 'split'")
    if len(names) < 2:
        raise RequestError(f"{table.path}: column {column!r} names {len(names)} fold: there must be two or more")
    long = next((name for name in names if len(name) > 100 or not name.isprintable()), None)
    if long is not None:
        raise RequestError(f"{table.path}: column {column!r} has a fold called {printable(long[:40])!r}…: give it a short name")
