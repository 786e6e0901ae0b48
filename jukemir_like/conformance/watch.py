"""Which names were written to, rather than put in place whole: asked of the kernel, so that not the briefest moment is missed."""

from __future__ import annotations

import ctypes
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_IN_MODIFY = 0x2  # inotify(7)
_EVENT = struct.Struct("iIII")  # watch, mask, cookie, length of the name


@contextmanager
def written_in(folder: Path) -> Iterator[set[str]]:
    """Yields a set that, after the block, holds the names in ``folder`` that were written to; sub-folders are not watched.

    A file that is written under another name and then renamed is not among them under its last name. Where the kernel cannot tell (not
    Linux, or no watches left) the set stays empty.
    """
    names: set[str] = set()
    descriptor = _open(folder)
    try:
        yield names
        if descriptor is not None:
            names.update(_read(descriptor))
    finally:
        if descriptor is not None:
            os.close(descriptor)


def _open(folder: Path) -> int | None:
    try:
        library = ctypes.CDLL(None)
        descriptor = int(library.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC))
    except (OSError, AttributeError):
        return None
    if descriptor < 0:
        return None
    if library.inotify_add_watch(descriptor, os.fsencode(folder), _IN_MODIFY) < 0:
        os.close(descriptor)
        return None
    return descriptor


def _read(descriptor: int) -> Iterator[str]:
    while True:
        try:
            events = os.read(descriptor, 1 << 16)
        except BlockingIOError:  # no more
            return
        position = 0
        while position < len(events):
            _, _, _, length = _EVENT.unpack_from(events, position)
            position += _EVENT.size
            yield os.fsdecode(events[position : position + length].rstrip(b"\0"))
            position += length
