"""Harmonic-percussive separation by median filters (FitzGerald 2010), with soft masks.

A tone is a line along time in the spectrogram, a stroke is a line along frequency. So the median over time around each bin keeps what is
harmonic, the median over frequency what is percussive, and the two are compared. The masks are those of ``librosa.decompose.hpss`` with its
defaults; they are computed some four times as fast, as medians of one dimension.
"""

from __future__ import annotations

import numpy as np
from scipy import fft
from scipy.ndimage import median_filter
from scipy.signal import get_window

KERNEL = 31
"""Frames, and bins, of the medians."""
HOPS = 4
"""Hops in a window."""

_TINY = np.finfo(np.float32).tiny


def spectra(samples: np.ndarray, window_samples: int) -> np.ndarray:
    """The short-time Fourier transform of float32 ``(samples,)``: complex64 ``(frames, bins)``.

    Frame k is centred on sample k · ``window_samples`` / 4, with zeros before the beginning and after the end; periodic Hann window.

    >>> spectra(np.zeros(1000, np.float32), 256).shape
    (16, 129)
    """
    hop = window_samples // HOPS
    padded = np.pad(samples, window_samples // 2)
    frames = np.lib.stride_tricks.sliding_window_view(padded, window_samples)[::hop]
    return np.asarray(fft.rfft(frames * _window(window_samples), axis=1))


def signal(spectrum: np.ndarray, samples: int) -> np.ndarray:
    """The inverse of :func:`spectra`: float32 ``(samples,)``.

    >>> tone = np.sin(np.arange(1000, dtype=np.float32))
    >>> bool(np.allclose(signal(spectra(tone, 256), 1000), tone, atol=1e-6))
    True
    """
    window_samples = 2 * (spectrum.shape[1] - 1)
    window = _window(window_samples)
    summed = _overlapping_sum(fft.irfft(spectrum, window_samples, axis=1) * window)
    weight = _overlapping_sum(np.broadcast_to(window**2, (len(spectrum), window_samples)))
    start = window_samples // 2
    return np.asarray(summed[start : start + samples] / np.maximum(weight[start : start + samples], _TINY))


def percussive_mask(magnitudes: np.ndarray) -> np.ndarray:
    """Which fraction of each bin of float32 ``(frames, bins)`` is percussive; the rest is harmonic.

    A mask is P² / (P² + H²) with the medians P over frequency and H over time, and ½ where both are 0.

    >>> struck = np.zeros((40, 40), np.float32)
    >>> struck[20] = 1
    >>> float(percussive_mask(struck)[20].min()), float(percussive_mask(struck.T)[:, 20].max())
    (1.0, 0.0)
    """
    percussive, harmonic = _medians_along_rows(magnitudes), _medians_along_rows(magnitudes.T).T
    largest = np.maximum(percussive, harmonic)
    is_silent = largest < _TINY
    largest[is_silent] = 1
    percussive, harmonic = (percussive / largest) ** 2, (harmonic / largest) ** 2
    percussive[is_silent] = harmonic[is_silent] = 0.5
    return np.asarray(percussive / (percussive + harmonic))


def _medians_along_rows(values: np.ndarray) -> np.ndarray:
    """Medians of :data:`KERNEL` values around each, in its row, which is mirrored at its ends.

    The rows are filtered as one line, with what is mirrored between them: SciPy's filter of one dimension does not sort each window anew.
    """
    beside = KERNEL // 2
    padded = np.pad(values, ((0, 0), (beside, beside)), mode="symmetric")
    return np.asarray(median_filter(padded.ravel(), size=KERNEL).reshape(padded.shape)[:, beside:-beside])


def _overlapping_sum(frames: np.ndarray) -> np.ndarray:
    """The sum of ``(frames, window)``, each a hop after the one before."""
    count, window_samples = frames.shape
    hops = np.zeros((count + HOPS - 1, window_samples // HOPS), np.float32)
    for number, part in enumerate(np.split(frames, HOPS, axis=1)):
        hops[number : number + count] += part
    return hops.ravel()


def _window(samples: int) -> np.ndarray:
    return np.asarray(get_window("hann", samples), np.float32)
