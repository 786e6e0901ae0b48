"""Mel-frequency cepstral coefficients, summarised over time: 120 numbers that describe timbre.

The recipe is that of Castellon, Donahue and Liang (ISMIR 2021, arXiv 2107.05677), with the meaning that librosa 0.11 gives to its steps:
power spectra of 2,048-sample Hann frames every 512 samples, 128 mel bands, decibels down to 80 below the clip's loudest band, the first
20 coefficients of the cosine transform, and the moments over time of these and of their finite differences, see
:func:`~jukemir_like.representations.spectra.moments`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from jukemir_like.audio import mel
from jukemir_like.core.errors import RequestError
from jukemir_like.representations import spectra
from jukemir_like.representations.base import Representation

_RECIPE = 2  # 1: resampling gave one sample less of about half of all lengths, and some MP3s were not decoded to their end
_N_FFT = 2048
_HOP_LENGTH = 512
_N_MELS = 128
_N_MFCC = 20
_LEAST_POWER = np.float32(1e-10)
_DYNAMIC_RANGE_DB = 80.0


class MFCC(Representation):
    """Moments of 20 MFCCs and of their finite differences.

    A clip needs three frames, 1,024 samples (0.046 s); a shorter one is an :class:`~jukemir_like.core.errors.InputError`.

    Args:
        backend: ``"numpy"``, or ``"torchaudio"`` where that is installed; they agree to 1e-5.
        device: for torchaudio, a torch device (``"cuda"``).

    Raises:
        RequestError: unknown backend, torchaudio cannot be imported, no such device.

    >>> from jukemir_like import audio
    >>> MFCC()([audio.load("song.wav", 22050)]).shape
    (1, 120)
    """

    name = "mfcc"
    sample_rate = 22050
    dimension = 2 * spectra.ORDERS * _N_MFCC

    def __init__(self, backend: str = "numpy", device: str = "cpu") -> None:
        self._backend = backend if backend == "numpy" else f"{backend} on {device}"
        if backend == "torchaudio":
            self._coefficients = _torchaudio_coefficients(self.sample_rate, device)
        elif backend == "numpy":
            self._to_mel = BandedProduct(mel.filters(self.sample_rate, _N_FFT, _N_MELS))
            self._to_cepstrum = cosine_transform(_N_MELS, _N_MFCC)
            self._coefficients = self._numpy_coefficients
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
        vectors = np.empty((len(clips), self.dimension), np.float32)
        for vector, clip in zip(vectors, clips, strict=True):
            spectra.check_length(clip, _HOP_LENGTH, self.sample_rate, self.name)
            vector[:] = spectra.moments(self.coefficients(clip))
        return vectors

    def coefficients(self, clip: np.ndarray) -> np.ndarray:
        """The coefficients before they are summarised: float32, shape ``(frames, 20)``, of the peak-normalised clip."""
        return self._coefficients(clip)

    def _numpy_coefficients(self, clip: np.ndarray) -> np.ndarray:
        bands = np.empty((spectra.frame_count(len(clip), _HOP_LENGTH), _N_MELS), np.float32)
        for first, last, magnitude in spectra.magnitudes(clip, _N_FFT, _HOP_LENGTH, spectra.peak_of(clip)):
            self._to_mel(np.square(magnitude, out=magnitude), out=bands[first:last])
        decibels = np.log10(np.maximum(bands, _LEAST_POWER, out=bands), out=bands)
        decibels *= np.float32(10)
        # The floor belongs to the clip, not to a chunk or a batch: a vector must not depend on its neighbours.
        np.maximum(decibels, decibels.max() - np.float32(_DYNAMIC_RANGE_DB), out=decibels)
        cepstrum: np.ndarray = decibels @ self._to_cepstrum
        return cepstrum


def cosine_transform(n_mels: int, coefficients: int) -> np.ndarray:
    """The first ``coefficients`` columns of the orthonormal DCT-II: float32, shape ``(n_mels, coefficients)``.

    >>> cosine_transform(2, 2).round(3)
    array([[ 0.707,  0.707],
           [ 0.707, -0.707]], dtype=float32)
    """
    band, order = np.arange(n_mels)[:, None], np.arange(coefficients)
    basis = np.sqrt(2 / n_mels) * np.cos(np.pi * order * (2 * band + 1) / (2 * n_mels))
    basis[:, 0] /= np.sqrt(2)
    return np.asarray(basis, dtype=np.float32)


class BandedProduct:
    """A product with filters that each touch few bins, as products of small blocks.

    Args:
        weights: shape ``(bands, bins)``; neighbouring bands touch neighbouring bins.
        block: bands per block.
    """

    def __init__(self, weights: np.ndarray, block: int = 32):
        self._blocks = [(bands, bins, np.ascontiguousarray(weights[bands, bins].T)) for bands, bins in mel.blocks(weights, block)]

    def __call__(self, spectra: np.ndarray, out: np.ndarray) -> None:
        """Writes ``spectra · weightsᵀ`` into ``out``; shapes ``(frames, bins)`` and ``(frames, bands)``."""
        for bands, bins, weights in self._blocks:
            np.matmul(spectra[:, bins], weights, out=out[:, bands])


def _torchaudio_coefficients(sample_rate: int, device: str) -> Callable[[np.ndarray], np.ndarray]:
    """The same coefficients by torchaudio, on a GPU or a processor.

    Returns:
        a function from a clip ``(samples,)`` to coefficients ``(frames, 20)``, float32.

    Raises:
        RequestError: torchaudio cannot be imported, or there is no such device.
    """
    try:
        import torch
        from torchaudio import transforms
    except (ImportError, OSError) as error:  # OSError: a torchaudio built for another torch
        reason = str(error).partition("\n")[0]
        raise RequestError(
            f"torchaudio cannot be imported ({reason}): install the torchaudio that fits torch, or use the numpy backend"
        ) from error
    spectrum = {"n_fft": _N_FFT, "hop_length": _HOP_LENGTH, "n_mels": _N_MELS, "pad_mode": "constant"}
    try:
        transform = transforms.MFCC(sample_rate, _N_MFCC, melkwargs=spectrum | {"norm": "slaney", "mel_scale": "slaney"}).to(device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).partition("\n")[0]
        raise RequestError(f"device {device!r} cannot be used by torch ({reason})") from error

    @torch.inference_mode()
    def coefficients(clip: np.ndarray) -> np.ndarray:
        # One clip at a time, as (batch, channel, samples): a two-dimensional batch would share one decibel floor, and on a GPU even the
        # size of a batch changes the last bits.
        samples = torch.from_numpy(clip / spectra.peak_of(clip)).to(device)
        return transform(samples[None, None])[0, 0].T.cpu().numpy()  # type: ignore[no-any-return]

    return coefficients
