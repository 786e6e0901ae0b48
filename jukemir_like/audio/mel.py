"""The mel scale and its filters: from the bins of a power spectrum to bands that are spaced as pitch is heard.

The scale is that of Slaney's Auditory Toolbox (1998): linear below 1 kHz, logarithmic above. A filter is a triangle between the centres
of its neighbours, with area 1 in Hz. Both are librosa's defaults. Everything is computed in float64 and rounded once, to float32.
"""

from __future__ import annotations

import math

import numpy as np

_LINEAR_HZ_PER_MEL = 200 / 3
_BREAK_HZ = 1000.0
_BREAK_MEL = _BREAK_HZ / _LINEAR_HZ_PER_MEL
_LOG_STEP = math.log(6.4) / 27  # above 1 kHz, 27 mel are a factor of 6.4


def to_mel(frequency: np.ndarray | float) -> np.ndarray:
    """Hz → mel.

    >>> to_mel([200, 1000, 6400]).round(6).tolist()
    [3.0, 15.0, 42.0]
    """
    frequency = np.asarray(frequency, dtype=np.float64)
    # np.where computes both branches: the maximum keeps the logarithm of the unused one finite.
    log_part = _BREAK_MEL + np.log(np.maximum(frequency, _BREAK_HZ) / _BREAK_HZ) / _LOG_STEP
    return np.where(frequency < _BREAK_HZ, frequency / _LINEAR_HZ_PER_MEL, log_part)


def to_hz(mel: np.ndarray | float) -> np.ndarray:
    """Mel → Hz.

    >>> to_hz([3, 15, 42]).round(6).tolist()
    [200.0, 1000.0, 6400.0]
    """
    mel = np.asarray(mel, dtype=np.float64)
    log_part = _BREAK_HZ * np.exp(_LOG_STEP * (np.maximum(mel, _BREAK_MEL) - _BREAK_MEL))
    return np.where(mel < _BREAK_MEL, mel * _LINEAR_HZ_PER_MEL, log_part)


def filters(sample_rate: int, n_fft: int, n_mels: int, f_min: float = 0.0, f_max: float | None = None) -> np.ndarray:
    """Triangular filters, equally spaced in mel, each of area 1 in Hz.

    Args:
        sample_rate: in Hz.
        n_fft: samples per frame of the spectrum.
        n_mels: number of bands.
        f_min: lower edge of the lowest band, in Hz.
        f_max: upper edge of the highest band, in Hz; None: half the sample rate.

    Returns:
        float32, shape ``(n_mels, 1 + n_fft // 2)``; multiply it with the bins of a power spectrum.

    >>> filters(22050, 2048, 128).shape
    (128, 1025)
    """
    lowest, highest = float(to_mel(f_min)), float(to_mel(sample_rate / 2 if f_max is None else f_max))
    edges = to_hz(np.linspace(lowest, highest, n_mels + 2))
    bins = np.arange(1 + n_fft // 2) * sample_rate / n_fft
    lower, centre, upper = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    rising = (bins - lower) / (centre - lower)
    falling = (upper - bins) / (upper - centre)
    triangles = np.maximum(0, np.minimum(rising, falling))
    # A triangle of height h over a base of (upper - lower) has the area h (upper - lower) / 2.
    return np.asarray(triangles * (2 / (upper - lower)), dtype=np.float32)


def blocks(weights: np.ndarray, size: int) -> list[tuple[slice, slice]]:
    """Filters in blocks whose products leave out most of the zeros.

    Args:
        weights: shape ``(bands, bins)``; neighbouring bands touch neighbouring bins.
        size: bands per block.

    Returns:
        for each block its bands, and the bins that any of them touches.

    >>> blocks(np.array([[1, 0, 0], [1, 2, 0], [0, 0, 3]]), 2)
    [(slice(0, 2, None), slice(0, 2, None)), (slice(2, 3, None), slice(2, 3, None))]
    """
    found = []
    for start in range(0, len(weights), size):
        bands = slice(start, min(start + size, len(weights)))
        touched = np.flatnonzero(weights[bands].any(axis=0)).tolist() or [0]
        found.append((bands, slice(touched[0], touched[-1] + 1)))
    return found
