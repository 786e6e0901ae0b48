"""Decoding: libsndfile for WAV, FLAC, OGG, MP3, AIFF and more; ffmpeg for MP4, AAC and WMA. The content decides, not the extension.

All of a file is decoded, also where its header gives a wrong length or it holds several streams (:mod:`jukemir_like.audio.stream`).
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import soundfile

from jukemir_like.audio import ffmpeg, flac, mpeg, ogg, uncompressed
from jukemir_like.audio.conversion import to_float, to_int16_mono, to_mono
from jukemir_like.audio.inputs import input_errors
from jukemir_like.audio.stream import UNCHANGED, Stream, after_id3_tags
from jukemir_like.core import files
from jukemir_like.core.errors import InputError

_SMALL_INTEGERS = ("PCM_16", "PCM_S8", "PCM_U8")


@dataclass(frozen=True)
class Audio:
    """Decoded audio.

    Args:
        samples: float32 in [-1, 1), shape ``(channels, samples)``, finite, at least one sample.
        sample_rate: in Hz.
    """

    samples: np.ndarray
    sample_rate: int

    @property
    def seconds(self) -> float:
        """Duration in seconds."""
        return float(self.samples.shape[-1] / self.sample_rate)


def decode(source: Path | bytes) -> Audio:
    """Decodes a file, or the bytes of one.

    Raises:
        InputError: not audio, empty, or not finite.

    >>> song = decode(Path("song.wav"))
    >>> song.samples.shape, song.sample_rate, song.seconds
    ((1, 264600), 22050, 12.0)
    """
    return _decode(source, to_float)


def decode_mono(source: Path | bytes) -> Audio:
    """Decodes and mixes down, to what is written as WAV: int16 of shape ``(1, samples)``.

    The same as :func:`to_int16` of :func:`mix_down` of :func:`decode`.

    Raises:
        InputError: as :func:`decode`.
    """
    return _decode(source, to_int16_mono)


def load(source: Path | bytes, sample_rate: int) -> np.ndarray:
    """Decodes, mixes down and resamples: mono float32 of shape ``(samples,)`` at ``sample_rate``, at least one sample.

    Raises:
        InputError: as :func:`decode`; or nothing is left after resampling.

    >>> load(Path("song.wav"), sample_rate=16000).shape
    (192000,)
    """
    audio = decode(source)
    return to_mono(audio.samples, audio.sample_rate, sample_rate)


def _decode(source: Path | bytes, convert: Callable[[np.ndarray], np.ndarray]) -> Audio:
    """Decodes; ``convert`` turns the ``(frames, channels)`` of each stream into its ``(channels, samples)``."""
    try:
        # Opened here, not by its name: libsndfile would let the extension of a name decide.
        with input_errors(), io.BytesIO(source) if isinstance(source, bytes) else files.open_regular(source) as file:
            if not file.seek(0, io.SEEK_END):
                raise InputError("the file is empty (0 bytes)")
            parts = _decode_streams(file, convert)
    except MemoryError as error:
        raise InputError("is too long: it needs more memory than there is") from error
    formats = list(dict.fromkeys((rate, samples.shape[0]) for samples, rate in parts))
    if len(formats) > 1:
        described = " and ".join(f"{rate} Hz with {channels} channel{'s' * (channels > 1)}" for rate, channels in formats)
        raise InputError(f"holds several streams that do not fit together ({described}): split it")
    samples = parts[0][0] if len(parts) == 1 else np.concatenate([samples for samples, _ in parts], axis=1)
    if samples.shape[1] == 0:
        raise InputError("holds no samples")
    return Audio(samples, formats[0][0])


def _decode_streams(file: BinaryIO, convert: Callable[[np.ndarray], np.ndarray]) -> list[tuple[np.ndarray, int]]:
    """Samples and sample rate of each stream in an open file."""
    if container := ffmpeg.demuxer(file):
        contents = ffmpeg.contents(file, container)
        if contents.streams != 1:
            raise InputError(f"holds {contents.streams} streams of audio where one is expected (stems are called *.stem.mp4)")
        values, rate = ffmpeg.decode(file, contents, 0)
        return [(convert(values), rate)]
    parts = []
    with libsndfile_errors():
        for stream in streams(file, lambda: _declared_frames(file)):
            with soundfile.SoundFile(_handle(file) if stream.data is None else io.BytesIO(stream.data), closefd=False) as sound:
                values = _read(sound, stream)
                parts.append((convert(values), sound.samplerate))
    return parts


def streams(file: BinaryIO, declared: Callable[[], int]) -> list[Stream]:
    """The streams of an open file that ffmpeg is not needed for, to be decoded one after another.

    Args:
        file: open for reading; afterwards it stands at its beginning again.
        declared: gives the number of frames that libsndfile finds; called where that is its own estimate.

    Raises:
        InputError: it changes its sample rate or its channels in the middle, is cut short, or its length cannot be found.
    """
    try:
        start = after_id3_tags(file)
        file.seek(start)
        header = file.read(16)
        if header[:4] == b"fLaC":
            return flac.streams(_all_bytes(file), start)
        if header[:4] == b"OggS":
            return ogg.streams(_all_bytes(file), start)
        if mpeg.is_frame(header):
            return mpeg.streams(_all_bytes(file), start, declared)
        return [UNCHANGED] if start else uncompressed.streams(file, header)
    finally:
        file.seek(0, io.SEEK_SET)


@contextmanager
def libsndfile_errors() -> Iterator[None]:
    """What libsndfile raises in the block becomes an :class:`InputError` of one line."""
    try:
        yield
    except (soundfile.LibsndfileError, RuntimeError, ValueError) as error:
        message = error.error_string if isinstance(error, soundfile.LibsndfileError) else str(error)
        reason = message.rpartition(": ")[2].rstrip(".") or type(error).__name__
        # It takes bytes that begin as a frame of MPEG, and are none, for no file. What is opened here is always one: that text would
        # mislead. Should libsndfile change it, the wording of this one line changes, and nothing else.
        if "regular file" in reason:
            reason = "format not recognised"
        raise InputError(f"cannot be decoded as audio ({reason})") from error


def _handle(file: BinaryIO) -> BinaryIO | int:
    """What libsndfile opens: bytes, or the descriptor of a file, which it reads without calling back."""
    return file if isinstance(file, io.BytesIO) else file.fileno()


def _declared_frames(file: BinaryIO) -> int:
    file.seek(0)
    with soundfile.SoundFile(_handle(file), closefd=False) as sound:
        return int(sound.frames)


def _read(sound: soundfile.SoundFile, stream: Stream) -> np.ndarray:
    """All frames, of samples in few bits as int16 and else as float32, of shape ``(frames, channels)``.

    At once: read in pieces, an MP3 decodes to slightly other samples.
    """
    frames = sound.frames if stream.max_samples is None else min(sound.frames, stream.max_samples)
    values = np.empty((frames, sound.channels), np.int16 if sound.subtype in _SMALL_INTEGERS else np.float32)
    values = np.asarray(sound.read(out=values)[stream.skip_samples :])
    if len(values) < stream.min_samples:
        rate = sound.samplerate
        raise InputError(f"is damaged: {len(values) / rate:.1f} s of at least {stream.min_samples / rate:.1f} s can be decoded")
    return values


def _all_bytes(file: BinaryIO) -> bytes:
    file.seek(0)
    return file.read()
