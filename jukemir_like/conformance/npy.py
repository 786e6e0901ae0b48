"""The header of a ``.npy`` file, read to the letter (https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html).

NumPy itself forgives what other readers do not: bytes after the data, other keys, a header that does not end in a line feed.
"""

from __future__ import annotations

import ast
import math
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

_MAGIC = b"\x93NUMPY"
_LENGTH = {b"\1\0": "<H", b"\2\0": "<I", b"\3\0": "<I"}  # by version
_KEYS = {"descr", "fortran_order", "shape"}
FLOAT32 = "<f4"


class NotNpyError(ValueError):
    """These bytes are no ``.npy`` file; the message says why."""


@dataclass(frozen=True)
class Array:
    """What a ``.npy`` file says of itself, and its data.

    Args:
        descr: the type, as ``<f4``.
        fortran_order: whether the first index runs fastest.
        shape: of the array.
        data: the bytes after the header.
    """

    descr: Any
    fortran_order: bool
    shape: tuple[int, ...]
    data: bytes


def parse(content: bytes) -> Array:
    """Reads a whole ``.npy`` file.

    Raises:
        NotNpyError: it is not one, or is shorter or longer than its header says.
    """
    if content[:6] != _MAGIC:
        raise NotNpyError("does not begin as .npy files do" if content else "is empty")
    length_format = _LENGTH.get(content[6:8])
    if length_format is None:
        raise NotNpyError(f"is of an unknown version of the format, {list(content[6:8])}")
    start = 8 + struct.calcsize(length_format)
    if len(content) < start:
        raise NotNpyError("ends in its header")
    end = start + struct.unpack(length_format, content[8:start])[0]
    if len(content) < end:
        raise NotNpyError("ends in its header")
    header = _header(content[start:end])
    array = Array(header["descr"], header["fortran_order"], header["shape"], content[end:])
    expected = math.prod(array.shape) * _item_size(array.descr)
    if len(array.data) != expected:
        raise NotNpyError(f"has {len(array.data)} bytes of data where its header says {expected}")
    return array


def values(content: bytes | None) -> np.ndarray | None:
    """The numbers in a ``.npy`` file, whatever their type and order; None where there are none to be read."""
    import numpy as np

    try:
        array = parse(content or b"")
    except NotNpyError:
        return None
    return np.frombuffer(array.data, array.descr).astype(float) if np.dtype(array.descr).kind in "fiu" else None


def same(first: np.ndarray | None, second: np.ndarray | None) -> bool:
    """Whether two vectors are the same to 1e-5 of their largest value; nothing is the same as None."""
    import numpy as np

    if first is None or second is None or first.shape != second.shape:
        return False
    largest = max(np.abs(first).max(initial=0.0), np.abs(second).max(initial=0.0))
    return np.array_equal(first, second, equal_nan=True) or bool(np.abs(first - second).max(initial=0.0) <= 1e-5 * largest)


def _header(text: bytes) -> dict[str, Any]:
    if not text.endswith(b"\n"):
        raise NotNpyError("has a header that does not end in a line feed")
    try:
        header = ast.literal_eval(text.decode("utf-8"))
    except (ValueError, SyntaxError):
        raise NotNpyError("has a header that is no literal") from None
    if not isinstance(header, dict) or set(header) != _KEYS:
        raise NotNpyError("has a header that does not hold descr, fortran_order and shape, and nothing else")
    shape = header["shape"]
    whole = isinstance(shape, tuple) and all(type(size) is int and size >= 0 for size in shape)
    if not whole or type(header["fortran_order"]) is not bool:
        raise NotNpyError("has a header whose shape or order is of the wrong type")
    return header


def _item_size(descr: Any) -> int:
    import numpy as np

    try:
        return int(np.dtype(descr).itemsize)
    except (TypeError, ValueError):
        raise NotNpyError(f"is of an unknown type, {descr!r}") from None
