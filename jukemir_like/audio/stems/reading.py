"""Samples of songs: of a part of a track, by one seek and without decoding what is not used; and of a whole song, all stems at once.

A plain WAV is read as it lies in the file, which costs what the disk costs: libsndfile's conversion took ten times as long as the reading
did. What is compressed (FLAC and others) goes through libsndfile's seek, if it can seek there to the sample
(:mod:`jukemir_like.audio.stems.headers` makes sure of that). Files that one cannot seek in are decoded once, to a WAV
(:func:`decoded_wav`). A ``.stem.mp4`` (Native Instruments' Stems, and MUSDB18) is decoded by ffmpeg: stream 0 is the mixture, the others
are the stems.
"""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from jukemir_like import audio
from jukemir_like.audio import Audio, ffmpeg, flac
from jukemir_like.audio.conversion import mix_down, resample, to_float
from jukemir_like.audio.decoding import libsndfile_errors, streams
from jukemir_like.audio.inputs import open_input
from jukemir_like.audio.stems.tracks import Track, common_sample_rate, is_native
from jukemir_like.audio.stream import UNCHANGED
from jukemir_like.audio.wav import WavLayout, write_float_wav, write_wav
from jukemir_like.core.errors import InputError
from jukemir_like.core.stems import STEMS

SCALES = {np.dtype(np.int16): 2.0**-15, np.dtype(np.int32): 2.0**-31, np.dtype(np.float32): 1.0}
"""What a sample of each type is multiplied by to be in [-1, 1)."""

VORBIS = "VORBIS"
"""What libsndfile calls that encoding."""

MAX_PEAK = 1024.0
"""Times full scale, 60 dB above it: no mix is so loud. Integers of 16 bits that were written as floats are 30 dB above this."""

_MARGIN_SECONDS = 1.0
_NATIVE_ORDER = ("drums", "bass", "other", "vocals")  # of the four stems of a .stem.mp4


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


def read_whole(track: Track, sample_rate: int, seconds: float | None = None) -> np.ndarray:
    """The whole track at ``sample_rate``: float32 of shape ``(stems, samples)``.

    Args:
        track: to read.
        sample_rate: in Hz.
        seconds: read only so much from the beginning; the samples are those of the whole track.

    Raises:
        InputError: a file cannot be read, holds samples that no music has, or is too short to have a sample at that rate.
    """
    # With what the filters of resampling need behind the end.
    frames = track.frames if seconds is None else min(track.frames, math.ceil((seconds + _MARGIN_SECONDS) * track.sample_rate))
    samples = read(track, 0, frames)
    check_peak(float(max(samples.max(initial=0), -samples.min(initial=0))))
    wanted = None if seconds is None else round(seconds * sample_rate)
    stems = [resample(np.ascontiguousarray(stem), track.sample_rate, sample_rate)[:wanted] for stem in samples]
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
    """A file opened by libsndfile; its name does not matter; :class:`InputError` for all that can go wrong in the block."""
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


def decode(source: Path, stems: Sequence[str]) -> Audio:
    """The stems of one song: samples of shape ``(stems, samples)``.

    Args:
        source: a file with a channel per stem, a ``.stem.mp4``, or a folder that holds a file ``<stem>.<extension>`` for each of ``stems``;
            files of more than one channel in such a folder are mixed down.
        stems: their names, in the order of the result.

    Raises:
        InputError: one cannot be decoded, is missing, or there are more or fewer of them.
    """
    if source.is_dir():
        return _joined([_decode_stem(source, stem) for stem in stems])
    decoded = decode_native(source) if is_native(source) else audio.decode(source)
    if len(decoded.samples) != len(stems):
        what = "stems" if is_native(source) else "channels"
        raise InputError(f"has {len(decoded.samples)} {what} where {len(stems)} stems are expected: {', '.join(stems)}")
    return decoded


def digest(source: Path, stems: Sequence[str]) -> str:
    """SHA-256 of a song's bytes; of a folder, over those of its stems' files.

    Raises:
        InputError: one cannot be read, or is missing.
    """
    if not source.is_dir():
        return audio.digest(source)
    return hashlib.sha256("".join(audio.digest(_file_of(source, stem)) for stem in stems).encode()).hexdigest()


