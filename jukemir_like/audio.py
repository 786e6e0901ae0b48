"""The one place that decodes, resamples, mixes and writes audio.

Decoding is libsndfile's (WAV, FLAC, OGG, MP3, AIFF and more; the content decides, not the extension), resampling is soxr's HQ, mixing
down is the plain mean of the channels. Samples are float32 in [-1, 1), arrays are ``(channels, samples)`` or, for mono, ``(samples,)``.
"""

from __future__ import annotations

import hashlib
import io
import os
import re
import wave
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
import soxr

from jukemir_like import files
from jukemir_like.cache import atomic
from jukemir_like.errors import InputError, RequestError

EXTENSIONS = frozenset(
    {".wav", ".wave", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aif", ".aiff", ".aifc", ".au", ".snd", ".caf", ".w64", ".rf64"}
    | {".m4a", ".mp4", ".aac", ".wma"}
)
"""What counts as an audio file in a folder (lower case). The last four are audio that libsndfile cannot decode: they are inputs, so that
they are reported and not silently left out."""

_SMALL_INTEGERS = ("PCM_16", "PCM_S8", "PCM_U8")
_MOST_WAV_BYTES = 2**32 - 64  # its header counts them, and itself, in 32 bits
_PIECE = 1 << 15  # samples of each channel that are mixed and rounded at a time
_SHORT_CHUNK = re.compile(r"^\s*(?:data|SSND)\s*: (\d+) \(should be (\d+)\)", re.MULTILINE)


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
    return _decode(source, _read)


def decode_mono(source: Path | bytes) -> Audio:
    """Decodes and mixes down, to what is written as WAV: int16 of shape ``(1, samples)``.

    The same as :func:`to_int16` of :func:`mix_down` of :func:`decode`; piece by piece, so that what lies between stays in the cache.

    Raises:
        InputError: as :func:`decode`.
    """
    return _decode(source, _read_mono)


def _decode(source: Path | bytes, read: Callable[[io.BytesIO | int], Audio]) -> Audio:
    try:
        # Opened here, not by its name: libsndfile would let the extension of a name decide.
        stream = io.BytesIO(source) if isinstance(source, bytes) else files.open_regular(source)
    except OSError as error:
        raise InputError(files.refusal(error)) from error
    try:
        with stream:
            if not (len(source) if isinstance(source, bytes) else os.fstat(stream.fileno()).st_size):
                raise InputError("the file is empty (0 bytes)")
            audio = read(stream if isinstance(stream, io.BytesIO) else stream.fileno())
    except (soundfile.LibsndfileError, RuntimeError, ValueError, OSError) as error:
        reason = str(error).rpartition(": ")[2].rstrip(".") or type(error).__name__
        if "regular file" in reason:  # what libsndfile says of bytes that no decoder takes
            reason = "format not recognised"
        raise InputError(f"cannot be decoded as audio ({reason})") from error
    if audio.samples.shape[1] == 0:
        raise InputError("holds no samples")
    return audio


def _read(source: io.BytesIO | int) -> Audio:
    """All samples of an open file, given by its descriptor, or of bytes."""
    with soundfile.SoundFile(source, closefd=False) as file:
        if file.subtype in _SMALL_INTEGERS:
            # Reading the integers and scaling them here is bit-equal and five times faster than letting libsndfile scale.
            samples = np.multiply(file.read(dtype="int16", always_2d=True).T, np.float32(1 / 32768), dtype=np.float32, order="C")
        else:
            samples = np.ascontiguousarray(file.read(dtype="float32", always_2d=True).T)
            _check_finite(samples)
        check_complete(file.extra_info)
        return Audio(samples, file.samplerate)


def _read_mono(source: io.BytesIO | int) -> Audio:
    with soundfile.SoundFile(source, closefd=False) as file:
        # At once: read in pieces, an MP3 decodes to slightly other samples.
        samples = file.read(dtype="int16" if file.subtype in _SMALL_INTEGERS else "float32", always_2d=True)
        check_complete(file.extra_info)
        mono = np.empty(len(samples), np.int16)
        for start in range(0, len(samples), _PIECE):
            mono[start : start + _PIECE] = _to_mono(samples[start : start + _PIECE])
        return Audio(mono[None], file.samplerate)


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


def check_complete(log: str) -> None:
    """Refuses a WAV or AIFF whose header promises more bytes than the file has; libsndfile reads what is there and only logs it.

    A size near 2^31 or 2^32 is no promise: programs that write to a pipe put it there. (A cut FLAC fails by itself; a cut MP3 or OGG cannot
    be told from a whole one: MP3s taken out of longer ones keep the longer one's length.)
    """
    for promised, there in _SHORT_CHUNK.findall(log):
        if int(there) < int(promised) < 0x7FFF0000:
            raise InputError(f"is cut short: {int(there):,} of {int(promised):,} bytes of audio are there")


def mix_down(samples: np.ndarray) -> np.ndarray:
    """The plain mean of the channels: ``(channels, samples)`` → ``(samples,)``."""
    if samples.shape[0] == 2:  # the same to the bit as the mean, and twice as fast
        return np.asarray((samples[0] + samples[1]) * np.float32(0.5))
    return np.asarray(samples[0] if samples.shape[0] == 1 else samples.mean(axis=0, dtype=np.float32))


def resample(samples: np.ndarray, from_rate: int, to_rate: int) -> np.ndarray:
    """Resamples mono ``(samples,)`` with soxr's HQ; the same array where the rates are equal."""
    if from_rate == to_rate:
        return samples
    return np.asarray(soxr.resample(samples, from_rate, to_rate, quality="HQ"))


def load(source: Path | bytes, sample_rate: int) -> np.ndarray:
    """Decodes, mixes down and resamples: mono float32 of shape ``(samples,)`` at ``sample_rate``, at least one sample.

    Raises:
        InputError: as :func:`decode`; or nothing is left after resampling.
    """
    audio = decode(source)
    mono = resample(mix_down(audio.samples), audio.sample_rate, sample_rate)
    if not len(mono):
        raise InputError(f"is too short: no sample is left at {sample_rate} Hz")
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
