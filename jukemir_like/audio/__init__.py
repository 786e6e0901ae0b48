"""The one place that decodes, resamples, mixes and writes audio.

Decoding is libsndfile's (WAV, FLAC, OGG, MP3, AIFF and more), of all that a file holds (:mod:`jukemir_like.audio.formats`), and ffmpeg's
for MP4, AAC and WMA (:mod:`jukemir_like.audio.ffmpeg`); the content decides, not the extension. Resampling is soxr's HQ, mixing down is
the plain mean of the channels. Samples are float32 in [-1, 1), arrays are ``(channels, samples)`` or, for mono, ``(samples,)``.
"""

from __future__ import annotations

import hashlib
import io
import math
import os
import wave
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import soundfile
import soxr

from jukemir_like.audio import ffmpeg, formats
from jukemir_like.core import files
from jukemir_like.core.cache import atomic
from jukemir_like.core.errors import InputError, RequestError

EXTENSIONS = frozenset(
    {".wav", ".wave", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aif", ".aiff", ".aifc", ".au", ".snd", ".caf", ".w64", ".rf64"}
    | {".m4a", ".mp4", ".aac", ".wma"}
)
"""What counts as an audio file in a folder (lower case). The last four are decoded by ffmpeg; without one they are inputs all the same, so
that they are reported and not silently left out."""

_SMALL_INTEGERS = ("PCM_16", "PCM_S8", "PCM_U8")
_MOST_WAV_BYTES = 2**32 - 64  # its header counts them, and itself, in 32 bits
_PIECE = 1 << 15  # samples of each channel that are mixed and rounded at a time


@dataclass(frozen=True)
class Audio:
    """Decoded audio.

    Args:
        samples: float32, shape ``(channels, samples)``, finite, at least one sample.
        sample_rate: in Hz.
    """

    samples: np.ndarray
    sample_rate: int

    @property
    def seconds(self) -> float:
        """Duration in seconds."""
        return float(self.samples.shape[-1] / self.sample_rate)


def is_audio(path: Path) -> bool:
    """Whether a folder's file counts as an input: a known extension, not hidden."""
    return path.suffix.lower() in EXTENSIONS and not path.name.startswith(".")


def find(folder: Path, *, on_error: Callable[[str, str], None] | None = None) -> list[str]:
    """Audio files of ``folder`` and its sub-folders, as relative paths with ``/``, sorted by their bytes.

    Hidden files and folders are not looked at. Links to folders are followed once; a loop of links is not. What has the name of an audio
    file is listed whatever it is: opening it says why it is none (a named pipe, a link that leads nowhere).

    Args:
        folder: what to search.
        on_error: called with the relative path of each sub-folder that cannot be read, and why; None: that is an error.

    Raises:
        RequestError: ``folder`` itself, or without ``on_error`` a sub-folder, cannot be read.
    """
    found: list[str] = []
    seen: set[tuple[int, int]] = set()

    def visit(directory: str, name: str) -> None:
        try:
            status = Path(directory).stat()
            if (status.st_dev, status.st_ino) in seen:
                return
            seen.add((status.st_dev, status.st_ino))
            with os.scandir(directory) as entries:
                listed = list(entries)
        except OSError as error:
            if on_error is None or not name:
                where = os.fsencode(directory).decode(errors="backslashreplace")
                raise RequestError(f"folder {where} {files.refusal(error)}: give it rights, or move it away") from error
            on_error(name, f"folder {files.refusal(error)}")
            return
        for entry in listed:
            if entry.name.startswith("."):
                continue
            path = f"{name}/{entry.name}" if name else entry.name
            try:
                folder_below = entry.is_dir()
            except OSError:  # a link to itself
                folder_below = False
            if folder_below:
                visit(entry.path, path)
            elif is_audio(Path(entry.name)):
                found.append(path)

    visit(os.fspath(folder), "")
    return sorted(found, key=os.fsencode)


def digest(path: Path) -> str:
    """SHA-256 of a file's bytes; :class:`InputError` where it cannot be read."""
    try:
        with files.open_regular(path) as file:
            return hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]
    except OSError as error:
        raise InputError(files.refusal(error)) from error


def decode(source: Path | bytes) -> Audio:
    """Decodes a file, or the bytes of one.

    Raises:
        InputError: not audio, empty, or not finite.
    """
    return _decode(source, scaled)


