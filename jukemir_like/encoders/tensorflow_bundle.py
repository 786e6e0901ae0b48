"""Reads TensorFlow's checkpoints (version 2 of the format, "tensor bundles"), without TensorFlow: NumPy alone, and no byte unchecked.

A checkpoint is ``NAME.index``, a :mod:`table <jukemir_like.encoders.leveldb_table>`, and the tensors' bytes in files
``NAME.data-00000-of-00001`` and so on. The table has, under an empty key, a ``BundleHeaderProto`` (number of data files, byte order), and
under the name of each variable a ``BundleEntryProto``: type, shape, file, offset, size, masked CRC-32C of the bytes. Both are messages of
Protocol Buffers; format: ``tensorflow/core/protobuf/tensor_bundle.proto``. Nothing in them is executed.
"""

from __future__ import annotations

import io
import math
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np

from jukemir_like.core import files
from jukemir_like.core.errors import RequestError
from jukemir_like.encoders import leveldb_table
from jukemir_like.encoders.crc32c import crc32c, masked
from jukemir_like.encoders.leveldb_table import varint

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5  # wire types
_TYPES = {1: "<f4", 2: "<f8", 3: "<i4", 9: "<i8", 19: "<f2"}  # DataType of TensorFlow → of NumPy
_MOST_DIMENSIONS = 8
_REMEDY = "download it again"


class Variable(NamedTuple):
    """Where a tensor lies: type of NumPy, shape, number of the data file, offset and size in bytes, masked checksum."""

    dtype: str
    shape: tuple[int, ...]
    shard: int
    offset: int
    size: int
    checksum: int


def read(index: Path, shards: Sequence[Path], wanted: Callable[[str], bool] = lambda _: True) -> dict[str, np.ndarray]:
    """The tensors of a checkpoint by name, in the order of their names. All are checked, those that are not wanted as well.

    Args:
        index: the file ``….index``.
        shards: its data files, in order.
        wanted: tells from a tensor's name whether it is to be returned.

    Raises:
        RequestError: a file is missing, is no such file, is damaged or of another checkpoint, or holds tensors of other types.

    >>> read(Path("model.index"), [Path("model.data-00000-of-00001")])  # doctest: +SKIP
    {'dense/bias': array([...], dtype=float32), ...}
    """
    tensors: dict[str, np.ndarray] = {}
    with ExitStack() as stack:
        opened = [stack.enter_context(_opened(path)) for path in (index, *shards)]
        found = _variables(index, opened[0], len(shards))
        for shard, (path, file) in enumerate(zip(shards, opened[1:], strict=True)):
            in_shard = {name: variable for name, variable in found.items() if variable.shard == shard}
            _check_extents(path, index, in_shard, os.fstat(file.fileno()).st_size)
            for name, variable in sorted(in_shard.items(), key=lambda item: item[1].offset):
                contents = file.read(variable.size)
                if len(contents) < variable.size:
                    raise RequestError(f"{path} became shorter while it was read: run again")
                if masked(crc32c(contents)) != variable.checksum:
                    raise RequestError(f"{path} is damaged or of another checkpoint (the checksum of {_shown(name)} is wrong): {_REMEDY}")
                if wanted(name):
                    tensors[name] = np.frombuffer(contents, variable.dtype).reshape(variable.shape)
    return {name: tensors[name] for name in found if name in tensors}


def variables(index: Path, shards: int = 1) -> dict[str, Variable]:
    """What a checkpoint holds, from its index alone.

    Args:
        index: the file ``….index``.
        shards: how many data files it should have.

    Raises:
        RequestError: as :func:`read`.
    """
    with _opened(index) as file:
        return _variables(index, file, shards)


