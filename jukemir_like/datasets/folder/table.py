"""A table of labels as text: rows of cells, each with its line in the file; and the meaning of one cell.

CSV as in :rfc:`4180`: a cell that holds the separator, a quote or a line end is quoted, and quotes in it are doubled. UTF-8, or UTF-16 with
a byte order mark; lines may end in any of the three ways. The separator is the one with which the header has a column ``uid`` or ``path``.
Nothing is dropped and nothing is filled in. A cell can be missing, a number, yes or no, or a list of tags.
"""

from __future__ import annotations

import ast
import codecs
import csv
import hashlib
import io
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from jukemir_like.core import files
from jukemir_like.core.errors import RequestError
from jukemir_like.core.files import printable

RESERVED = ("uid", "path", "split", "group")
"""Columns that are not labels, in any letter case."""

_SEPARATORS = (",", "\t", ";", "|")
_MOST_BYTES = 512 * 2**20  # of a table
_QUOTED_WRONGLY = re.compile(r"""\\(?:[\\"']|$)|^'.*''.*'$""", re.DOTALL)  # by backslashes, or in single quotes that are doubled

MISSING = ("", "NA", "N/A", "#N/A", "<NA>", "NaN", "-NaN", "NaT", "None", "null", "nil", "-", "--", "?")
"""Words for a missing value, in any letter case: those of spreadsheets, R, pandas, SQL and people."""