def decode_mono(source: Path | bytes) -> Audio:
    """Decodes and mixes down, to what is written as WAV: int16 of shape ``(1, samples)``.

    The same as :func:`to_int16` of :func:`mix_down` of :func:`decode`.

    Raises:
        InputError: as :func:`decode`.
    """
    return _decode(source, _to_int16_mono)


def _decode(source: Path | bytes, finish: Callable[[np.ndarray], np.ndarray]) -> Audio:
    try:
        # Opened here, not by its name: libsndfile would let the extension of a name decide.
        with io.BytesIO(source) if isinstance(source, bytes) else files.open_regular(source) as file:
            if not file.seek(0, io.SEEK_END):
                raise InputError("the file is empty (0 bytes)")
            parts = _parts(file, finish)
    except MemoryError as error:
        raise InputError("is too long: it needs more memory than there is") from error
    except OSError as error:
        raise InputError(files.refusal(error)) from error
    kinds = list(dict.fromkeys((rate, samples.shape[0]) for samples, rate in parts))
    if len(kinds) > 1:
        described = " and ".join(f"{rate} Hz with {channels} channel{'s' * (channels > 1)}" for rate, channels in kinds)
        raise InputError(f"holds several streams that do not fit together ({described}): split it")
    samples = parts[0][0] if len(parts) == 1 else np.concatenate([samples for samples, _ in parts], axis=1)
    if samples.shape[1] == 0:
        raise InputError("holds no samples")
    return Audio(samples, kinds[0][0])


def _parts(file: BinaryIO, finish: Callable[[np.ndarray], np.ndarray]) -> list[tuple[np.ndarray, int]]:
    """Samples and sample rate of each stream in an open file."""
    if kind := ffmpeg.demuxer(file):
        inside = ffmpeg.contents(file, kind)
        if inside.streams != 1:
            raise InputError(f"holds {inside.streams} streams of audio where one is expected (stems are called *.stem.mp4)")
        values, rate = ffmpeg.decode(file, inside, 0)
        return [(finish(values), rate)]
    parts = []
    with libsndfiles_errors():
        for stream in formats.streams(file, lambda: _declared(file)):
            with soundfile.SoundFile(_handle(file) if stream.data is None else io.BytesIO(stream.data), closefd=False) as sound:
                values = _read(sound, stream)
                parts.append((finish(values), sound.samplerate))
    return parts


@contextmanager
def libsndfiles_errors() -> Iterator[None]:
    """What libsndfile raises in the block becomes an :class:`InputError` of one line."""
    try:
        yield
    except (soundfile.LibsndfileError, RuntimeError, ValueError) as error:
        reason = str(error).rpartition(": ")[2].rstrip(".") or type(error).__name__
        if "regular file" in reason:  # what libsndfile says of bytes that no decoder takes
            reason = "format not recognised"
        raise InputError(f"cannot be decoded as audio ({reason})") from error


def _handle(file: BinaryIO) -> BinaryIO | int:
    """What libsndfile opens: bytes, or the descriptor of a file, which it reads without calling back."""
    return file if isinstance(file, io.BytesIO) else file.fileno()


def _declared(file: BinaryIO) -> int:
    file.seek(0)
    with soundfile.SoundFile(_handle(file), closefd=False) as sound:
        return int(sound.frames)


def _read(sound: soundfile.SoundFile, stream: formats.Stream) -> np.ndarray:
    """All frames, in few bits as int16 and else as float32, of shape ``(frames, channels)``.

    At once: read in pieces, an MP3 decodes to slightly other samples.
    """
    room = sound.frames if stream.room is None else min(sound.frames, stream.room)
    values = np.empty((room, sound.channels), np.int16 if sound.subtype in _SMALL_INTEGERS else np.float32)
    values = np.asarray(sound.read(out=values)[stream.skip :])
    if len(values) < stream.least:
        rate = sound.samplerate
        raise InputError(f"is damaged: {len(values) / rate:.1f} s of at least {stream.least / rate:.1f} s can be decoded")
    return values


def scaled(values: np.ndarray) -> np.ndarray:
    """Frames → float32 of shape ``(channels, samples)``."""
    if values.dtype == np.int16:
        # Reading the integers and scaling them here is bit-equal and five times faster than letting libsndfile scale.
        return np.asarray(np.multiply(values.T, np.float32(1 / 32768), dtype=np.float32, order="C"))
    samples = np.ascontiguousarray(values.T)
    _check_finite(samples)
    return samples


