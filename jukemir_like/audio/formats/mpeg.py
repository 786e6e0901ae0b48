"""MPEG audio (MP3, and layers I and II), frame by frame.

The format has no header of a file: each frame has its own (ISO/IEC 11172-3, 13818-3). How long a file is stands in the Xing or Info
tag, a first frame of silence, if the encoder wrote one and nobody cut or joined the file since; without one, libsndfile guesses from the
first frame's size. The frames are counted here, which costs a hundredth of decoding them.
"""

from __future__ import annotations

import re
import struct
from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import BinaryIO

from jukemir_like.audio.formats.stream import AS_IT_IS, Stream
from jukemir_like.core.errors import InputError

_HEADER = re.compile(rb"\xff[\xe2-\xe7\xf2-\xff][\x10-\xef]", re.DOTALL)  # what a frame may begin with, free format left out
_RATES = (44100, 48000, 32000)
_BITRATES = {  # kbit/s, ISO 11172-3 table 2.4.2.3 and 13818-3 table 1; the first index is that of free format
    (True, 1): (0, 32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (True, 2): (0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (True, 3): (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (False, 1): (0, 32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (False, 2): (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (False, 3): (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_JUNK = 1000  # bytes between frames that libsndfile's decoder passes over by itself (it gives up after 1,024)
_IN_A_ROW = 3  # headers, each where the one before says, that make bytes into frames


@dataclass(frozen=True)
class _Format:
    """What must not change inside a stream."""

    sample_rate: int
    channels: int
    layer: int
    first_version: bool  # MPEG-1

    @property
    def samples(self) -> int:
        """Samples of each channel in a frame."""
        return 384 if self.layer == 1 else 1152 if self.layer == 2 or self.first_version else 576

    @property
    def tag_offset(self) -> int:
        """Where in a frame a Xing tag stands: behind the header and the side information."""
        return 4 + ((32 if self.channels == 2 else 17) if self.first_version else (17 if self.channels == 2 else 9))


@cache
def _format(sample_rate: int, channels: int, layer: int, first_version: bool) -> _Format:
    """One object for each format, so that looking at thousands of frames compares no fields."""
    return _Format(sample_rate, channels, layer, first_version)


def is_frame(head: bytes) -> bool:
    """Whether a file may be of MPEG audio, from its first bytes."""
    return len(head) >= 4 and _parsed(head) is not None


def after_tags(file: BinaryIO) -> int:
    """The first byte behind the ID3v2 tags that a file begins with."""
    position = 0
    while (head := _at(file, position, 10))[:3] == b"ID3" and (length := _id3_length(head)):
        position += length
    return position


def streams(data: bytes, start: int, declared: Callable[[], int]) -> list[Stream]:
    """The streams of a file whose first frame is at ``start``; see :func:`jukemir_like.audio.formats.streams`."""
    frames = _walk(data, start)
    if frames is None:
        return [AS_IT_IS]
    tags = _tagged(data, frames)
    counted = len(frames.starts) - (frames.starts[0] in tags)
    per_frame = frames.format.samples
    room = (counted + 2) * per_frame
    least = max(0, counted - 4) * per_frame  # encoders' delay and padding are cut off: no more than four frames
    if len(tags) - (frames.starts[0] in tags) == 0 and frames.junk <= _JUNK:
        said = tags.get(frames.starts[0], 0) * per_frame or declared()
        if said >= counted * per_frame:
            return [Stream(room=room, least=least)]
    cuts = [0, *(index for index in (bisect_left(frames.starts, tag) for tag in tags) if index), len(frames.starts)]
    return [_stream(data, frames, first, last, tags) for first, last in pairwise(cuts)]


@dataclass(frozen=True)
class _Frames:
    format: _Format
    starts: list[int]
    ends: list[int]
    junk: int  # the longest stretch that is neither frame nor tag, or that is behind the last frame


def _walk(data: bytes, start: int) -> _Frames | None:
    """All frames; None where no more than a few follow each other, or their size cannot be told (free format)."""
    known: dict[bytes, tuple[int, _Format] | None] = {}  # headers; there are few different ones in a file

    def frame_at(position: int) -> tuple[int, _Format] | None:
        head = data[position : position + 4]
        if head not in known:
            known[head] = _parsed(head)
        return known[head]

    def begins(position: int) -> tuple[int, _Format] | None:
        """The frame at ``position`` if others of its kind follow it, or the file ends with it."""
        one = found = frame_at(position)
        if one is None or position + one[0] > len(data):
            return None
        for _ in range(_IN_A_ROW - 1):
            if found is None or found[1] != one[1]:
                return None
            position += found[0]
            if position >= len(data) - 128 and form in (None, one[1]):  # the end, or nearly: an ID3v1 tag
                break
            found = frame_at(position)
        return one if found is not None and found[1] == one[1] else None

    form: _Format | None = None
    first, opening = start, begins(start)
    if opening is None:  # damaged at its beginning
        for candidate in _HEADER.finditer(data, start + 4):
            first, opening = candidate.start(), begins(candidate.start())
            if opening is not None:
                break
        else:
            return None
    form = opening[1]
    at_start = frame_at(start)
    if at_start is not None and at_start[1] == form:
        first = start
    starts: list[int] = []
    ends: list[int] = []
    junk, position, size = (0 if first == start else _JUNK + 1), first, len(data)
    while position < size:
        found = known.get(data[position : position + 4]) or frame_at(position)
        if found is not None and found[1] is form and position + found[0] <= size:
            starts.append(position)
            position += found[0]
            ends.append(position)
            continue
        behind = _behind_tag(data, position)
        if behind > position:
            position = behind
            continue
        # A damaged header may have said too much: what follows is looked for from behind the header of the last frame.
        lost, resumed = position, None
        for candidate in _HEADER.finditer(data, starts[-1] + 4):
            resumed = begins(candidate.start())
            if resumed is not None:
                break
        if resumed is None:
            break
        if resumed[1] != form:
            raise InputError(f"changes from {_described(form)} to {_described(resumed[1])} in the middle: split it there")
        position = candidate.start()
        ends[-1] = min(ends[-1], position)
        junk = max(junk, position - lost)
    # A decoder may take bytes of a large tag behind the last frame for frames.
    behind = size - ends[-1] - (128 if data.startswith(b"TAG", size - 128) else 0)
    return _Frames(form, starts, ends, max(junk, behind))


def _parsed(head: bytes) -> tuple[int, _Format] | None:
    """Bytes of a frame, and its format, from its header; None where it is none, or free format."""
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE0 != 0xE0:
        return None
    version, layer, index, rate = head[1] >> 3 & 3, 4 - (head[1] >> 1 & 3), head[2] >> 4, head[2] >> 2 & 3
    if version == 1 or layer == 4 or not 0 < index < 15 or rate == 3:
        return None
    first_version = version == 3
    sample_rate = _RATES[rate] >> (0 if first_version else 1 if version == 2 else 2)
    form = _format(sample_rate, 1 if head[3] >> 6 == 3 else 2, layer, first_version)
    padding = head[2] >> 1 & 1
    bits = 1000 * _BITRATES[first_version, layer][index]
    size = (12 * bits // sample_rate + padding) * 4 if layer == 1 else form.samples // 8 * bits // sample_rate + padding
    return size, form


def _tagged(data: bytes, frames: _Frames) -> dict[int, int]:
    """Where frames begin that hold a Xing or Info tag, in order, and how many frames each promises (0: it does not say)."""
    found = {}
    if frames.format.layer != 3:
        return {}
    for word in (b"Xing", b"Info"):
        position = data.find(word)
        while position >= 0:
            start = position - frames.format.tag_offset
            index = bisect_left(frames.starts, start)
            if index < len(frames.starts) and frames.starts[index] == start and not any(data[start + 6 : position]):
                flags, count = struct.unpack_from(">II", data, position + 4)
                found[start] = count if flags & 1 else 0
            position = data.find(word, position + 4)
    return dict(sorted(found.items()))


def _stream(data: bytes, frames: _Frames, first: int, last: int, tags: dict[int, int]) -> Stream:
    """Some of the frames as a stream that libsndfile decodes to its end."""
    starts, ends, form = frames.starts[first:last], frames.ends[first:last], frames.format
    tagged = starts[0] in tags
    counted = len(starts) - tagged
    room, least = (counted + 2) * form.samples, max(0, counted - 4) * form.samples
    if said := tags.get(starts[0], 0):
        whole = _joined(data, starts, ends)
        if said < counted:
            struct.pack_into(">I", whole, form.tag_offset + 8, counted)
        return Stream(bytes(whole), room=room, least=least)
    # What libsndfile guesses from the smallest frame that there may be is enough. A tag would do, but that it cuts off the decoder's delay.
    whole = _joined(data, starts[tagged:], ends[tagged:])
    _mute_beginning(whole, [end - start for start, end in zip(starts[tagged:], ends[tagged:], strict=True)], form)
    return Stream(_silence(data[starts[0] : starts[0] + 4]) + whole, room=room, skip=form.samples, least=least)


def _joined(data: bytes, starts: list[int], ends: list[int]) -> bytearray:
    return bytearray().join(data[start:end] for start, end in zip(starts, ends, strict=True))


def _silence(header: bytes) -> bytes:
    """The smallest frame of the kind that begins with ``header``: all zeros is silence in each layer."""
    smallest = bytes([0xFF, header[1] | 1, 0x10 | header[2] & 0x0C, header[3] & 0xF0])
    parsed = _parsed(smallest)
    return smallest.ljust(parsed[0] if parsed else 0, b"\0")


def _mute_beginning(whole: bytearray, sizes: list[int], form: _Format) -> None:
    """Silences frames of a stream that was cut out of another, as a decoder does: their bits stand in frames that are not there.

    (In layer III a frame's bits may begin in earlier frames, 9 bits say how many bytes before, or 8 in MPEG-2. They would be taken from
    the frame of silence.)
    """
    position = there = 0
    for size in sizes if form.layer == 3 else ():
        side = position + (4 if whole[position + 1] & 1 else 6)
        before = whole[side] << 1 | whole[side + 1] >> 7 if form.first_version else whole[side]
        if before <= there:
            return
        whole[side : side + form.tag_offset - 4] = bytes(form.tag_offset - 4)
        there += max(0, position + size - side - form.tag_offset + 4)
        position += size


def _behind_tag(data: bytes, position: int) -> int:
    """The first byte behind the tag (ID3v1, ID3v2, APE) at ``position``; ``position`` itself where there is none."""
    if data.startswith(b"ID3", position):
        return position + _id3_length(data[position : position + 10])
    if data.startswith(b"TAG", position):
        return position + 128
    if data.startswith(b"APETAGEX", position) and position + 24 <= len(data):
        return position + 32 + struct.unpack_from("<I", data, position + 12)[0]  # type: ignore[no-any-return]
    return position


def _id3_length(head: bytes) -> int:
    if len(head) < 10 or any(byte & 0x80 for byte in head[6:10]):
        return 0
    length = head[6] << 21 | head[7] << 14 | head[8] << 7 | head[9]
    return 10 + length + (10 if head[5] & 0x10 else 0)


def _described(form: _Format) -> str:
    return f"{form.sample_rate} Hz, {form.channels} channel{'s' * (form.channels > 1)}"


def _at(file: BinaryIO, position: int, count: int) -> bytes:
    file.seek(position)
    return file.read(count)
