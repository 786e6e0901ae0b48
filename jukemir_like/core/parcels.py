"""Objects with large arrays, on their way from one process to another: the arrays are copied once, however many processes they pass.

Pickled, an array is copied four times per pipe, and twice as often where the parent is between two workers. Here it is written into a file
in memory that has no name (``memfd_create``); what goes through the pipe is a descriptor of that file, and the last one reads it. Since the
file has no name, none is left when a process is killed; and it does not lie in ``/dev/shm``, of which containers have 64 MB.

Where there are no such files (outside Linux) arrays go through the pipe.
"""

from __future__ import annotations

import os
import pickle
import socket
from multiprocessing.connection import Connection
from typing import Any

_MOST_DESCRIPTORS = 250  # that Linux sends at once
_open_files: set[int] = set()


class Parcel:
    """A picklable object, packed. Whoever has one closes it: the sender when it is sent, the receiver when it is opened or passed on.

    Args:
        value: the object.
        into: a parcel that is needed no more, whose file is used again: memory that is there need not be cleared by the system first.

    Raises:
        MemoryError: there is no room for the arrays.

    Attributes:
        size: bytes of the arrays; 0: there are none.

    >>> import numpy as np
    >>> parcel = Parcel({"samples": np.arange(3.0), "path": "a.wav"})
    >>> parcel.size, parcel.open()
    (24, {'samples': array([0., 1., 2.]), 'path': 'a.wav'})
    >>> parcel.close()
    """

    def __init__(self, value: Any, into: Parcel | None = None) -> None:
        buffers: list[pickle.PickleBuffer] = []
        self._data = pickle.dumps(value, protocol=5, buffer_callback=buffers.append)
        arrays = [buffer.raw() for buffer in buffers]
        self._sizes = [array.nbytes for array in arrays]
        self.size = sum(self._sizes)
        self._file: int | None = None
        self._carried = b""  # the arrays, where there are no files in memory
        if not hasattr(os, "memfd_create"):
            self._carried = b"".join(arrays)
        elif self.size:
            start = 0
            self._file = _new_file() if into is None or into._file is None else into._give_up_file()
            try:
                os.ftruncate(self._file, self.size)
                for array in arrays:
                    start = _write(self._file, array, start)
            except OSError as error:
                raise MemoryError(f"no room for arrays of {self.size:,} bytes") from error
            finally:
                if start < self.size:
                    self.close()

    def open(self) -> Any:
        """The object. Its arrays are its own."""
        arrays, start = [], 0
        for size in self._sizes:
            array = bytearray(self._carried[start : start + size] if self._carried else size)
            _read(self._file, memoryview(array), start)
            arrays.append(array)
            start += size
        return pickle.loads(self._data, buffers=arrays)  # noqa: S301 -- of our own

    def close(self) -> None:
        """Forgets the arrays."""
        if self._file is not None:
            _open_files.discard(self._file)
            os.close(self._file)
            self._file = None

    def _give_up_file(self) -> int:
        file, self._file = self._file, None
        assert file is not None  # noqa: S101 -- for the type checker
        return file

    def __getstate__(self) -> tuple[Any, ...]:
        return self._data, self._sizes, self.size, self._carried, self._file is not None

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self._data, self._sizes, self.size, self._carried, self._is_awaited = state
        self._file = None


def send_files(connection: Connection[Any, Any], message: Any) -> None:
    """Sends what a pickle cannot hold of the parcels in ``message``, which has been sent: a parcel, or a tuple with parcels in it."""
    files = [parcel._file for parcel in _parcels_in(message) if parcel._file is not None]
    if files:
        with socket.fromfd(connection.fileno(), socket.AF_UNIX, socket.SOCK_STREAM) as channel:
            for start in range(0, len(files), _MOST_DESCRIPTORS):
                socket.send_fds(channel, [b"\0"], files[start : start + _MOST_DESCRIPTORS])


def receive_files(connection: Connection[Any, Any], message: Any) -> None:
    """Receives what :func:`send_files` has sent.

    Raises:
        EOFError: the sender has died in between.
    """
    awaiting = [parcel for parcel in _parcels_in(message) if parcel._is_awaited]
    if awaiting:
        with socket.fromfd(connection.fileno(), socket.AF_UNIX, socket.SOCK_STREAM) as channel:
            while awaiting:
                _, files, _, _ = socket.recv_fds(channel, 1, _MOST_DESCRIPTORS, socket.MSG_CMSG_CLOEXEC)
                if not files:
                    raise EOFError
                for file in files:
                    awaiting.pop(0)._file = file
                    _open_files.add(file)


def close(message: Any) -> None:
    """Closes the parcels in ``message``."""
    for parcel in _parcels_in(message):
        parcel.close()


def close_inherited() -> None:
    """In a worker that was forked: closes the files of its parent's parcels, which would else take memory as long as it lives."""
    while _open_files:
        os.close(_open_files.pop())


def _parcels_in(message: Any) -> list[Parcel]:
    return [part for part in (message if isinstance(message, tuple) else (message,)) if isinstance(part, Parcel)]


def _new_file() -> int:
    file = os.memfd_create("parcel")
    _open_files.add(file)
    return file


def _write(file: int, array: memoryview, start: int) -> int:
    """Writes ``array`` at ``start``, and returns where it ends. (The system takes 2 GiB at a time, at most.)"""
    while array.nbytes:
        written = os.pwrite(file, array, start)
        array, start = array[written:], start + written
    return start


def _read(file: int | None, array: memoryview, start: int) -> None:
    while array.nbytes and file is not None:
        read = os.preadv(file, [array], start)
        if not read:
            raise EOFError
        array, start = array[read:], start + read
