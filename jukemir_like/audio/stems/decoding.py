"""Whole songs: the stems of one decoded at once, in each way that they come; and files that one cannot seek in, decoded once to a WAV.

``.stem.mp4`` (Native Instruments' Stems, and MUSDB18) is decoded by ffmpeg: stream 0 is the mixture, the others are the stems.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from jukemir_like import audio
from jukemir_like.audio import Audio, ffmpeg, flac
from jukemir_like.audio.conversion import mix_down, to_float
from jukemir_like.audio.decoding import streams
from jukemir_like.audio.inputs import open_input
from jukemir_like.audio.stems.reading import open_sound
from jukemir_like.audio.stems.tracks import common_sample_rate, is_native
from jukemir_like.audio.stream import UNCHANGED
from jukemir_like.audio.wav import write_float_wav, write_wav
from jukemir_like.core.errors import InputError
from jukemir_like.core.stems import STEMS

_NATIVE_ORDER = ("drums", "bass", "other", "vocals")  # of the four stems of a .stem.mp4


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
            raise InputError(f"is not an MP4, whatever its name says{'' if container is None else f', but {container.upper()}'}")
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


def decoded_wav(path: Path, folder: Path) -> Path:
    """A WAV in ``folder`` of the channels of ``path`` (of a ``.stem.mp4``: its stems); of an earlier call, if ``path`` has not changed.

    For what one cannot seek in to a sample, or not cheaply: ``.stem.mp4``, files for ffmpeg, and those whose header gives no length, or a
    wrong one.

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
