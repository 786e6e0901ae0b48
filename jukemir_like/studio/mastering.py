"""What is measured on a mix and done to all its stems alike: a gain that changes with time. So the stems still sum to the mix."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from jukemir_like.studio import dynamics
from jukemir_like.studio.dynamics import Compressor
from jukemir_like.studio.levels import Samples, active_level, ratio


@dataclass(frozen=True)
class Master:
    """Settings.

    Args:
        loudness: wanted root mean square of the mix where it sounds, in dB of full scale, before the limiter.
        ceiling: of the limiter, in dB of full scale, below 0.
        glue: a compressor of the mix, its threshold relative to the level of the mix; None for none.
        release_seconds: of the limiter.
    """

    loudness: float
    ceiling: float
    glue: Compressor | None
    release_seconds: float


@dataclass(frozen=True)
class Mastered:
    """Mastered stems.

    Args:
        stems: ``(stems, samples)``; neither their sum nor one of them exceeds the ceiling.
        glued: by how much the compressor turned down where it did most, in dB.
        limited: the same of the limiter.
    """

    stems: Samples
    glued: float
    limited: float


def master(stems: Samples, sample_rate: int, settings: Master) -> Mastered:
    """Compresses, brings to a loudness and limits a mix, given as its ``(stems, samples)``. Silence stays silence."""
    mix = stems.sum(axis=0)
    level = active_level(mix, sample_rate)
    if not level:
        return Mastered(stems.copy(), 0.0, 0.0)
    gain = np.full(mix.shape, np.float32(1 / level))
    mix *= gain
    glued = 1.0
    if settings.glue is not None:
        compressed = dynamics.compressor_gain(mix, sample_rate, settings.glue)
        glued = float(compressed.min())
        gain *= compressed
        mix *= compressed
    louder = np.float32(ratio(settings.loudness) / active_level(mix, sample_rate))
    gain *= louder
    result = stems * gain
    loudest = np.abs(result).max(axis=0)
    np.maximum(loudest, np.abs(result.sum(axis=0)), out=loudest)
    limited = dynamics.limiter_gain(loudest, sample_rate, ratio(settings.ceiling), release_seconds=settings.release_seconds)
    result *= limited
    return Mastered(result, 20 * float(np.log10(1 / glued)), 20 * float(np.log10(1 / limited.min())))
