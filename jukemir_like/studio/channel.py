"""Coarse samples, as those of an early sampler: few bits, few samples a second."""

from __future__ import annotations

import numpy as np

from jukemir_like.studio.levels import Samples


def quantise(samples: Samples, bits: int, full_scale: float = 1.0) -> Samples:
    """Rounds to steps of ``full_scale / 2 ** (bits - 1)``, without dither and without clipping; silence stays silence.

    >>> quantise(np.float32([0.1, 0.3, -0.3]), 2)
    array([ 0. ,  0.5, -0.5], dtype=float32)
    """
    steps = np.float32(2 ** (bits - 1) / full_scale)
    return np.asarray(np.rint(samples * steps) / steps)


def hold(samples: Samples, factor: float) -> Samples:
    """Takes one sample in ``factor``, and holds it until the next: what is above the new band comes back below, as images do above it.

    Args:
        samples: ``(samples,)`` or ``(channels, samples)``.
        factor: 1 or more, not only whole.

    >>> hold(np.float32([1, 2, 3, 4, 5]), 2)
    array([1., 1., 3., 3., 5.], dtype=float32)
    """
    number = np.floor(np.arange(samples.shape[-1]) / factor).astype(np.intp)  # of the sample of the new rate that sounds
    kept = np.flatnonzero(np.diff(number, prepend=-1))
    return np.take(samples, kept[number], axis=-1)
