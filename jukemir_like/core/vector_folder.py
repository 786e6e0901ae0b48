"""The vectors of a folder, whether they have a ``.npy`` file each or are rows of matrices (:mod:`jukemir_like.core.matrices`)."""

from __future__ import annotations

import errno
import itertools
import os
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO

from jukemir_like.core import files, matrices
from jukemir_like.core.matrices import Matrix, Row

_NO_FILE = (errno.ENOTDIR, errno.ENAMETOOLONG)  # no file can have this name
_THREADS, _GROUP = 4, 16  # that read files ahead; files that each reads at a time


class VectorFolder:
    """The vectors of a folder, in either form, also mixed.

    Args:
        folder: of the vectors.
        remedy: what to do about a damaged matrix, such as ``run `jukemir-like extract` again``.

    Raises:
        DamagedFileError: a list of names or a matrix is damaged.

    >>> len(VectorFolder(Path("vectors"), "extract again"))
    0
    """

    def __init__(self, folder: Path, remedy: str):
        self.folder = folder
        self._matrices: list[Matrix] = []
        self._places: dict[str, tuple[int, int]] = {}  # matrix and row
        self._listed: dict[str, set[str]] = {}  # by sub-folder
        self._open: tuple[Path, BinaryIO] | None = None
        for index in matrices.find_lists(folder):
            try:
                matrix = matrices.read_matrix(index, remedy)
            except FileNotFoundError:  # another process has just removed it
                continue
            for number, name in enumerate(matrix.names):
                if name is not None:
                    self._places.setdefault(name, (len(self._matrices), number))
            self._matrices.append(matrix)

    def __len__(self) -> int:
        """Vectors in matrices."""
        return len(self._places)

    def __contains__(self, name: str) -> bool:
        return name in self._places or self._has_file(name)

    def row(self, name: str) -> Row | None:
        """The row that is the vector ``name``; None where it has a file of its own, or there is none."""
        place = self._places.get(name)
        if place is None or self._has_file(name):
            return None
        matrix = self._matrices[place[0]]
        return Row(matrix.path, place[1], matrix.dimension, matrix.start)

    def words(self, name: str) -> str:
        """Words on the row that is the vector ``name``, to follow the file of :meth:`where`; none where it has a file of its own."""
        return f"(row {files.printable(name)}) " if self.row(name) is not None else ""

    def where(self, name: str) -> Path:
        """The file that has the vector ``name``: its own, or that of a matrix; its own where there is none."""
        row = self.row(name)
        return self._path(name) if row is None else row.path

    def read(self, name: str) -> bytes:
        """The bytes of the ``.npy`` file of a vector, or those that it would have.

        Raises:
            FileNotFoundError: there is no vector of this name.
            OSError: it cannot be read.
            ValueError: its matrix is shorter than it was.
        """
        row = self.row(name)
        if row is None:
            try:
                return files.read_regular(self._path(name))
            except OSError as error:
                if error.errno in _NO_FILE:
                    raise FileNotFoundError(error.errno, error.strerror, str(self._path(name))) from error
                raise
        if self._open is None or self._open[0] != row.path:
            self.close()
            self._open = row.path, files.open_regular(row.path)
        return matrices.read_row(self._open[1].fileno(), row)

    def read_many(self, names: Iterable[str]) -> Iterator[tuple[str, bytes | Exception]]:
        """Names and what :meth:`read` gives or raises, in order. Threads read files ahead: disks and networks answer many at a time.

        At most 80 vectors are in memory.
        """
        ahead: deque[tuple[list[str], Future[list[bytes | Exception]]]] = deque()
        remaining = iter(names)
        with ThreadPoolExecutor(_THREADS, "read-vectors") as threads:
            while group := list(itertools.islice(remaining, _GROUP)):
                of_files = [name for name in group if self.row(name) is None]
                ahead.append((group, threads.submit(lambda names: [self._result(name) for name in names], of_files)))
                if len(ahead) > _THREADS:
                    yield from self._in_order(*ahead.popleft())
            while ahead:
                yield from self._in_order(*ahead.popleft())

    def _in_order(self, group: list[str], of_files: Future[list[bytes | Exception]]) -> Iterator[tuple[str, bytes | Exception]]:
        from_files = iter(of_files.result())
        for name in group:
            yield name, next(from_files) if self.row(name) is None else self._result(name)

    def _result(self, name: str) -> bytes | Exception:
        try:
            return self.read(name)
        except (OSError, ValueError, MemoryError) as error:
            return error

    def names(self) -> Iterator[str]:
        """All vectors, those of files first."""
        for path in self.folder.rglob("*.npy"):
            relative = path.relative_to(self.folder)
            if not any(part.startswith(".") for part in relative.parts):
                yield relative.with_suffix("").as_posix()
        yield from (name for name in self._places if not self._has_file(name))

    def close(self) -> None:
        """Closes the matrix that was read last."""
        if self._open is not None:
            self._open[1].close()
            self._open = None

    def _path(self, name: str) -> Path:
        return self.folder / f"{name}.npy"

    def _has_file(self, name: str) -> bool:
        """By one listing per folder: to ask for each of a million files takes long where there are none."""
        parent, _, last = name.rpartition("/")
        listed = self._listed.get(parent)
        if listed is None:
            try:
                listed = {entry.name for entry in os.scandir(self.folder / parent) if entry.name.endswith(".npy")}
            except OSError:
                listed = set()
            self._listed[parent] = listed
        return f"{last}.npy" in listed
