"""The constant-Q chromagram, summarised over time: 72 numbers that know about harmony.

The recipe is that of Castellon, Donahue and Liang (ISMIR 2021, arXiv 2107.05677), with the meaning that librosa 0.11 gives to its steps:
tuning from spectral peaks, constant-Q magnitudes of seven octaves every 512 samples, folded to 12 pitch classes (C first), each frame
divided by its largest; see :mod:`~jukemir_like.representations.summary` for what becomes of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from jukemir_like.representations import Representation, cqt, frames, summary, tuning, wavelets

_RECIPE = 2  # 1: resampling gave one sample less of about half of all lengths, and some MP3s were not decoded to their end
_HOP_LENGTH = 512
_N_CHROMA = 12


class Chroma(Representation):
    """Moments of 12 pitch classes and of their finite differences.

    A clip needs three frames, 1,024 samples (0.046 s); a shorter one is an :class:`~jukemir_like.core.errors.InputError`.
    """

    name = "chroma"
    sample_rate = 22050
    dimension = 2 * summary.ORDERS * _N_CHROMA

    @property
    def parameters(self) -> dict[str, Any]:
        """Settings and the version of the recipe."""
        return {
            "recipe": _RECIPE,
            "sample_rate": self.sample_rate,
            "hop_length": _HOP_LENGTH,
            "n_chroma": _N_CHROMA,
            "n_octaves": wavelets.N_OCTAVES,
            "bins_per_octave": wavelets.BINS_PER_OCTAVE,
        }

    def __call__(self, clips: Sequence[np.ndarray]) -> np.ndarray:
        """Vectors of clips: float32, shape ``(len(clips), 72)``; an ``InputError`` where a clip is too short."""
        return summary.of_clips(self, clips, self.chromagram, _HOP_LENGTH)

    def chromagram(self, clip: np.ndarray) -> np.ndarray:
        """The chromagram before it is summarised: float32, shape ``(frames, 12)``, in [0, 1], of the peak-normalised clip."""
        peak = frames.peak_of(clip)
        offset = tuning.estimate(clip, self.sample_rate, peak, wavelets.BINS_PER_OCTAVE)
        chroma = cqt.pitch_classes(clip, self.sample_rate, _HOP_LENGTH, peak, offset)
        largest = chroma.max(axis=1, keepdims=True)
        largest[largest < np.finfo(np.float32).tiny] = 1  # a silent frame stays silent
        chroma /= largest
        return chroma
