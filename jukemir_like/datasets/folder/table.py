"""A table of labels as text: rows of cells, each with its line in the file. Nothing is dropped, nothing is filled up.

CSV as :rfc:`4180` has it: cells that hold the separator, a quote or a line's end stand in quotes, quotes in them are doubled. UTF-8, or
UTF-16 with its mark; lines may end in any of the three ways. The separator is the one by which the header has a column ``uid`` or ``path``.
"""

from __future__ import annotations

import codecs
import csv
import hashlib
import io
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from jukemir_like.core import files
from jukemir_like.core.errors import RequestError
from jukemir_like.core.files import printable

RESERVED = ("uid", "path", "split", "group")
"""Columns that are no labels, in any case."""

_SEPARATORS = (",", "\t", ";", "|")
_MOST_BYTES = 1 << 29
_QUOTED_OTHERWISE = re.compile(r"""\\(?:[\\"']|$)|^'.*''.*'$""", re.DOTALL)  # by backslashes, or in single quotes that are doubled


@dataclass(frozen=True)
class Row:
    """One row: the line of the file that it begins in, from 1, and its cells by column, without spaces around them."""

    line: int
    cells: dict[str, str]


@dataclass(frozen=True)
class Table:
    """A table.

    Args:
        path: its file.
        columns: as the header has them; those without a name are called by their place, ``Unnamed: 0`` for the first.
        nameless: those of ``columns`` to which that was done.
        reserved: name in :data:`RESERVED` → the column of that name, in whatever case it is written.
        rows: without those that are empty.
        separator, encoding: of the file.
        digest: SHA-256 of its bytes.
    """

    path: Path
    columns: tuple[str, ...]
    nameless: frozenset[str]
    reserved: dict[str, str]
    rows: list[Row]
    separator: str
    encoding: str
    digest: str

    def refusal(self, line: int, words: str) -> RequestError:
        """What is wrong in ``line``."""
        return RequestError(f"{self.path}, line {line}: {words}")

    def column(self, name: str) -> str:
        """The column that a user calls ``name``; letter case matters only where it must.

        Raises:
            RequestError: there is none.
        """
        alike = [column for column in self.columns if column.casefold() == name.casefold()]
        if name not in self.columns and len(alike) != 1:
            raise RequestError(f"{self.path} has no column {name!r}; its columns are: {listed(self.columns)}")
        return name if name in self.columns else alike[0]


def listed(columns: tuple[str, ...]) -> str:
    """Names of columns for a message."""
    return ", ".join(map(printable, columns))


def read(path: Path) -> Table:
    """The table in ``path``.

    Raises:
        RequestError: it cannot be read as a table, and where.
    """
    data = _bytes(path)
    encoding = "UTF-16" if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else "UTF-8"
    try:
        text = data.decode("utf-16" if encoding == "UTF-16" else "utf-8-sig")
    except UnicodeDecodeError as error:
        where = "" if encoding == "UTF-16" else f"line {_line(data[: error.start].decode(errors='replace'))}: "
        raise RequestError(f"{path} is not a table in UTF-8 ({where}{error.reason}): save it as CSV, UTF-8") from error
    if "\0" in text:
        raise RequestError(f"{path} is not a table in UTF-8 (line {_line(text[: text.index(chr(0))])}: a NUL byte): save it as CSV, UTF-8")
    separator = _separator(path, text)
    lines = _rows(path, text, separator)
    header_line, header = next(lines, (1, []))
    _check_quotes(path, header_line, header)
    columns, nameless = _columns(path, header_line, header)
    rows = [Row(line, dict(zip(columns, cells, strict=True))) for line, cells in _checked(path, lines, len(columns))]
    if not rows:
        raise RequestError(f"{path} has no rows below its header")
    reserved = {name: column for name in RESERVED for column in columns if column.casefold() == name}
    return Table(path, columns, nameless, reserved, rows, separator, encoding, hashlib.sha256(data).hexdigest())


def _bytes(path: Path) -> bytes:
    try:
        with files.open_regular(path) as file:
            size = os.fstat(file.fileno()).st_size
            if size > _MOST_BYTES:
                raise RequestError(f"{path} has {size:,} bytes: a table of labels has {_MOST_BYTES:,} at most")
            return file.read()
    except OSError as error:
        raise RequestError(f"cannot read {path}: {error.strerror}") from error


def _line(before: str) -> int:
    """The number of the line that follows ``before``."""
    return before.count("\n") + before.count("\r") - before.count("\r\n") + 1


def _separator(path: Path, text: str) -> str:
    own = "\t" if path.suffix.lower() == ".tsv" else ","
    headers: dict[str, list[str]] = {}
    for separator in sorted(_SEPARATORS, key=lambda candidate: candidate != own):
        try:
            _, headers[separator] = next(_rows(path, text, separator), (1, []))
        except RequestError:
            continue
        if {"uid", "path"} & {cell.casefold() for cell in headers[separator]}:
            return separator
    if own not in headers:
        next(_rows(path, text, own))  # raises: the header's own fault
    if not headers[own]:
        raise RequestError(f"{path} has no rows below its header")
    raise RequestError(
        f"{path} has neither a column 'uid' nor 'path'; its columns are: {listed(tuple(headers[own]))} (separated by {own!r}; "
        "also read: tab, ';' and '|')"
    )


def _rows(path: Path, text: str, separator: str) -> Iterator[tuple[int, list[str]]]:
    """First line and cells of every row that is not empty."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True, skipinitialspace=True)
    line = 1
    try:
        for cells in reader:
            stripped = [cell.strip() for cell in cells]
            if any(stripped):
                yield line, stripped
            line = reader.line_num + 1
    except csv.Error as error:
        raise RequestError(f"{path}, line {line}: is not a table ({printable(str(error))}): quotes inside a cell are doubled") from error


def _columns(path: Path, line: int, header: list[str]) -> tuple[tuple[str, ...], frozenset[str]]:
    columns = tuple(cell or f"Unnamed: {place}" for place, cell in enumerate(header))
    seen: dict[str, str] = {}
    for column in columns:
        known = column.casefold() if column.casefold() in RESERVED else column
        if known in seen:
            twice = f"{seen[known]!r} and {column!r}" if seen[known] != column else f"{column!r} twice"
            raise RequestError(f"{path}, line {line}: the header has {twice}: give every column a name of its own")
        seen[known] = column
    return columns, frozenset(column for column, cell in zip(columns, header, strict=True) if not cell)


def _checked(path: Path, rows: Iterator[tuple[int, list[str]]], number: int) -> Iterator[tuple[int, list[str]]]:
    for line, cells in rows:
        if len(cells) != number:
            raise RequestError(
                f"{path}, line {line}: {len(cells)} cells where the header has {number}: a cell that holds the separator "
                "stands in quotes, an empty one still has its separator"
            )
        _check_quotes(path, line, cells)
        yield line, cells


def _check_quotes(path: Path, line: int, cells: list[str]) -> None:
    strange = next(filter(_QUOTED_OTHERWISE.search, cells), None)
    if strange is not None:
        raise RequestError(
            f"{path}, line {line}: {strange!r} is quoted in another way than a table's: cells stand in \", a quote in them is doubled"
        )
