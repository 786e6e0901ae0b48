"""Matrices: the vectors of a batch in one file, instead of a ``.npy`` file each.

::

    <folder>/a/b.npy                                a vector, called a/b
    <folder>/.matrices/batch-256-3.json             the names of a matrix's rows, and its file
    <folder>/.matrices/batch-256-3-<digest>.npy     float32, little-endian, (rows, dimension): NumPy opens it, also as a memory map

A row stands for the ``.npy`` file of its vector, whose bytes follow from it; so records describe it by the same digest. A vector that has
a file of its own is that file, whatever a matrix says (:mod:`jukemir_like.core.vector_folder`). A matrix is called after a digest of names
and numbers, and its list of names is written after it: whenever a process is killed, a list of names stands for the rows that it was
written for.
"""

from __future__ import annotations

import glob
import hashlib
import os
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from jukemir_like.core import arrays, files, jsonfiles
from jukemir_like.core.atomic import make_folder, storage_errors, temporary_file, write_json
from jukemir_like.core.errors import DamagedFileError
from jukemir_like.core.locks import locked

FOLDER = ".matrices"
SHAPE = {"format": {1}, "matrix": str, "dimension": int, "names": [(str, None)]}
"""Of a list of names, in the terms of :mod:`jukemir_like.core.jsonfiles`. ``null``: the row is of no use any more."""

_LOCK = ".lock"
_DIGEST = r"-[0-9a-f]{16}\.npy"


@dataclass(frozen=True)
class Row:
    """A row of a matrix: a vector.

    Args:
        path: of the matrix.
        index: of the row.
        dimension: numbers of a row.
        start: bytes of the file before the first row.
    """

    path: Path
    index: int
    dimension: int
    start: int

    def read(self) -> bytes:
        """The bytes of the ``.npy`` file that the row stands for.

        Raises:
            OSError: the matrix cannot be read.
            ValueError: it is shorter than it was.
        """
        with files.open_regular(self.path) as file:
            return read_row(file.fileno(), self)


def read_row(descriptor: int, row: Row) -> bytes:
    """As :meth:`Row.read`, from the matrix that is open already."""
    size = 4 * row.dimension
    data = os.pread(descriptor, size, row.start + row.index * size)
    if len(data) != size:
        raise ValueError("is truncated: it was changed while it was read")
    return arrays.vector_header(row.dimension) + data


def dimension_of(data: bytes) -> int:
    """Numbers of the float32 vector that the bytes of a ``.npy`` file hold.

    Raises:
        ValueError: they hold none; the message is to follow the name of the file.
    """
    vector = arrays.parse(data)
    if vector.ndim != 1 or vector.dtype.str != "<f4" or not vector.size or not data.startswith(arrays.vector_header(vector.size)):
        raise ValueError(f"is no vector: it holds {vector.dtype} of shape {vector.shape}")
    return vector.size


@dataclass(frozen=True)
class Matrix:
    """A matrix with its list of names.

    Args:
        index: the list's file.
        path: the matrix's file.
        names: of the rows; None: the row is of no use any more.
        dimension: numbers of a row.
        start: bytes of the file before the first row.
    """

    index: Path
    path: Path
    names: tuple[str | None, ...]
    dimension: int
    start: int

    def rows(self) -> Iterator[tuple[str, Row]]:
        """Name and row of every vector, in order."""
        for index, name in enumerate(self.names):
            if name is not None:
                yield name, Row(self.path, index, self.dimension, self.start)


def read_matrix(index: Path, remedy: str) -> Matrix:
    """The matrix whose names are in the file ``index``.

    Raises:
        FileNotFoundError: there is no such file.
        DamagedFileError: names or matrix are damaged, or do not fit together; with ``remedy`` as what to do.
    """
    before = None
    while True:
        content = jsonfiles.read(index, SHAPE, remedy)
        with files.damage_errors(index, remedy):
            _check(index, content)
        path = index.parent / content["matrix"]
        if not any(name is not None for name in content["names"]):  # the matrix may be gone already
            return Matrix(index, path, (), content["dimension"], 0)
        try:
            with files.damage_errors(path, remedy), files.open_regular(path) as file:
                rows, dimension, start = arrays.matrix_layout(file)
                if (rows, dimension) != (len(content["names"]), content["dimension"]):
                    declared = f"{len(content['names']):,} vectors of {content['dimension']:,} numbers"
                    raise ValueError(f"holds {rows:,} vectors of {dimension:,} numbers, and {index.name} in its folder names {declared}")
        except FileNotFoundError as error:
            if content == before:
                raise DamagedFileError(f"{path} is missing, although {index.name} in its folder names its rows: {remedy}") from error
            before = content  # another process may have just replaced both
            continue
        return Matrix(index, path, tuple(content["names"]), dimension, start)


