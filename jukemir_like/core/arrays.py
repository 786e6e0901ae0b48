"""Strict reading of NumPy's files (``.npy``, ``.npz``): plain numbers, truth values and text, never a pickle.

Somebody else may have written them. So no memory is allocated for what the file does not hold: the header's shape is compared with the
number of bytes.
"""

from __future__ import annotations

import io
import math
import os
import struct
import zipfile
import zlib
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.lib import format as npy

from jukemir_like.core import files

_KINDS = "biufU"
_PIECE_BYTES = 1 << 20


def parse(data: bytes) -> np.ndarray:
    """The array, read-only, that the bytes of a ``.npy`` file hold.

    Raises:
        ValueError: they hold none; the message is to follow the name of the file.

    >>> file = io.BytesIO()
    >>> np.save(file, np.arange(3))
    >>> parse(file.getvalue())
    array([0, 1, 2])
    """
    end = 10 + int.from_bytes(data[8:10], "little")  # format 1.0: magic, version, length of the header, header
    shape, column_order, dtype = _header(data[:end])
    if len(data) - end != math.prod(shape) * dtype.itemsize:
        raise ValueError(f"is truncated: the header declares {math.prod(shape) * dtype.itemsize:,} bytes, the file has {len(data) - end:,}")
    return np.frombuffer(data, dtype, offset=end).reshape(shape, order="F" if column_order else "C")


@cache
def vector_header(dimension: int) -> bytes:
    """The bytes of a ``.npy`` file before its data, of a vector of so many float32.

    >>> len(vector_header(120))
    128
    """
    buffer = io.BytesIO()
    np.save(buffer, np.zeros(dimension, "<f4"))
    return buffer.getvalue()[: -4 * dimension]


def matrix_header(rows: int, columns: int) -> bytes:
    """The same of a matrix of float32; as long for any number of rows."""
    buffer = io.BytesIO()
    npy.write_array_header_1_0(buffer, {"descr": "<f4", "fortran_order": False, "shape": (rows, columns)})
    return buffer.getvalue()


def matrix_layout(file: BinaryIO) -> tuple[int, int, int]:
    """Rows, columns, and the number of bytes before the data, of an opened ``.npy`` file that holds a matrix of little-endian float32.

    Raises:
        ValueError: it holds none, or is truncated; the message is to follow the name of the file.
    """
    start = file.read(10)
    data = start + file.read(int.from_bytes(start[8:10], "little"))
    rows, columns = _matrix_shape(data, os.fstat(file.fileno()).st_size)
    return rows, columns, len(data)


def _matrix_shape(data: bytes, size: int) -> tuple[int, int]:
    """Rows and columns of a matrix of little-endian float32, from the bytes before its data and the number of bytes with it."""
    shape, column_order, dtype = _header(data)
    if len(shape) != 2 or column_order or dtype.str != "<f4" or not all(shape):
        raise ValueError(f"is no matrix of float32: it holds {dtype} of shape {shape}")
    rows, columns = shape
    if size - len(data) != 4 * rows * columns:
        raise ValueError(f"is truncated: the header declares {4 * rows * columns:,} bytes, the file has {size - len(data):,}")
    return rows, columns


def read_archive(path: str | os.PathLike[str], remedy: str) -> dict[str, np.ndarray]:
    """Name → array of a ``.npz`` file as ``numpy.savez`` writes it: nothing in it is compressed.

    Raises:
        FileNotFoundError: there is no such file.
        DamagedFileError: it is none; with ``remedy`` as what to do.
    """
    with files.damage_errors(path, remedy), files.open_regular(path) as file:
        return _read_archive(file, None)[0]


@dataclass(frozen=True)
class StoredMatrix:
    """A matrix of little-endian float32 that was left in its file, which is open: it stays the same when another takes its name.

    Args:
        path: of the file.
        file: opened.
        start: bytes of the file before the first row.
        shape: rows, columns.
    """

    path: Path
    file: BinaryIO
    start: int
    shape: tuple[int, int]


def open_archive(path: Path, remedy: str, matrix: str) -> tuple[dict[str, np.ndarray], StoredMatrix | None]:
    """As :func:`read_archive`, but for one array, called ``matrix``: it is compared with its checksum, and not kept in memory.

    Returns:
        Name → array, of the others; and the matrix, or None where the file has none of this name.

    Raises:
        FileNotFoundError: there is no such file.
        DamagedFileError: it is none, or this array is no matrix of float32; with ``remedy`` as what to do.
    """
    with files.damage_errors(path, remedy), ExitStack() as stack:
        file = stack.enter_context(files.open_regular(path))
        arrays, layout = _read_archive(file, matrix)
        stack.pop_all()
        return arrays, None if layout is None else StoredMatrix(path, file, *layout)


def _read_archive(file: BinaryIO, matrix: str | None) -> tuple[dict[str, np.ndarray], tuple[int, tuple[int, int]] | None]:
    """Name → array, except of ``matrix``; and where this begins, with its shape."""
    arrays, layout = {}, None
    try:
        with zipfile.ZipFile(file) as archive:
            members = archive.infolist()
            if any(member.compress_type != zipfile.ZIP_STORED for member in members):
                raise ValueError("is compressed, as no stage writes it")
            if sum(member.file_size for member in members) > os.fstat(file.fileno()).st_size:
                raise ValueError("is damaged: it declares more than it holds")
            for member in members:
                name = member.filename.removesuffix(".npy")
                try:
                    if name == matrix:
                        layout = _layout(archive, member, file)
                    else:
                        arrays[name] = parse(archive.read(member)).copy()
                except ValueError as error:
                    raise ValueError(f"is damaged: {member.filename!r} in it {error}") from error
            return arrays, layout
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, struct.error, OverflowError) as error:
        raise ValueError(f"is no archive of NumPy ({error})") from error


def _layout(archive: zipfile.ZipFile, member: zipfile.ZipInfo, file: BinaryIO) -> tuple[int, tuple[int, int]]:
    """Where in ``file`` the matrix of an archive begins, and its shape. It is read once, for its checksum."""
    with archive.open(member) as stored:
        data = stored.read(10)
        data += stored.read(int.from_bytes(data[8:10], "little"))
        shape = _matrix_shape(data, member.file_size)
        while stored.read(_PIECE_BYTES):  # to its end, where the checksum is compared
            pass
    file.seek(member.header_offset + 26)  # of the member's own header: 30 bytes, whose last are the lengths of what follows them
    return member.header_offset + 30 + sum(struct.unpack("<HH", file.read(4))) + len(data), shape


@lru_cache(maxsize=256)  # all files of a folder have one header: ten times faster than numpy.load
def _header(data: bytes) -> tuple[tuple[int, ...], bool, np.dtype[np.generic]]:
    """Shape, whether it is in column-major order, and type, from the bytes before the data."""
    file = io.BytesIO(data)
    try:
        if npy.read_magic(file) != (1, 0):
            raise ValueError("of an unusual version")
        shape, column_order, dtype = npy.read_array_header_1_0(file)
    except Exception as error:  # NumPy has Python's own parser read the header, which fails in many ways
        raise ValueError(f"is no NumPy file ({' '.join(str(error).split())[:120]})") from error
    if dtype.kind not in _KINDS or dtype.itemsize == 0 or any(size < 0 for size in shape):
        raise ValueError(f"is no NumPy file that can be used: it holds {dtype} of shape {shape}")
    return shape, column_order, dtype