def _to_int16_mono(values: np.ndarray) -> np.ndarray:
    """Frames → int16 of shape ``(1, samples)``; piece by piece, so that what lies between stays in the processor's cache."""
    mono = np.empty(len(values), np.int16)
    for start in range(0, len(values), _PIECE):
        mono[start : start + _PIECE] = _to_mono(values[start : start + _PIECE])
    return mono[None]


def _to_mono(piece: np.ndarray) -> np.ndarray:
    if piece.dtype == np.int16:
        if piece.shape[1] == 1:
            return piece[:, 0]
        piece = piece * np.float32(1 / 32768)
    else:
        _check_finite(piece)
    return to_int16(mix_down(piece.T))


def _check_finite(samples: np.ndarray) -> None:
    if not np.isfinite(samples).all():
        raise InputError("holds samples that are NaN or infinite")


def mix_down(samples: np.ndarray) -> np.ndarray:
    """The plain mean of the channels: ``(channels, samples)`` → ``(samples,)``."""
    if samples.shape[0] == 2:  # the same to the bit as the mean, and twice as fast
        return np.asarray((samples[0] + samples[1]) * np.float32(0.5))
    return np.asarray(samples[0] if samples.shape[0] == 1 else samples.mean(axis=0, dtype=np.float32))


def resample(samples: np.ndarray, from_rate: int, to_rate: int) -> np.ndarray:
    """Resamples mono ``(samples,)`` with soxr's HQ; the same array where the rates are equal.

    Of the length that librosa gives it, the exact one rounded up: soxr rounds to the nearest, and a zero is appended where that is less.
    Nothing remains of what is shorter than half a sample at ``to_rate``.
    """
    if from_rate == to_rate:
        return samples
    resampled = np.asarray(soxr.resample(samples, from_rate, to_rate, quality="HQ"))
    # As librosa computes it, in floating point: that may be one more than the exact ratio's.
    length = math.ceil(len(samples) * (to_rate / from_rate)) if len(resampled) else 0
    return resampled[:length] if len(resampled) >= length else np.pad(resampled, (0, length - len(resampled)))


def load(source: Path | bytes, sample_rate: int) -> np.ndarray:
    """Decodes, mixes down and resamples: mono float32 of shape ``(samples,)`` at ``sample_rate``, at least one sample.

    Raises:
        InputError: as :func:`decode`; or nothing is left after resampling.
    """
    audio = decode(source)
    return to_mono(audio.samples, audio.sample_rate, sample_rate)


def to_mono(samples: np.ndarray, from_rate: int, to_rate: int) -> np.ndarray:
    """Mixes down and resamples: float32 ``(channels, samples)`` → float32 ``(samples,)`` at ``to_rate``, at least one sample.

    Raises:
        InputError: nothing is left after resampling.

    >>> to_mono(np.zeros((2, 44100), np.float32), 44100, 22050).shape
    (22050,)
    """
    mono = resample(mix_down(samples), from_rate, to_rate)
    if not len(mono):
        raise InputError(f"is too short: no sample is left at {to_rate} Hz")
    return np.ascontiguousarray(mono, dtype=np.float32)


def to_int16(samples: np.ndarray) -> np.ndarray:
    """Rounds float samples to 16 bits; what is beyond full scale is clipped."""
    if samples.dtype == np.int16:
        return samples
    return np.clip(np.rint(samples * np.float32(32768)), -32768, 32767).astype(np.int16)


def write_wav(path: Path, samples: np.ndarray, sample_rate: int) -> str:
    """Writes ``(channels, samples)`` or ``(samples,)``, float or int16, as 16-bit PCM WAV; atomic; same samples, same bytes.

    Returns the file's SHA-256.

    Raises:
        InputError: more than a WAV can hold (4 GiB).
        StorageError: it cannot be written.
    """
    frames = np.ascontiguousarray(np.atleast_2d(to_int16(samples)).T)
    if frames.nbytes > _MOST_WAV_BYTES:
        raise InputError(f"is too long for a WAV: {frames.nbytes / 2**30:.1f} GiB of samples, 4 at most")
    # By the standard library: the bytes are libsndfile's, which takes four times as long, and a full disk is the operating system's error.
    with atomic(path) as temporary:
        with open(temporary, "wb") as file, wave.open(file, "wb") as wav:
            wav.setnchannels(frames.shape[1])
            wav.setsampwidth(2)
            wav.setframerate(sample_rate)
            wav.setnframes(len(frames))
            wav.writeframes(frames.astype("<i2", copy=False).data)
        return digest(temporary)
