"""How far a recording is from A4 = 440 Hz: spectral peaks, refined by a parabola, vote for a fraction of a bin.

The meaning of every step, including the precision it is taken in, is that of ``librosa.estimate_tuning`` 0.11; what differs is the work:
magnitudes only where a pitch may be, the parabola only at peaks.
"""

from __future__ import annotations

import numpy as np

from jukemir_like.representations import spectrum

_N_FFT = 2048
_HOP_LENGTH = 512
_LOWEST_HZ, _HIGHEST_HZ = 150.0, 4000.0
_LEAST_MAGNITUDE = np.float32(0.1)  # of the frame's largest
_EDGES = np.linspace(-0.5, 0.5, 101)


def estimate(clip: np.ndarray, sample_rate: int, peak: np.float32, bins_per_octave: int) -> float:
    """The tuning of ``clip`` in fractions of a bin, in [-0.5, 0.5), in steps of 0.01; 0 where there is no peak (silence).

    Args:
        clip: float32, shape ``(samples,)``.
        sample_rate: in Hz.
        peak: what the clip is divided by.
        bins_per_octave: bins of the pitch scale.
    """
    votes = _votes(*peaks(clip, sample_rate, peak), bins_per_octave)
    # Rounding moves about one peak in 100,000 to the next class. Where that could decide, count again in double precision.
    runner_up, most = np.sort(votes)[-2:]
    if most - runner_up <= 2 + votes.sum() // 50_000:
        votes = _votes(*peaks(clip, sample_rate, peak, np.float64), bins_per_octave)
    return float(_EDGES[np.argmax(votes)]) if votes.any() else 0.0


def peaks(clip: np.ndarray, sample_rate: int, peak: np.float32, precision: type[np.floating] = np.float32) -> tuple[np.ndarray, np.ndarray]:
    """Frequencies (Hz) and magnitudes of the spectral peaks of all frames, float32, in the order of time.

    A peak is a bin between 150 and 4,000 Hz that is above its lower neighbour, not below its upper one, and above a tenth of the frame's
    largest magnitude.
    """
    bins = np.arange(1 + _N_FFT // 2)
    low, high = np.searchsorted(bins * sample_rate / _N_FFT, [_LOWEST_HZ, min(_HIGHEST_HZ, sample_rate / 2)])
    frequencies, heights = [], []
    for _, _, magnitude in spectrum.magnitudes(clip, _N_FFT, _HOP_LENGTH, peak, precision):
        here = magnitude[:, low:high]
        is_peak = np.zeros(magnitude.shape, bool)
        candidates = is_peak[:, low:high]
        np.greater(here, magnitude[:, low - 1 : high - 1], out=candidates)
        candidates &= here >= magnitude[:, low + 1 : high + 1]
        candidates &= here > _LEAST_MAGNITUDE * magnitude.max(axis=1, keepdims=True)
        where = np.flatnonzero(is_peak)
        left, top, right = (magnitude.ravel()[where + step] for step in (-1, 0, 1))
        slope = (right - left) / 2
        curvature = right + left - 2 * top
        shift = np.where(np.abs(slope) < np.abs(curvature), -slope / np.where(curvature == 0, 1, curvature), np.float32(0))
        frequencies.append(((where % magnitude.shape[1] + shift) * sample_rate / _N_FFT).astype(np.float32))
        heights.append(top + slope * shift / 2)
    return np.concatenate(frequencies), np.concatenate(heights)


def _votes(frequencies: np.ndarray, heights: np.ndarray, bins_per_octave: int) -> np.ndarray:
    """How many of the stronger half of the peaks fall into each hundredth of a bin around the nearest bin's centre."""
    if not len(heights):
        return np.zeros(len(_EDGES) - 1, int)
    strong = frequencies[heights >= np.median(heights)]
    offset = np.mod(bins_per_octave * np.log2(strong / np.float32(440 / 16)), np.float32(1))
    offset[offset >= 0.5] -= 1
    return np.histogram(offset, _EDGES)[0]
