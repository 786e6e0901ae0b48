"""What the published datasets share: reading annotation files as they were published, and splits in which no artist is in two of them.

In annotation files a byte order mark, the kind of line end, a missing last one, blank lines and spaces around a cell do not matter. What
does not fit raises an error of one line with file, line and remedy. Nothing is skipped silently: every lost label changes the scores.
"""

from __future__ import annotations

import csv
import hashlib
import io
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from jukemir_like.core import files
from jukemir_like.core.errors import InputError, RequestError
from jukemir_like.datasets.dataset import Item
from jukemir_like.downloads.archives import archive_errors, members

_PREFERRED_SPLITS = ("test", "valid", "train")  # on a tie the first: the smaller splits then lose least


@dataclass(frozen=True)
class AnnotationFile:
    """One annotation file that was downloaded.

    Args:
        path: of the file.
        tag: name of its asset, for the error where it is missing.
    """

    path: Path
    tag: str

    def read(self) -> bytes:
        """All of its bytes.

        Raises:
            RequestError: it is missing or cannot be read.
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

    def members(self, is_wanted: Callable[[str], bool]) -> dict[str, bytes]:
        """The files in this zip or tar archive whose names ``is_wanted`` accepts, by name, in the archive's order.

        Raises:
            RequestError: the archive is missing or damaged.
        """
        name = self.path.name
        try:
            with archive_errors(name), io.BytesIO(self.read()) as file:
                return {
                    member.name: member.open().read() for member in members(file, name) if member.kind == "file" and is_wanted(member.name)
                }
        except InputError as error:
            raise RequestError(f"{self.path}: {error}; run `jukemir-like download {self.tag}`") from error


@dataclass(frozen=True)
class AnnotationTable:
    """A table with a header.

    Args:
        path: the file, for errors.
        header: names of the columns.
        rows: for each row the number of the line that it ends on, from 1, and its cells, as many as the header has.
    """

    path: str
    header: list[str]
    rows: list[tuple[int, list[str]]]

    def records(self) -> Iterator[tuple[int, dict[str, str]]]:
        """Line and row by column; cells without surrounding spaces."""
        for line, cells in self.rows:
            yield line, dict(zip(self.header, (cell.strip() for cell in cells), strict=True))

    def error(self, line: int, what: str) -> RequestError:
        """The error for a row that does not fit, in one line."""
        return RequestError(f"{self.path}, line {line}: {what}; download it again")


def read_table(data: bytes, path: str, columns: tuple[str, ...], delimiter: str) -> AnnotationTable:
    r"""Reads a CSV with a header; quoted cells may hold delimiters, line ends and doubled quotes.

    Args:
        data: the file, UTF-8.
        path: its name, for errors.
        columns: those that the header must have; it may have more, in any order.
        delimiter: between the cells.

    Raises:
        RequestError: it is not such a table.

    >>> list(read_table(b"id,key\n7, C major\n", "keys.csv", ("id", "key"), ",").records())
    [(2, {'id': '7', 'key': 'C major'})]
    """
    reader = csv.reader(io.StringIO(decode_text(data, path), newline=""), delimiter=delimiter)
    rows = []
    try:
        header = [cell.strip() for cell in next(reader, [])]
        for cells in reader:
            if len(cells) == len(header):
                rows.append((reader.line_num, cells))
            elif any(cell.strip() for cell in cells):
                raise RequestError(
                    f"{path}, line {reader.line_num}: {len(cells)} cells where the header has {len(header)}; download it again"
                )
    except csv.Error as error:
        raise RequestError(f"{path}, line {reader.line_num}: {error}; download it again") from error
    missing = [column for column in columns if column not in header]
    if missing:
        raise RequestError(f"{path} has no column {missing[0]!r}; its columns are: {', '.join(header[:12]) or 'none'}; download it again")
    return AnnotationTable(path, header, rows)


def read_lines(data: bytes, path: str) -> Iterator[tuple[int, str]]:
    r"""Number, from 1, and text of the lines that are not blank, without surrounding spaces.

    >>> list(read_lines(b"one\r\n\r\ntwo", "list.txt"))
    [(1, 'one'), (3, 'two')]
    """
    return ((number, line.strip()) for number, line in enumerate(decode_text(data, path).splitlines(), start=1) if line.strip())


def decode_text(data: bytes, path: str) -> str:
    """``data`` as text.

    Raises:
        RequestError: it is not UTF-8.
    """
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise RequestError(f"{path}, line {line}: not UTF-8; download it again") from error


def normalised_artist(artist: str) -> str:
    """``artist`` without regard to letter case and spaces, so that two spellings are one artist.

    >>> normalised_artist(" The  BEATLES ")
    'the beatles'
    """
    return " ".join(artist.casefold().split())


def split_of_group(group: str) -> str:
    """The split of a group, such as an artist, by its name: SHA-1 modulo 20, 0 to 13 train, 14 to 16 valid, 17 to 19 test.

    What else there is does not matter: with half of a dataset, or with more of it, the group is in the same split.

    >>> split_of_group("the beatles")
    'train'
    """
    share = int(hashlib.sha1(group.encode(), usedforsecurity=False).hexdigest(), 16) % 20
    return "train" if share < 14 else "valid" if share < 17 else "test"


def artist_clean(items: Iterable[Item], normalise: Callable[[str], str] = normalised_artist) -> list[Item]:
    """The same items in the same order, each in the split that most items of its artist are in.

    Many published splits put other songs of the same artist on both sides; a probe can then score by recognising the artist's sound. On a
    tie the artist goes to test, else to valid: the smaller splits then lose least. Items without a split keep none and are not counted;
    items without an artist keep their split.

    Args:
        items: their artist is ``extra["artist"]``.
        normalise: gives the same text for all spellings of one artist.

    >>> songs = [Item(str(i), split, None, None, extra={"artist": "A"}) for i, split in enumerate(("train", "valid", "valid"))]
    >>> [item.split for item in artist_clean(songs)]
    ['valid', 'valid', 'valid']
    """

    def artist_of(item: Item) -> str:
        return normalise(str(item.extra.get("artist") or ""))

    items = list(items)
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for item in items:
        if item.split is not None:
            counts[artist_of(item)][item.split] += 1
    split_of = {artist: max(_PREFERRED_SPLITS, key=count.__getitem__) for artist, count in counts.items()}
    return [replace(item, split=split_of[artist_of(item)]) if item.split is not None and artist_of(item) else item for item in items]
