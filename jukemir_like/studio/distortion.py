"""Saturation: a curve that flattens, x / √(1 + x²), without most of the aliasing that a curve makes of samples.

The samples are taken as a line drawn from one to the next, and each result is the mean of the curve along that line (Parker, Zavalishin and
Le Bivic, *Reducing the aliasing of nonlinear waveshaping using continuous-time convolution*, 2016). The antiderivative of this curve is
√(1 + x²), and the difference quotient of it can be written without a difference: (a + b) / (√(1 + a²) + √(1 + b²)).
"""

from __future__ import annotations

import numpy as np

from jukemir_like.studio.levels import Samples
from jukemir_like.studio.spectrum import Sections

_RESTORED = 0.7


def saturate(samples: Samples, gain: float, bias: float = 0.0) -> Samples:
    """Drives ``(samples,)`` into the curve. What is quiet comes out ``gain`` times as loud, nothing beyond ±2; silence stays silence.

    Args:
        samples: any level.
        gain: before the curve.
        bias: added before the curve, and its effect on silence removed after it: with it, the upper and the lower half of a wave differ,
            and even harmonics arise.

    >>> saturate(np.float32([0, 100, 100]), 10.0).round(3)
    array([0.   , 0.999, 1.   ], dtype=float32)
    """
    offset = np.float32(bias)
    driven = np.empty(len(samples) + 1, np.float32)
    driven[0] = offset
    np.multiply(samples, np.float32(gain), out=driven[1:])
    driven[1:] += offset
    roots = np.sqrt(1 + np.square(driven))
    result = driven[1:] + driven[:-1]
    result /= roots[1:] + roots[:-1]
    result -= (offset + offset) / (roots[0] + roots[0])
    return result


def treble() -> Sections:
    """Restores most of the treble that the mean of two samples takes: within 1.3 dB up to three quarters of the band."""
    return np.array([[1 + _RESTORED, 0, 0, 1, _RESTORED, 0]])
