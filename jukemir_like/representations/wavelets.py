"""The filters of the constant-Q transform: the 36 wavelets of one octave, their spectra, and both as one matrix.

Seven octaves need one set only: halving the sample rate turns each octave into the highest one. Choices are those of librosa 0.11: Hann
windows, magnitudes that sum to 1, spectra cut to the bins that hold 99 % of the magnitude.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from jukemir_like.representations import spectrum

BINS_PER_OCTAVE = 36
N_OCTAVES = 7
FRAME_LENGTH = 1024
_LOWEST_HZ = 440 * 2 ** ((24 - 69) / 12)  # C1
_DISCARDED = 0.01  # of a filter's summed magnitude


def wavelets(sample_rate: int, tuning: float) -> tuple[np.ndarray, np.ndarray]:
    """The filters of the highest octave, in time.

    Args:
        sample_rate: in Hz, between 21,000 and 33,000, for which librosa too takes frames of 1,024 samples.
        tuning: in fractions of a bin.

    Returns:
        complex64 of shape ``(36, 1024)``, each row's magnitudes summing to 1, and the filters' lengths in samples (not whole numbers).
    """
    frequencies = _LOWEST_HZ * 2.0 ** (tuning / BINS_PER_OCTAVE) * 2.0 ** (N_OCTAVES - 1 + np.arange(BINS_PER_OCTAVE) / BINS_PER_OCTAVE)
    ratio = 2.0 ** (2 / BINS_PER_OCTAVE)
    quality = (ratio + 1) / (ratio - 1)
    lengths = quality * sample_rate / frequencies
    filters = np.zeros((BINS_PER_OCTAVE, FRAME_LENGTH), np.complex64)
    for row, length, frequency in zip(filters, lengths, frequencies, strict=True):
        time = np.arange(np.floor(-length / 2), np.floor(length / 2))
        wavelet = np.exp(2j * np.pi * frequency / sample_rate * time) * spectrum.hann(len(time))
        begin = (FRAME_LENGTH - len(wavelet)) // 2
        row[begin : begin + len(wavelet)] = wavelet / np.abs(wavelet).sum()
    return filters, lengths


@lru_cache(maxsize=101)
def spectra(sample_rate: int, tuning: float) -> np.ndarray:
    """What a frame's spectrum is multiplied by: complex64, shape ``(36, 513)``, mostly zeros.

    Of each filter the least magnitudes are cut, as many as sum to less than 1 %. Responses come out divided by the square root of the
    filter's length, in every octave: an octave's halvings multiply the samples by what its longer filters would divide by.
    """
    filters, lengths = wavelets(sample_rate, tuning)
    filters *= lengths[:, None] / FRAME_LENGTH
    full = np.fft.fft(filters, axis=1)[:, : 1 + FRAME_LENGTH // 2]
    magnitude = np.abs(full)
    ascending = np.sort(magnitude, axis=1)
    share = np.cumsum(ascending / magnitude.sum(axis=1, keepdims=True), axis=1)
    least_kept = np.take_along_axis(ascending, np.argmax(share >= _DISCARDED, axis=1)[:, None], axis=1)
    return np.where(magnitude >= least_kept, full / np.sqrt(lengths)[:, None], 0).astype(np.complex64)


@lru_cache(maxsize=101)
def matrix(sample_rate: int, tuning: float) -> np.ndarray:
    """What a frame is multiplied by: float32, shape ``(1024, 72)``; its columns are real and imaginary part of the responses in turn.

    A response is the product of the filter's spectrum with the frame's; the Fourier transform being linear and symmetric, that is the
    product of the spectrum's own transform with the frame.
    """
    sparse = spectra(sample_rate, tuning)
    padded = np.zeros((FRAME_LENGTH, BINS_PER_OCTAVE), np.complex128)
    padded[: sparse.shape[1]] = sparse.T
    return np.fft.fft(padded, axis=0).astype(np.complex64).view(np.float32)
