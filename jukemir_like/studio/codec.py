"""What a lossy codec of few bits leaves: in each moment the loudest frequencies of the mix, so that bands go silent and come back.

Which frequencies stay is decided on the sum of the channels; leaving out the others is linear, so the channels still sum to the mix. Real
codecs also coarsen what they keep, which is not done here.
"""

from __future__ import annotations

import numpy as np

from jukemir_like.studio.levels import Samples

_SECONDS = 0.046  # of a frame, about that of MPEG-1 layer III
_AT_ONCE = 64  # frames, so that they stay in the processor's cache


def thin(channels: Samples, sample_rate: int, kept: float) -> Samples:
    """Keeps, in frames that overlap by half, the loudest frequencies of the sum; what is an octave higher counts 3 dB more.

    Args:
        channels: ``(channels, samples)``.
        sample_rate: in Hz.
        kept: share of the frequencies of a frame, above 0; with 1 the channels stay what they are.

    Returns:
        ``(channels, samples)``.
    """
    from scipy import fft

    frame = int(2 ** max(1, round(np.log2(sample_rate * _SECONDS))))
    hop, bins = frame // 2, frame // 2 + 1
    left_out = bins - max(1, round(kept * bins))
    many, count = channels.shape
    number = -(-count // hop) + 1
    padded = np.zeros((many, (number + 1) * hop), np.float32)
    padded[:, hop : hop + count] = channels
    frames = np.lib.stride_tricks.sliding_window_view(padded, frame, axis=-1)[:, ::hop]
    window = np.sin(np.pi * (np.arange(frame) + 0.5) / frame).astype(np.float32)  # before and after: its squares add up to 1
    weights = np.arange(1, bins + 1, dtype=np.float32)
    result = np.zeros((many, number + 1, hop), np.float32)
    for first in range(0, number, _AT_ONCE):
        spectra = fft.rfft(frames[:, first : first + _AT_ONCE] * window, workers=1)
        mix = spectra.sum(axis=0)
        powers = (np.square(mix.real) + np.square(mix.imag)) * weights
        spectra *= powers >= np.partition(powers, left_out)[:, left_out, None]
        pieces = fft.irfft(spectra, frame, overwrite_x=True, workers=1)
        pieces *= window
        last = first + pieces.shape[1]
        result[:, first:last] += pieces[..., :hop]
        result[:, first + 1 : last + 1] += pieces[..., hop:]
    return result.reshape(many, -1)[:, hop : hop + count]
