"""MPEG audio (MP3, and layers I and II), frame by frame.

A file has no header: each frame has its own (ISO/IEC 11172-3, 13818-3). The number of frames is in the Xing or Info tag, a first frame of
silence, if the encoder wrote one and nobody cut or joined the file since; without one, libsndfile estimates it from the first frame's
size. The frames are counted here, which costs a hundredth of decoding them.
"""

from __future__ import annotations

import re
import struct
from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from itertools import pairwise

from jukemir_like.audio.stream import UNCHANGED, Stream, id3_length
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
_MAX_JUNK = 1000  # bytes between frames that libsndfile's decoder passes over by itself (it gives up after 1,024)
_IN_A_ROW = 3  # headers, each where the frame before ends, by which bytes are known to be frames


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


def is_frame(header: bytes) -> bool:
    """Whether a file may be MPEG audio, from its first bytes."""
    return len(header) >= 4 and _parsed(header) is not None


def streams(data: bytes, start: int, declared: Callable[[], int]) -> list[Stream]:
    """The streams of a file whose first frame is at ``start``; see :func:`jukemir_like.audio.decoding.streams`."""
    frames = _walk(data, start)
    if frames is None:
        return [UNCHANGED]
    tags = _tagged(data, frames)
    counted = len(frames.starts) - (frames.starts[0] in tags)  # the tag's own frame is none of sound
    per_frame = frames.format.samples
    max_samples = (counted + 2) * per_frame
    min_samples = max(0, counted - 4) * per_frame  # encoders' delay and padding are cut off: no more than four frames
    if len(tags) - (frames.starts[0] in tags) == 0 and frames.junk <= _MAX_JUNK:
        expected = tags.get(frames.starts[0], 0) * per_frame or declared()
        if expected >= counted * per_frame:
            return [Stream(max_samples=max_samples, min_samples=min_samples)]
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
        header = data[position : position + 4]
        if header not in known:
            known[header] = _parsed(header)
        return known[header]

    def confirmed_frame_at(position: int) -> tuple[int, _Format] | None:
        """The frame at ``position`` if others of its kind follow it, or the file ends with it."""
        first_frame = frame = frame_at(position)
        if first_frame is None or position + first_frame[0] > len(data):
            return None
        for _ in range(_IN_A_ROW - 1):
            if frame is None or frame[1] != first_frame[1]:
                return None
            position += frame[0]
            if position >= len(data) - 128 and form in (None, first_frame[1]):  # the end, or nearly: an ID3v1 tag
                break
            frame = frame_at(position)
        return first_frame if frame is not None and frame[1] == first_frame[1] else None

    form: _Format | None = None
    first, opening = start, confirmed_frame_at(start)
    if opening is None:  # damaged at its beginning
        for candidate in _HEADER.finditer(data, start + 4):
            first, opening = candidate.start(), confirmed_frame_at(candidate.start())
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
    junk, position, size = (0 if first == start else _MAX_JUNK + 1), first, len(data)
    while position < size:
        frame = known.get(data[position : position + 4]) or frame_at(position)
        if frame is not None and frame[1] is form and position + frame[0] <= size:
            starts.append(position)
            position += frame[0]
            ends.append(position)
            continue
        after_tag = _after_tag(data, position)
        if after_tag > position:
            position = after_tag
            continue
        # A damaged header may have given too large a size: the search begins right behind the header of the last frame.
        lost, resumed = position, None
        for candidate in _HEADER.finditer(data, starts[-1] + 4):
            resumed = confirmed_frame_at(candidate.start())
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
    rest = size - ends[-1] - (128 if data.startswith(b"TAG", size - 128) else 0)
    return _Frames(form, starts, ends, max(junk, rest))


