"""Noises of equipment: hiss, hum, crackle; and pink noise. Each with the power that its level says."""

from __future__ import annotations

from functools import lru_cache
from math import gcd

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from jukemir_like.studio.levels import Samples, ratio

LOWEST_PINK_HERTZ = 20.0


def pink(count: int, sample_rate: int, generator: Generator) -> Samples:
    """Noise of equal power per octave from 20 Hz up (of less than 50 ms: from its lowest frequency), at any level.

    Its spectrum is drawn, Gaussian at each frequency, of a length whose transform is fast.
    """
    from scipy import fft

    length = fft.next_fast_len(count, real=True)
    envelope = _pink_envelope(length, sample_rate)
    spectrum = generator.standard_normal(2 * len(envelope), np.float32).view(np.complex64)
    spectrum *= envelope
    return np.asarray(fft.irfft(spectrum, length, overwrite_x=True, workers=1)[:count])


def hiss(count: int, decibels: float, generator: Generator) -> Samples:
    """White noise with a root mean square of ``decibels``; uniform numbers, which are drawn ten times as fast as Gaussian ones."""
    noise = generator.random(count, np.float32)
    noise -= np.float32(0.5)
    noise *= np.float32(12**0.5 * ratio(decibels))
    return noise


def hum(count: int, sample_rate: int, hertz: int, decibels: float, generator: Generator) -> Samples:
    """The mains of 50 or 60 Hz with ten harmonics, which fall by 3 to 9 dB an octave at random phases: root mean square of ``decibels``."""
    period = sample_rate // gcd(sample_rate, hertz)  # samples, after which it repeats
    angle = 2 * np.pi * hertz / sample_rate * np.arange(period)
    fall = 0.5 + generator.random()
    wave = np.zeros(period)
    for number, phase in enumerate(generator.random(10), start=1):
        if number * hertz < sample_rate / 2:
            wave += number**-fall * np.sin(number * angle + 2 * np.pi * phase)
    wave *= ratio(decibels) / np.sqrt(np.square(wave).mean())
    return np.resize(wave.astype(np.float32), count)


def crackle(count: int, sample_rate: int, per_second: float, decibels: float, generator: Generator) -> Samples:
    """Clicks of a record: ``per_second`` of them on average, most of them soft, each about half a millisecond long.

    Their amplitudes have a median of ``decibels``, and one in a hundred is 16 dB above it or more.
    """
    number = int(generator.poisson(per_second * count / sample_rate))
    places = generator.integers(0, max(count, 1), number)
    heights = generator.choice([-1.0, 1.0], number) * ratio(decibels) * np.exp(0.8 * generator.standard_normal(number))
    length = max(1, round(5e-4 * sample_rate))
    shape = np.exp(-5 * np.arange(length) / length)
    noise = np.zeros(count + length)
    np.add.at(noise, places[:, None] + np.arange(length), heights[:, None] * shape)
    return noise[:count].astype(np.float32)


@lru_cache(maxsize=8)
def _pink_envelope(length: int, sample_rate: int) -> NDArray[np.float32]:
    """What the amplitudes of noise of equal power are multiplied by, ``(length // 2 + 1,)``."""
    hertz = np.arange(length // 2 + 1) * (sample_rate / length)
    audible = (hertz >= min(LOWEST_PINK_HERTZ, hertz[-1])) & (hertz > 0)
    envelope = np.zeros(len(hertz), np.float32)
    envelope[audible] = 1 / np.sqrt(hertz[audible])
    return envelope