_MISSING = frozenset(word.casefold() for word in MISSING)
_TRUE = frozenset({"true", "t", "yes", "y"})
_FALSE = frozenset({"false", "f", "no", "n"})
_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?|[+-]?inf(?:inity)?", re.IGNORECASE)
_COMMA = re.compile(r"[+-]?[0-9]*(?:,[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_LIKE_A_NUMBER = re.compile(r"[+-]?[0-9.,][0-9.,'’_\s]*(?:[eE][+-]?[0-9]+)?\s*%?")
_QUOTED = r"""(?:'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")"""
_LIST = re.compile(rf"\s*{_QUOTED}(?:\s*,\s*{_QUOTED}|\s*{_QUOTED})*\s*,?\s*", re.DOTALL)


@dataclass(frozen=True)
class Row:
    """One row: the line of the file that it begins in, from 1, and its cells by column, without spaces around them."""

    line: int
    cells: dict[str, str]


@dataclass(frozen=True)
class LabelTable:
    """A table of labels.

    Args:
        path: its file.
        columns: as the header has them; those without a name are called by their index, ``Unnamed: 0`` for the first.
        nameless: those of ``columns`` that have no name in the header.
        reserved: name in :data:`RESERVED` → the column of that name, in the letter case of the header.
        rows: without empty ones.
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

    def error(self, line: int, what: str) -> RequestError:
        """The error for a line that does not fit."""
        return RequestError(f"{self.path}, line {line}: {what}")

    def column(self, name: str) -> str:
        """The column that a user calls ``name``. Letter case matters only where two columns differ in nothing else.

        Raises:
            RequestError: there is no such column.
        """
        alike = [column for column in self.columns if column.casefold() == name.casefold()]
        if name not in self.columns and len(alike) != 1:
            raise RequestError(f"{self.path} has no column {name!r}; its columns are: {join_names(self.columns)}")
        return name if name in self.columns else alike[0]


def join_names(columns: tuple[str, ...]) -> str:
    """Names of columns for a message."""
    return ", ".join(map(printable, columns))


def read_table(path: Path) -> LabelTable:
    """The table in ``path``.

    Raises:
        RequestError: it cannot be read as a table; the message names the line.
    """
    data = _read_bytes(path)
    encoding = "UTF-16" if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else "UTF-8"
    try:
        text = data.decode("utf-16" if encoding == "UTF-16" else "utf-8-sig")
    except UnicodeDecodeError as error:
        where = "" if encoding == "UTF-16" else f"line {_line_number(data[: error.start].decode(errors='replace'))}: "
        raise RequestError(f"{path} is not a table in UTF-8 ({where}{error.reason}): save it as CSV, UTF-8") from error
    if "\0" in text:
        raise RequestError(
            f"{path} is not a table in UTF-8 (line {_line_number(text[: text.index(chr(0))])}: a NUL byte): save it as CSV, UTF-8"
        )
    separator = _separator(path, text)
    numbered_rows = _rows(path, text, separator)
    header_line, header = next(numbered_rows, (1, []))
    _check_quotes(path, header_line, header)
    columns, nameless = _columns(path, header_line, header)
    rows = [Row(line, dict(zip(columns, cells, strict=True))) for line, cells in _checked(path, numbered_rows, len(columns))]
    if not rows:
        raise RequestError(f"{path} has no rows below its header")
    reserved = {name: column for name in RESERVED for column in columns if column.casefold() == name}
    return LabelTable(path, columns, nameless, reserved, rows, separator, encoding, hashlib.sha256(data).hexdigest())


def _read_bytes(path: Path) -> bytes:
    try:
        with files.open_regular(path) as file:
            size = os.fstat(file.fileno()).st_size
            if size > _MOST_BYTES:
                raise RequestError(f"{path} has {size:,} bytes: a table of labels has {_MOST_BYTES:,} at most")
            return file.read()
    except OSError as error:
        raise RequestError(f"cannot read {path}: {error.strerror}") from error


def _line_number(before: str) -> int:
    """The number of the line that follows the text ``before``."""
    return before.count("\n") + before.count("\r") - before.count("\r\n") + 1


def _separator(path: Path, text: str) -> str:
    default = "\t" if path.suffix.lower() == ".tsv" else ","
    headers: dict[str, list[str]] = {}
    for separator in sorted(_SEPARATORS, key=lambda candidate: candidate != default):
        try:
            _, headers[separator] = next(_rows(path, text, separator), (1, []))
        except RequestError:
            continue
        if {"uid", "path"} & {cell.casefold() for cell in headers[separator]}:
            return separator
    if default not in headers:
        next(_rows(path, text, default))  # raises the error of the header
    if not headers[default]:
        raise RequestError(f"{path} has no rows below its header")
    raise RequestError(
        f"{path} has neither a column 'uid' nor 'path'; its columns are: {join_names(tuple(headers[default]))} (separated by {default!r}; "
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
    columns = tuple(cell or f"Unnamed: {index}" for index, cell in enumerate(header))
    seen: dict[str, str] = {}
    for column in columns:
        key = column.casefold() if column.casefold() in RESERVED else column
        if key in seen:
            duplicates = f"{seen[key]!r} and {column!r}" if seen[key] != column else f"{column!r} twice"
            raise RequestError(f"{path}, line {line}: the header has {duplicates}: give every column a name of its own")
        seen[key] = column
    return columns, frozenset(column for column, cell in zip(columns, header, strict=True) if not cell)


def _checked(path: Path, rows: Iterator[tuple[int, list[str]]], number: int) -> Iterator[tuple[int, list[str]]]:
    for line, cells in rows:
        if len(cells) != number:
            raise RequestError(
                f"{path}, line {line}: {len(cells)} cells where the header has {number}: a cell that holds the separator "
                "must be quoted, an empty one still has its separator"
            )
        _check_quotes(path, line, cells)
        yield line, cells


def _check_quotes(path: Path, line: int, cells: list[str]) -> None:
    wrong = next(filter(_QUOTED_WRONGLY.search, cells), None)
    if wrong is not None:
        raise RequestError(
            f'{path}, line {line}: {wrong!r} is quoted in another way than in CSV: cells are quoted by ", a quote in them is doubled'
        )


def is_missing(cell: str) -> bool:
    """Whether the cell says that there is no value.

    >>> is_missing("N/A"), is_missing("0")
    (True, False)
    """
    return cell.casefold() in _MISSING


def parse_number(cell: str, *, decimal_comma: bool = False) -> float | None:
    """The number in a cell, which may be infinite; None where it holds none.

    >>> parse_number("-1.5e1"), parse_number("1,5"), parse_number("1,5", decimal_comma=True), parse_number("1_000")
    (-15.0, None, 1.5, None)
    """
    if decimal_comma and _COMMA.fullmatch(cell):
        cell = cell.replace(",", ".")
    return float(cell) if _NUMBER.fullmatch(cell) else None


def is_like_a_number(cell: str) -> bool:
    """Whether the cell is a number, or written as people write numbers: with a decimal comma, groups of thousands, per cent.

    >>> is_like_a_number("1,234.5"), is_like_a_number("12 %"), is_like_a_number("60s")
    (True, True, False)
    """
    return parse_number(cell) is not None or (any(map(str.isdigit, cell)) and _LIKE_A_NUMBER.fullmatch(cell) is not None)


def has_thousands(cell: str) -> bool:
    """Whether the commas in a cell could separate thousands.

    >>> has_thousands("1,234"), has_thousands("0,125")
    (True, False)
    """
    return re.fullmatch(r"[+-]?[1-9][0-9]{0,2}(?:,[0-9]{3})+", cell) is not None


def integer_name(cell: str) -> str:
    """A whole number as the name of a class: as it is written, but without a fraction of zeros or an exponent.

    >>> integer_name("07"), integer_name("3.0"), integer_name("1e2")
    ('07', '3', '100')
    """
    return cell if cell.isdigit() else str(int(Decimal(cell.replace(",", "."))))


def parse_flag(cell: str) -> bool | None:
    """Yes or no, in words or as 1 and 0; None where it is neither.

    >>> parse_flag("1.0"), parse_flag("no"), parse_flag("2")
    (True, False, None)
    """
    word = cell.casefold()
    if word in _TRUE or word in _FALSE:
        return word in _TRUE
    value = parse_number(cell)
    return bool(value) if value in (0.0, 1.0) else None


def parse_tags(cell: str) -> list[str] | None:
    """The tags of a list as Python, JSON or NumPy write it; None where the cell is no list.

    >>> parse_tags("['rock', 'pop']"), parse_tags("['rock' 'pop']"), parse_tags("[rock, pop]"), parse_tags("[]"), parse_tags("(live)")
    (['rock', 'pop'], ['rock', 'pop'], ['rock', 'pop'], [], None)
    """
    inner = cell[1:-1].strip()
    if cell == "set()" or cell in ("[]", "()", "{}"):
        return []
    if len(cell) < 3 or cell[0] + cell[-1] not in ("[]", "()", "{}"):
        return None
    if _LIST.fullmatch(inner):
        return [_joined_surrogates(str(ast.literal_eval(item))).strip() for item in re.findall(_QUOTED, inner, re.DOTALL)]
    if cell[0] != "[" or "'" in inner or '"' in inner:
        return None
    return [tag.strip() for tag in inner.split(",")]


def _joined_surrogates(text: str) -> str:
    """``text`` with each pair of surrogates, by which JSON escapes a character beyond 16 bits, as that character."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
