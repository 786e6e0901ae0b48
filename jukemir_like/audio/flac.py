"""FLAC (RFC 9639): the number of samples in the first metadata block may be 0, "unknown", or wrong, and files may have been joined.

Each frame's header has its number, so that the last frame gives the length.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from typing import BinaryIO

from jukemir_like.audio.stream import UNCHANGED, Stream
from jukemir_like.core.errors import InputError

_BLOCKS = (b"\0\0\0\x22", b"\x80\0\0\x22")  # the header of the block that must follow the marker of a file
_SYNC = (b"\xff\xf8", b"\xff\xf9")
_PROBES = 8  # places at which frames are compared
_LARGEST_FRAME = 1 << 20  # bytes that are searched for the last frame, where the file does not say how large its frames are
_TOTAL = (1 << 36) - 1


def streams(data: bytes, start: int) -> list[Stream]:
    """The files in a file; see :func:`jukemir_like.audio.decoding.streams`."""
    declared, block, frame = _declared(data, start), _block(data, start), _first_frame(data, start)
    # The cheap check, enough for nearly all files: the last frame ends where the header says, and the frames before are in order.
    if declared and _ending(data, frame, len(data), block) == declared and _are_in_order(data, frame, block):
        return [UNCHANGED]
    starts = [start]
    position = data.find(b"fLaC", frame)
    while position >= 0:
        if data.startswith(_BLOCKS, position + 4):
            starts.append(position)
        position = data.find(b"fLaC", position + 4)
    ends = [*starts[1:], len(data)]
    return [_stream(data, first, last, is_alone=len(starts) == 1) for first, last in zip(starts, ends, strict=True)]


def ends_as_declared(file: BinaryIO) -> bool:
    """Whether an open file seems to be one FLAC that ends where its header says; only its beginning and its end are read."""
    file.seek(0)
    header = file.read(26)
    declared = _declared(header, 0)
    if header[:4] != b"fLaC" or not declared:
        return False
    size = file.seek(0, io.SEEK_END)
    file.seek(max(len(header), size - _LARGEST_FRAME))
    tail = file.read(_LARGEST_FRAME)
    return _ending(tail, 0, len(tail), _block(header, 0)) == declared


def _stream(data: bytes, start: int, end: int, *, is_alone: bool) -> Stream:
    declared, block, frame = _declared(data, start), _block(data, start), _first_frame(data, start)
    total = _length(data, frame, end, block)
    if total is None:
        if not declared:
            raise InputError("does not say how long it is, and does not end as a FLAC does: it is cut short, or something was added")
        if is_alone:
            return UNCHANGED
        total = declared
    if is_alone and total == declared:
        return UNCHANGED
    if total < declared:
        raise InputError(f"is cut short: {total:,} of {declared:,} samples are there")
    part = bytearray(data[start:end])
    field = struct.unpack_from(">Q", part, 18)[0]
    struct.pack_into(">Q", part, 18, field & ~_TOTAL | total)
    return Stream(bytes(part))


def _first_frame(data: bytes, start: int) -> int:
    """Where the metadata blocks of a file end."""
    position, last = start + 4, False
    while not last and position + 4 <= len(data):
        last = bool(data[position] & 0x80)
        position += 4 + int.from_bytes(data[position + 1 : position + 4], "big")
    return position


def _declared(data: bytes, start: int) -> int:
    """Samples per channel by the header at ``start``; 0: it does not say."""
    return struct.unpack_from(">Q", data, start + 18)[0] & _TOTAL if start + 26 <= len(data) else 0


def _block(data: bytes, start: int) -> int:
    """Samples per channel of a frame by the header: where blocks have one size, the unit of the frames' numbers."""
    return int.from_bytes(data[start + 8 : start + 10], "big")


def _ending(data: bytes, start: int, end: int, block: int) -> int | None:
    """The number of the sample behind what seems to be the last frame."""
    return next(filter(None, (_end_of_frame(data, position, block) for position in _candidates(data, start, end))), None)


def _are_in_order(data: bytes, start: int, block: int) -> bool:
    """Whether frames here and there have rising numbers; not so where files were joined."""
    latest = 0
    for probe in range(1, _PROBES):
        position = start + (len(data) - start) * probe // _PROBES
        number = None
        while number is None and (position := data.find(b"\xff", position + 1)) >= 0:
            if data.startswith(_SYNC, position):
                number = _end_of_frame(data, position, block)
        if number is not None and number < latest:
            return False
        latest = number or latest
    return True


def _length(data: bytes, start: int, end: int, block: int) -> int | None:
    """Samples up to the end of the last frame, which is the one whose checksum is right; None where there is none such."""
    if data.startswith(b"TAG", end - 128):
        end -= 128
    for position in _candidates(data, start, end):
        if (total := _end_of_frame(data, position, block)) is not None and _crc(data[position:end], 16, 0x8005) == 0:
            return total
    return None


def _candidates(data: bytes, start: int, end: int) -> Iterator[int]:
    """Where the last frame may begin, the last place first."""
    start = max(start, end - _LARGEST_FRAME)
    position = data.rfind(b"\xff", start, end)
    while position >= 0:
        if data.startswith(_SYNC, position):
            yield position
        position = data.rfind(b"\xff", start, position)


def _end_of_frame(data: bytes, position: int, block: int) -> int | None:
    """The number of the sample behind the frame at ``position`` in its stream; None where there is no header of a frame."""
    header = data[position : position + 16].ljust(16, b"\0")
    number, end = _number(header, 4)
    size, rate = header[2] >> 4, header[2] & 15  # codes of the number of samples and of the sample rate
    if number is None or size == 0 or rate == 15:
        return None
    if size in (6, 7):
        width = size - 5  # 8 or 16 bits behind the number
        samples = 1 + int.from_bytes(header[end : end + width], "big")
        end += width
    else:
        samples = 192 if size == 1 else 576 << size - 2 if size < 6 else 256 << size - 8
    end += {12: 1, 13: 2, 14: 2}.get(rate, 0)
    if _crc(header[: end + 1], 8, 0x07) != 0:
        return None
    if header[1] & 1:  # blocks of varying size: frames are numbered by their first sample
        return number + samples
    return number * block + samples


def _number(header: bytes, start: int) -> tuple[int | None, int]:
    """A number that is coded as UTF-8 codes characters, up to 36 bits; and where it ends."""
    first = header[start]
    if first < 0x80:
        return first, start + 1
    length = 8 - (first ^ 0xFF).bit_length()  # as many ones as the first byte begins with
    if not 2 <= length <= 7 or any(byte & 0xC0 != 0x80 for byte in header[start + 1 : start + length]):
        return None, start
    number = first & (0x7F >> length)
    for byte in header[start + 1 : start + length]:
        number = number << 6 | byte & 0x3F
    return number, start + length


def _crc(data: bytes, bits: int, polynomial: int) -> int:
    """The remainder of ``data``, checksum included: 0 where that is right."""
    top, mask = 1 << bits, (1 << bits) - 1
    table = _TABLES.get(bits)
    if table is None:
        table = []
        for value in range(256):
            remainder = value << bits - 8
            for _ in range(8):
                remainder <<= 1
                if remainder & top:
                    remainder ^= top | polynomial
            table.append(remainder & mask)
        _TABLES[bits] = table
    remainder = 0
    for byte in data:
        remainder = (remainder << 8 & mask) ^ table[(remainder >> bits - 8) ^ byte]
    return remainder


_TABLES: dict[int, list[int]] = {}
