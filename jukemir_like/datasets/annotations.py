"""Annotation files as they were published: lists, tables and archives of them.

A byte order mark, either end of line, a missing last one, blank lines and spaces around a cell do not matter. What does not fit is one
line that says file, line and what to do; nothing is skipped in silence, for a label that is lost moves every score.
"""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from jukemir_like.core import files
from jukemir_like.core.errors import InputError, RequestError
from jukemir_like.downloads.archives import archive_errors, members


@dataclass(frozen=True)
class Source:
    """One annotation file that was downloaded.

    Args:
        path: where it lies.
        tag: the name of its asset, to be told to who lacks it.
    """

    path: Path
    tag: str

    def read(self) -> bytes:
        """All of it.

        Raises:
            RequestError: it is not there or cannot be read.
        """
        try:
            return files.read_regular(self.path)
        except FileNotFoundError as error:
            raise RequestError(f"{self.path} is missing: run `jukemir-like download {self.tag}`") from error
        except OSError as error:
            raise RequestError(f"{self.path} {files.refusal(error)}: run `jukemir-like download {self.tag}`") from error

    def digest(self) -> str:
        """SHA-256 of its bytes."""
        return hashlib.sha256(self.read()).hexdigest()

    def members(self, wanted: Callable[[str], bool]) -> dict[str, bytes]:
        """The files of this zip or tar archive whose names are ``wanted``, by name, in the archive's order.

        Raises:
            RequestError: it is missing, or damaged.
        """
        name = self.path.name
        try:
            with archive_errors(name), io.BytesIO(self.read()) as file:
                return {
                    member.name: member.open().read() for member in members(file, name) if member.kind == "file" and wanted(member.name)
                }
        except InputError as error:
            raise RequestError(f"{self.path}: {error}; run `jukemir-like download {self.tag}`") from error


@dataclass(frozen=True)
class Table:
    """A table with a header.

    Args:
        where: the file, to be told in errors.
        header: names of the columns.
        rows: number of the line that a row ends on, from 1, and its cells, as many as the header has.
    """

    where: str
    header: list[str]
    rows: list[tuple[int, list[str]]]

    def records(self) -> Iterator[tuple[int, dict[str, str]]]:
        """Line and row by column, cells without the spaces around them."""
        for line, cells in self.rows:
            yield line, dict(zip(self.header, (cell.strip() for cell in cells), strict=True))

    def error(self, line: int, what: str) -> RequestError:
        """What is wrong with a row, in one line."""
        return RequestError(f"{self.where}, line {line}: {what}; download it again")


def table(data: bytes, where: str, columns: tuple[str, ...], delimiter: str) -> Table:
    """Reads a CSV with a header; quoted cells may hold delimiters, line ends and doubled quotes.

    Args:
        data: the file, UTF-8.
        where: its name, to be told in errors.
        columns: the header must have these; it may have more, in any order.
        delimiter: between the cells.

    Raises:
        RequestError: it cannot be read as that.
    """
    reader = csv.reader(io.StringIO(text(data, where), newline=""), delimiter=delimiter)
    rows = []
    try:
        header = [cell.strip() for cell in next(reader, [])]
        for cells in reader:
            if len(cells) == len(header):
                rows.append((reader.line_num, cells))
            elif any(cell.strip() for cell in cells):
                raise RequestError(
                    f"{where}, line {reader.line_num}: {len(cells)} cells where the header has {len(header)}; download it again"
                )
    except csv.Error as error:
        raise RequestError(f"{where}, line {reader.line_num}: {error}; download it again") from error
    missing = [column for column in columns if column not in header]
    if missing:
        raise RequestError(f"{where} has no column {missing[0]!r}; its columns are: {', '.join(header[:12]) or 'none'}; download it again")
    return Table(where, header, rows)


def lines(data: bytes, where: str) -> Iterator[tuple[int, str]]:
    """Number from 1 and text of the lines that are not blank, without the spaces around them."""
    return ((number, line.strip()) for number, line in enumerate(text(data, where).splitlines(), start=1) if line.strip())


def text(data: bytes, where: str) -> str:
    """``data`` as text.

    Raises:
        RequestError: it is not UTF-8.
    """
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise RequestError(f"{where}, line {line}: not UTF-8; download it again") from error
