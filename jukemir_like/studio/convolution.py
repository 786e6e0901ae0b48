"""Filtering by transforms of blocks that overlap (overlap-save)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from jukemir_like.studio.levels import Samples

_SHORTEST_BLOCK = 1 << 14  # of a transform
_AT_ONCE = 1 << 17  # samples of all blocks of a channel that are transformed together


def block_length(taps: int, samples: int | None = None) -> int:
    """Even, and fast to transform: some times as long as the response, and not longer than all samples need.

    >>> block_length(1000), block_length(1000, 3000)
    (16384, 3000)
    """
    from scipy import fft

    wanted = max(_SHORTEST_BLOCK, 4 * taps)
    return 2 * int(fft.next_fast_len(-(-(wanted if samples is None else min(wanted, samples)) // 2), real=True))


def convolve(samples: Samples, taps: Samples) -> Samples:
    """Convolves ``(samples,)`` with a response ``(taps,)``: as many samples as before, silence before the first.

    >>> convolve(np.float32([1, 0, 2]), np.float32([1, 0.5])).round(3)
    array([1. , 0.5, 2. ], dtype=float32)
    """
    from scipy import fft

    taps = taps[: len(samples)]
    silence = np.zeros(len(taps) - 1, np.float32)
    block = block_length(len(taps), len(silence) + len(samples))
    return filter_blocks(silence, samples, silence[:0], fft.rfft(taps, block, workers=1))


def filter_blocks(before: Samples, samples: Samples, after: Samples, response: NDArray[np.complex64]) -> Samples:
    """Convolves ``(samples,)`` or ``(channels, samples)``: as many samples as before.

    Args:
        before: what precedes the samples, as far as the filter looks back. The first results of each block, as many, do not count.
        samples: to be filtered.
        after: what follows them, as far as the filter looks ahead.
        response: of the filter, at the frequencies of an even length of block: ``(length // 2 + 1,)``, or one for each channel.
    """
    from scipy import fft

    length = 2 * (response.shape[-1] - 1)
    reach, channels = before.shape[-1], samples.shape[:-1]
    step = length - reach - after.shape[-1]
    number = -(-samples.shape[-1] // step)
    extended = np.zeros((*channels, max(0, number - 1) * step + length), np.float32)
    np.concatenate([before, samples, after], axis=-1, out=extended[..., : reach + samples.shape[-1] + after.shape[-1]])
    blocks = np.lib.stride_tricks.sliding_window_view(extended, length, axis=-1)[..., ::step, :]
    filtered = np.empty((*channels, number, step), np.float32)
    at_once = max(1, _AT_ONCE // length)
    for first in range(0, number, at_once):
        spectra = fft.rfft(blocks[..., first : first + at_once, :], workers=1)
        spectra *= response[..., None, :]
        of_blocks = fft.irfft(spectra, length, overwrite_x=True, workers=1)
        filtered[..., first : first + at_once, :] = of_blocks[..., reach : reach + step]
    return filtered.reshape(*channels, number * step)[..., : samples.shape[-1]]
