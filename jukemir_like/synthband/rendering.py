"""Rendering: from a composed song to four channels of sound.

The instruments are those of the soundfont that the package pretty_midi carries, played by tinysoundfont; the studio adds tone, room and
level. Equalisers and the room are products in the frequency domain: one transform and one inverse per stem, however many filters there are.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from functools import lru_cache
from importlib.util import find_spec
from typing import Any

import numpy as np
from scipy import fft

from jukemir_like.core.errors import RequestError
from jukemir_like.midi.soundfonts import SYNTH_VERSION
from jukemir_like.midi.soundfonts import default_path as soundfont_path
from jukemir_like.midi.synthesiser import load
from jukemir_like.studio.levels import active_level
from jukemir_like.synthband.artist import Sound
from jukemir_like.synthband.plan import SAMPLE_RATE, SECONDS, Part
from jukemir_like.synthband.playing import play_events
from jukemir_like.synthband.seeding import stream
from jukemir_like.synthband.song import Event, Song, perform, timed_notes

SAMPLES = int(SECONDS * SAMPLE_RATE)
PEAK = 0.95

SOUNDFONT_SHA256 = "82475b91a76de15cb28a104707d3247ba932e228bada3f47bba63c6b31aaf7a1"

_LEVELS = {"bass": 0.0, "drums": 1.0, "other": -1.0, "vocals": 1.5}
_WET = {"bass": 0.2, "drums": 0.7, "other": 1.0, "vocals": 1.1}
_ROOM_SAMPLES = int(1.4 * SAMPLE_RATE)  # length of the impulse response
_CREST_FACTOR = 5.0  # largest peak over the root mean square
_GRID = np.geomspace(20.0, SAMPLE_RATE / 2, 256)  # Hz, on which gain curves are given
# First three formants in Hz of the vowels in father, bed, bid, bought and good: averages for men (Peterson and Barney 1952).
_VOWELS = ((730, 1090, 2440), (530, 1840, 2480), (390, 1990, 2550), (570, 840, 2410), (440, 1020, 2240))


def render(song: Song) -> np.ndarray:
    """The stems of a song: float32 ``(4, 661500)`` at 22,050 Hz, within ±0.95."""
    plan = song.plan
    dry = {}
    for stem, parts in song.stems.items():
        late = plan.late_seconds(stem)
        mixed = np.zeros(SAMPLES, np.float32)
        for number, part in enumerate(parts):
            rng = stream(song.seed, f"performance {stem}", song.index, number)
            samples = play(part, perform(part, plan, late, rng), SAMPLES)
            mixed += samples * np.float32(10 ** (part.level / 20) / level_or_one(samples))
        dry[stem] = mixed
    return mix_stems(dry, plan.sound, _vowels(song), song.loudness, stream(song.seed, "studio", song.index))


def _vowels(song: Song) -> np.ndarray:
    """Which of its two vowels the voice is on, 0 to 1, changing from note to note: ``(samples,)``."""
    rng = stream(song.seed, "vowels", song.index)
    (part,) = song.stems["vocals"]
    notes = timed_notes(part, song.plan, song.plan.late_seconds("vocals"), stream(song.seed, "performance vocals", song.index, 0))
    times, values = [0.0], [0.5]
    for note, value in zip(notes, rng.random(len(notes)).round(), strict=True):
        times += [max(note.start - 0.02, times[-1]), max(note.start + 0.05, times[-1])]
        values += [values[-1], float(value)]
    return np.interp(np.arange(SAMPLES, dtype=np.float64) / SAMPLE_RATE, times, values).astype(np.float32)


def check_instruments() -> None:
    """Checks that synthband can be rendered, and with the sounds that define it.

    Raises:
        RequestError: tinysoundfont or the soundfont is missing, or the soundfont is another one.
    """
    if find_spec("tinysoundfont") is None:
        raise RequestError(f"tinysoundfont is not installed: run `make setup`, or `pip install --no-deps tinysoundfont=={SYNTH_VERSION}`")
    file = soundfont_path()
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    if digest != SOUNDFONT_SHA256:
        difference = f"SHA-256 {digest[:12]}… instead of {SOUNDFONT_SHA256[:12]}…"
        raise RequestError(f"{file} is not the soundfont that synthband is made with ({difference}): reinstall pretty_midi 0.2.11")


def play(part: Part, events: Sequence[Event], samples: int) -> np.ndarray:
    """Renders one part: mono float32 of shape ``(samples,)``, the mean of left and right, at any level.

    The same part sounds the same to the bit after any other part.
    """
    stereo = play_events(_synth(), part.bank, part.program, part.tuning, events, samples, channels=2)
    # Twenty times as fast as a mean over the short axis.
    return np.asarray((stereo[:, 0] + stereo[:, 1]) * np.float32(0.5))


@lru_cache(maxsize=1)
def _synth() -> Any:
    """The process's synthesiser; loading the soundfont takes about 15 ms and 30 MB."""
    return load(str(soundfont_path()), SAMPLE_RATE)


