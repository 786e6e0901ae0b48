"""Noise, low-pass and reverberation: mono samples in, as many mono samples out."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from jukemir_like.studio import convolution, noises, rooms
from jukemir_like.studio.levels import Samples, power

_LOWPASS_ORDER = 8
_NEGLIGIBLE = 1e-7  # of a response: a hundredth of the smallest step of 16 bits
_PIECE = 1 << 15  # samples that are worked on at a time, so that they stay in the processor's cache


def add_noise(samples: Samples, decibels: float, generator: Generator) -> Samples:
    """Adds white Gaussian noise whose power is, over the clip, exactly ``decibels`` below that of ``samples``."""
    return _mix(samples, generator.standard_normal(len(samples), np.float32), decibels)


def add_pink_noise(samples: Samples, sample_rate: int, decibels: float, generator: Generator) -> Samples:
    """As :func:`add_noise`, with noise of equal power per octave from 20 Hz up (in a clip of less than 50 ms: from its lowest frequency).

    White noise has most of its power where music has least; this has it where music has.
    """
    return _mix(samples, noises.pink(len(samples), sample_rate, generator), decibels)


def _mix(samples: Samples, noise: Samples, decibels: float) -> Samples:
    own = power(noise)
    if not own:  # a clip of one sample has no frequency but 0
        return samples
    factor = np.float32(np.sqrt(power(samples) / own) * 10 ** (-decibels / 20))
    for start in range(0, len(noise), _PIECE):
        piece = noise[start : start + _PIECE]
        piece *= factor
        piece += samples[start : start + _PIECE]
    return noise


def lowpass(samples: Samples, sample_rate: int, hertz: float) -> Samples:
    """Butterworth filter of order 8, forward and backward: no delay, 6 dB down at ``hertz``, 96 dB down an octave above it.

    Before its first and after its last sample a clip goes on as its own image, turned about that sample, so that it has no edge there.
    ``hertz`` must be below half the sample rate.
    """
    reach, response = _lowpass_response(sample_rate, hertz)
    extended = np.pad(samples, reach, "reflect", reflect_type="odd")
    return convolution.filter_blocks(extended[:reach], samples, extended[reach + len(samples) :], response)


def reverberate(samples: Samples, sample_rate: int, seconds: float, generator: Generator) -> Samples:
    """Convolves with :func:`jukemir_like.studio.rooms.impulse_response`: direct sound and tail of equal energy.

    The clip keeps its length and its power.
    """
    wet = convolution.convolve(samples, rooms.impulse_response(seconds, sample_rate, generator))
    own = power(wet)
    if not own:
        return samples
    wet *= np.float32(np.sqrt(power(samples) / own))
    return wet


@lru_cache(maxsize=8)
def _lowpass_response(sample_rate: int, hertz: float) -> tuple[int, NDArray[np.complex64]]:
    """How many samples before and after itself a sample reaches through the filter, and its gain at the frequencies of a block.

    The analogue filter's poles are on a circle; the bilinear transform brings them, and its frequencies, to the digital filter.
    """
    edge = np.tan(np.pi * hertz / sample_rate)
    poles = edge * np.exp(1j * np.pi * (0.5 + (np.arange(_LOWPASS_ORDER) + 0.5) / _LOWPASS_ORDER))
    slowest = np.abs((1 + poles) / (1 - poles)).max()
    reach = int(np.ceil(np.log(_NEGLIGIBLE) / np.log(slowest)))
    length = convolution.block_length(2 * reach + 1)
    frequencies = np.tan(np.pi * np.arange(length // 2 + 1) / length)
    return reach, (1 / (1 + (frequencies / edge) ** (2 * _LOWPASS_ORDER))).astype(np.complex64)
