"""Decodes the stems of a song, in each way that they come: one file with a channel a stem, a folder with a file a stem, ``.stem.mp4``.

``.stem.mp4`` (Native Instruments' Stems, and MUSDB18) is decoded by ffmpeg: stream 0 is the mixture, the others are the stems.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from jukemir_like import audio
from jukemir_like.audio import Audio, ffmpeg
from jukemir_like.core import files
from jukemir_like.core.errors import InputError

SUFFIX = ".stem.mp4"
_ORDER = (1, 0, 2, 3)  # of four: the file has drums, bass, other, vocals; all else here has bass, drums, other, vocals


def is_native(path: Path) -> bool:
    """Whether a file's name says that it is a ``.stem.mp4``."""
    return path.name.lower().endswith(SUFFIX)


def decode(source: Path, stems: Sequence[str]) -> Audio:
    """The stems of one song: samples of shape ``(stems, samples)``.

    Args:
        source: a file with a channel a stem, a ``.stem.mp4``, or a folder that holds a file ``<stem>.<extension>`` for each of ``stems``;
            files of more than one channel in such a folder are mixed down.
        stems: their names, in the order of the result.

    Raises:
        InputError: one cannot be decoded, is missing, or there are more or fewer of them.
    """
    if source.is_dir():
        return _joined([_decode_part(source, stem) for stem in stems])
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
    """The stems of a ``.stem.mp4``, each the plain mean of its channels; of four in the order bass, drums, other, vocals.

    Raises:
        InputError: no ffmpeg, or it cannot decode ``path``.
    """
    try:
        with files.open_regular(path) as file:
            kind = ffmpeg.demuxer(file)
            if kind != "mov":
                raise InputError(f"is not an MP4, whatever its name says{'' if kind is None else f', but {kind.upper()}'}")
            inside = ffmpeg.contents(file, kind)
            if inside.streams < 3:
                raise InputError(f"holds {inside.streams} streams of audio where a mixture and two stems or more are expected")
            parts = [ffmpeg.decode(file, inside, stream, as_int16=True) for stream in range(1, inside.streams)]
    except OSError as error:
        raise InputError(files.refusal(error)) from error
    decoded = _joined([Audio(audio.scaled(values), rate) for values, rate in parts])
    return Audio(decoded.samples[list(_ORDER)], decoded.sample_rate) if len(parts) == len(_ORDER) else decoded


def _file_of(folder: Path, stem: str) -> Path:
    """The one file in ``folder`` that is called as ``stem``."""
    found = sorted(path for path in folder.glob("*") if path.stem.lower() == stem.lower() and audio.is_audio(path))
    if len(found) != 1:
        raise InputError(f"holds {', '.join(path.name for path in found)}: keep one of them" if found else f"lacks a file {stem}.wav")
    return found[0]


def _decode_part(folder: Path, stem: str) -> Audio:
    path = _file_of(folder, stem)
    try:
        return audio.decode(path)
    except InputError as error:
        raise InputError(f"{path.name} {error}") from error


def _joined(parts: Sequence[Audio]) -> Audio:
    """One channel a stem: the plain mean of its own; shorter stems end in silence."""
    rates = sorted({part.sample_rate for part in parts})
    if len(rates) > 1:
        raise InputError(f"has stems of different sample rates: {', '.join(map(str, rates))} Hz")
    stems = np.zeros((len(parts), max(part.samples.shape[1] for part in parts)), np.float32)
    for stem, part in zip(stems, parts, strict=True):
        stem[: part.samples.shape[1]] = audio.mix_down(part.samples)
    return Audio(stems, rates[0])
