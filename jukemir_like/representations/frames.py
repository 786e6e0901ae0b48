"""Frames of a clip, centred and zero-padded, a chunk at a time: memory for a few frames, whatever the length of the clip.

Frame ``t`` is centred on sample ``t · hop_length``; what lies outside the clip is zero. There are ``1 + samples // hop_length`` frames.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.lib.stride_tricks import as_strided


def largest_magnitude(samples: np.ndarray) -> np.float32:
    """The largest magnitude in float32 ``samples``."""
    return np.float32(max(samples.max(), -samples.min()))


def peak_of(clip: np.ndarray) -> np.float32:
    """What a clip is to be divided by: its largest magnitude, or 1 where all is zero."""
    return largest_magnitude(clip) or np.float32(1)


def count(samples: int, hop_length: int) -> int:
    """How many centred frames a clip of ``samples`` samples has."""
    return 1 + samples // hop_length


def in_chunks(n_frames: int, size: int) -> Iterator[tuple[int, int]]:
    """``(first, last)`` of consecutive chunks, ``last`` excluded, that cover ``range(n_frames)``."""
    for first in range(0, n_frames, size):
        yield first, min(first + size, n_frames)


def segment(clip: np.ndarray, first: int, last: int, frame_length: int, hop_length: int, peak: np.float32 | None = None) -> np.ndarray:
    """The samples that frames ``first`` to ``last`` (excluded) cover, divided by ``peak``; zero outside the clip."""
    begin = first * hop_length - frame_length // 2
    padded = np.zeros((last - first - 1) * hop_length + frame_length, clip.dtype)
    inside = slice(max(0, begin), max(0, begin + len(padded)))
    samples = clip[inside]
    target = padded[inside.start - begin :][: len(samples)]
    if peak is None:
        target[:] = samples
    else:
        np.divide(samples, peak, out=target)
    return padded


def overlapping(samples: np.ndarray, frame_length: int, hop_length: int) -> np.ndarray:
    """All whole frames of ``samples``, shape ``(frames, frame_length)``, without a copy."""
    stride = samples.itemsize
    n_frames = 1 + (len(samples) - frame_length) // hop_length
    return as_strided(samples, (n_frames, frame_length), (hop_length * stride, stride), writeable=False)