def _variables(path: Path, file: BinaryIO, shards: int) -> dict[str, Variable]:
    try:
        values = leveldb_table.entries(file.read(leveldb_table.MOST_BYTES + 1))
        header = values.pop(b"", None)
        if header is None:
            raise ValueError("has no header")
        _check_header(header, shards)
        return {key.decode(): _variable(key.decode(), value, shards) for key, value in values.items()}
    except UnicodeDecodeError:
        reason = "has a name that is not text"
    except ValueError as error:
        reason = str(error)
    raise RequestError(f"{path} {reason}: {_REMEDY}")


def _check_header(message: bytes, shards: int) -> None:
    fields = dict(_fields(message))
    if fields.get(2, 0) != 0:
        raise ValueError("is of a big-endian machine")
    if fields.get(1) != shards:
        raise ValueError(f"belongs to {fields.get(1)!r} data files, not {shards}")


def _variable(name: str, message: bytes, shards: int) -> Variable:
    fields = dict(_fields(message))
    dtype, shape, shard, offset, size, checksum = (fields.get(number, 0) for number in range(1, 7))
    if 7 in fields:
        raise ValueError(f"holds {_shown(name)} in slices, which is not supported")
    if dtype not in _TYPES:
        raise ValueError(f"holds {_shown(name)}, which is of another type than numbers of 16 to 64 bits (TensorFlow's type {dtype!r})")
    lengths = tuple(_lengths(shape)) if isinstance(shape, bytes) else ()
    numbers = (shard, offset, size, checksum)
    if not all(isinstance(number, int) for number in numbers) or len(lengths) > _MOST_DIMENSIONS or int(shard) >= shards:
        raise ValueError(f"has a damaged entry of {_shown(name)}")
    if math.prod(lengths) * np.dtype(_TYPES[dtype]).itemsize != size:
        raise ValueError(f"gives {_shown(name)} a size that does not fit its shape")
    return Variable(_TYPES[dtype], lengths, int(shard), int(offset), int(size), int(checksum))


def _lengths(shape: bytes) -> Iterator[int]:
    """Lengths of the dimensions in a ``TensorShapeProto``."""
    for number, dimension in _fields(shape):
        if number != 2 or not isinstance(dimension, bytes):
            raise ValueError("has a damaged shape")
        length = dict(_fields(dimension)).get(1, 0)
        if not isinstance(length, int) or length >= 1 << 32:
            raise ValueError("has a damaged shape")
        yield length


def _fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Numbers and values of a message's fields, in their order."""
    position = 0
    while position < len(message):
        key, position = varint(message, position)
        kind = key & 7
        if kind == _VARINT:
            value, position = varint(message, position)
            yield key >> 3, value
            continue
        if kind == _BYTES:
            size, position = varint(message, position)
        elif kind in (_FIXED32, _FIXED64):
            size = 4 if kind == _FIXED32 else 8
        else:
            raise ValueError("has a damaged entry")
        contents = message[position : position + size]
        if len(contents) < size:
            raise ValueError("has a damaged entry")
        position += size
        yield key >> 3, contents if kind == _BYTES else int.from_bytes(contents, "little")


def _check_extents(path: Path, index: Path, in_shard: dict[str, Variable], size: int) -> None:
    """Tensors must follow one another without gap or overlap, from the first byte of the file to its last."""
    expected_begin = 0
    for name, variable in sorted(in_shard.items(), key=lambda item: (item[1].offset, item[1].size)):
        if variable.offset != expected_begin:
            raise RequestError(f"{index} gives {_shown(name)} a place that does not follow the one before: {_REMEDY}")
        expected_begin += variable.size
    if expected_begin != size:
        raise RequestError(
            f"{path} has {size:,} bytes where {index} says {expected_begin:,}: cut short, or of another checkpoint; {_REMEDY}"
        )


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    try:
        with files.open_regular(path) as raw, io.BufferedReader(raw) as file:  # type: ignore[type-var]
            yield file
    except OSError as error:
        reason = "is missing" if isinstance(error, FileNotFoundError) else files.refusal(error)
        raise RequestError(f"{path} {reason}: check the path") from error


def _shown(name: str) -> str:
    return repr(name if len(name) <= 80 else name[:79] + "…")
