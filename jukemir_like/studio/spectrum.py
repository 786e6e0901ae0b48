"""Equalisers and band limits: sections of second order, and their response at the frequencies of a transform.

Shelves and bells are those of Robert Bristow-Johnson's *Cookbook formulae for audio EQ biquad filter coefficients*; band limits are
Butterworth's. A section is a row of six coefficients, as scipy's ``sosfilt`` takes them. A section at a frequency that the sample rate
does not have is left out.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Sections = NDArray[np.float64]
"""``(sections, 6)``: b0, b1, b2, a0 = 1, a1, a2. No rows change nothing."""

HIGHEST = 0.45
"""Of the sample rate: sections above it are left out."""


def none() -> Sections:
    """No sections."""
    return np.empty((0, 6))


def bell(hertz: float, decibels: float, q: float, sample_rate: int) -> Sections:
    """Raises or lowers a band about ``hertz`` by ``decibels``; ``q`` is its frequency over its width.

    >>> bell(1000, 0.0, 1.0, 44100).round(3).tolist()[0][:3] == bell(1000, 0.0, 1.0, 44100).round(3).tolist()[0][3:]
    True
    """
    if hertz > HIGHEST * sample_rate:
        return none()
    a, cosine, alpha = _cookbook(hertz, decibels, q, sample_rate)
    return _section((1 + alpha * a, -2 * cosine, 1 - alpha * a), (1 + alpha / a, -2 * cosine, 1 - alpha / a))


def low_shelf(hertz: float, decibels: float, sample_rate: int) -> Sections:
    """Raises or lowers what is below ``hertz`` by ``decibels``; half of them at ``hertz``."""
    return _shelf(hertz, decibels, sample_rate, 1)


def high_shelf(hertz: float, decibels: float, sample_rate: int) -> Sections:
    """Raises or lowers what is above ``hertz`` by ``decibels``; half of them at ``hertz``."""
    return _shelf(hertz, decibels, sample_rate, -1)


def high_pass(hertz: float, order: int, sample_rate: int) -> Sections:
    """Butterworth: 3 dB down at ``hertz``, 6 dB down an octave below it for each of ``order``."""
    return _butterworth(hertz, order, sample_rate, "highpass")


def low_pass(hertz: float, order: int, sample_rate: int) -> Sections:
    """Butterworth: 3 dB down at ``hertz``, 6 dB down an octave above it for each of ``order``."""
    return _butterworth(hertz, order, sample_rate, "lowpass")


def response(sections: Sequence[Sections], length: int) -> NDArray[np.complex128]:
    """Of all sections in a row, at the frequencies of a transform of an even ``length``: ``(length // 2 + 1,)``."""
    delay = np.exp(-2j * np.pi / length * np.arange(length // 2 + 1))
    found = np.ones(len(delay), np.complex128)
    for b0, b1, b2, a0, a1, a2 in (row for rows in sections for row in rows):
        above = (b2 * delay + b1) * delay + b0
        above /= (a2 * delay + a1) * delay + a0
        found *= above
    return found


def _cookbook(hertz: float, decibels: float, q: float, sample_rate: int) -> tuple[float, float, float]:
    angle = 2 * np.pi * hertz / sample_rate
    return 10 ** (decibels / 40), float(np.cos(angle)), float(np.sin(angle)) / (2 * q)


def _shelf(hertz: float, decibels: float, sample_rate: int, sign: int) -> Sections:
    if hertz > HIGHEST * sample_rate:
        return none()
    a, cosine, alpha = _cookbook(hertz, decibels, 0.5**0.5, sample_rate)  # of the steepest slope without a hump
    cosine *= sign
    slope = 2 * a**0.5 * alpha
    b = (a * (a + 1 - (a - 1) * cosine + slope), sign * 2 * a * (a - 1 - (a + 1) * cosine), a * (a + 1 - (a - 1) * cosine - slope))
    return _section(b, (a + 1 + (a - 1) * cosine + slope, sign * -2 * (a - 1 + (a + 1) * cosine), a + 1 + (a - 1) * cosine - slope))


def _section(b: tuple[float, float, float], a: tuple[float, float, float]) -> Sections:
    return np.array([[*b, *a]]) / a[0]


def _butterworth(hertz: float, order: int, sample_rate: int, kind: str) -> Sections:
    from scipy import signal

    if hertz > HIGHEST * sample_rate:
        return none()
    return np.asarray(signal.butter(order, hertz, kind, output="sos", fs=sample_rate))