def decode_native(path: Path) -> Audio:
    """The stems of a ``.stem.mp4``, each the plain mean of its channels; four of them in the order bass, drums, other, vocals.

    Raises:
        InputError: no ffmpeg, or it cannot decode ``path``.
    """
    with open_input(path) as file:
        container = ffmpeg.demuxer(file)
        if container != "mov":
            raise InputError(f"is not an MP4, though its name says so{'' if container is None else f', but {container.upper()}'}")
        contents = ffmpeg.contents(file, container)
        if contents.streams < 3:
            raise InputError(f"holds {contents.streams} streams of audio where a mixture and two stems or more are expected")
        parts = [ffmpeg.decode(file, contents, stream, as_int16=True) for stream in range(1, contents.streams)]
    decoded = _joined([Audio(to_float(values), rate) for values, rate in parts])
    if len(parts) != len(STEMS):
        return decoded
    return Audio(decoded.samples[[_NATIVE_ORDER.index(stem) for stem in STEMS]], decoded.sample_rate)


def is_seekable(path: Path) -> bool:
    """Whether libsndfile finds every sample of a file as it is.

    Not of Vorbis: it seeks by the positions that pages declare, and where these jump, as in files that were cut, it is thousands of samples
    off (one of 142 soundtracks).

    Raises:
        InputError: it cannot be read, or is not audio.
    """
    return is_as_declared(path) and _subtype(path) != VORBIS


def is_as_declared(path: Path) -> bool:
    """Whether libsndfile reads a file to its end, and as long as its header says.

    Raises:
        InputError: it cannot be read, or is not audio.
    """
    with open_input(path) as file:
        if ffmpeg.demuxer(file) is not None:
            return False
        if flac.ends_as_declared(file):  # by its first and last bytes: there may be thousands of large ones
            return True
        parts = streams(file, lambda: 0)
    if any(stream.data is not None for stream in parts):
        return False
    return parts[0] == UNCHANGED or _is_as_long_as_declared(path)


def _is_as_long_as_declared(path: Path) -> bool:
    with open_sound(path) as sound:
        if sound.frames <= 0 or not sound.seekable():
            return False
        sound.seek(sound.frames - 1)
        return len(sound.read(1)) == 1


def _subtype(path: Path) -> str:
    with open_sound(path) as sound:
        return str(sound.subtype)


def decoded_wav(path: Path, folder: Path) -> Path:
    """A WAV in ``folder`` of the channels of ``path`` (of a ``.stem.mp4``: its stems); of an earlier call, if ``path`` has not changed.

    For what one cannot seek in to a sample, or not cheaply: ``.stem.mp4``, files for ffmpeg, Ogg Vorbis, and those whose header gives no
    length, or a wrong one.

    Raises:
        InputError: it cannot be decoded, or needs ffmpeg and there is none.
        StorageError: ``folder`` cannot be written.
    """
    with open_input(path) as file:
        status = os.fstat(file.fileno())
    key = f"{path.absolute()}\0{status.st_size}\0{status.st_mtime_ns}".encode(errors="surrogateescape")
    target = folder / f"{hashlib.sha256(key).hexdigest()[:32]}.wav"
    if not target.is_file():
        if is_native(path):
            stems = decode_native(path)
            write_wav(target, stems.samples, stems.sample_rate)
        else:
            decoded = audio.decode(path)
            write_float_wav(target, decoded.samples, decoded.sample_rate)
    return target


def _file_of(folder: Path, stem: str) -> Path:
    """The one file in ``folder`` that is called as ``stem``."""
    paths = sorted(path for path in folder.glob("*") if path.stem.lower() == stem.lower() and audio.is_audio(path))
    if len(paths) != 1:
        raise InputError(f"holds {', '.join(path.name for path in paths)}: keep one of them" if paths else f"lacks a file {stem}.wav")
    return paths[0]


def _decode_stem(folder: Path, stem: str) -> Audio:
    path = _file_of(folder, stem)
    try:
        return audio.decode(path)
    except InputError as error:
        raise InputError(f"{path.name} {error}") from error


def _joined(parts: Sequence[Audio]) -> Audio:
    """One channel per stem: the plain mean of its own; shorter stems end in silence."""
    sample_rate = common_sample_rate(part.sample_rate for part in parts)
    stems = np.zeros((len(parts), max(part.samples.shape[1] for part in parts)), np.float32)
    for stem, part in zip(stems, parts, strict=True):
        stem[: part.samples.shape[1]] = mix_down(part.samples)
    return Audio(stems, sample_rate)
