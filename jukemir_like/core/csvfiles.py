"""Strict reading of tables (CSV, UTF-8) that a stage wrote: every line has every cell, and numbers are numbers."""

from __future__ import annotations

import csv
import io
import math
import os
from collections.abc import Callable, Mapping
from typing import Any

from jukemir_like.core import files

Row = dict[str, Any]


def read(
    path: str | os.PathLike[str],
    columns: Mapping[str, Callable[[str], Any]],
    remedy: str,
    *,
    others: Callable[[str], Any] | None = None,
    growing: bool = False,
) -> list[Row]:
    r"""The lines of a table, each a dictionary.

    Args:
        path: the file.
        columns: those that must be there, and what reads their cells (:func:`number`, :func:`whole_number`, ``str``).
        remedy: what to do where the file is damaged.
        others: reads the cells of other columns; None: they are left out.
        growing: lines are being appended meanwhile: an unfinished last line is passed over.

    Raises:
        FileNotFoundError: there is no such file.
        DamagedFileError: it cannot be read, or is no such table; the message names the line.

    >>> with open("losses.csv", "w") as file:
    ...     _ = file.write("step,loss\n1,0.5\n2,\n")
    >>> read("losses.csv", {"step": whole_number, "loss": number}, "train again")
    [{'step': 1, 'loss': 0.5}, {'step': 2, 'loss': None}]
    """
    with files.damage_errors(path, remedy):
        try:
            text = files.read_regular(path).decode()
        except UnicodeDecodeError as error:
            raise ValueError(f"is not UTF-8 (byte {error.start:,})") from error
        if growing:
            text = text[: text.rfind("\n") + 1]
        lines = csv.reader(io.StringIO(text, newline=""), strict=True)
        try:
            return _rows(lines, columns, others)
        except (csv.Error, ValueError) as error:
            raise ValueError(f"is damaged: line {lines.line_num}: {error}" if lines.line_num else "is damaged: it is empty") from error


def number(cell: str) -> float | None:
    """A finite number; None for an empty cell. Raises ValueError for any other cell."""
    if not cell:
        return None
    value = float(cell)
    if not math.isfinite(value):
        raise ValueError(f"{cell} is not a finite number")
    return value


def whole_number(cell: str) -> int | None:
    """A whole number; None for an empty cell. Raises ValueError for any other cell."""
    return None if number(cell) is None else int(cell)


def _rows(lines: Any, columns: Mapping[str, Callable[[str], Any]], others: Callable[[str], Any] | None) -> list[Row]:
    header: list[str] = next(lines, [])
    missing = [name for name in columns if name not in header]
    if missing or len(set(header)) < len(header):
        raise ValueError(f"other columns than those of this table ({f'no {missing[0]}' if missing else 'one is a duplicate'})")
    readers = {name: columns.get(name, others) for name in header}
    rows = []
    for cells in lines:
        if len(cells) != len(header):
            raise ValueError(f"{len(cells)} cells instead of {len(header)}")
        rows.append({name: _cell(name, cell, read) for (name, read), cell in zip(readers.items(), cells, strict=True) if read is not None})
    return rows


def _cell(name: str, cell: str, read: Callable[[str], Any]) -> Any:
    try:
        return read(cell)
    except (ValueError, OverflowError) as error:
        raise ValueError(f"{name[:60]!r}: {str(error)[:200]}") from error