def find_lists(folder: Path) -> list[Path]:
    """The lists of names in a folder of vectors, sorted."""
    return sorted(path for path in (folder / FOLDER).glob("*.json") if not path.name.startswith("."))


def list_of(folder: Path, name: str) -> Path:
    """The list of names of the matrix called ``name`` in a folder of vectors.

    >>> list_of(Path("mfcc"), "batch-256-3").as_posix()
    'mfcc/.matrices/batch-256-3.json'
    """
    return folder / FOLDER / f"{name}.json"


def write_matrix(folder: Path, name: str, dimension: int, vectors: Iterable[tuple[str, bytes]]) -> Matrix | None:
    """Writes a matrix and its list of names, which replace earlier ones of this name; each whole or not at all, the matrix first.

    Args:
        folder: of the vectors.
        name: of the matrix.
        dimension: numbers of a vector.
        vectors: name, and bytes of the ``.npy`` file, of each; read lazily, one at a time.

    Returns:
        the matrix; None, and nothing is written, where there are no vectors.

    Raises:
        StorageError: the folder cannot be written.
    """
    index, names, digest = list_of(folder, name), [], hashlib.sha256()
    vector_start = len(arrays.vector_header(dimension))
    start = len(arrays.matrix_header(1, dimension))
    with temporary_file(make_folder(index.parent), ".npy") as temporary, storage_errors(temporary):
        with temporary.open("wb") as file:
            file.write(bytes(start))
            for of_vector, data in vectors:
                file.write(data[vector_start:])
                digest.update(of_vector.encode(errors="surrogateescape") + b"\0" + data[vector_start:])
                names.append(of_vector)
            if not names:
                return None
            file.seek(0)
            file.write(arrays.matrix_header(len(names), dimension))
            file.flush()
            os.fsync(file.fileno())  # the files whose vectors it has are removed next
        path = index.parent / f"{name}-{digest.hexdigest()[:16]}.npy"
        with changes(folder):
            temporary.replace(path)
            write_json(index, {"format": 1, "matrix": path.name, "dimension": dimension, "names": names})
    return Matrix(index, path, tuple(names), dimension, start)


def drop_rows(matrix: Matrix, unwanted: Callable[[str], bool]) -> None:
    """Takes vectors out of a list of names; a matrix of which no vector is left is removed."""
    names = [None if name is None or unwanted(name) else name for name in matrix.names]
    if tuple(names) != matrix.names:
        write_json(matrix.index, {"format": 1, "matrix": matrix.path.name, "dimension": matrix.dimension, "names": names})
    if not any(name is not None for name in names):
        for path in (matrix.path, matrix.index):  # a list without names needs no matrix
            path.unlink(missing_ok=True)


def remove_replaced(folder: Path, name: str, current: Path | None) -> None:
    """Removes the matrices called ``name`` that no list names any more: all but ``current``."""
    for path in (folder / FOLDER).glob(f"{glob.escape(name)}-*.npy"):
        if re.fullmatch(re.escape(name) + _DIGEST, path.name) and path != current:
            path.unlink(missing_ok=True)


def remove_unlisted(folder: Path) -> None:
    """Removes the matrices that killed processes have not written a list of names for. To be called within :func:`changes`."""
    unlisted = set((folder / FOLDER).glob("*.npy")) - set((folder / FOLDER).glob(".*"))
    for path in unlisted:
        if not list_of(folder, re.sub(f"{_DIGEST}$", "", path.name)).exists():
            path.unlink(missing_ok=True)


@contextmanager
def changes(folder: Path) -> Iterator[None]:
    """Nobody else writes or removes matrices of ``folder`` meanwhile."""
    with locked(folder / FOLDER / _LOCK):
        yield


@contextmanager
def only_writer(folder: Path, name: str) -> Iterator[None]:
    """Nobody else writes the matrix called ``name`` meanwhile, and removes the files of its vectors: a scheduler may run a batch twice."""
    with locked(folder / FOLDER / f".{name}{_LOCK}"):
        yield


def _check(index: Path, content: dict[str, object]) -> None:
    """ValueError for names that lead out of the folder, or are duplicate."""
    names = [name for name in content["names"] if name is not None]  # type: ignore[attr-defined]
    outside = next((name for name in names if not files.is_inside(name)), None)
    if outside is not None:
        raise ValueError(f"is damaged: the name {files.printable(outside)!r} leads out of its folder")
    if len(set(names)) < len(names):
        raise ValueError("is damaged: a name is duplicate")
    if not re.fullmatch(re.escape(index.stem) + _DIGEST, str(content["matrix"])):
        raise ValueError(f"is damaged: matrix is {files.printable(str(content['matrix'])[:60])!r}, not one of this list")
