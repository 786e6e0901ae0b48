"""Level, noise, low-pass and reverberation: mono samples in, as many mono samples out."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

Samples = NDArray[np.float32]
"""Mono, ``(samples,)``, full scale is 1."""

LOWEST_PINK_HERTZ = 20.0
_LOWPASS_ORDER = 8


def level(samples: Samples, decibels: float) -> Samples:
    """The samples times a factor.

    >>> level(np.float32([0.1, -0.2]), 20.0)
    array([ 1., -2.], dtype=float32)
    """
    return samples * np.float32(10 ** (decibels / 20))


def power(samples: Samples) -> float:
    """Mean square.

    >>> power(np.float32([3, -4, 0, 0]))
    6.25
    """
    return float(np.einsum("i,i", samples, samples, dtype=np.float64)) / len(samples) if len(samples) else 0.0


def add_noise(samples: Samples, decibels: float, generator: Generator) -> Samples:
    """Adds white Gaussian noise whose power is, over the clip, exactly ``decibels`` below that of ``samples``."""
    return _mix(samples, generator.standard_normal(len(samples), np.float32), decibels)


def add_pink_noise(samples: Samples, sample_rate: int, decibels: float, generator: Generator) -> Samples:
    """As :func:`add_noise`, with noise of equal power per octave from 20 Hz up (in a clip of less than 50 ms: from its lowest frequency).

    White noise has most of its power where music has least; this has it where music has.
    """
    from scipy import fft

    spectrum = fft.rfft(generator.standard_normal(len(samples), np.float32))
    hertz = np.arange(len(spectrum)) * (sample_rate / len(samples))
    lowest = min(LOWEST_PINK_HERTZ, hertz[-1])
    audible = (hertz >= lowest) & (hertz > 0)
    spectrum[~audible] = 0
    spectrum[audible] /= np.sqrt(hertz[audible]).astype(np.float32)
    return _mix(samples, fft.irfft(spectrum, len(samples)), decibels)


def _mix(samples: Samples, noise: Samples, decibels: float) -> Samples:
    own = power(noise)
    if not own:  # a clip of one sample has no frequency but 0
        return samples
    noise *= np.float32(np.sqrt(power(samples) / own) * 10 ** (-decibels / 20))
    noise += samples
    return noise


def lowpass(samples: Samples, sample_rate: int, hertz: float) -> Samples:
    """Butterworth filter of order 8, forward and backward: no delay, 6 dB down at ``hertz``, 96 dB down an octave above it.

    ``hertz`` must be below half the sample rate.
    """
    from scipy import signal

    sections = signal.butter(_LOWPASS_ORDER, hertz, fs=sample_rate, output="sos")
    padded = min(3 * (2 * len(sections) + 1), len(samples) - 1)  # of what is added at both ends; the first number is scipy's own
    return np.asarray(signal.sosfiltfilt(sections, samples, padlen=padded), np.float32)


def impulse_response(seconds: float, sample_rate: int, generator: Generator) -> Samples:
    """Of a room: 1, then white noise that falls by 60 dB in ``seconds``, as long as that, with a total energy of 1."""
    count = max(1, round(seconds * sample_rate))
    envelope = np.exp(np.log(1e-3) / count * np.arange(1, count + 1, dtype=np.float32))
    tail = generator.standard_normal(count, np.float32) * envelope
    tail /= np.sqrt(np.square(tail, dtype=np.float64).sum()).astype(np.float32)
    return np.concatenate([np.ones(1, np.float32), tail])


def reverberate(samples: Samples, sample_rate: int, seconds: float, generator: Generator) -> Samples:
    """Convolves with :func:`impulse_response`: direct sound and tail of equal energy. The clip keeps its length and its power."""
    from scipy import signal

    wet = signal.oaconvolve(samples, impulse_response(seconds, sample_rate, generator))[: len(samples)]
    own = power(wet)
    return np.asarray(wet * np.float32(np.sqrt(power(samples) / own)) if own else samples, np.float32)
