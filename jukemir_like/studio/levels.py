"""Levels: factors and decibels, power, and the level of what sounds."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float32]
"""``(samples,)`` or ``(channels, samples)``; full scale is 1."""


def ratio(decibels: float) -> float:
    """The factor of amplitude.

    >>> ratio(20.0)
    10.0
    """
    return float(10 ** (decibels / 20))


def level(samples: Samples, decibels: float) -> Samples:
    """The samples times a factor.

    >>> level(np.float32([0.1, -0.2]), 20.0)
    array([ 1., -2.], dtype=float32)
    """
    return samples * np.float32(10 ** (decibels / 20))


def power(samples: Samples) -> float:
    """Mean square of ``(samples,)``.

    >>> power(np.float32([3, -4, 0, 0]))
    6.25
    """
    return float(np.einsum("i,i", samples, samples, dtype=np.float64)) / len(samples) if len(samples) else 0.0


def active_level(samples: Samples, sample_rate: int) -> float:
    """Root mean square of those tenths of a second of ``(samples,)`` that are within 30 dB of the loudest: rests do not count.

    Of less than a tenth of a second: of all samples. 0 of silence.

    >>> active_level(np.float32([0.5] * 800 + [0] * 800), 8000)
    0.5
    """
    frame = max(1, sample_rate // 10)
    if len(samples) < frame:
        return float(np.sqrt(power(samples)))
    frames = samples[: len(samples) // frame * frame].reshape(-1, frame)
    powers = np.einsum("ij,ij->i", frames, frames) / frame
    return float(np.sqrt(powers[powers >= powers.max() * 1e-3].mean()))
