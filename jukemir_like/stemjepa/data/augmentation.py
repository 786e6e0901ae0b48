"""Augmentation: random changes of level, colour, pitch and sound, so that none of them shows a network which stems belong together.

Pitch is sampled once per track, which is played faster or slower: its tempo changes with it, and all stems stay together in time. It costs
nothing where a track must be resampled anyway. All else is sampled for each stem; options that are 0 take no random numbers.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from jukemir_like.stemjepa.data.effects import add_noise, add_room, band_limit, saturate
from jukemir_like.stemjepa.data_settings import Augmentation

_LOW_HZ, _HIGH_HZ = (80.0, 400.0), (2000.0, 6000.0)  # ranges of the corners of the shelves
_ROOM_DB = (-25.0, -5.0)  # range of the tail's energy
_SHORTEST_ROOM = 0.1  # of the longest
_HIGHEST_SNR_DB = 60.0
_HIGHEST_BAND_HZ = 16_000.0


@dataclass(frozen=True)
class StemEffects:
    """The effects on one stem, in the order in which they follow; None: without it.

    Args:
        drive_db: of saturation.
        room: reverberation time in seconds, and level of the tail in dB.
        snr_db: of the noise.
        band_hz: where the band ends.
        seed: of tail and noise.
    """

    drive_db: float | None
    room: tuple[float, float] | None
    snr_db: float | None
    band_hz: float | None
    seed: int


@dataclass(frozen=True)
class SampledAugmentation:
    """The augmentation of one chunk.

    Args:
        speed: how many times faster it is played.
        gains: linear, one per stem.
        shelves: ``(stems, 4)``: corner in Hz and gain in dB of a low shelf, then of a high shelf; None: no change of colour.
        effects: one per stem; None: no effects.
    """

    speed: float
    gains: np.ndarray
    shelves: np.ndarray | None
    effects: tuple[StemEffects, ...] | None = None


def sample_augmentation(settings: Augmentation, stems: int, random: np.random.Generator) -> SampledAugmentation:
    """Samples an augmentation for a track of ``stems`` stems. Options that are 0 take no random numbers.

    >>> sample_augmentation(Augmentation(), 4, np.random.default_rng(0))
    SampledAugmentation(speed=1.0, gains=array([1., 1., 1., 1.]), shelves=None, effects=None)
    """
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
    if settings.has_effects:
        # All of them in one table, so that a stem's do not depend on which effects the others have.
        return SampledAugmentation(speed, gains, shelves, tuple(_effects(settings, row) for row in random.random((stems, 10))))
    return SampledAugmentation(speed, gains, shelves)


def _effects(settings: Augmentation, drawn: np.ndarray) -> StemEffects:
    """The effects of one stem from ten numbers in [0, 1): four decide which, five how much, and one is the seed."""
    drive, room, noise, band = drawn[:4] < settings.effects_probability
    longest, lowest = settings.room_seconds, settings.noise_snr_db
    level = _ROOM_DB[0] + drawn[6] * (_ROOM_DB[1] - _ROOM_DB[0])
    return StemEffects(
        float(drawn[4] * settings.drive_db) if drive and settings.drive_db else None,
        (float(longest * _SHORTEST_ROOM ** drawn[5]), float(level)) if room and longest else None,
        float(lowest + drawn[7] * max(0.0, _HIGHEST_SNR_DB - lowest)) if noise and lowest else None,
        float(settings.lowpass_hz * max(1.0, _HIGHEST_BAND_HZ / settings.lowpass_hz) ** drawn[8]) if band and settings.lowpass_hz else None,
        int(drawn[9] * 2**53),
    )


def augment(samples: np.ndarray, scale: float, augmentation: SampledAugmentation, stem: int, sample_rate: int) -> np.ndarray:
    """Stem number ``stem`` with its level, colour and effects: samples of any type times ``scale`` → float32 ``(samples,)``.

    A chain as of a recording: saturation and colour of the instrument, then a room, noise, and the band of the medium.
    """
    samples = samples * np.float32(scale * augmentation.gains[stem])
    effects = None if augmentation.effects is None else augmentation.effects[stem]
    if effects is not None and effects.drive_db is not None:
        samples = saturate(samples, effects.drive_db)
    if augmentation.shelves is not None:
        samples = equalise(samples, augmentation.shelves[stem], sample_rate)
    if effects is None:
        return samples
    random = np.random.default_rng(effects.seed)
    if effects.room is not None:
        samples = add_room(samples, sample_rate, *effects.room, random)
    if effects.snr_db is not None:
        samples = add_noise(samples, effects.snr_db, random)
    return samples if effects.band_hz is None else band_limit(samples, sample_rate, effects.band_hz)


def equalise(samples: np.ndarray, shelves: np.ndarray, sample_rate: int) -> np.ndarray:
    """Mono ``(samples,)`` through a low and a high shelf of first order, which are one second-order section; float32.

    The curve is smooth, flat between the corners and within the shelves' gains. About 0.6 ms for 4 s at 22,050 Hz.

    >>> equalise(np.ones(4), shelves=np.array([100, 0, 4000, 0]), sample_rate=16000)  # gains of 0 dB
    array([1., 1., 1., 1.], dtype=float32)
    """
    from scipy.signal import sosfilt  # takes 0.3 s to import, and training without eq_db does not need it

    return np.asarray(sosfilt(shelving_filter(shelves, sample_rate), samples), dtype=np.float32)


def shelving_filter(shelves: np.ndarray, sample_rate: int) -> np.ndarray:
    """The filter of :func:`equalise` as scipy's ``sos``: shape ``(1, 6)``, float64.

    A low shelf is (s + √g·w)/(s + w/√g), a high one (g·s + √g·w)/(s + √g·w), with its gain g and its corner w, at which it has half of its
    gain in dB. Both are transformed to discrete time by the bilinear transform, with the corner prewarped so that it stays where it was.
    """
    low_hz, low_db, high_hz, high_db = shelves
    numerator, denominator = np.ones(1), np.ones(1)
    for corner, gain_db, is_high in ((low_hz, low_db, False), (high_hz, high_db, True)):
        root = 10 ** (gain_db / 40)  # √g
        warped = np.tan(np.pi * min(float(corner), 0.45 * sample_rate) / sample_rate)
        above = (root**2, root * warped) if is_high else (1.0, root * warped)
        below = (1.0, root * warped) if is_high else (1.0, warped / root)
        # s becomes (1 - 1/z)/(1 + 1/z), so a·s + b becomes ((a + b) + (b - a)/z) over a common 1 + 1/z, which cancels.
        numerator = np.convolve(numerator, (above[0] + above[1], above[1] - above[0]))
        denominator = np.convolve(denominator, (below[0] + below[1], below[1] - below[0]))
    return np.asarray(np.concatenate([numerator, denominator])[None] / denominator[0])