def mix_stems(stems: dict[str, np.ndarray], sound: Sound, vowels: np.ndarray, loudness: float, rng: np.random.Generator) -> np.ndarray:
    """Gives the dry stems their tone, room and levels.

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
    first, second = (int(vowel) for vowel in rng.permutation(len(_VOWELS))[:2])
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
        out[row] = _compressed(wet * np.float32(gain / level_or_one(wet)))
    return scaled(out, loudness)


def level_or_one(samples: np.ndarray) -> float:
    """The :func:`~jukemir_like.studio.levels.active_level`, to divide by: 1 of silence."""
    return active_level(samples, SAMPLE_RATE) or 1.0


def level(samples: np.ndarray) -> float:
    """Root mean square of ``(samples,)``."""
    # Not by a dot product: how BLAS adds depends on its number of threads, and the last bit of the result with it.
    return math.sqrt(float(np.square(samples).sum()) / len(samples))


def _apply(spectrum: np.ndarray, curve: np.ndarray, frequencies: np.ndarray, size: int, samples: int) -> np.ndarray:
    """Filters by a gain curve on the grid. The gains are real, so the filter has zero phase."""
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
    """Gain curve of a vowel: its three formants, scaled by the size of the singer's head."""
    octaves = np.log2(_GRID)
    gains = np.full(len(_GRID), -5.0)
    for formant, gain in zip(_VOWELS[vowel], (13.0, 11.0, 9.0), strict=True):
        gains += gain * np.exp(-np.square((octaves - np.log2(formant * singer)) / 0.22))
    return np.asarray(10 ** (gains / 20))


def _room(sound: Sound, size: int, rng: np.random.Generator) -> np.ndarray:
    """Spectrum of the reverberation: decaying noise that begins after the delay of the first reflections, duller than the source."""
    seconds = np.arange(_ROOM_SAMPLES, dtype=np.float32) / SAMPLE_RATE
    decay = sound.reverberation_seconds * float(np.exp(rng.normal(0, 0.15)))
    # exp(-6.91) = 1/1000: the tail has decayed by 60 dB after ``decay`` seconds.
    tail = rng.standard_normal(_ROOM_SAMPLES, dtype=np.float32) * np.exp(-6.91 * seconds / np.float32(decay))
    delay = int((0.005 + 0.02 * rng.random()) * SAMPLE_RATE)
    tail = np.concatenate([np.zeros(delay, np.float32), tail[: _ROOM_SAMPLES - delay]])
    tail *= np.float32(sound.wetness * np.exp(rng.normal(0, 0.2)) / np.sqrt(np.square(tail).sum()))
    spectrum = fft.rfft(tail, size)
    spectrum /= 1 + np.arange(len(spectrum), dtype=np.float32) * np.float32(SAMPLE_RATE / size / 4000.0)
    return np.asarray(spectrum)


def _compressed(samples: np.ndarray) -> np.ndarray:
    """Rounds off peaks: no sample exceeds five times the root mean square."""
    ceiling = np.float32(_CREST_FACTOR * level(samples))
    return np.asarray(ceiling * np.tanh(samples / ceiling))


def scaled(stems: np.ndarray, loudness: float) -> np.ndarray:
    """Scales the song to its loudness, lower where a peak of a stem would exceed :data:`PEAK`; fades out to end without a click."""
    fade = SAMPLE_RATE // 50
    stems[:, -fade:] *= np.linspace(1, 0, fade, dtype=np.float32)
    gain = 10 ** (loudness / 20) / level(stems.sum(axis=0) / len(stems))
    return stems * np.float32(min(gain, PEAK / float(np.abs(stems).max())))
