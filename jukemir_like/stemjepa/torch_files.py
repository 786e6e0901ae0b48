"""Tensors of PyTorch's files, without running what is pickled in them and without reading them into memory.

``torch.load(weights_only=True)`` refuses files that hold any other object, as checkpoints of older trainers do, and reads files of the
layout before PyTorch 1.6 whole. Here every object that is not a tensor becomes a placeholder that does nothing, and tensors are views of
the mapped file, in either layout:

======================  ==============================================================================================================
since 1.6 (2020)        a zip archive without compression: ``*/data.pkl``, and the numbers of each storage in ``*/data/KEY``
before                  five pickles (magic number, version, system, object, keys of storages), then for each key the count of its numbers
                        (int64) and the numbers
======================  ==============================================================================================================
"""

from __future__ import annotations

import io
import math
import mmap
import pickle
import warnings
import zipfile
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, ClassVar

from jukemir_like.core.errors import RequestError
from jukemir_like.stemjepa.config import excerpt
from jukemir_like.stemjepa.safetensors_file import open_weights

if TYPE_CHECKING:
    from torch import Tensor

_MAGIC, _VERSION = 0x1950A86A20F9469CFC6C, 1001
_DTYPES = {
    "DoubleStorage": "float64",
    "FloatStorage": "float32",
    "HalfStorage": "float16",
    "BFloat16Storage": "bfloat16",
    "LongStorage": "int64",
    "IntStorage": "int32",
    "ShortStorage": "int16",
    "CharStorage": "int8",
    "ByteStorage": "uint8",
    "BoolStorage": "bool",
}
_COUNT_BYTES = 8
_LOCAL_HEADER_BYTES = 30
_MOST_PICKLE_BYTES = 1 << 28  # of the object; the names and shapes of 10⁵ tensors take a tenth
_WRAPPERS = ("state_dict", "model_state_dict", "model")
_MOST_NESTED = 5


def read_tensors(path: Path) -> dict[str, Tensor]:
    """All tensors of a file's state dict by name, see :func:`read`."""
    return read(path)[0]


