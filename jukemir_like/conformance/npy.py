"""A strict reader of ``.npy`` files (https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html).

NumPy itself accepts what other readers do not: bytes after the data, other keys, a header that does not end in a line feed.
"""

from __future__ import annotations

import ast
import math
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

FLOAT32 = "<f4"

_MAGIC = b"\x93NUMPY"
_LENGTH_FORMATS = {b"\1\0": "<H", b"\2\0": "<I", b"\3\0": "<I"}  # of the header, by version
_KEYS = {"descr", "fortran_order", "shape"}


class NotNpyError(ValueError):
    """The bytes are no ``.npy`` file; the message says why."""


@dataclass(frozen=True)
class Array:
    """The header of a ``.npy`` file, and its data.

    Args:
        descr: the type, such as ``<f4``.
        fortran_order: whether the first index varies fastest.
        shape: of the array.
        data: the bytes after the header.
    """

    descr: Any
    fortran_order: bool
    shape: tuple[int, ...]
    data: bytes


def parse(content: bytes) -> Array:
    """Reads the content of a ``.npy`` file.

    Raises:
        NotNpyError: it is not one, or is shorter or longer than its header says.

    >>> import io, numpy as np
    >>> np.save(file := io.BytesIO(), np.zeros(3, np.float32))
    >>> parse(file.getvalue()).shape
    (3,)
    """
    if content[:6] != _MAGIC:
        raise NotNpyError("does not begin as .npy files do" if content else "is empty")
    length_format = _LENGTH_FORMATS.get(content[6:8])
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
    """The numbers in a ``.npy`` file as a float vector, converted from any type and order; None if they cannot be read."""
    import numpy as np

    try:
        array = parse(content or b"")
    except NotNpyError:
        return None
    return np.frombuffer(array.data, array.descr).astype(float) if np.dtype(array.descr).kind in "fiu" else None


def are_equal(first: np.ndarray | None, second: np.ndarray | None) -> bool:
    """Whether two vectors are equal to 1e-5 of their largest absolute value; False where one of them is None.

    >>> import numpy as np
    >>> are_equal(np.array([1000.0, 0.0]), np.array([1000.0, 0.009])), are_equal(np.array([1.0, 0.0]), np.array([1.0, 0.009]))
    (True, False)
    """
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
    is_shape = isinstance(shape, tuple) and all(type(size) is int and size >= 0 for size in shape)
    if not is_shape or type(header["fortran_order"]) is not bool:
        raise NotNpyError("has a header whose shape or order is of the wrong type")
    return header


def _item_size(descr: Any) -> int:
    import numpy as np

    try:
        return int(np.dtype(descr).itemsize)
    except (TypeError, ValueError):
        raise NotNpyError(f"is of an unknown type, {descr!r}") from None
