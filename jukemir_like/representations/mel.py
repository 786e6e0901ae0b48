"""The mel scale, its filters and the cosine transform that turns log-mel bands into cepstral coefficients.

The scale is that of Slaney's Auditory Toolbox (1998): linear below 1 kHz, logarithmic above. A filter is a triangle between the centres
of its neighbours, with area 1 in Hz.
"""

from __future__ import annotations

import math

import numpy as np

_LINEAR_HZ_PER_MEL = 200 / 3
_BREAK_HZ = 1000.0
_LOG_STEP = math.log(6.4) / 27


def to_mel(frequency: np.ndarray | float) -> np.ndarray:
    """Hz → mel."""
    frequency = np.asarray(frequency, dtype=np.float64)
    log_part = _BREAK_HZ / _LINEAR_HZ_PER_MEL + np.log(np.maximum(frequency, _BREAK_HZ) / _BREAK_HZ) / _LOG_STEP
    return np.where(frequency < _BREAK_HZ, frequency / _LINEAR_HZ_PER_MEL, log_part)


def to_hz(mel: np.ndarray | float) -> np.ndarray:
    """Mel → Hz."""
    mel = np.asarray(mel, dtype=np.float64)
    break_mel = _BREAK_HZ / _LINEAR_HZ_PER_MEL
    log_part = _BREAK_HZ * np.exp(_LOG_STEP * (np.maximum(mel, break_mel) - break_mel))
    return np.where(mel < break_mel, mel * _LINEAR_HZ_PER_MEL, log_part)


def filters(sample_rate: int, n_fft: int, n_mels: int) -> np.ndarray:
    """Triangular filters from 0 Hz to half the sample rate: float32, shape ``(n_mels, 1 + n_fft // 2)``."""
    edges = to_hz(np.linspace(0, to_mel(sample_rate / 2), n_mels + 2))
    bins = np.arange(1 + n_fft // 2) * sample_rate / n_fft
    lower, centre, upper = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    rising = (bins - lower) / (centre - lower)
    falling = (upper - bins) / (upper - centre)
    triangles = np.maximum(0, np.minimum(rising, falling))
    return np.asarray(triangles * (2 / (upper - lower)), dtype=np.float32)


def cosine_transform(n_mels: int, coefficients: int) -> np.ndarray:
    """The first ``coefficients`` columns of the orthonormal DCT-II: float32, shape ``(n_mels, coefficients)``."""
    band, order = np.arange(n_mels)[:, None], np.arange(coefficients)
    basis = np.sqrt(2 / n_mels) * np.cos(np.pi * order * (2 * band + 1) / (2 * n_mels))
    basis[:, 0] /= np.sqrt(2)
    return np.asarray(basis, dtype=np.float32)


class BandedProduct:
    """A product with filters that each touch few bins, as products of small blocks.

    Args:
        weights: shape ``(bands, bins)``; neighbouring bands touch neighbouring bins.
        block: bands a block.
    """

    def __init__(self, weights: np.ndarray, block: int = 32):
        self._blocks = []
        for start in range(0, len(weights), block):
            rows = weights[start : start + block]
            touched = np.flatnonzero(rows.any(axis=0))
            bins = slice(touched[0], touched[-1] + 1)
            self._blocks.append((slice(start, start + len(rows)), bins, np.ascontiguousarray(rows[:, bins].T)))

    def __call__(self, spectra: np.ndarray, out: np.ndarray) -> None:
        """Writes ``spectra · weightsᵀ`` into ``out``; shapes ``(frames, bins)`` and ``(frames, bands)``."""
        for bands, bins, weights in self._blocks:
            np.matmul(spectra[:, bins], weights, out=out[:, bands])
