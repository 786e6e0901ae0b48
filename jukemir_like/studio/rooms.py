"""Impulse responses of synthetic rooms."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.random import Generator

from jukemir_like.studio import spectrum
from jukemir_like.studio.levels import Samples

_FALL = np.log(1e-3)  # 60 dB
_CROSSOVER = 1500.0  # Hz: below it sound decays as said, above it faster


def impulse_response(seconds: float, sample_rate: int, generator: Generator) -> Samples:
    """Of a room: 1, then white noise that falls by 60 dB in ``seconds``, as long as that, with a total energy of 1."""
    count = max(1, round(seconds * sample_rate))
    tail = generator.standard_normal(count, np.float32)
    tail *= _decay(count)
    tail /= np.sqrt(np.square(tail, dtype=np.float64).sum()).astype(np.float32)
    return np.concatenate([np.ones(1, np.float32), tail])


def reflections(seconds: float, sample_rate: int, generator: Generator, *, size_seconds: float, dullness: float, early: float) -> Samples:
    """What a room answers, without the direct sound: single early reflections, then noise that falls by 60 dB in ``seconds``.

    Args:
        seconds: RT60 of the low frequencies; the response is as long.
        sample_rate: in Hz.
        generator: of random numbers.
        size_seconds: the first reflection comes after a fifth of it, the noise begins after it.
        dullness: 0 to 1: treble decays in ``1 - dullness`` of the time.
        early: 0 to 1: share of the early reflections in the energy.

    Returns:
        ``(samples,)``, with a total energy of 1.
    """
    from scipy import signal

    count = max(2, round(seconds * sample_rate))
    start = min(count - 1, max(1, round(size_seconds * sample_rate)))
    crossover = min(_CROSSOVER, sample_rate / 5)
    response = np.zeros(count, np.float32)
    # Of two noises: the powers of the two filters add up to 1, so that together they begin white.
    for limit, share in ((spectrum.low_pass, 1.0), (spectrum.high_pass, max(1 - dullness, 0.05))):
        noise = signal.sosfilt(limit(crossover, 4, sample_rate), generator.standard_normal(count - start, np.float32))
        response[start:] += noise * np.exp(_FALL / (share * count) * np.arange(count - start))
    _scale(response, 1 - early)
    first = np.zeros(count, np.float32)
    places = start * (0.2 + 0.8 * generator.random(8))
    np.add.at(first, places.astype(np.intp), np.float32(generator.choice([-1.0, 1.0], 8) * start / (places + 1)))
    _scale(first, early)
    response += first
    _scale(response, 1.0)
    return response


def _scale(response: Samples, energy: float) -> None:
    own = float(np.square(response, dtype=np.float64).sum())
    if own:
        response *= np.float32((energy / own) ** 0.5)


@lru_cache(maxsize=8)
def _decay(count: int) -> Samples:
    """From 1 to 60 dB less."""
    return np.asarray(np.exp(np.log(1e-3) / count * np.arange(1, count + 1, dtype=np.float32)), np.float32)
