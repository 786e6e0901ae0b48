"""Changes of level, colour and pitch, so that none of them tells a network which stems belong together.

Level and colour are drawn for each stem by itself. Pitch is drawn for the whole track, by playing it faster or slower: tempo changes with
it, and all stems stay together in time; it costs nothing, where a track must be resampled anyway.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from jukemir_like.stemjepa.settings import Augmentation

_LOW_HZ, _HIGH_HZ = (80.0, 400.0), (2000.0, 6000.0)


@dataclass(frozen=True)
class Change:
    """What is done to one track.

    Args:
        speed: how many times faster it is played.
        gains: linear, one a stem.
        shelves: ``(stems, 4)``: corner in Hz and gain in dB of a low shelf, then of a high shelf; None: no change of colour.
    """

    speed: float
    gains: np.ndarray
    shelves: np.ndarray | None


def draw(settings: Augmentation, stems: int, random: np.random.Generator) -> Change:
    """A change for a track of so many stems; what is switched off draws nothing."""
    speed, gains, shelves = 1.0, np.ones(stems), None
    if settings.pitch_semitones:
        speed = float(2 ** (random.uniform(-settings.pitch_semitones, settings.pitch_semitones) / 12))
    if settings.level_db:
        gains = 10 ** (random.uniform(-settings.level_db, settings.level_db, stems) / 20)
    if settings.eq_db:
        shelves = np.empty((stems, 4))
        for column, (lowest, highest) in ((0, _LOW_HZ), (2, _HIGH_HZ)):
            shelves[:, column] = np.exp(random.uniform(np.log(lowest), np.log(highest), stems))
            shelves[:, column + 1] = random.uniform(-settings.eq_db, settings.eq_db, stems)
    return Change(speed, gains, shelves)


def equalise(samples: np.ndarray, shelves: np.ndarray, sample_rate: int) -> np.ndarray:
    """Mono ``(samples,)`` through a low and a high shelf of first order, which is one second-order section; float32.

    The curve is smooth, flat between the corners and within the shelves' gains. About 0.6 ms for 4 s at 22,050 Hz.
    """
    from scipy.signal import sosfilt  # 0.3 s to import, which those who do not ask for it need not wait for

    return np.asarray(sosfilt(section(shelves, sample_rate), samples), dtype=np.float32)


def section(shelves: np.ndarray, sample_rate: int) -> np.ndarray:
    """The filter of :func:`equalise` as scipy's ``sos``: shape ``(1, 6)``, float64.

    A low shelf is (s + √g·w)/(s + w/√g), a high one (g·s + √g·w)/(s + √g·w), with its gain g and its corner w, at which it has half of its
    gain in dB; both are brought to discrete time by the bilinear transform, with the corner where it was.
    """
    low_hz, low_db, high_hz, high_db = shelves
    numerator, denominator = np.ones(1), np.ones(1)
    for corner, gain_db, high in ((low_hz, low_db, False), (high_hz, high_db, True)):
        root = 10 ** (gain_db / 40)
        warped = np.tan(np.pi * min(float(corner), 0.45 * sample_rate) / sample_rate)
        above = (root**2, root * warped) if high else (1.0, root * warped)
        below = (1.0, root * warped) if high else (1.0, warped / root)
        # s becomes (1 - 1/z)/(1 + 1/z): a·s + b is ((a + b) + (b - a)/z) over a common 1 + 1/z.
        numerator = np.convolve(numerator, (above[0] + above[1], above[1] - above[0]))
        denominator = np.convolve(denominator, (below[0] + below[1], below[1] - below[0]))
    return np.asarray(np.concatenate([numerator, denominator])[None] / denominator[0])
