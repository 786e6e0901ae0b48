"""Samples of a track, from where they are asked for: one seek, and no decoding of what is not used.

A plain WAV is read as it lies in the file, which costs what the disk costs: libsndfile's conversion took ten times as long as the reading
did. What is compressed (FLAC and others) goes through libsndfile's seek, if it can seek there to the sample: :mod:`.heads` sees to that.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import soundfile

from jukemir_like import audio
from jukemir_like.audio.stems import levels
from jukemir_like.audio.stems.tracks import Track
from jukemir_like.audio.stems.wav import Layout
from jukemir_like.core import files
from jukemir_like.core.errors import InputError

SCALES = {np.dtype(np.int16): 2.0**-15, np.dtype(np.int32): 2.0**-31, np.dtype(np.float32): 1.0}
"""What a sample of each type is multiplied by to be in [-1, 1)."""


def read(track: Track, first_frame: int, frames: int) -> np.ndarray:
    """Samples of all stems at the track's own rate: float32 in [-1, 1), shape ``(stems, frames)``; silence outside the track.

    The array is a view of one that holds frame after frame, as the file does.

    Raises:
        InputError: a file cannot be read.
    """
    return as_float(read_frames(track, first_frame, frames)).T


def read_whole(track: Track, sample_rate: int) -> np.ndarray:
    """The whole track at ``sample_rate``: float32 of shape ``(stems, samples)``.

    Raises:
        InputError: a file cannot be read, holds samples that no music has, or is too short to have a sample at that rate.
    """
    samples = read(track, 0, track.frames)
    levels.check(float(max(samples.max(initial=0), -samples.min(initial=0))))
    stems = [audio.resample(np.ascontiguousarray(stem), track.sample_rate, sample_rate) for stem in samples]
    if not len(stems[0]):
        raise InputError(f"is too short: no sample is left at {sample_rate} Hz")
    return np.stack(stems)


def read_frames(track: Track, first_frame: int, frames: int) -> np.ndarray:
    """As :func:`read`, but of shape ``(frames, stems)`` and in the file's own numbers: int16, int32 or float32 (see :data:`SCALES`)."""
    start, stop = max(0, first_frame), min(track.frames, first_frame + frames)
    layouts = track.layouts or (None,) * len(track.files)
    if len(track.files) == 1:
        there = _frames_of(track.files[0], layouts[0], start, max(0, stop - start))
    else:
        there = np.zeros((max(0, stop - start), len(track.files)), np.float32)
        for stem, (file, layout) in enumerate(zip(track.files, layouts, strict=True)):
            piece = as_float(_frames_of(file, layout, start, len(there)))
            there[: len(piece), stem] = piece[:, 0] if piece.shape[1] == 1 else piece.mean(axis=1, dtype=np.float32)
    if len(there) == frames:
        return there
    whole = np.zeros((frames, there.shape[1]), there.dtype)
    before = start - first_frame
    whole[before : before + len(there)] = there
    return whole


def as_float(values: np.ndarray) -> np.ndarray:
    """Samples in a file's own numbers → float32 in [-1, 1), of the same shape."""
    scale = SCALES[values.dtype]
    if scale == 1.0:
        return values
    converted = values.astype(np.float32)
    converted *= np.float32(scale)
    return converted


@contextmanager
def opened(path: Path) -> Iterator[soundfile.SoundFile]:
    """A file opened by libsndfile, whatever its name; :class:`InputError` for all that can go wrong in the block."""
    with readable(path) as file, audio.libsndfiles_errors(), soundfile.SoundFile(file.fileno(), closefd=False) as sound:
        yield sound


@contextmanager
def readable(path: Path) -> Iterator[BinaryIO]:
    """A file opened without a buffer; :class:`InputError` for what the system refuses in the block."""
    try:
        with files.open_regular(path) as file:
            yield file
    except OSError as error:
        raise InputError(files.refusal(error)) from error


def _frames_of(path: Path, layout: Layout | None, first: int, frames: int) -> np.ndarray:
    """Frames of one file, ``(frames, channels)``; fewer where the file ends."""
    if layout is None:
        with opened(path) as sound:
            if first >= sound.frames:
                return np.zeros((0, sound.channels), np.float32)
            sound.seek(first)
            return np.asarray(sound.read(frames, dtype="float32", always_2d=True))
    frames = max(0, min(frames, layout.frames - first))
    raw = np.empty(frames * layout.frame_bytes, np.uint8)
    buffer = memoryview(raw.data)
    with readable(path) as file:
        file.seek(layout.offset + first * layout.frame_bytes)
        filled = 0
        while filled < len(raw):
            count = file.readinto(buffer[filled:])  # type: ignore[attr-defined]
            if not count:
                raise InputError("has become shorter since it was found")
            filled += count
    return _numbers(raw, layout.kind).reshape(frames, layout.channels)


def _numbers(raw: np.ndarray, kind: str) -> np.ndarray:
    """Bytes → int16, int32 or float32."""
    if kind == "u1":
        return (raw.astype(np.int16) - 128) << 8
    if kind == "i3":
        wide = np.zeros((len(raw) // 3, 4), np.uint8)
        wide[:, 1:] = raw.reshape(-1, 3)
        return wide.reshape(-1).view("<i4").astype(np.int32, copy=False)
    numbers: np.ndarray[Any, Any] = raw.view("<" + kind)
    return numbers.astype({"i2": np.int16, "i4": np.int32}.get(kind, np.float32), copy=False)
