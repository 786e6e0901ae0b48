"""The inputs of a large folder, listed once for all of its batches: one file from which a batch reads its own slice.

Names in the order of the batches stand in blocks of :data:`BLOCK`; after them where each block is and its CRC-32; at the end, as JSON, the
folders that were listed, each as it was (:class:`jukemir_like.audio.inputs.FolderState`), and how long this JSON is. So a slice costs the
same in a folder of a thousand files and in one of a million: the end, a block or two, and one question per folder.

The file counts only where every folder still is as it was. One that is cut short, damaged, of another folder or out of date is no manifest;
then the folder is listed again.
"""

from __future__ import annotations

import itertools
import json
import os
import struct
import time
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

from jukemir_like.audio import inputs
from jukemir_like.core import atomic, files

FILE = "inputs.manifest"
BLOCK = 256
"""Names per block."""

_FORMAT = 1
_ENTRY = struct.Struct("<QII")  # of a block: where it begins, bytes, CRC-32
_END = struct.Struct("<QI8s")  # bytes of the JSON before it, their CRC-32, _MAGIC
_MAGIC = b"inputs\r\n"
_RACY_SECONDS = 2.0
"""A change of a folder may leave its time as it was, if the change before was so short a time ago: FAT counts in steps of two seconds."""
_LARGEST_END = 1 << 28


class DamagedManifestError(Exception):
    """A block is not what was written."""


@dataclass(frozen=True)
class Manifest:
    """A manifest that can be trusted.

    Args:
        path: of the file.
        count: of inputs.
        unreadable: sub-folders that cannot be read → why.
    """

    path: Path
    count: int
    unreadable: dict[str, str]
    _table: int
    _bytes: int

    def names(self, start: int, stop: int) -> list[str]:
        """Relative paths of the inputs [start, stop), as many of them as there are.

        Raises:
            DamagedManifestError: they cannot be read, or are not what was written.
        """
        stop = min(stop, self.count)
        if start >= stop:
            return []
        first, last = start // BLOCK, (stop - 1) // BLOCK
        names: list[bytes] = []
        try:
            with files.open_regular(self.path) as file:
                if os.fstat(file.fileno()).st_size != self._bytes:
                    raise DamagedManifestError(self.path)
                entries = _read(file.fileno(), self._table + first * _ENTRY.size, (last - first + 1) * _ENTRY.size)
                for block, (begin, size, crc) in enumerate(_ENTRY.iter_unpack(entries), first):
                    data = _read(file.fileno(), begin, size) if begin + size <= self._table else b""
                    part = data.split(b"\0")
                    # The number of the block is in its sum, so that no block passes for another.
                    if zlib.crc32(data, block) != crc or len(part) != min(BLOCK, self.count - block * BLOCK):
                        raise DamagedManifestError(self.path)
                    names += part
        except (OSError, struct.error) as error:
            raise DamagedManifestError(self.path) from error
        return [os.fsdecode(name) for name in names[start - first * BLOCK : stop - first * BLOCK]]


def read(path: Path, folder: Path) -> Manifest | None:
    """The manifest at ``path``; None where there is none, or it does not say what is in ``folder`` now."""
    try:
        with files.open_regular(path) as file:
            size = os.fstat(file.fileno()).st_size
            length, crc, magic = _END.unpack(_read(file.fileno(), size - _END.size, _END.size) if size > _END.size else bytes(_END.size))
            if magic != _MAGIC or not 0 < length <= min(size - _END.size, _LARGEST_END):
                return None
            data = _read(file.fileno(), size - _END.size - length, length)
        if zlib.crc32(data) != crc:
            return None
        end = json.loads(data)
        if end["format"] != [_FORMAT, BLOCK, sorted(inputs.EXTENSIONS)] or end["bytes"] != size:
            return None
        listed = itertools.starmap(inputs.FolderState, end["folders"])
        if not inputs.is_current(folder, listed, end["unreadable"], end["lost_links"]):
            return None
        return Manifest(path, end["count"], end["unreadable"], end["table"], size)
    except (OSError, ValueError, KeyError, TypeError, struct.error):
        return None


class Clock:
    """When a listing began, by the clock of a file system that can be asked only afterwards."""

    def __init__(self) -> None:
        self._local, self._monotonic = time.time(), time.monotonic()

    def began(self, folder: Path, listed: Path) -> float:
        """Seconds since 1970 at which this was made, by the clock of the file system of ``folder``, which can be written.

        Where ``listed`` is on another file system, whose clock cannot be asked, the earlier of that and this machine's.
        """
        began = atomic.file_system_time(folder) - (time.monotonic() - self._monotonic)
        return began if folder.stat().st_dev == listed.stat().st_dev else min(began, self._local)


def write(path: Path, folder: Path, listing: inputs.Listing, clock: Clock, *, temporary_folder: Path | None = None) -> bool:
    """Writes the manifest of ``folder`` to ``path``, whole or not at all; whether it did.

    Nothing is written where a folder had changed less than two seconds before it was listed: another change may leave no trace in its time.

    Args:
        path: of the file.
        folder: that was listed.
        listing: its inputs; no two with one output.
        clock: made before the listing.
        temporary_folder: see :func:`jukemir_like.core.atomic.atomic_write`.

    Raises:
        StorageError: it cannot be written.
    """
    latest = max(max(state.mtime_ns, state.ctime_ns) for state in listing.folders)
    writable = atomic.make_folder(temporary_folder or path.parent)
    if latest > (clock.began(writable, folder) - _RACY_SECONDS) * 1e9:
        return False
    with atomic.atomic_write(path, temporary_folder) as temporary, open(temporary, "wb") as file:
        file.writelines(_content(listing))
    return True


def _content(listing: inputs.Listing) -> Iterator[bytes]:
    position, table = 0, bytearray()
    for block, part in enumerate(_parts(listing.names)):
        table += _ENTRY.pack(position, len(part), zlib.crc32(part, block))
        position += len(part)
        yield part
    yield bytes(table)
    end: dict[str, Any] = {
        "format": [_FORMAT, BLOCK, sorted(inputs.EXTENSIONS)],
        "count": len(listing.names),
        "table": position,
        "folders": [astuple(state) for state in listing.folders],
        "unreadable": listing.unreadable,
        "lost_links": listing.lost_links,
        "bytes": 10**18,  # as many digits as the number that takes its place
    }
    size = position + len(table) + len(json.dumps(end)) + _END.size
    data = json.dumps(end | {"bytes": size}).encode()
    data += b" " * (size - position - len(table) - _END.size - len(data))
    yield data
    yield _END.pack(len(data), zlib.crc32(data), _MAGIC)


def _parts(names: Iterable[bytes]) -> Iterator[bytes]:
    iterator = iter(names)
    while part := b"\0".join(itertools.islice(iterator, BLOCK)):
        yield part


def _read(descriptor: int, position: int, size: int) -> bytes:
    data = os.pread(descriptor, size, position)
    if len(data) != size:
        raise OSError("is cut short")
    return data
