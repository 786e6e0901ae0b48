"""From frames of features to one vector: the moments of the features and of their finite differences along time."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from jukemir_like.core.errors import InputError
from jukemir_like.representations import Representation

ORDERS = 3
"""Finite differences of order 0, 1 and 2."""


def summarise(features: np.ndarray) -> np.ndarray:
    """Mean and population standard deviation along time of the finite differences of order 0, 1 and 2.

    Args:
        features: shape ``(frames, features)``, at least three frames.

    Returns:
        float32, shape ``(6 · features,)``: mean0, std0, mean1, std1, mean2, std2. Sums are taken in double precision.
    """
    difference = np.ascontiguousarray(features.T, dtype=np.float64)
    moments = []
    for order in range(ORDERS):
        if order:
            difference = np.diff(difference, axis=1)
        moments += [difference.mean(axis=1), difference.std(axis=1)]
    return np.concatenate(moments).astype(np.float32)


def of_clips(
    representation: Representation, clips: Sequence[np.ndarray], features: Callable[[np.ndarray], np.ndarray], hop_length: int
) -> np.ndarray:
    """Summaries of ``features`` of each clip, one clip after another: float32, shape ``(len(clips), representation.dimension)``.

    Args:
        representation: whose name, sample rate and dimension are used.
        clips: float32, shape ``(samples,)`` each.
        features: from a clip to ``(1 + samples // hop_length, features)``.
        hop_length: in samples.

    Raises:
        InputError: a clip is shorter than two hops: second differences need three frames.
    """
    vectors = np.empty((len(clips), representation.dimension), np.float32)
    needed = (ORDERS - 1) * hop_length
    for vector, clip in zip(vectors, clips, strict=True):
        if len(clip) < needed:
            rate = representation.sample_rate
            raise InputError(f"is too short for {representation.name}: {len(clip) / rate:.3f} s, needs at least {needed / rate:.3f} s")
        vector[:] = summarise(features(clip))
    return vectors
