"""Delays and gains that swing: chorus, tremolo, and the drift of pitch of a tape or a record."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator

from jukemir_like.studio import control
from jukemir_like.studio.levels import Samples

_PIECE = 1 << 14  # samples that are worked on at a time, so that they stay in the processor's cache


def delayed(samples: Samples, delay: Samples) -> Samples:
    """What sounded ``delay`` samples ago, between samples by a cubic through the four around: silence before the first.

    A delay that grows by r per sample lowers all pitches by the factor 1 - r.

    Args:
        samples: ``(samples,)`` or ``(channels, samples)``.
        delay: ``(samples,)``, in samples, 0 or more.

    >>> delayed(np.float32([1, 2, 3, 4]), np.float32([1, 1, 1, 1]))
    array([0., 1., 2., 3.], dtype=float32)
    """
    count = samples.shape[-1]
    result = np.empty(samples.shape, np.float32)
    if not count:
        return result
    reach = int(delay.max()) + 2  # samples that are looked back
    padded = np.zeros((*samples.shape[:-1], reach + count + 1), np.float32)
    padded[..., reach:-1] = samples
    channels = list(zip(np.atleast_2d(padded), np.atleast_2d(result), strict=True))
    for start in range(0, count, _PIECE):
        one = delay[start : start + _PIECE]
        whole = one.astype(np.intp)
        part = one - whole.astype(np.float32)
        whole = np.arange(start + reach, start + reach + len(one)) - whole
        # Lagrange's cubic at 1, 0, -1 and -2, of which the wanted place is `part` before 0.
        later, earlier, earliest = 1 + part, 1 - part, 2 - part
        outer, inner = part * earlier, later * earliest
        sixth, half = np.float32(1 / 6), np.float32(1 / 2)
        weights = (outer * earliest * -sixth, inner * earlier * half, inner * part * half, outer * later * -sixth)
        first = int(whole.min()) - 2  # the four samples of each place, from slices that stay in the processor's cache
        whole -= first + 2
        for channel, out in channels:
            around, written = channel[first:], out[start : start + _PIECE]
            np.multiply(around[3:].take(whole), weights[0], out=written)
            for place, weight in enumerate(weights[1:]):
                written += around[2 - place :].take(whole) * weight
    return result


def swing(count: int, sample_rate: int, hertz: float, phase: float) -> Samples:
    """A sine of amplitude 1 at every sample, drawn at the rate of control; ``phase`` in turns."""
    hop = control.hop_samples(sample_rate)
    nodes = np.arange(control.hops(count, hop) + 1) * (hop * hertz / sample_rate) + phase
    return control.drawn_out(np.sin(2 * np.pi * nodes), hop, count)


def chorus(samples: Samples, sample_rate: int, hertz: float, seconds: float, wet: float, phase: float = 0.0) -> Samples:
    """Adds a copy whose delay swings between 5 ms and 5 ms + 2 ``seconds``.

    Args:
        samples: ``(samples,)``.
        sample_rate: in Hz.
        hertz: of the swing.
        seconds: its amplitude.
        wet: 0 to 1: the share of the copy; 1 is vibrato.
        phase: in turns.
    """
    delay = swing(len(samples), sample_rate, hertz, phase)
    delay *= np.float32(seconds * sample_rate)
    delay += np.float32((0.005 + seconds) * sample_rate)
    copy = delayed(samples, delay)
    copy *= np.float32(wet)
    copy += samples * np.float32(1 - wet)
    return copy


def tremolo(samples: Samples, sample_rate: int, hertz: float, depth: float, phase: float = 0.0) -> Samples:
    """Turns ``(samples,)`` down and up again, ``hertz`` times a second, between 1 and 1 - ``depth``."""
    gain = swing(len(samples), sample_rate, hertz, phase)
    gain *= np.float32(depth / 2)
    gain += np.float32(1 - depth / 2)
    return samples * gain


def drift(count: int, sample_rate: int, cents: float, generator: Generator) -> Samples:
    """A delay in samples whose pitch wanders, by three sines of 0.3 to 7 Hz: together at most ``cents`` up or down."""
    total = np.zeros(count, np.float32)
    largest = 0.0
    for low, high, share in ((0.3, 0.8, 0.6), (0.8, 2.0, 0.25), (4.0, 7.0, 0.15)):
        hertz = low + (high - low) * generator.random()
        samples = share * (2 ** (cents / 1200) - 1) * sample_rate / (2 * np.pi * hertz)  # the slope of this sine is its share
        total += swing(count, sample_rate, hertz, generator.random()) * np.float32(samples)
        largest += samples
    return total + np.float32(largest)
