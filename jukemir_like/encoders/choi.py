"""choi: the means of the maps of five convolutional blocks that were trained to tag music, 160 numbers.

Choi, Fazekas, Sandler and Cho, *Transfer learning for music classification and regression tasks* (ISMIR 2017, arXiv 1703.09179), as
Castellon, Donahue and Liang compared it (ISMIR 2021): the first 29 s of a clip at 12 kHz; power spectra of 512-sample Hann frames every 256
samples; 96 mel bands up to 6 kHz; decibels below the loudest band of a set of songs, down to −80; five blocks; the mean of each map.

**Two things differ from the published program**, so that a vector depends on its own clip alone: the loudest band, and what the batch
normalisations subtract and divide by, are those of a declared set of songs, not of the songs in the same batch. See
:mod:`jukemir_like.encoders.choi_statistics`.

A clip shorter than 29 s is repeated to that length, as in jukemir (the authors add zeros); of a longer one the rest is not heard.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from jukemir_like.audio import mel
from jukemir_like.core.errors import RequestError
from jukemir_like.encoders import choi_statistics
from jukemir_like.encoders.card import Card
from jukemir_like.encoders.encoder import ClipEncoder
from jukemir_like.representations import spectra

if TYPE_CHECKING:
    from torch import Tensor

    from jukemir_like.encoders.nets.choi import ChoiNet

SAMPLES = 348_000
"""29 s at 12 kHz: as much of a clip as is used."""
FRAMES = 1360
N_MELS = 96

_SAMPLE_RATE = 12_000
_N_FFT = 512
_HOP_LENGTH = 256
_LEAST_POWER = np.float32(1e-10)
_FLOOR_DB = np.float32(-80)
_CHUNK = 32  # frames
_SHORTER = ("repeated", "zeros")


class Choi(ClipEncoder):
    """The encoder ``choi``; see the module, and :class:`~jukemir_like.encoders.encoder.Encoder` for its options.

    Settings of its card: ``statistics``, what clips are measured against (:func:`jukemir_like.encoders.choi_statistics.read`), and
    ``shorter``, what is done with clips below 29 s: ``repeated`` or ``zeros`` behind them.

    >>> Choi(cards.read("choi"))([np.zeros(348_000, np.float32)]).shape  # doctest: +SKIP
    (1, 160)
    """

    recipe = 1
    precisions = ("32",)
    front_end_rate = _SAMPLE_RATE

    def __init__(self, card: Card, **options: Any) -> None:
        super().__init__(card, **options)
        self.shorter = card.settings.get("shorter", _SHORTER[0])
        if self.shorter not in _SHORTER:
            raise RequestError(f"the card of {card.name} has shorter = {self.shorter!r}: choose one of {', '.join(_SHORTER)}")
        self.statistics = choi_statistics.read(card.settings.get("statistics", "choi_statistics"))

    @property
    def parameters(self) -> dict[str, Any]:
        """As of every encoder, and digests of the set of songs and of its statistics."""
        parameters = super().parameters
        settings = {name: value for name, value in parameters["settings"].items() if name != "statistics"}  # which may be a path
        return parameters | {"settings": settings, "statistics": self.statistics.parameters}

    @staticmethod
    def convert(card: Card, files: Mapping[str, Path]) -> Mapping[str, Tensor]:
        """From the published HDF5 file: :func:`jukemir_like.encoders.nets.choi.convert`."""
        from jukemir_like.encoders.nets import choi

        return choi.convert(files[card.files[0].path])

    def build(self) -> ChoiNet:
        """The net, with any numbers."""
        from jukemir_like.encoders.nets.choi import ChoiNet

        return ChoiNet()

    def vector(self, clip: np.ndarray) -> np.ndarray:
        """The vector of one clip: float32, shape ``(160,)``."""
        import torch

        mean, variance = self._frozen
        relative = relative_decibels(self.decibels(clip), self.statistics.reference)
        vector: np.ndarray = self.net(torch.from_numpy(relative)[None].to(self.device), mean, variance)[0].cpu().numpy()
        return vector

    def decibels(self, clip: np.ndarray) -> np.ndarray:
        """The clip's mel spectrogram in dB, relative to nothing: float32, shape ``(96, 1360)``."""
        return mel_decibels(fit_length(clip, self.shorter))

    @cached_property
    def _frozen(self) -> tuple[Tensor, Tensor]:
        import torch

        statistics = self.statistics
        return torch.from_numpy(statistics.mean).to(self.device), torch.from_numpy(statistics.variance).to(self.device)


def fit_length(clip: np.ndarray, shorter: str = "repeated") -> np.ndarray:
    """The first 348,000 samples of a clip; what is missing is the clip again (``repeated``) or zero (``zeros``).

    >>> fit_length(np.array([1, 2, 3], np.float32))[-4:]
    array([3., 1., 2., 3.], dtype=float32)
    """
    if len(clip) >= SAMPLES:
        return clip[:SAMPLES]
    return np.tile(clip, -(-SAMPLES // len(clip)))[:SAMPLES] if shorter == "repeated" else np.pad(clip, (0, SAMPLES - len(clip)))


def mel_decibels(clip: np.ndarray) -> np.ndarray:
    """Mel spectrogram of 29 s, in dB.

    Args:
        clip: float32, shape ``(348000,)``, at 12 kHz.

    Returns:
        float32, shape ``(96, 1360)``: ``10 log10(power)``, power at least 1e-10.
    """
    # The published front-end is a convolution with cosines and sines times a periodic Hann window, and Theano reverses what it convolves
    # with. For powers that is a reversed window: zero at its last sample, not at its first.
    window = spectra.hann(_N_FFT)[::-1].astype(np.float32)
    powers = np.empty((FRAMES, 1 + _N_FFT // 2), np.float32)
    for first, last in spectra.chunks_of(FRAMES, _CHUNK):
        samples = spectra.segment(clip, first, last, _N_FFT, _HOP_LENGTH)
        spectrum = spectra.rfft(spectra.overlapping(samples, _N_FFT, _HOP_LENGTH) * window)
        np.add(spectrum.real**2, spectrum.imag**2, out=powers[first:last])
    bands = mel.filters(_SAMPLE_RATE, _N_FFT, N_MELS) @ powers.T
    np.maximum(bands, _LEAST_POWER, out=bands)
    np.log10(bands, out=bands)
    bands *= np.float32(10)
    return bands


def relative_decibels(decibels: np.ndarray, reference: float) -> np.ndarray:
    """``decibels`` above ``reference``, and at least −80."""
    return np.maximum(decibels - np.float32(reference), _FLOOR_DB)
