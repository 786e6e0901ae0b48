"""Compressor and limiter: from levels in hops to gains in hops.

The compressor's static curve and its smoothing are those of Giannoulis, Massberg and Reiss, *Digital dynamic range compressor design: a
tutorial and analysis* (2012): the gain is computed in decibels, with a soft knee, and held by a detector that rises at once and falls
exponentially, followed by the attack. Its maximum over the past is a running maximum of logarithms, so that nothing is looped over.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from jukemir_like.studio import control
from jukemir_like.studio.levels import Samples

Array = NDArray[np.float64]

_QUIETEST = 1e-10  # of a power: -100 dB
_BELOW = 1 - 1e-6  # of a ceiling: more than the products of float32 are rounded by


@dataclass(frozen=True)
class Compressor:
    """Settings of a compressor.

    Args:
        threshold: dB of full scale.
        ratio: dB in for a dB out above it, 1 or more.
        knee: dB of the range about the threshold in which the ratio sets in.
        attack_seconds: until 63 % of a reduction are there.
        release_seconds: until 37 % of it are left.
    """

    threshold: float
    ratio: float
    knee: float
    attack_seconds: float
    release_seconds: float


def reduction(decibels: Array, compressor: Compressor) -> Array:
    """The static curve: by how many dB a steady level is turned down, 0 or more.

    >>> reduction(np.array([-30.0, -10.0]), Compressor(-20.0, 2.0, 0.0, 0.01, 0.1))
    array([0., 5.])
    """
    over, slope = decibels - compressor.threshold, 1 - 1 / compressor.ratio
    if not compressor.knee:
        return slope * np.maximum(over, 0)
    within = np.clip(over + compressor.knee / 2, 0, compressor.knee)
    return np.asarray(slope * (np.square(within) / (2 * compressor.knee) + np.maximum(over - compressor.knee / 2, 0)))


def held(reductions: Array, release_hops: float) -> Array:
    """The largest of what is and what was: a reduction falls by a factor of e in ``release_hops``. ``(hops,)``, 0 or more.

    >>> held(np.array([0.0, 1.0, 0.0, 0.9]), 1.0).round(3)
    array([0.   , 1.   , 0.368, 0.9  ])
    """
    time = np.arange(len(reductions)) / release_hops
    with np.errstate(divide="ignore"):
        return np.asarray(np.exp(np.maximum.accumulate(np.log(reductions) + time) - time))


def compressor_gain(samples: Samples, sample_rate: int, compressor: Compressor) -> Samples:
    """The gain at every sample of ``(samples,)``, above 0 and at most 1; it looks one hop ahead, about 1.5 ms."""
    from scipy import signal

    hop = control.hop_samples(sample_rate)
    levels = 10 * np.log10(control.powers(samples, hop) + _QUIETEST, dtype=np.float64)
    wanted = held(reduction(levels, compressor), compressor.release_seconds * sample_rate / hop)
    kept = np.exp(-hop / (sample_rate * compressor.attack_seconds))
    smoothed = signal.lfilter([1 - kept], [1, -kept], wanted)
    return control.drawn_out(_gains(np.concatenate([smoothed[:1], smoothed])), hop, len(samples))


def limiter_gain(
    loudest: Samples, sample_rate: int, ceiling: float, *, ahead_seconds: float = 4e-3, release_seconds: float = 0.1
) -> Samples:
    """The gain at every sample, above 0 and at most 1, by which nothing of ``loudest`` exceeds ``ceiling``.

    Args:
        loudest: ``(samples,)``: magnitudes, or samples themselves.
        sample_rate: in Hz.
        ceiling: above 0.
        ahead_seconds: how long before a peak the gain begins to fall.
        release_seconds: until a third of a reduction is left.
    """
    from scipy import ndimage

    hop = control.hop_samples(sample_rate)
    highest = control.peaks(loudest, hop).astype(np.float64)
    over = 20 * np.log10(np.maximum(highest / (ceiling * _BELOW), 1))
    nodes = np.maximum(np.append(over, 0), np.append(0, over))  # a node ends one hop and begins the next
    ahead = max(1, round(ahead_seconds * sample_rate / hop))
    # A peak turns down all nodes up to `ahead` before it, so that each of those which the mean takes is low enough for it.
    early = ndimage.maximum_filter1d(nodes, ahead + 1, origin=-((ahead + 1) // 2), mode="constant")
    early = held(early, release_seconds * sample_rate / hop)
    sums = np.cumsum(np.concatenate([np.full(ahead + 1, early[0]), early]))
    return control.drawn_out(_gains((sums[ahead + 1 :] - sums[: len(early)]) / (ahead + 1)), hop, len(loudest))


def _gains(reductions: Array) -> Array:
    return np.asarray(10 ** (-reductions / 20))
