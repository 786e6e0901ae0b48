"""Matrices that are larger than memory: their rows, in files or arrays, are read in chunks of at most :data:`CHUNK_BYTES`.

Files are read, not mapped: so the pages that were read do not count as this process's memory, and a file that is cut while it is read is an
error instead of a signal that kills the process.
"""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from jukemir_like.core import files
from jukemir_like.core.arrays import StoredMatrix
from jukemir_like.core.errors import DamagedFileError

CHUNK_BYTES = 8 << 20
"""Of float32 numbers that are read at a time. Arrays of this size, and float64 of as many numbers, are small enough for the C library to
use their memory again; that of larger ones is given back and cleared each time, which costs more than the arithmetic on them."""

_MOST_ROWS = 1 << 14  # of a chunk: what is computed of a row may be larger than the row
_MAX_OPEN_FILES = 64


@dataclass(frozen=True)
class MatrixFile:
    """A matrix of little-endian float32 in a file, row after row.

    Args:
        path: the file.
        start: bytes before the first row.
        file: open already, where it must stay the same while another takes its name; None: opened by its path when it is read.
    """

    path: Path
    start: int
    file: BinaryIO | None = None


Source = MatrixFile | np.ndarray
"""Where rows are: in a file, or in an array of any type of numbers (also a memory map of NumPy)."""


class Rows:
    """A float32 matrix of shape (n, dimension) whose rows are read when they are asked for.

    Args:
        sources: what the rows are in.
        source: (n,) which of ``sources`` each row is in.
        row: (n,) its place there.
        dimension: numbers of a row.

    >>> rows = Rows.of_array(np.float32([[1, 2], [3, 4], [5, 6]]))
    >>> rows.shape, rows.take([2, 0]).tolist(), rows[[1, 2]].take([0]).tolist()
    ((3, 2), [[5.0, 6.0], [1.0, 2.0]], [[3.0, 4.0]])
    """

    def __init__(self, sources: Sequence[Source], source: NDArray[np.int32], row: NDArray[np.int64], dimension: int):
        self.sources, self._source, self._row, self._dimension = tuple(sources), source, row, dimension
        self._open: OrderedDict[int, BinaryIO] = OrderedDict()

    @classmethod
    def of_array(cls, X: np.ndarray) -> Rows:
        """The rows of an array (n, dimension)."""
        return cls([X], np.zeros(len(X), np.int32), np.arange(len(X)), X.shape[1])

    @classmethod
    def of_file(cls, file: MatrixFile, n: int, dimension: int) -> Rows:
        """The first ``n`` rows of a file."""
        return cls([file], np.zeros(n, np.int32), np.arange(n), dimension)

    @classmethod
    def of_stored(cls, matrix: StoredMatrix) -> Rows:
        """All rows of a matrix in an archive."""
        return cls.of_file(MatrixFile(matrix.path, matrix.start, matrix.file), *matrix.shape)

    @classmethod
    def concatenate(cls, parts: Sequence[Rows]) -> Rows:
        """The rows of all parts, of one dimension, in their order; not read yet."""
        sources = {id(source): source for part in parts for source in part.sources}  # parts of one matrix share theirs
        place = {name: number for number, name in enumerate(sources)}
        numbers = [np.array([place[id(source)] for source in part.sources], np.int32)[part._source] for part in parts]
        return cls(list(sources.values()), np.concatenate(numbers), np.concatenate([part._row for part in parts]), parts[0]._dimension)

    @property
    def shape(self) -> tuple[int, int]:
        return len(self._row), self._dimension

    @property
    def nbytes(self) -> int:
        """Of all rows as float32."""
        return 4 * len(self._row) * self._dimension

    def __len__(self) -> int:
        return len(self._row)

    def __getitem__(self, indices: Any) -> Rows:
        """Rows ``indices``, not read yet."""
        return Rows(self.sources, self._source[indices], self._row[indices], self._dimension)

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_open": OrderedDict()}  # each process opens files itself

    def chunks(self) -> Iterator[tuple[slice, NDArray[np.float32]]]:
        """All rows in order, as (which, chunk); a chunk has at most :data:`CHUNK_BYTES`, and at least one row."""
        size = min(max(1, CHUNK_BYTES // (4 * self._dimension)), _MOST_ROWS)
        for begin in range(0, len(self), size):
            part = slice(begin, min(begin + size, len(self)))
            yield part, self.take(np.arange(part.start, part.stop))

    def take(self, indices: Any) -> NDArray[np.float32]:
        """Rows ``indices`` (k,), in memory, (k, dimension).

        Raises:
            DamagedFileError: a file has become shorter, or cannot be read any more.
        """
        source, row = self._source[indices], self._row[indices]
        taken = np.empty((len(row), self._dimension), np.float32)
        for number in np.unique(source):
            where = slice(None) if len(self.sources) == 1 else np.flatnonzero(source == number)
            of_source = self.sources[number]
            if isinstance(of_source, np.ndarray):
                with np.errstate(over="ignore"):  # a number too large for float32 becomes infinite
                    taken[where] = of_source[row[where]]
            else:
                self._read(number, of_source, row[where], taken, np.arange(len(row))[where])
        return taken

    def _read(self, number: int, file: MatrixFile, rows: NDArray[np.int64], out: NDArray[np.float32], places: NDArray[np.int64]) -> None:
        """Reads ``rows`` of a file into the rows ``places`` of ``out``; those that are close to each other by one call."""
        with files.damage_errors(file.path, "it was changed while it was read; run again"):
            try:
                descriptor = self._descriptor(number, file.path) if file.file is None else file.file.fileno()
                first, last = int(rows.min()), int(rows.max())
                if last - first + 1 == len(out) and (np.diff(rows) == 1).all():  # a chunk of the file as it is
                    self._fill(descriptor, file, first, out)
                elif last - first < 2 * len(rows):
                    block = np.empty((last - first + 1, self._dimension), np.float32)
                    self._fill(descriptor, file, first, block)
                    out[places] = block[rows - first]
                else:
                    for row, place in zip(rows.tolist(), places.tolist(), strict=True):
                        self._fill(descriptor, file, row, out[place])
            except FileNotFoundError as error:
                raise DamagedFileError(f"{file.path} is missing: it was removed while it was read; run again") from error

    def _fill(self, descriptor: int, file: MatrixFile, row: int, out: NDArray[np.float32]) -> None:
        view: memoryview = out.data.cast("B")
        offset = file.start + 4 * row * self._dimension
        while view:
            count = os.preadv(descriptor, [view], offset)
            if not count:
                raise ValueError("is truncated")
            view, offset = view[count:], offset + count

    def _descriptor(self, number: int, path: Path) -> int:
        if number not in self._open:
            while len(self._open) >= _MAX_OPEN_FILES:
                self._open.popitem(last=False)[1].close()
            self._open[number] = files.open_regular(path)
        self._open.move_to_end(number)
        return self._open[number].fileno()


def as_array(X: NDArray[np.float32] | Rows) -> NDArray[np.float32]:
    """All rows in memory."""
    return X.take(np.arange(len(X))) if isinstance(X, Rows) else X


def as_rows(X: NDArray[np.float32] | Rows) -> Rows:
    """Rows of what may be an array."""
    return X if isinstance(X, Rows) else Rows.of_array(X)
