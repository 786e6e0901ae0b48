"""Reads files of tensors in the safetensors format: strictly, without torch, and without trusting their headers.

A file is: the length of its header (8 bytes, little-endian), the header (JSON), the bytes of the tensors. The header gives the type, the
shape and the place of every tensor, and may hold strings in ``__metadata__`` (https://huggingface.co/docs/safetensors). A header is
compared with the size of the file before any memory is allocated for what it claims.
"""

from __future__ import annotations

import io
import json
import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from jukemir_like.core import files
from jukemir_like.core.errors import RequestError
from jukemir_like.stemjepa.config import excerpt

REMEDY = "give weights that jukemir-like trained; those of the original code: jukemir-like convert FILE"

_LENGTH_BYTES, _MOST_HEADER_BYTES = 8, 10_000_000
_BLOCK_BYTES = 1 << 22  # read at once
# Floating-point types: bits of a number, and the bits of its exponent, which are all set in infinities and NaN alone.
_NUMBERS = {"F16": (16, 0x7C00), "BF16": (16, 0x7F80), "F32": (32, 0x7F80_0000), "F64": (64, 0x7FF0_0000_0000_0000)}


class Tensor(NamedTuple):
    """Where a tensor lies: ``dtype`` in the format's words, ``begin`` and ``end`` in bytes from the start of the file."""

    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int


@dataclass(frozen=True)
class Table:
    """A header: which tensors a file holds, and its metadata.

    Args:
        header_bytes: the bytes of the file before the first tensor.
        metadata: the strings of ``__metadata__``.
        tensors: by name, in the order of their places. They fill the rest of the file without gaps.
    """

    header_bytes: bytes
    metadata: dict[str, str]
    tensors: dict[str, Tensor]


@contextmanager
def open_weights(path: Path) -> Iterator[BinaryIO]:
    """Opens a file of weights for reading.

    Raises:
        RequestError: it does not exist, is not a regular file, or the system refuses to open or to read it.
    """
    if "\0" in str(path):  # for which open() raises a ValueError
        raise RequestError(f"the file of weights {excerpt(path)} is missing: check the path")
    try:
        with files.open_regular(path) as raw, io.BufferedReader(raw) as file:  # type: ignore[type-var]
            yield file
    except OSError as error:
        reason = "is missing" if isinstance(error, FileNotFoundError) else files.refusal(error)
        raise RequestError(f"the file of weights {excerpt(path)} {reason}: check the path") from error


def read_table(path: Path, file: BinaryIO) -> Table:
    """Reads the header of a file of floating-point tensors; ``path`` is for messages.

    Raises:
        RequestError: the file is not of this format, is cut short or damaged, or has tensors of other types.
    """
    size = os.fstat(file.fileno()).st_size
    length_bytes = file.read(_LENGTH_BYTES)
    length = int.from_bytes(length_bytes, "little")
    # The first bytes of a zip archive and of a pickle. Read as the length of a header, they give one far above the limit.
    if length > _MOST_HEADER_BYTES and (length_bytes[:2] == b"PK" or length_bytes[:1] == b"\x80"):
        raise RequestError(f"{excerpt(path)} is a PyTorch pickle, not safetensors: {REMEDY}")
    try:
        if len(length_bytes) < _LENGTH_BYTES or not 2 <= length <= min(size, _MOST_HEADER_BYTES):
            raise ValueError
        encoded = file.read(length)
        values = parse_object(encoded)
        metadata = values.pop("__metadata__", {})
        if not all(isinstance(text, str) for text in metadata.values()):
            raise ValueError
        first = _LENGTH_BYTES + length
        tensors = {name: _tensor(entry, first) for name, entry in values.items()}
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise RequestError(f"{excerpt(path)} is not a safetensors file: {REMEDY}") from error
    tensors = dict(sorted(tensors.items(), key=lambda item: item[1][2:]))
    _check_extents(path, tensors, first, size)
    return Table(length_bytes + encoded, metadata, tensors)


def read_blocks(path: Path, file: BinaryIO, name: str, tensor: Tensor) -> Iterator[bytes]:
    """Reads the bytes of the tensor at the current position of ``file``, block by block; ``path`` and ``name`` are for messages.

    Raises:
        RequestError: the file ends too early, or a number of the tensor is infinite or NaN.
    """
    import numpy as np

    bits, special = _NUMBERS[tensor.dtype]
    unsigned = np.dtype(f"<u{bits // 8}")
    for begin in range(tensor.begin, tensor.end, _BLOCK_BYTES):
        block = file.read(min(_BLOCK_BYTES, tensor.end - begin))
        if len(block) < min(_BLOCK_BYTES, tensor.end - begin):
            raise RequestError(f"{excerpt(path)} became shorter while it was read: run again")
        if (np.frombuffer(block, unsigned) & unsigned.type(special)).max() == special:
            raise RequestError(f"{excerpt(path)}: tensor {excerpt(name)} holds numbers that are infinite or NaN: {REMEDY}")
        yield block


def parse_object(text: bytes | str) -> dict[str, Any]:
    """Parses a JSON object in which no name is repeated.

    Raises:
        ValueError, RecursionError: the text is not such an object.

    >>> parse_object('{"a": 1}')
    {'a': 1}
    """
    values = json.loads(text, object_pairs_hook=_without_duplicates, parse_constant=_refuse_constant)
    if not isinstance(values, dict):
        raise ValueError("not a JSON object")
    return values


def _tensor(entry: dict[str, Any], first: int) -> Tensor:
    dtype, shape, (begin, end) = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(dtype, str) or not isinstance(shape, list) or not all(type(n) is int and n >= 0 for n in (begin, end, *shape)):
        raise ValueError
    return Tensor(dtype, tuple(shape), first + begin, first + end)


def _check_extents(path: Path, tensors: dict[str, Tensor], first: int, size: int) -> None:
    """Tensors must follow one another without gap or overlap, from byte ``first`` to the end of the file, ``size``."""
    claimed = max((tensor.end for tensor in tensors.values()), default=first)
    if claimed != size:
        sizes = f"{size - first:,} bytes of tensors, its header claims {claimed - first:,}"
        raise RequestError(f"{excerpt(path)} is cut short or damaged ({sizes}): copy it again")
    expected_begin = first
    for name, (dtype, shape, begin, end) in tensors.items():
        if dtype not in _NUMBERS:
            kinds = ", ".join(_NUMBERS)
            raise RequestError(f"{excerpt(path)}: tensor {excerpt(name)} is of type {excerpt(dtype, 20)}, weights are {kinds}: {REMEDY}")
        if begin != expected_begin or end - begin != math.prod(shape) * _NUMBERS[dtype][0] // 8:
            raise RequestError(f"{excerpt(path)} is damaged (tensor {excerpt(name)} has a wrong place or length): copy it again")
        expected_begin = end


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        raise ValueError("duplicate name")
    return values


def _refuse_constant(constant: str) -> None:
    raise ValueError(f"{constant} is not a number in JSON")
