"""Samples of a part of a track: one seek, and no decoding of what is not used.

A plain WAV is read as it lies in the file, which costs what the disk costs: libsndfile's conversion took ten times as long as the reading
did. What is compressed (FLAC and others) goes through libsndfile's seek, if it can seek there to the sample
(:mod:`jukemir_like.audio.stems.headers` makes sure of that).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from jukemir_like.audio.conversion import mix_down, resample
from jukemir_like.audio.decoding import libsndfile_errors
from jukemir_like.audio.inputs import open_input
from jukemir_like.audio.stems.tracks import Track
from jukemir_like.audio.wav import WavLayout
from jukemir_like.core.errors import InputError

SCALES = {np.dtype(np.int16): 2.0**-15, np.dtype(np.int32): 2.0**-31, np.dtype(np.float32): 1.0}
"""What a sample of each type is multiplied by to be in [-1, 1)."""

MAX_PEAK = 1024.0
"""Times full scale, 60 dB above it: no mix is so loud. Integers of 16 bits that were written as floats are 30 dB above this."""


def read(track: Track, first_frame: int, frames: int) -> np.ndarray:
    """Samples of all stems at the track's own rate: float32 in [-1, 1), shape ``(stems, frames)``; silence outside the track.

    The array is a view of one that holds frame after frame, as the file does.

    Raises:
        InputError: a file cannot be read.

    >>> track = Track("song", (Path("song.wav"),), sample_rate=22050, frames=264600, channels=1)
    >>> read(track, 100, 3).shape
    (1, 3)
    """
    return as_float(read_frames(track, first_frame, frames)).T


def read_whole(track: Track, sample_rate: int) -> np.ndarray:
    """The whole track at ``sample_rate``: float32 of shape ``(stems, samples)``.

    Raises:
        InputError: a file cannot be read, holds samples that no music has, or is too short to have a sample at that rate.
    """
    samples = read(track, 0, track.frames)
    check_peak(float(max(samples.max(initial=0), -samples.min(initial=0))))
    stems = [resample(np.ascontiguousarray(stem), track.sample_rate, sample_rate) for stem in samples]
    if not len(stems[0]):
        raise InputError(f"is too short: no sample is left at {sample_rate} Hz")
    return np.stack(stems)


def read_frames(track: Track, first_frame: int, frames: int) -> np.ndarray:
    """As :func:`read`, but of shape ``(frames, stems)`` and in the file's own numbers: int16, int32 or float32 (see :data:`SCALES`)."""
    start, stop = max(0, first_frame), min(track.frames, first_frame + frames)
    count = max(0, stop - start)
    layouts = track.layouts or (None,) * len(track.files)
    if len(track.files) == 1:
        part = _read_file(track.files[0], layouts[0], start, count)
    else:
        part = np.zeros((count, len(track.files)), np.float32)
        for stem, (file, layout) in enumerate(zip(track.files, layouts, strict=True)):
            samples = as_float(_read_file(file, layout, start, count)).T
            part[: samples.shape[1], stem] = mix_down(samples)
    if len(part) == frames:
        return part
    padded = np.zeros((frames, part.shape[1]), part.dtype)
    offset = start - first_frame
    padded[offset : offset + len(part)] = part
    return padded


def as_float(values: np.ndarray) -> np.ndarray:
    """Samples in a file's own numbers → float32 in [-1, 1), of the same shape.

    >>> as_float(np.array([16384, -32768], np.int16))
    array([ 0.5, -1. ], dtype=float32)
    """
    scale = SCALES[values.dtype]
    if scale == 1.0:
        return values
    converted = values.astype(np.float32)
    converted *= np.float32(scale)
    return converted


def check_peak(peak: float) -> None:
    """Refuses a track by its largest absolute sample.

    One such track would spoil the statistics of all others, and 1e30 leaves nothing finite behind the spectrum's squares.

    Raises:
        InputError: it is NaN or infinite, or above :data:`MAX_PEAK`.
    """
    if not np.isfinite(peak):
        raise InputError("holds samples that are NaN or infinite")
    if peak > MAX_PEAK:
        raise InputError(f"holds samples of {peak:.3g} times full scale: write it with samples from -1 to 1")


@contextmanager
def open_sound(path: Path) -> Iterator[soundfile.SoundFile]:
    """A file opened by libsndfile, whatever its name; :class:`InputError` for all that can go wrong in the block."""
    with open_input(path) as file, libsndfile_errors(), soundfile.SoundFile(file.fileno(), closefd=False) as sound:
        yield sound


def _read_file(path: Path, layout: WavLayout | None, first: int, frames: int) -> np.ndarray:
    """Frames of one file, ``(frames, channels)``; fewer where the file ends."""
    if layout is None:
        with open_sound(path) as sound:
            if first >= sound.frames:
                return np.zeros((0, sound.channels), np.float32)
            sound.seek(first)
            return np.asarray(sound.read(frames, dtype="float32", always_2d=True))
    frames = max(0, min(frames, layout.frames - first))
    raw = np.empty(frames * layout.frame_bytes, np.uint8)
    buffer = memoryview(raw.data)
    with open_input(path) as file:
        file.seek(layout.offset + first * layout.frame_bytes)
        filled = 0
        while filled < len(raw):
            count = file.readinto(buffer[filled:])  # type: ignore[attr-defined]
            if not count:
                raise InputError("has become shorter since it was found")
            filled += count
    return _numbers(raw, layout.kind).reshape(frames, layout.channels)


def _numbers(raw: np.ndarray, kind: str) -> np.ndarray:
    """Bytes → int16, int32 or float32, by :attr:`WavLayout.kind`."""
    if kind == "u1":  # unsigned: 128 is silence
        return (raw.astype(np.int16) - 128) << 8
    if kind == "i3":  # as the upper three bytes of 32 bits
        wide = np.zeros((len(raw) // 3, 4), np.uint8)
        wide[:, 1:] = raw.reshape(-1, 3)
        return wide.reshape(-1).view("<i4").astype(np.int32, copy=False)
    numbers: np.ndarray[Any, Any] = raw.view("<" + kind)
    return numbers.astype({"i2": np.int16, "i4": np.int32}.get(kind, np.float32), copy=False)
