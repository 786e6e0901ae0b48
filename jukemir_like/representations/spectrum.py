"""Magnitude spectra of short frames: Hann window, real Fourier transform, a chunk of frames at a time."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

import numpy as np

from jukemir_like.representations import fourier, frames

_CHUNK = 32  # frames; window, transform and magnitudes of a chunk stay in a core's own cache


@lru_cache
def hann(length: int) -> np.ndarray:
    """The periodic Hann window, float64, shape ``(length,)``."""
    return 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(length) / length)


def magnitudes(
    clip: np.ndarray, n_fft: int, hop_length: int, peak: np.float32, precision: type[np.floating] = np.float32
) -> Iterator[tuple[int, int, np.ndarray]]:
    """Yields ``(first, last, magnitudes)``: float32 of shape ``(last - first, 1 + n_fft // 2)``, to be used before the next is asked for.

    Args:
        clip: float32, shape ``(samples,)``.
        n_fft: frame length in samples, even.
        hop_length: in samples.
        peak: what the clip is divided by.
        precision: that of the transform. float32 is twice as fast as float64, and its error is 1e-7 of the frame's largest magnitude.
    """
    window = hann(n_fft).astype(precision)
    windowed = np.empty((_CHUNK, n_fft), precision)
    magnitude = np.empty((_CHUNK, 1 + n_fft // 2), np.float32)
    for first, last in frames.in_chunks(frames.count(len(clip), hop_length), _CHUNK):
        rows = last - first
        segment = frames.segment(clip, first, last, n_fft, hop_length, peak)
        np.multiply(frames.overlapping(segment, n_fft, hop_length), window, out=windowed[:rows])
        spectrum = fourier.rfft(windowed[:rows])
        yield first, last, np.abs(spectrum.astype(np.complex64, copy=False), out=magnitude[:rows])
