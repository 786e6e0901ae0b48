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
from functools import cache, lru_cache
from typing import BinaryIO

import numpy as np
from numpy.lib import format as npy

from jukemir_like.core import files

_KINDS = "biufU"


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
    shape, column_order, dtype = _header(data)
    if len(shape) != 2 or column_order or dtype.str != "<f4" or not all(shape):
        raise ValueError(f"is no matrix of float32: it holds {dtype} of shape {shape}")
    rows, columns = shape
    size = os.fstat(file.fileno()).st_size - len(data)
    if size != 4 * rows * columns:
        raise ValueError(f"is truncated: the header declares {4 * rows * columns:,} bytes, the file has {size:,}")
    return rows, columns, len(data)


def read_archive(path: str | os.PathLike[str], remedy: str) -> dict[str, np.ndarray]:
    """Name → array of a ``.npz`` file as ``numpy.savez`` writes it: nothing in it is compressed.

    Raises:
        FileNotFoundError: there is no such file.
        DamagedFileError: it is none; with ``remedy`` as what to do.
    """
    with files.damage_errors(path, remedy), files.open_regular(path) as file:
        try:
            with zipfile.ZipFile(file) as archive:
                members = archive.infolist()
                if any(member.compress_type != zipfile.ZIP_STORED for member in members):
                    raise ValueError("is compressed, as no stage writes it")
                if sum(member.file_size for member in members) > os.fstat(file.fileno()).st_size:
                    raise ValueError("is damaged: it declares more than it holds")
                arrays = {}
                for member in members:
                    try:
                        arrays[member.filename.removesuffix(".npy")] = parse(archive.read(member)).copy()
                    except ValueError as error:
                        raise ValueError(f"is damaged: {member.filename!r} in it {error}") from error
                return arrays
        except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, struct.error, OverflowError) as error:
            raise ValueError(f"is no archive of NumPy ({error})") from error


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