def read(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """All tensors of a file's state dict by name, and what else the file holds.

    Tensors are views of the mapped file: memory is taken for what is read of them. They must not be written to. A state dict is found on
    its own, or under ``state_dict``, ``model_state_dict`` or ``model``; of what else is there, objects are placeholders.

    Args:
        path: a file of ``torch.save``, of any version.

    Raises:
        RequestError: there is no such file, it is damaged or no such file, or holds no state dict.
    """
    with open_weights(path) as file:
        try:
            value, places = _read_zip(file) if zipfile.is_zipfile(file) else _read_legacy(file)
            content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            tensors = {}
            for name, stored in _state_dict(value).items():
                try:
                    tensors[name] = _view(content, places, stored)
                except _UnsupportedError as error:
                    raise RequestError(f"{path}: {excerpt(name)} {error}") from error
        except _NoStateDictError as error:
            raise RequestError(f"{path} holds no state dict: give a checkpoint, or a saved state_dict") from error
        except _UnsupportedError as error:
            raise RequestError(f"{path} {error}") from error
        except RequestError:
            raise
        except Exception as error:  # pickles and archives raise errors of many types where they are damaged
            raise RequestError(f"{path} cannot be read as a file of PyTorch ({type(error).__name__}): copy it again") from error
    return tensors, {key: other for key, other in value.items() if isinstance(key, str) and key not in tensors}


def without_prefix(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The tensors whose names begin with ``prefix``, without it.

    >>> without_prefix({"model.weight": 1, "step": 2}, "model.")
    {'weight': 1}
    """
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


class _NoStateDictError(Exception):
    pass


class _UnsupportedError(Exception):
    """A file of PyTorch, or a tensor in it, that is not read; says what it is and what to do."""


@dataclass(frozen=True)
class _Storage:
    key: str
    dtype: str
    count: int


@dataclass(frozen=True)
class _Stored:
    """A tensor as its pickle describes it: ``offset`` and ``strides`` in numbers."""

    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


class _Placeholder:
    """Stands for any object that is not a tensor: takes what a pickle does to objects, and does nothing."""

    def __init__(self, *_: Any, **__: Any) -> None:
        pass

    def _ignore(self, *_: Any, **__: Any) -> _Placeholder:
        return self

    __call__ = __setstate__ = __setitem__ = append = extend = add = _ignore


def _rebuild_tensor(storage: _Storage, offset: int, shape: tuple[int, ...], strides: tuple[int, ...], *_: Any) -> _Stored:
    return _Stored(storage, offset, tuple(shape), tuple(strides))


def _rebuild_parameter(stored: _Stored, *_: Any) -> _Stored:
    return stored


class _TensorUnpickler(pickle.Unpickler):
    """Knows tensors, their storages and ordered dicts. No function but the two above is ever called."""

    _KNOWN: ClassVar[dict[tuple[str, str], Any]] = {
        ("collections", "OrderedDict"): OrderedDict,
        ("torch._utils", "_rebuild_tensor"): _rebuild_tensor,
        ("torch._utils", "_rebuild_tensor_v2"): _rebuild_tensor,
        ("torch._utils", "_rebuild_parameter"): _rebuild_parameter,
        ("torch", "Size"): tuple,
    }

    def find_class(self, module: str, name: str) -> Any:
        if module in ("torch", "torch.storage") and name.endswith("Storage"):
            return _DTYPES.get(name, name)
        return self._KNOWN.get((module, name), _Placeholder)

    def persistent_load(self, pid: Any) -> Any:
        if pid[0] != "storage":
            return _Placeholder()
        dtype, key, _, count, *view = pid[1:]
        if view and view[0] is not None:
            raise ValueError("a storage that is a view of another")
        return _Storage(str(key), str(dtype), int(count))


def _read_zip(file: BinaryIO) -> tuple[Any, dict[str, tuple[int, int]]]:
    """The object, and storage's key → (first byte, bytes)."""
    with zipfile.ZipFile(file) as archive:
        members = archive.infolist()
        if any(member.compress_type != zipfile.ZIP_STORED for member in members):
            raise _UnsupportedError("is a compressed archive, not a file of PyTorch: unpack it, and give the file in it")
        (record,) = (member for member in members if member.filename.endswith("/data.pkl"))
        root = record.filename.removesuffix("data.pkl")
        if f"{root}byteorder" in archive.namelist() and archive.read(f"{root}byteorder") != b"little":
            raise ValueError("byte order")
        if record.file_size > _MOST_PICKLE_BYTES:
            raise ValueError("the pickle is too large")
        state = _TensorUnpickler(io.BytesIO(archive.read(record))).load()
    places = {}
    for member in members:
        if member.filename.startswith(f"{root}data/"):
            file.seek(member.header_offset)
            header = file.read(_LOCAL_HEADER_BYTES)
            names = int.from_bytes(header[26:28], "little") + int.from_bytes(header[28:30], "little")
            places[member.filename.removeprefix(f"{root}data/")] = (member.header_offset + _LOCAL_HEADER_BYTES + names, member.file_size)
    return state, places


def _read_legacy(file: BinaryIO) -> tuple[Any, dict[str, tuple[int, int]]]:
    """As :func:`_read_zip`."""
    file.seek(0)
    if _TensorUnpickler(file).load() != _MAGIC or _TensorUnpickler(file).load() != _VERSION:
        raise ValueError("no file of PyTorch")
    _TensorUnpickler(file).load()  # of the system that wrote it
    unpickler = _CountingUnpickler(file)
    state = unpickler.load()
    keys = _TensorUnpickler(file).load()
    places, begin = {}, file.tell()
    for key in keys:
        storage = unpickler.storages[str(key)]
        file.seek(begin)
        count = int.from_bytes(file.read(_COUNT_BYTES), "little")
        if count != storage.count:
            raise ValueError("a storage of another length")
        size = count * _itemsize(storage.dtype)
        places[storage.key] = (begin + _COUNT_BYTES, size)
        begin += _COUNT_BYTES + size
    if begin > file.seek(0, io.SEEK_END):  # also where what is cut belongs to no tensor, or to an empty one
        raise ValueError("cut short")
    return state, places


class _CountingUnpickler(_TensorUnpickler):
    """Keeps the storages, whose places follow from their lengths."""

    def __init__(self, file: BinaryIO) -> None:
        super().__init__(file)
        self.storages: dict[str, _Storage] = {}

    def persistent_load(self, pid: Any) -> Any:
        storage = super().persistent_load(pid)
        if isinstance(storage, _Storage):
            self.storages[storage.key] = storage
        return storage


def _state_dict(value: Any) -> dict[str, _Stored]:
    for _ in range(_MOST_NESTED):
        if not isinstance(value, dict) or any(isinstance(inner, _Stored) for inner in value.values()):
            break
        value = next((value[key] for key in _WRAPPERS if isinstance(value.get(key), dict)), None)
    tensors = {key: stored for key, stored in value.items() if isinstance(stored, _Stored)} if isinstance(value, dict) else {}
    if not tensors or not all(isinstance(key, str) for key in tensors):
        raise _NoStateDictError
    return tensors


def _view(content: mmap.mmap, places: Mapping[str, tuple[int, int]], stored: _Stored) -> Tensor:
    """The tensor, on the bytes of the file."""
    import numpy as np
    import torch

    itemsize, total = _itemsize(stored.storage.dtype), math.prod(stored.shape)
    if 0 in stored.shape:
        return torch.empty(stored.shape, dtype=getattr(torch, stored.storage.dtype))
    begin, size = places[stored.storage.key]
    last = stored.offset + sum((n - 1) * stride for n, stride in zip(stored.shape, stored.strides, strict=True))
    fits = last * itemsize + itemsize <= size and total * itemsize <= size  # strides of 0 claim more than is there
    if not fits or begin + size > len(content) or min((stored.offset, *stored.shape, *stored.strides)) < 0:
        raise _UnsupportedError("is not stored number by number: save it dense")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # that it must not be written to
        values = torch.from_numpy(np.frombuffer(content, np.uint8, size, begin)).view(getattr(torch, stored.storage.dtype))
    return values.as_strided(stored.shape, stored.strides, stored.offset)


def _itemsize(dtype: str) -> int:
    import torch

    if dtype not in _DTYPES.values():
        raise _UnsupportedError(f"is of {excerpt(dtype)}, which is not read: save it as float")
    return int(getattr(torch, dtype).itemsize)
