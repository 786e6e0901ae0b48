"""Tone, room and level: what the studio does to the dry stems.

Equalisers and the room are products in the frequency domain: one transform and one inverse a stem, whatever is done in between.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy import fft

from jukemir_like.synthband import SAMPLE_RATE
from jukemir_like.synthband.artist import Sound

PEAK = 0.95

_LEVELS = {"bass": 0.0, "drums": 1.0, "other": -1.0, "vocals": 1.5}
_WET = {"bass": 0.2, "drums": 0.7, "other": 1.0, "vocals": 1.1}
_ROOM_SAMPLES = int(1.4 * SAMPLE_RATE)
_CREST = 5.0
_GRID = np.geomspace(20.0, SAMPLE_RATE / 2, 256)
_VOWELS = ((730, 1090, 2440), (530, 1840, 2480), (390, 1990, 2550), (570, 840, 2410), (440, 1020, 2240))


def balance(stems: dict[str, np.ndarray], sound: Sound, vowels: np.ndarray, loudness: float, rng: np.random.Generator) -> np.ndarray:
    """Processes and mixes.

    Args:
        stems: dry mono stems, each ``(samples,)``, at any level.
        sound: the artist's.
        vowels: of the sung line, 0 to 1 between two vowels, ``(samples,)``.
        loudness: wanted root mean square of the mean of the stems, in dB of full scale.
        rng: the song's stream.

    Returns:
        float32 ``(stems, samples)``, in the order of ``stems``, within ±0.95.
    """
    samples = next(iter(stems.values())).shape[0]
    size = fft.next_fast_len(samples + _ROOM_SAMPLES, real=True)
    frequencies = np.arange(size // 2 + 1) * (SAMPLE_RATE / size)
    room = _room(sound, size, rng)
    song_tone = tuple(float(gain) for gain in rng.normal(0, 1.0, 3))
    first, second = (int(place) for place in rng.permutation(len(_VOWELS))[:2])
    out = np.empty((len(stems), samples), np.float32)
    for row, (name, dry) in enumerate(stems.items()):
        tone = tuple(a + b + float(c) for a, b, c in zip(sound.tone, song_tone, rng.normal(0, 1.0, 3), strict=True))
        curve = _equaliser(tone, sound.centre_hertz)
        spectrum = fft.rfft(dry, size) * (1 + np.float32(_WET[name]) * room)
        if name == "vocals":
            voiced = [_apply(spectrum, curve * _formants(vowel, sound.singer), frequencies, size, samples) for vowel in (first, second)]
            wet = voiced[0] + vowels * (voiced[1] - voiced[0])
        else:
            wet = _apply(spectrum, curve, frequencies, size, samples)
        gain = 10 ** ((_LEVELS[name] + sound.levels[row] + float(rng.normal(0, 1.0))) / 20)
        out[row] = _compressed(wet * np.float32(gain / active_level(wet)))
    return _scaled(out, loudness)


def active_level(samples: np.ndarray) -> float:
    """Root mean square of the tenths of a second that are within 30 dB of the loudest: rests do not count."""
    frame = SAMPLE_RATE // 10
    whole = len(samples) // frame * frame
    frames = samples[:whole].reshape(-1, frame)
    powers = np.einsum("ij,ij->i", frames, frames) / frame
    return float(np.sqrt(powers[powers >= powers.max() * 1e-3].mean())) or 1.0


def level(samples: np.ndarray) -> float:
    """Root mean square of ``(samples,)``."""
    # Not by a dot product: how BLAS adds depends on its number of threads, and the last bit of the result with it.
    return math.sqrt(float(np.square(samples).sum()) / len(samples))


def _apply(spectrum: np.ndarray, curve: np.ndarray, frequencies: np.ndarray, size: int, samples: int) -> np.ndarray:
    """Filters by a gain curve on the grid; the gains are real, so the filter has no phase of its own."""
    response = np.interp(frequencies, _GRID, curve).astype(np.float32)
    return np.asarray(fft.irfft(spectrum * response, size)[:samples])


def _equaliser(gains: Sequence[float], centre: float) -> np.ndarray:
    """Low shelf below 200 Hz, a bell of two octaves, high shelf above 3 kHz; gains in dB."""
    octaves = np.log2(_GRID)
    low = 1 / (1 + 2.0 ** (3 * (octaves - np.log2(200.0))))
    high = 1 / (1 + 2.0 ** (-3 * (octaves - np.log2(3000.0))))
    bell = np.exp(-np.square(octaves - np.log2(centre)))
    return np.asarray(10 ** ((gains[0] * low + gains[1] * bell + gains[2] * high) / 20))


def _formants(vowel: int, singer: float) -> np.ndarray:
    """Three resonances (averages for men, Peterson and Barney 1952), moved by the size of the singer's head."""
    octaves = np.log2(_GRID)
    gains = np.full(len(_GRID), -5.0)
    for formant, gain in zip(_VOWELS[vowel], (13.0, 11.0, 9.0), strict=True):
        gains += gain * np.exp(-np.square((octaves - np.log2(formant * singer)) / 0.22))
    return np.asarray(10 ** (gains / 20))


def _room(sound: Sound, size: int, rng: np.random.Generator) -> np.ndarray:
    """Spectrum of the room's tail: noise that decays by 60 dB in its time, after the first reflections' delay, duller than the source."""
    seconds = np.arange(_ROOM_SAMPLES, dtype=np.float32) / SAMPLE_RATE
    decay = sound.reverberation_seconds * float(np.exp(rng.normal(0, 0.15)))
    tail = rng.standard_normal(_ROOM_SAMPLES, dtype=np.float32) * np.exp(-6.91 * seconds / np.float32(decay))
    delay = int((0.005 + 0.02 * rng.random()) * SAMPLE_RATE)
    tail = np.concatenate([np.zeros(delay, np.float32), tail[: _ROOM_SAMPLES - delay]])
    tail *= np.float32(sound.wetness * np.exp(rng.normal(0, 0.2)) / np.sqrt(np.square(tail).sum()))
    spectrum = fft.rfft(tail, size)
    spectrum /= 1 + np.arange(len(spectrum), dtype=np.float32) * np.float32(SAMPLE_RATE / size / 4000.0)
    return np.asarray(spectrum)


def _compressed(samples: np.ndarray) -> np.ndarray:
    """Rounds off peaks: nothing goes beyond five times the root mean square."""
    ceiling = np.float32(_CREST * level(samples))
    return np.asarray(ceiling * np.tanh(samples / ceiling))


def _scaled(stems: np.ndarray, loudness: float) -> np.ndarray:
    """The whole song to its loudness, and down where a peak of a stem would pass the limit; ends without a click."""
    fade = SAMPLE_RATE // 50
    stems[:, -fade:] *= np.linspace(1, 0, fade, dtype=np.float32)
    gain = 10 ** (loudness / 20) / level(stems.sum(axis=0) / len(stems))
    return stems * np.float32(min(gain, PEAK / float(np.abs(stems).max())))
