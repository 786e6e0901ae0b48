"""The head of a WAV file: where its samples lie, so that a chunk is one seek and one read.

Microsoft's RIFF/WAVE with plain samples (8 to 64 bits) is read here; whatever else is libsndfile's to open.
"""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass
from typing import BinaryIO

from jukemir_like.audio.formats import headers
from jukemir_like.core.errors import InputError

_PCM, _FLOAT, _EXTENSIBLE = 1, 3, 0xFFFE
_BYTES = {(_PCM, 8): "u1", (_PCM, 16): "i2", (_PCM, 24): "i3", (_PCM, 32): "i4", (_FLOAT, 32): "f4", (_FLOAT, 64): "f8"}
_MOST_CHUNKS = 1000  # before the samples; a damaged file may seem to have millions


@dataclass(frozen=True)
class Layout:
    """Samples in a file, frame after frame.

    Args:
        offset: byte of the first frame.
        kind: ``u1``, ``i2``, ``i3``, ``i4``, ``f4`` or ``f8``: unsigned, signed or float, and bytes a sample; little-endian.
        channels, sample_rate, frames: as in any audio file.
    """

    offset: int
    kind: str
    channels: int
    sample_rate: int
    frames: int

    @property
    def frame_bytes(self) -> int:
        """Bytes of one sample of every channel."""
        return self.channels * int(self.kind[1])


def layout(file: BinaryIO) -> Layout | None:
    """Where the samples of an open file lie; None where it is not a plain WAV.

    Raises:
        InputError: the head promises more bytes than the file has, or there are no samples.
    """
    size = os.fstat(file.fileno()).st_size
    head = file.read(12)
    if len(head) < 12 or head[:4] != b"RIFF" or head[8:] != b"WAVE":
        return None
    position, form = 12, b""
    for _ in range(_MOST_CHUNKS):
        file.seek(position)
        # The whole of a usual head at once: on a network disk every read is a round trip.
        chunk = file.read(48)
        if len(chunk) < 8:
            raise InputError("holds no samples")
        name, length = struct.unpack_from("<4sI", chunk)
        if name == b"fmt ":
            form = chunk[8 : 8 + length]
        elif name == b"data":
            promised = length if headers.is_promise(file, length, position + 8, size) else None
            return _data(form, position + 8, promised, size) if form else None
        position += 8 + length + length % 2
    return None


def _data(form: bytes, offset: int, promised: int | None, size: int) -> Layout | None:
    if len(form) < 16:
        return None
    tag, channels, sample_rate, _, block, bits = struct.unpack_from("<HHIIHH", form)
    if tag == _EXTENSIBLE and len(form) >= 26:
        tag = struct.unpack_from("<H", form, 24)[0]
    kind = _BYTES.get((tag, 8 * block // channels if channels else 0))
    if kind is None or not sample_rate or block != channels * int(kind[1]) or bits > 8 * int(kind[1]):
        return None
    there = size - offset
    if promised is None:  # written to a pipe: what is there is meant
        promised = there
    headers.check_complete(promised, there)
    frames = min(promised, there) // block
    if frames <= 0:
        raise InputError("holds no samples")
    return Layout(offset, kind, channels, sample_rate, frames)
