"""How long WAV, RF64, W64, AIFF, AU and CAF say that they are.

While one is written to a pipe nobody knows that, and the header says 0 or a huge number. What is there is meant then, to the end of the
file. libsndfile reads it so for some formats and numbers, and for others refuses it. A size that is a promise, and is not kept, it takes
for what is there.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from typing import BinaryIO

from jukemir_like.core.errors import InputError

NO_PROMISE = 0x7FFF0000
"""A size from here on is none: programs that write to a pipe put one near 2^31 or 2^32."""

_MOST_CHUNKS = 1000  # before the samples; a damaged file may seem to have millions
_NO_PROMISE_64 = 1 << 62
_W64 = bytes.fromhex("2e91cf11a5d628db04c10000")  # behind "riff" the rest of the identifier


def is_promise(file: BinaryIO, promised: int, offset: int, size: int) -> bool:
    """Whether the size of a RIFF file's samples, which begin at ``offset``, was written when it was known.

    0 is true of a file without samples, in which nothing or other chunks follow; else it was never filled in.
    """
    if promised:
        return promised < NO_PROMISE
    return _chunks_end_at(file, offset, size, "<")


def check_complete(promised: int, there: int) -> None:
    """Refuses a file whose header promises more bytes of samples than it has: libsndfile would read what is there, and not say so."""
    if there < promised:
        raise InputError(f"is cut short: {max(0, there):,} of {promised:,} bytes of audio are there")


def patches(file: BinaryIO, head: bytes) -> dict[int, bytes]:
    """Fields to be written over before libsndfile reads the file: offset → bytes; none where it can read it as it is.

    Args:
        file: open for reading.
        head: its first 16 bytes.

    Raises:
        InputError: it is cut short.
    """
    size = file.seek(0, io.SEEK_END)
    kind, form = head[:4], head[8:12]
    if kind == b"RIFF" and form == b"WAVE":
        return _riff(file, size)
    if kind == b"RF64" and form == b"WAVE":
        return _rf64(file, size)
    if kind == b"riff" and head[4:] == _W64:
        return _w64(file, size)
    if kind == b"FORM" and form in (b"AIFF", b"AIFC"):
        return _aiff(file, size)
    if kind == b".snd":
        return _au(head, size)
    if kind == b"caff":
        return _caf(file, size)
    return {}


def _riff(file: BinaryIO, size: int) -> dict[int, bytes]:
    for name, at, length in _chunks(file, 12, "<4sI"):
        if name == b"data":
            if length >= NO_PROMISE:  # which libsndfile knows
                return {}
            if is_promise(file, length, at, size):
                check_complete(length, size - at)
                return {}
            return {at - 4: struct.pack("<I", min(size - at, 0xFFFFFFFF))}
    return {}


def _rf64(file: BinaryIO, size: int) -> dict[int, bytes]:
    sizes = None
    for name, at, _ in _chunks(file, 12, "<4sI"):
        if name == b"ds64":
            sizes = at
        elif name == b"data" and sizes is not None:
            file.seek(sizes + 8)
            (promised,) = struct.unpack("<Q", file.read(8).ljust(8, b"\0"))
            if 0 < promised < _NO_PROMISE_64 or size == at:
                check_complete(promised, size - at)
                return {}
            # Size of the file, of the samples, number of frames (of use for compressed samples only).
            return {sizes: struct.pack("<QQQ", size - 8, size - at, 0)}
    return {}


def _w64(file: BinaryIO, size: int) -> dict[int, bytes]:
    position = 40  # two identifiers of 16 bytes, with the length of the file between them
    for _ in range(_MOST_CHUNKS):
        file.seek(position)
        head = file.read(24)
        if len(head) < 24:
            break
        (length,) = struct.unpack_from("<Q", head, 16)  # counts these 24 bytes too
        if head[:4] == b"data":
            if 24 < length < _NO_PROMISE_64 or size == position + 24:
                check_complete(length, size - position)
                break
            return {16: struct.pack("<Q", size), position + 16: struct.pack("<Q", size - position)}
        position += -(-max(length, 24) // 8) * 8
        if position >= size:
            break
    return {}


def _aiff(file: BinaryIO, size: int) -> dict[int, bytes]:
    for name, at, length in _chunks(file, 12, ">4sI"):
        if name == b"SSND":
            # 8 bytes of offset and block size come first, and are counted.
            if length >= NO_PROMISE:  # which libsndfile knows
                return {}
            if length > 8 or size <= at + 8 or _chunks_end_at(file, at + length, size, ">"):
                check_complete(length, size - at)
                return {}
            return {at - 4: struct.pack(">I", min(size - at, 0xFFFFFFFF))}
    return {}


def _au(head: bytes, size: int) -> dict[int, bytes]:
    offset, length = struct.unpack_from(">II", head, 4)
    if not 24 <= offset < size or length == 0xFFFFFFFF:
        return {}
    if length == 0 or length >= NO_PROMISE:
        return {8: b"\xff\xff\xff\xff"}  # the format's own word for "unknown"
    check_complete(length, size - offset)
    return {}


def _caf(file: BinaryIO, size: int) -> dict[int, bytes]:
    for name, at, length in _chunks(file, 8, ">4sQ"):
        if name == b"data":
            # 4 bytes of an edit count come first, and are counted. -1 is the format's own word for "unknown".
            if size <= at + 4 or (4 < length < _NO_PROMISE_64) or (length == 4 and _chunks_end_at(file, at + 4, size, ">", "Q")):
                check_complete(length, size - at)
                return {}
            return {at - 8: struct.pack(">Q", size - at)}
    return {}


def _chunks(file: BinaryIO, position: int, layout: str) -> Iterator[tuple[bytes, int, int]]:
    """Name, place of the contents and length of each chunk. In RIFF and AIFF they begin at even bytes, in CAF anywhere."""
    width, even = struct.calcsize(layout), layout.endswith("I")
    for _ in range(_MOST_CHUNKS):
        file.seek(position)
        head = file.read(width)
        if len(head) < width:
            return
        name, length = struct.unpack(layout, head)
        yield name, position + width, length
        position += width + length + (length % 2 if even else 0)
        if position >= 1 << 62:
            return


def _chunks_end_at(file: BinaryIO, position: int, size: int, order: str, width: str = "I") -> bool:
    """Whether from ``position`` on there is nothing, or chunks that end where the file does."""
    for _, at, length in _chunks(file, position, f"{order}4s{width}"):
        position = at + length
        if position >= size:
            break
    return size <= position <= size + 1 or size - position == 1