def _parsed(header: bytes) -> tuple[int, _Format] | None:
    """Bytes of a frame, and its format, from its header; None where it is none, or free format."""
    if len(header) < 4 or header[0] != 0xFF or header[1] & 0xE0 != 0xE0:
        return None
    version, layer, index, rate = header[1] >> 3 & 3, 4 - (header[1] >> 1 & 3), header[2] >> 4, header[2] >> 2 & 3
    if version == 1 or layer == 4 or not 0 < index < 15 or rate == 3:
        return None
    first_version = version == 3
    sample_rate = _RATES[rate] >> (0 if first_version else 1 if version == 2 else 2)
    form = _format(sample_rate, 1 if header[3] >> 6 == 3 else 2, layer, first_version)
    padding = header[2] >> 1 & 1
    bits = 1000 * _BITRATES[first_version, layer][index]
    size = (12 * bits // sample_rate + padding) * 4 if layer == 1 else form.samples // 8 * bits // sample_rate + padding
    return size, form


def _tagged(data: bytes, frames: _Frames) -> dict[int, int]:
    """Where frames begin that hold a Xing or Info tag, in order → how many frames each promises (0: it does not say)."""
    counts = {}
    if frames.format.layer != 3:
        return {}
    for word in (b"Xing", b"Info"):
        position = data.find(word)
        while position >= 0:
            start = position - frames.format.tag_offset
            index = bisect_left(frames.starts, start)
            if index < len(frames.starts) and frames.starts[index] == start and not any(data[start + 6 : position]):
                flags, count = struct.unpack_from(">II", data, position + 4)
                counts[start] = count if flags & 1 else 0
            position = data.find(word, position + 4)
    return dict(sorted(counts.items()))


def _stream(data: bytes, frames: _Frames, first: int, last: int, tags: dict[int, int]) -> Stream:
    """Some of the frames as a stream that libsndfile decodes to its end."""
    starts, ends, form = frames.starts[first:last], frames.ends[first:last], frames.format
    tagged = starts[0] in tags
    counted = len(starts) - tagged
    max_samples, min_samples = (counted + 2) * form.samples, max(0, counted - 4) * form.samples
    if promised := tags.get(starts[0], 0):
        joined = _joined(data, starts, ends)
        if promised < counted:
            struct.pack_into(">I", joined, form.tag_offset + 8, counted)
        return Stream(bytes(joined), max_samples=max_samples, min_samples=min_samples)
    # libsndfile estimates the length from the first frame's size: the smallest frame that there may be, put first, makes that enough. A tag
    # would do too, but then libsndfile cuts off the decoder's delay.
    joined = _joined(data, starts[tagged:], ends[tagged:])
    _mute_beginning(joined, [end - start for start, end in zip(starts[tagged:], ends[tagged:], strict=True)], form)
    silence = _silence(data[starts[0] : starts[0] + 4])
    return Stream(silence + joined, max_samples=max_samples, skip_samples=form.samples, min_samples=min_samples)


def _joined(data: bytes, starts: list[int], ends: list[int]) -> bytearray:
    return bytearray().join(data[start:end] for start, end in zip(starts, ends, strict=True))


def _silence(header: bytes) -> bytes:
    """The smallest frame of the kind that begins with ``header``: all zeros is silence in each layer."""
    smallest = bytes([0xFF, header[1] | 1, 0x10 | header[2] & 0x0C, header[3] & 0xF0])
    parsed = _parsed(smallest)
    return smallest.ljust(parsed[0] if parsed else 0, b"\0")


def _mute_beginning(joined: bytearray, sizes: list[int], form: _Format) -> None:
    """Silences frames of a stream that was cut out of another, as a decoder does: their bits stand in frames that are missing.

    (In layer III a frame's bits may begin in earlier frames: 9 bits of its side information, 8 in MPEG-2, give how many bytes before. They
    would be taken from the frame of silence.)
    """
    position = available = 0  # bytes of sound in the frames before
    for size in sizes if form.layer == 3 else ():
        side = position + (4 if joined[position + 1] & 1 else 6)  # behind the header, and its checksum if it has one
        needed = joined[side] << 1 | joined[side + 1] >> 7 if form.first_version else joined[side]
        if needed <= available:
            return
        joined[side : side + form.tag_offset - 4] = bytes(form.tag_offset - 4)
        available += max(0, position + size - side - form.tag_offset + 4)
        position += size


def _after_tag(data: bytes, position: int) -> int:
    """The first byte behind the tag (ID3v1, ID3v2, APE) at ``position``; ``position`` itself where there is none."""
    if data.startswith(b"ID3", position):
        return position + id3_length(data[position : position + 10])
    if data.startswith(b"TAG", position):
        return position + 128
    if data.startswith(b"APETAGEX", position) and position + 24 <= len(data):
        return position + 32 + struct.unpack_from("<I", data, position + 12)[0]  # type: ignore[no-any-return]
    return position


def _described(form: _Format) -> str:
    return f"{form.sample_rate} Hz, {form.channels} channel{'s' * (form.channels > 1)}"
