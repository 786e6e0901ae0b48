"""Equalisers and band limits: sections of second order, and their response at the frequencies of a transform.

Shelves and bells are those of Robert Bristow-Johnson's *Cookbook formulae for audio EQ biquad filter coefficients*; band limits are
Butterworth's. A section is a row of six coefficients, as scipy's ``sosfilt`` takes them. A section at a frequency that the sample rate
does not have is left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

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
    return _butterworth(hertz, order, sample_rate, -1)


def low_pass(hertz: float, order: int, sample_rate: int) -> Sections:
    """Butterworth: 3 dB down at ``hertz``, 6 dB down an octave above it for each of ``order``."""
    return _butterworth(hertz, order, sample_rate, 1)


def response(sections: Sequence[Sections], length: int) -> NDArray[np.complex128]:
    """Of all sections in a row, at the frequencies of a transform of an even ``length``: ``(length // 2 + 1,)``."""
    cosine, sine = _circle(length)
    above, below = np.ones((2, len(cosine)), np.complex128)
    factor = np.empty(len(cosine), np.complex128)
    # b0 + b1 / z + b2 / z², times z: real and imaginary part apart, which takes a third of the time. The z of both polynomials cancel.
    for row in (row for rows in sections for row in rows):
        for (first, second, third), product in ((row[:3], above), (row[3:], below)):
            np.multiply(cosine, first + third, out=factor.real)
            factor.real += second
            np.multiply(sine, first - third, out=factor.imag)
            product *= factor
    above /= below
    return above


@lru_cache(maxsize=2)
def _circle(length: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    angles = 2 * np.pi / length * np.arange(length // 2 + 1)
    return np.cos(angles), np.sin(angles)


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


def _butterworth(hertz: float, order: int, sample_rate: int, sign: int) -> Sections:
    """Sections of second order, each with its poles at another angle; of an odd order one of first order too."""
    if hertz > HIGHEST * sample_rate:
        return none()
    rows = []
    for number in range(order // 2):
        q = 1 / (2 * np.sin(np.pi * (2 * number + 1) / (2 * order)))
        _, cosine, alpha = _cookbook(hertz, 0.0, q, sample_rate)
        edge = (1 - sign * cosine) / 2
        rows.append(_section((edge, sign * 2 * edge, edge), (1 + alpha, -2 * cosine, 1 - alpha)))
    if order % 2:
        edge = np.tan(np.pi * hertz / sample_rate)
        gain = edge if sign > 0 else 1.0
        rows.append(_section((gain, sign * gain, 0.0), (1 + edge, edge - 1, 0.0)))
    return np.concatenate([none(), *rows])
