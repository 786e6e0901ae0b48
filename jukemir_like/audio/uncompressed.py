"""WAV, RF64, W64, AIFF, AU and CAF: the size of the samples that the header gives, and whether it can be relied on.

While such a file is written to a pipe its size is not known, and the header gives 0 or a huge number. The samples go to the end of the file
then. libsndfile reads it so for some formats and numbers, and refuses others. And where a file is shorter than its header says,
libsndfile reads what is there, without an error.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from typing import BinaryIO

from jukemir_like.audio.stream import UNCHANGED, Stream
from jukemir_like.core.errors import InputError

UNKNOWN_SIZE = 0x7FFF0000
"""A size from here on means "unknown": programs that write to a pipe put one near 2^31 or 2^32."""

_MAX_CHUNKS = 1000  # before the samples; a damaged file may seem to have millions
_UNKNOWN_SIZE_64 = 1 << 62
_W64 = bytes.fromhex("2e91cf11a5d628db04c10000")  # behind "riff" the rest of the identifier


def streams(file: BinaryIO, header: bytes) -> list[Stream]:
    """The one stream of an open file; see :func:`jukemir_like.audio.decoding.streams`. Of any other format, the file itself.

    Args:
        file: open for reading.
        header: its first 16 bytes.

    Raises:
        InputError: it is cut short.
    """
    corrections = _corrections(file, header)
    if not corrections:
        return [UNCHANGED]
    file.seek(0)
    data = bytearray(file.read())
    for offset, field in corrections.items():
        data[offset : offset + len(field)] = field
    return [Stream(bytes(data))]


def is_promise(file: BinaryIO, promised: int, offset: int, size: int) -> bool:
    """Whether the size of a RIFF file's samples, which begin at ``offset``, was written when it was known.

    0 is true of a file without samples, in which nothing or other chunks follow; else it was never filled in.
    """
    if promised:
        return promised < UNKNOWN_SIZE
    return _chunks_end_at(file, offset, size, "<")


def check_complete(promised: int, available: int) -> None:
    """Refuses a file whose header promises more bytes of samples than it has.

    >>> check_complete(40000, 19956)
    Traceback (most recent call last):
    jukemir_like.core.errors.InputError: is cut short: 19,956 of 40,000 bytes of audio are there
    """
    if available < promised:
        raise InputError(f"is cut short: {max(0, available):,} of {promised:,} bytes of audio are there")


def _corrections(file: BinaryIO, header: bytes) -> dict[int, bytes]:
    """Fields of the header to be corrected: offset → bytes; none where libsndfile reads the file as it is."""
    size = file.seek(0, io.SEEK_END)
    kind, form = header[:4], header[8:12]
    if kind == b"RIFF" and form == b"WAVE":
        return _riff(file, size)
    if kind == b"RF64" and form == b"WAVE":
        return _rf64(file, size)
    if kind == b"riff" and header[4:] == _W64:
        return _w64(file, size)
    if kind == b"FORM" and form in (b"AIFF", b"AIFC"):
        return _aiff(file, size)
    if kind == b".snd":
        return _au(header, size)
    if kind == b"caff":
        return _caf(file, size)
    return {}


def _riff(file: BinaryIO, size: int) -> dict[int, bytes]:
    for name, start, length in _chunks(file, 12, "<4sI"):
        if name == b"data":
            if length >= UNKNOWN_SIZE:  # which libsndfile takes for unknown
                return {}
            if is_promise(file, length, start, size):
                check_complete(length, size - start)
                return {}
            return {start - 4: struct.pack("<I", min(size - start, 0xFFFFFFFF))}
    return {}


def _rf64(file: BinaryIO, size: int) -> dict[int, bytes]:
    sizes = None
    for name, start, _ in _chunks(file, 12, "<4sI"):
        if name == b"ds64":
            sizes = start
        elif name == b"data" and sizes is not None:
            file.seek(sizes + 8)
            (promised,) = struct.unpack("<Q", file.read(8).ljust(8, b"\0"))
            if 0 < promised < _UNKNOWN_SIZE_64 or size == start:
                check_complete(promised, size - start)
                return {}
            # Size of the file, of the samples, number of frames (of use for compressed samples only).
            return {sizes: struct.pack("<QQQ", size - 8, size - start, 0)}
    return {}


def _w64(file: BinaryIO, size: int) -> dict[int, bytes]:
    position = 40  # two identifiers of 16 bytes, with the length of the file between them
    for _ in range(_MAX_CHUNKS):
        file.seek(position)
        chunk = file.read(24)
        if len(chunk) < 24:
            break
        (length,) = struct.unpack_from("<Q", chunk, 16)  # counts these 24 bytes too
        if chunk[:4] == b"data":
            if 24 < length < _UNKNOWN_SIZE_64 or size == position + 24:
                check_complete(length, size - position)
                break
            return {16: struct.pack("<Q", size), position + 16: struct.pack("<Q", size - position)}
        position += -(-max(length, 24) // 8) * 8
        if position >= size:
            break
    return {}


def _aiff(file: BinaryIO, size: int) -> dict[int, bytes]:
    for name, start, length in _chunks(file, 12, ">4sI"):
        if name == b"SSND":
            # 8 bytes of offset and block size come first, and are counted.
            if length >= UNKNOWN_SIZE:  # which libsndfile takes for unknown
                return {}
            if length > 8 or size <= start + 8 or _chunks_end_at(file, start + length, size, ">"):
                check_complete(length, size - start)
                return {}
            return {start - 4: struct.pack(">I", min(size - start, 0xFFFFFFFF))}
    return {}


def _au(header: bytes, size: int) -> dict[int, bytes]:
    offset, length = struct.unpack_from(">II", header, 4)
    if not 24 <= offset < size or length == 0xFFFFFFFF:
        return {}
    if length == 0 or length >= UNKNOWN_SIZE:
        return {8: b"\xff\xff\xff\xff"}  # the format's own word for "unknown"
    check_complete(length, size - offset)
    return {}


def _caf(file: BinaryIO, size: int) -> dict[int, bytes]:
    for name, start, length in _chunks(file, 8, ">4sQ"):
        if name == b"data":
            # 4 bytes of an edit count come first, and are counted. -1 is the format's own word for "unknown".
            if size <= start + 4 or (4 < length < _UNKNOWN_SIZE_64) or (length == 4 and _chunks_end_at(file, start + 4, size, ">", "Q")):
                check_complete(length, size - start)
                return {}
            return {start - 8: struct.pack(">Q", size - start)}
    return {}


def _chunks(file: BinaryIO, position: int, layout: str) -> Iterator[tuple[bytes, int, int]]:
    """Name, offset of the contents and length of each chunk. In RIFF and AIFF they begin at even bytes, in CAF anywhere."""
    width, even = struct.calcsize(layout), layout.endswith("I")
    for _ in range(_MAX_CHUNKS):
        file.seek(position)
        header = file.read(width)
        if len(header) < width:
            return
        name, length = struct.unpack(layout, header)
        yield name, position + width, length
        position += width + length + (length % 2 if even else 0)
        if position >= 1 << 62:
            return


def _chunks_end_at(file: BinaryIO, position: int, size: int, order: str, width: str = "I") -> bool:
    """Whether from ``position`` on there is nothing, or chunks that end where the file does."""
    for _, start, length in _chunks(file, position, f"{order}4s{width}"):
        position = start + length
        if position >= size:
            break
    return size <= position <= size + 1 or size - position == 1
