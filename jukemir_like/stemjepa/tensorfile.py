"""Files of tensors in the safetensors format, read strictly, without torch, and with no trust in what they say of themselves.

A file is: the length of its header (8 bytes, little-endian), the header (JSON), the tensors' bytes. The header names the type, the shape
and the place of every tensor, and may hold strings, ``__metadata__`` (https://huggingface.co/docs/safetensors). No memory is asked for
because a header promises something: it is compared with the size of the file first.
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
from jukemir_like.stemjepa.config import shown

REMEDY = "give weights that jukemir-like trained, or convert others first"

_LENGTH_BYTES, _MOST_HEADER_BYTES = 8, 10_000_000
_BLOCK_BYTES = 1 << 22  # of a tensor, in memory at a time
# Floating-point types: bits of a number, and those that are all set only in infinities and NaN.
_NUMBERS = {"F16": (16, 0x7C00), "BF16": (16, 0x7F80), "F32": (32, 0x7F80_0000), "F64": (64, 0x7FF0_0000_0000_0000)}


class Tensor(NamedTuple):
    """Where a tensor lies: ``dtype`` as the format calls it, ``begin`` and ``end`` in bytes of the file."""

    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int


@dataclass(frozen=True)
class Table:
    """What a header says.

    Args:
        head: the file's bytes before the first tensor.
        metadata: the strings.
        tensors: by name, in the order of their places, which lie side by side and end with the file.
    """

    head: bytes
    metadata: dict[str, str]
    tensors: dict[str, Tensor]


@contextmanager
def opened(path: Path) -> Iterator[BinaryIO]:
    """A file of weights, open for reading.

    Raises:
        RequestError: it is not there, is no file, or the system refuses to open or to read it.
    """
    if "\0" in str(path):  # the system refuses it by another kind of error
        raise RequestError(f"the file of weights {shown(path)} is not there: check the path")
    try:
        with files.open_regular(path) as raw, io.BufferedReader(raw) as file:  # type: ignore[type-var]
            yield file
    except OSError as error:
        reason = "is not there" if isinstance(error, FileNotFoundError) else files.refusal(error)
        raise RequestError(f"the file of weights {shown(path)} {reason}: check the path") from error


def table(path: Path, file: BinaryIO) -> Table:
    """The header of a file of floating-point tensors; ``path`` is for messages.

    Raises:
        RequestError: not of this format, cut short, damaged, or with tensors of other numbers.
    """
    size = os.fstat(file.fileno()).st_size
    length_bytes = file.read(_LENGTH_BYTES)
    length = int.from_bytes(length_bytes, "little")
    # A header's length may begin with these bytes too, but is not as large as they would make it.
    if length > _MOST_HEADER_BYTES and (length_bytes[:2] == b"PK" or length_bytes[:1] == b"\x80"):
        raise RequestError(f"{shown(path)} is a pickle of PyTorch's, not safetensors: {REMEDY}")
    try:
        if len(length_bytes) < _LENGTH_BYTES or not 2 <= length <= min(size, _MOST_HEADER_BYTES):
            raise ValueError
        encoded = file.read(length)
        values = parse(encoded)
        metadata = values.pop("__metadata__", {})
        if not all(isinstance(text, str) for text in metadata.values()):
            raise ValueError
        first = _LENGTH_BYTES + length
        tensors = {name: _tensor(entry, first) for name, entry in values.items()}
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise RequestError(f"{shown(path)} is not a safetensors file: {REMEDY}") from error
    tensors = dict(sorted(tensors.items(), key=lambda item: item[1][2:]))
    _check_places(path, tensors, first, size)
    return Table(length_bytes + encoded, metadata, tensors)


def blocks(path: Path, file: BinaryIO, name: str, tensor: Tensor) -> Iterator[bytes]:
    """The bytes of the tensor that begins where ``file`` stands, piece by piece; ``path`` and ``name`` are for messages.

    Raises:
        RequestError: the file ends before, or there is an infinity or a NaN among the numbers.
    """
    import numpy as np

    bits, special = _NUMBERS[tensor.dtype]
    unsigned = np.dtype(f"<u{bits // 8}")
    for begin in range(tensor.begin, tensor.end, _BLOCK_BYTES):
        block = file.read(min(_BLOCK_BYTES, tensor.end - begin))
        if len(block) < min(_BLOCK_BYTES, tensor.end - begin):
            raise RequestError(f"{shown(path)} became shorter while it was read: run again")
        if (np.frombuffer(block, unsigned) & unsigned.type(special)).max() == special:
            raise RequestError(f"{shown(path)}: tensor {shown(name)} holds numbers that are infinite or none (NaN): {REMEDY}")
        yield block


def parse(text: bytes | str) -> dict[str, Any]:
    """A JSON object, whose parts have each name once; :class:`ValueError`, :class:`RecursionError` where it is none."""
    values = json.loads(text, object_pairs_hook=_distinct, parse_constant=_no_number)
    if not isinstance(values, dict):
        raise ValueError("no JSON object")
    return values


def _tensor(entry: dict[str, Any], first: int) -> Tensor:
    dtype, shape, (begin, end) = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(dtype, str) or not isinstance(shape, list) or not all(type(n) is int and n >= 0 for n in (begin, end, *shape)):
        raise ValueError
    return Tensor(dtype, tuple(shape), first + begin, first + end)


def _check_places(path: Path, tensors: dict[str, Tensor], first: int, size: int) -> None:
    promised = max((tensor.end for tensor in tensors.values()), default=first)
    if promised != size:
        there = f"{size - first:,} bytes of tensors where {promised - first:,} are promised"
        raise RequestError(f"{shown(path)} is cut short or damaged ({there}): copy it again")
    place = first
    for name, (dtype, shape, begin, end) in tensors.items():
        if dtype not in _NUMBERS:
            kinds = ", ".join(_NUMBERS)
            raise RequestError(f"{shown(path)}: tensor {shown(name)} is of type {shown(dtype, 20)}, weights are {kinds}: {REMEDY}")
        if begin != place or end - begin != math.prod(shape) * _NUMBERS[dtype][0] // 8:
            raise RequestError(
                f"{shown(path)} is damaged (tensor {shown(name)} is not where or not as long as it should be): copy it again"
            )
        place = end


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        raise ValueError("a name stands there twice")
    return values


def _no_number(constant: str) -> None:
    raise ValueError(f"{constant} is no number in JSON")
