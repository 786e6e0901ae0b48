"""Samples from one form to another: integers and floats, channels to mono, sample rates.

Arrays are ``(channels, samples)`` or, for mono, ``(samples,)``; what decoders give is ``(frames, channels)``.
"""

from __future__ import annotations

import math

import numpy as np
import soxr

from jukemir_like.core.errors import InputError

_PIECE = 1 << 15  # frames that are mixed and rounded at a time


def mix_down(samples: np.ndarray) -> np.ndarray:
    """The plain mean of the channels: float32 ``(channels, samples)`` → ``(samples,)``.

    >>> mix_down(np.array([[0.5, 0.0], [0.25, 1.0]], np.float32))
    array([0.375, 0.5  ], dtype=float32)
    """
    if samples.shape[0] == 2:  # the same to the bit as the mean, and twice as fast
        return np.asarray((samples[0] + samples[1]) * np.float32(0.5))
    return np.asarray(samples[0] if samples.shape[0] == 1 else samples.mean(axis=0, dtype=np.float32))


def resample(samples: np.ndarray, from_rate: int, to_rate: int) -> np.ndarray:
    """Resamples mono ``(samples,)`` with soxr's HQ; the same array where the rates are equal.

    The result has the length that librosa's has, the exact one rounded up: soxr rounds to the nearest, and a zero is appended where that is
    less. Nothing remains of what is shorter than half a sample at ``to_rate``.

    >>> resample(np.zeros(44100, np.float32), 44100, 22050).shape
    (22050,)
    """
    if from_rate == to_rate:
        return samples
    resampled = np.asarray(soxr.resample(samples, from_rate, to_rate, quality="HQ"))
    # As librosa computes it, in floating point: that may be one more than the exact ratio's.
    length = math.ceil(len(samples) * (to_rate / from_rate)) if len(resampled) else 0
    return resampled[:length] if len(resampled) >= length else np.pad(resampled, (0, length - len(resampled)))


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
    """Rounds float samples to 16 bits; what is beyond full scale is clipped.

    >>> to_int16(np.array([0.5, -1.0, 2.0], np.float32))
    array([ 16384, -32768,  32767], dtype=int16)
    """
    if samples.dtype == np.int16:
        return samples
    scaled = samples * np.float32(32768)
    return np.clip(np.rint(scaled, out=scaled), -32768, 32767, out=scaled).astype(np.int16)


def to_float(frames: np.ndarray) -> np.ndarray:
    """int16 or float32 ``(frames, channels)`` → float32 in [-1, 1), ``(channels, samples)``.

    Raises:
        InputError: a sample is NaN or infinite.
    """
    if frames.dtype == np.int16:
        # Reading the integers and scaling them here is bit-equal and five times faster than letting libsndfile scale.
        return np.asarray(np.multiply(frames.T, np.float32(1 / 32768), dtype=np.float32, order="C"))
    samples = np.ascontiguousarray(frames.T)
    _check_finite(samples)
    return samples


def to_int16_mono(frames: np.ndarray) -> np.ndarray:
    """int16 or float32 ``(frames, channels)`` → int16 ``(1, samples)``: :func:`to_int16` of :func:`mix_down` of :func:`to_float`.

    Raises:
        InputError: a sample is NaN or infinite.
    """
    mono = np.empty(len(frames), np.int16)
    for start in range(0, len(frames), _PIECE):  # so that intermediate results stay in the processor's cache
        mono[start : start + _PIECE] = _piece_to_int16_mono(frames[start : start + _PIECE])
    return mono[None]


def _piece_to_int16_mono(piece: np.ndarray) -> np.ndarray:
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
