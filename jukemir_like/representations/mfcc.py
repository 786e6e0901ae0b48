"""Mel-frequency cepstral coefficients, summarised over time: 120 numbers that know about timbre.

The recipe is that of Castellon, Donahue and Liang (ISMIR 2021, arXiv 2107.05677), with the meaning that librosa 0.11 gives to its steps:
power spectra of 2,048-sample Hann frames every 512 samples, 128 mel bands, decibels down to 80 below the clip's loudest band, the first
20 coefficients of the cosine transform; see :mod:`~jukemir_like.representations.summary` for what becomes of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from jukemir_like.audio import mel
from jukemir_like.core.errors import RequestError
from jukemir_like.representations import Representation, frames, spectrum, summary

_RECIPE = 2  # 1: resampling gave one sample less of about half of all lengths, and some MP3s were not decoded to their end
_N_FFT = 2048
_HOP_LENGTH = 512
_N_MELS = 128
_N_MFCC = 20
_LEAST_POWER = np.float32(1e-10)
_DYNAMIC_RANGE_DB = 80.0


class Mfcc(Representation):
    """Moments of 20 MFCCs and of their finite differences.

    A clip needs three frames, 1,024 samples (0.046 s); a shorter one is an :class:`~jukemir_like.core.errors.InputError`.

    Args:
        backend: ``"numpy"``, or ``"torchaudio"`` where that is installed; they agree to 1e-5.
        device: for torchaudio, a torch device (``"cuda"``).

    Raises:
        RequestError: unknown backend, torchaudio cannot be imported, no such device.
    """

    name = "mfcc"
    sample_rate = 22050
    dimension = 2 * summary.ORDERS * _N_MFCC

    def __init__(self, backend: str = "numpy", device: str = "cpu") -> None:
        self._backend = backend if backend == "numpy" else f"{backend} on {device}"
        if backend == "torchaudio":
            from jukemir_like.representations import mfcc_torchaudio

            self._coefficients = mfcc_torchaudio.load(self.sample_rate, _N_FFT, _HOP_LENGTH, _N_MELS, _N_MFCC, device)
        elif backend == "numpy":
            self._to_mel = BandedProduct(mel.filters(self.sample_rate, _N_FFT, _N_MELS))
            self._to_cepstrum = cosine_transform(_N_MELS, _N_MFCC)
            self._coefficients = self._by_numpy
        else:
            raise RequestError(f"unknown backend {backend!r} of mfcc: choose numpy or torchaudio")

    @property
    def parameters(self) -> dict[str, Any]:
        """Settings and the version of the recipe."""
        return {
            "recipe": _RECIPE,
            "backend": self._backend,
            "sample_rate": self.sample_rate,
            "n_fft": _N_FFT,
            "hop_length": _HOP_LENGTH,
            "n_mels": _N_MELS,
            "n_mfcc": _N_MFCC,
            "top_db": _DYNAMIC_RANGE_DB,
        }

    def __call__(self, clips: Sequence[np.ndarray]) -> np.ndarray:
        """Vectors of clips: float32, shape ``(len(clips), 120)``; an ``InputError`` where a clip is too short."""
        return summary.of_clips(self, clips, self.coefficients, _HOP_LENGTH)

    def coefficients(self, clip: np.ndarray) -> np.ndarray:
        """The coefficients before they are summarised: float32, shape ``(frames, 20)``, of the peak-normalised clip."""
        return self._coefficients(clip)

    def _by_numpy(self, clip: np.ndarray) -> np.ndarray:
        bands = np.empty((frames.count(len(clip), _HOP_LENGTH), _N_MELS), np.float32)
        for first, last, magnitude in spectrum.magnitudes(clip, _N_FFT, _HOP_LENGTH, frames.peak_of(clip)):
            self._to_mel(np.square(magnitude, out=magnitude), out=bands[first:last])
        decibels = np.log10(np.maximum(bands, _LEAST_POWER, out=bands), out=bands)
        decibels *= np.float32(10)
        # The floor belongs to the clip, not to a chunk or a batch: a vector must not depend on its neighbours.
        np.maximum(decibels, decibels.max() - np.float32(_DYNAMIC_RANGE_DB), out=decibels)
        cepstrum: np.ndarray = decibels @ self._to_cepstrum
        return cepstrum


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
