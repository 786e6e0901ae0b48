"""Level, noise, low-pass and reverberation: mono samples in, as many mono samples out."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

Samples = NDArray[np.float32]
"""Mono, ``(samples,)``, full scale is 1."""

LOWEST_PINK_HERTZ = 20.0
_LOWPASS_ORDER = 8
_NEGLIGIBLE = 1e-7  # of a response: a hundredth of the smallest step of 16 bits
_PIECE = 1 << 15  # samples that are worked on at a time, so that they stay in the processor's cache
_SHORTEST_BLOCK = 1 << 14  # of a transform
_AT_ONCE = 1 << 17  # samples of all blocks that are transformed together


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

    White noise has most of its power where music has least; this has it where music has. Its spectrum is drawn, Gaussian at each
    frequency, of a length whose transform is fast.
    """
    from scipy import fft

    length = fft.next_fast_len(len(samples), real=True)
    envelope = _pink_envelope(length, sample_rate)
    spectrum = generator.standard_normal(2 * len(envelope), np.float32).view(np.complex64)
    spectrum *= envelope
    return _mix(samples, fft.irfft(spectrum, length, overwrite_x=True, workers=1)[: len(samples)], decibels)


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
    return _filter(extended[:reach], samples, extended[reach + len(samples) :], response)


def impulse_response(seconds: float, sample_rate: int, generator: Generator) -> Samples:
    """Of a room: 1, then white noise that falls by 60 dB in ``seconds``, as long as that, with a total energy of 1."""
    count = max(1, round(seconds * sample_rate))
    tail = generator.standard_normal(count, np.float32)
    tail *= _decay(count)
    tail /= np.sqrt(np.square(tail, dtype=np.float64).sum()).astype(np.float32)
    return np.concatenate([np.ones(1, np.float32), tail])


def reverberate(samples: Samples, sample_rate: int, seconds: float, generator: Generator) -> Samples:
    """Convolves with :func:`impulse_response`: direct sound and tail of equal energy. The clip keeps its length and its power."""
    from scipy import fft

    response = impulse_response(seconds, sample_rate, generator)[: len(samples)]
    silence = np.zeros(len(response) - 1, np.float32)
    block = _block_length(len(response), len(silence) + len(samples))
    wet = _filter(silence, samples, silence[:0], fft.rfft(response, block, workers=1))
    own = power(wet)
    if not own:
        return samples
    wet *= np.float32(np.sqrt(power(samples) / own))
    return wet


def _filter(before: Samples, samples: Samples, after: Samples, response: NDArray[np.complex64]) -> Samples:
    """Convolves by transforms of blocks that overlap (overlap-save), several of them at once.

    Args:
        before: what precedes the samples, as far as the filter looks back. The first results of each block, as many, do not count.
        samples: to be filtered.
        after: what follows them, as far as the filter looks ahead.
        response: of the filter, at the frequencies of an even length of block.
    """
    from scipy import fft

    length = 2 * (len(response) - 1)
    step = length - len(before) - len(after)
    number = -(-len(samples) // step)
    extended = np.zeros((number - 1) * step + length, np.float32)
    np.concatenate([before, samples, after], out=extended[: len(before) + len(samples) + len(after)])
    blocks = np.lib.stride_tricks.sliding_window_view(extended, length)[::step]
    filtered = np.empty((number, step), np.float32)
    at_once = max(1, _AT_ONCE // length)
    for first in range(0, number, at_once):
        spectra = fft.rfft(blocks[first : first + at_once], workers=1)
        spectra *= response
        of_blocks = fft.irfft(spectra, length, overwrite_x=True, workers=1)
        filtered[first : first + at_once] = of_blocks[:, len(before) : len(before) + step]
    return filtered.ravel()[: len(samples)]


def _block_length(taps: int, samples: int | None = None) -> int:
    """Even, and fast to transform: some times as long as the response, and not longer than all samples need."""
    from scipy import fft

    wanted = max(_SHORTEST_BLOCK, 4 * taps)
    return 2 * int(fft.next_fast_len(-(-(wanted if samples is None else min(wanted, samples)) // 2), real=True))


@lru_cache(maxsize=8)
def _lowpass_response(sample_rate: int, hertz: float) -> tuple[int, NDArray[np.complex64]]:
    """How many samples before and after itself a sample reaches through the filter, and its gain at the frequencies of a block.

    The analogue filter's poles are on a circle; the bilinear transform brings them, and its frequencies, to the digital filter.
    """
    edge = np.tan(np.pi * hertz / sample_rate)
    poles = edge * np.exp(1j * np.pi * (0.5 + (np.arange(_LOWPASS_ORDER) + 0.5) / _LOWPASS_ORDER))
    slowest = np.abs((1 + poles) / (1 - poles)).max()
    reach = int(np.ceil(np.log(_NEGLIGIBLE) / np.log(slowest)))
    length = _block_length(2 * reach + 1)
    frequencies = np.tan(np.pi * np.arange(length // 2 + 1) / length)
    return reach, (1 / (1 + (frequencies / edge) ** (2 * _LOWPASS_ORDER))).astype(np.complex64)


@lru_cache(maxsize=8)
def _pink_envelope(length: int, sample_rate: int) -> NDArray[np.float32]:
    """What the amplitudes of noise of equal power are multiplied by, ``(length // 2 + 1,)``."""
    hertz = np.arange(length // 2 + 1) * (sample_rate / length)
    audible = (hertz >= min(LOWEST_PINK_HERTZ, hertz[-1])) & (hertz > 0)
    envelope = np.zeros(len(hertz), np.float32)
    envelope[audible] = 1 / np.sqrt(hertz[audible])
    return envelope


@lru_cache(maxsize=8)
def _decay(count: int) -> Samples:
    """From 1 to 60 dB less."""
    return np.asarray(np.exp(np.log(1e-3) / count * np.arange(1, count + 1, dtype=np.float32)), np.float32)
