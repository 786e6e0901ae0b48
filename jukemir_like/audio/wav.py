"""WAV files: writing them, and where in one the samples lie, so that reading a part is one seek and one read.

Microsoft's RIFF/WAVE with plain samples (8 to 64 bits) is understood here; libsndfile opens all else.
"""

from __future__ import annotations

import os
import struct
import wave
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from jukemir_like.audio import uncompressed
from jukemir_like.audio.conversion import to_int16
from jukemir_like.core import files
from jukemir_like.core.atomic import atomic_write
from jukemir_like.core.errors import InputError

_MAX_BYTES = 2**32 - 64  # the header counts them, and itself, in 32 bits
_PCM, _FLOAT, _EXTENSIBLE = 1, 3, 0xFFFE
_KINDS = {(_PCM, 8): "u1", (_PCM, 16): "i2", (_PCM, 24): "i3", (_PCM, 32): "i4", (_FLOAT, 32): "f4", (_FLOAT, 64): "f8"}
_MAX_CHUNKS = 1000  # before the samples; a damaged file may seem to have millions


def write_wav(path: Path, samples: np.ndarray, sample_rate: int) -> str:
    """Writes ``(channels, samples)`` or ``(samples,)``, float or int16, as 16-bit PCM WAV; atomic; same samples, same bytes.

    Returns the file's SHA-256.

    Raises:
        InputError: more than a WAV can hold (4 GiB).
        StorageError: it cannot be written.

    >>> write_wav(Path("silence.wav"), np.zeros((2, 100), np.float32), 44100)[:8]
    'ac8e892d'
    """
    samples = np.atleast_2d(to_int16(samples))
    channels, frames = samples.shape
    return write_wav_blocks(path, [samples], channels, frames, sample_rate)


def write_wav_blocks(path: Path, blocks: Iterable[np.ndarray], channels: int, frames: int, sample_rate: int) -> str:
    """As :func:`write_wav`, of ``(channels, samples)`` that come in ``blocks``, which are ``frames`` samples long together.

    Raises:
        InputError, StorageError: as :func:`write_wav`.

    >>> write_wav_blocks(Path("silence.wav"), [np.zeros((2, 60)), np.zeros((2, 40))], 2, 100, 44100)[:8]
    'ac8e892d'
    """
    size = 2 * channels * frames
    if size > _MAX_BYTES:
        raise InputError(f"is too long for a WAV: {size / 2**30:.1f} GiB of samples, 4 at most")
    # By the standard library: the bytes are libsndfile's, which takes four times as long, and a full disk is the operating system's error.
    with atomic_write(path) as temporary:
        with open(temporary, "wb") as file, wave.open(file, "wb") as wav:
            wav.setnchannels(channels)
            wav.setsampwidth(2)
            wav.setframerate(sample_rate)
            wav.setnframes(frames)
            for block in blocks:
                wav.writeframes(np.ascontiguousarray(to_int16(block).T, "<i2").data)
        return files.sha256(temporary)


def write_float_wav(path: Path, samples: np.ndarray, sample_rate: int) -> None:
    """Writes float32 ``(channels, samples)`` as a WAV of floats, atomically: the samples are those of the source to the bit."""
    frames = np.ascontiguousarray(samples.T, "<f4")
    channels, size = frames.shape[1], min(frames.nbytes, 0xFFFFFFFF - 36)
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, _FLOAT, channels, sample_rate, 4 * channels * sample_rate, 4 * channels, 32)
    with atomic_write(path) as temporary, open(temporary, "wb") as file:
        file.write(struct.pack("<4sI4s", b"RIFF", 36 + size, b"WAVE") + form + struct.pack("<4sI", b"data", size))
        file.write(frames.data)


@dataclass(frozen=True)
class WavLayout:
    """Where the samples lie in a file, frame after frame.

    Args:
        offset: byte of the first frame.
        kind: ``u1``, ``i2``, ``i3``, ``i4``, ``f4`` or ``f8``: unsigned, signed or float, and bytes per sample; little-endian.
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


def read_layout(file: BinaryIO) -> WavLayout | None:
    """Where the samples of an open file lie; None where it is not a plain WAV.

    Raises:
        InputError: the header promises more bytes than the file has, or there are no samples.

    >>> with open("song.wav", "rb") as file:
    ...     read_layout(file)
    WavLayout(offset=44, kind='i2', channels=1, sample_rate=22050, frames=264600)
    """
    size = os.fstat(file.fileno()).st_size
    header = file.read(12)
    if len(header) < 12 or header[:4] != b"RIFF" or header[8:] != b"WAVE":
        return None
    position, form = 12, b""
    for _ in range(_MAX_CHUNKS):
        file.seek(position)
        # The whole of a usual header at once: on a network disk every read is a round trip.
        chunk = file.read(48)
        if len(chunk) < 8:
            raise InputError("holds no samples")
        name, length = struct.unpack_from("<4sI", chunk)
        if name == b"fmt ":
            form = chunk[8 : 8 + length]
        elif name == b"data":
            promised = length if uncompressed.is_promise(file, length, position + 8, size) else None
            return _layout_of_data(form, position + 8, promised, size) if form else None
        position += 8 + length + length % 2  # chunks begin at even bytes
    return None


def _layout_of_data(form: bytes, offset: int, promised: int | None, size: int) -> WavLayout | None:
    """Of samples from ``offset`` on, by the contents of the chunk ``fmt``; ``promised`` bytes, or all that there are."""
    if len(form) < 16:
        return None
    tag, channels, sample_rate, _, block, bits = struct.unpack_from("<HHIIHH", form)
    if tag == _EXTENSIBLE and len(form) >= 26:
        tag = struct.unpack_from("<H", form, 24)[0]
    kind = _KINDS.get((tag, 8 * block // channels if channels else 0))
    if kind is None or not sample_rate or block != channels * int(kind[1]) or bits > 8 * int(kind[1]):
        return None
    available = size - offset
    if promised is None:  # written to a pipe: what is there is meant
        promised = available
    uncompressed.check_complete(promised, available)
    frames = min(promised, available) // block
    if frames <= 0:
        raise InputError("holds no samples")
    return WavLayout(offset, kind, channels, sample_rate, frames)
