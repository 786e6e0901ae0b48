"""A sung line: its notes with glides and vibrato, as events for a synthesiser, as a glottal source and breath, and through the formants.

The formants change from note to note: a filter of real gains in overlapping frames, whose windows add up to one.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from scipy import fft

from jukemir_like.synthband.plan import SAMPLE_RATE
from jukemir_like.synthband.singers import Singer, formants
from jukemir_like.synthband.song import Event, TimedNote

_CONTROL_SAMPLES = 441  # between two values of a controller
_LEGATO_SECONDS = 0.15  # a shorter rest between two notes is no breath
_TABLE = 4096
_HOP = 512
_WINDOW = np.sin(np.pi * (np.arange(2 * _HOP) + 0.5) / (2 * _HOP)).astype(np.float32)
_BLOCK = 64  # frames
_NOISE = 1 << 17  # samples of noise, of which every note has a part
_VOWEL_SECONDS = 0.07  # of the change from one vowel to the next


class Sung(NamedTuple):
    """A note as it is sung.

    Args:
        start: first sample.
        end: sample after the last.
        key: MIDI key.
        velocity: 1 to 127.
        offsets: samples after ``start`` of the values that follow, ``(values,)``.
        bend: semitones, ``(values,)``.
        swell: expression 0 to 127, ``(values,)``.
        vowel: place among the singer's.
    """

    start: int
    end: int
    key: int
    velocity: int
    offsets: np.ndarray
    bend: np.ndarray
    swell: np.ndarray
    vowel: int


def sing(notes: Sequence[TimedNote], singer: Singer, samples: int, rng: np.random.Generator) -> list[Sung]:
    """The notes as ``singer`` sings them, those that sound within the recording.

    A note begins near the pitch of the one before (or, after a breath, a little low) and settles; long notes get vibrato after a while,
    and every note has a small swell.
    """
    deviates = rng.standard_normal((len(notes), 3))
    chances = rng.random((len(notes), 3))
    sung = []
    for place, note in enumerate(notes):
        start, end = round(note.start * SAMPLE_RATE), min(round(note.end * SAMPLE_RATE), samples)
        if end <= start:
            continue
        before = notes[place - 1] if place else None
        if before is not None and note.start - before.end < _LEGATO_SECONDS:
            offset = float(min(max(before.pitch - note.pitch, -2.0), 2.0))
        else:
            offset = -singer.scoop * float(chances[place, 0])
        offsets = np.arange(0, end - start, _CONTROL_SAMPLES)
        seconds = offsets / SAMPLE_RATE
        depth = (
            singer.vibrato_semitones * float(np.exp(0.25 * deviates[place, 0])) * np.clip((seconds - singer.vibrato_seconds) / 0.3, 0, 1)
        )
        rate = singer.vibrato_hertz * (1 + 0.05 * float(deviates[place, 1]))
        bend = offset * np.exp(-seconds / singer.glide_seconds) + depth * np.sin(2 * np.pi * (rate * seconds + chances[place, 1]))
        bend += singer.unsteadiness * float(deviates[place, 2])
        swell = 84 + 36 * np.minimum(seconds / 0.12, 1.0) - 20 * np.clip((seconds - 0.6) / 2.0, 0.0, 1.0)
        vowel = int(chances[place, 2] * len(singer.vowels))
        sung.append(Sung(start, end, note.pitch, note.velocity, offsets, bend, swell, vowel))
    return sung


def events(sung: Sequence[Sung]) -> list[Event]:
    """For a synthesiser: notes on alternating channels, so that each can glide in while the one before fades."""
    made: list[Event] = []
    for place, note in enumerate(sung):
        channel, shown = place % 2, -1
        for sample, semitones, level in zip((note.start + note.offsets).tolist(), note.bend.tolist(), note.swell.tolist(), strict=True):
            made.append(Event(sample, 1, channel, -1, semitones))
            if round(level) != shown:
                shown = round(level)
                made.append(Event(sample, 1, channel, -2, shown))
        made.append(Event(note.start, 2, channel, note.key, note.velocity))
        made.append(Event(note.end, 0, channel, note.key, 0))
    return sorted(made)


def glottal_source(sung: Sequence[Sung], singer: Singer, tuning_hertz: float, samples: int) -> np.ndarray:
    """The pulses of the glottis: float32 ``(samples,)``, of any level.

    Args:
        sung: the notes.
        singer: who sings.
        tuning_hertz: of A4.
        samples: of the recording.
    """
    out = np.zeros(samples, np.float32)
    phase = 0.0
    for note in sung:
        hertz = tuning_hertz * 2 ** ((note.key - 69 + note.bend) / 12)
        places = np.arange(note.end - note.start)
        turns = phase + np.concatenate([[0.0], np.cumsum(hertz / SAMPLE_RATE) * _CONTROL_SAMPLES])
        phases = np.interp(places, np.arange(len(turns)) * _CONTROL_SAMPLES, turns)
        phase = float(phases[-1]) % 1.0
        table = _pulse(singer.open_quotient, int(0.9 * SAMPLE_RATE / 2 / float(hertz.max())))
        # The remainder of a power of two, of whole numbers: several times as fast as the remainder of a division.
        tone = table[(phases * _TABLE).astype(np.int64) & (_TABLE - 1)]
        level = np.interp(places, note.offsets, note.swell / 127) * (note.velocity / 127)
        fade = min(SAMPLE_RATE // 40, len(places) // 2)
        level[:fade] *= np.linspace(0, 1, fade)
        level[len(places) - fade :] *= np.linspace(1, 0, fade)
        out[note.start : note.end] += (tone * level).astype(np.float32)
    return out


def breath(sung: Sequence[Sung], singer: Singer, samples: int, rng: np.random.Generator) -> np.ndarray:
    """Noise while a note sounds, more of it at its beginning: float32 ``(samples,)``, of any level."""
    tile = rng.standard_normal(_NOISE, dtype=np.float32)
    out = np.zeros(samples, np.float32)
    for note in sung:
        start, end = max(note.start - 900, 0), min(note.end + 400, samples)
        places = (
            note.start - 900,
            note.start,
            note.start + 1300,
            max(note.end - 400, note.start + 1301),
            max(note.end + 400, note.start + 1302),
        )
        level = note.velocity / 127
        envelope = np.interp(np.arange(start, end), places, (0.0, level * singer.onset, level, level, 0.0)).astype(np.float32)
        first = start % (_NOISE // 2)
        while len(envelope):  # a long note hears the same noise again
            piece = envelope[: _NOISE - first]
            out[start : start + len(piece)] += piece * tile[first : first + len(piece)]
            start, envelope, first = start + len(piece), envelope[len(piece) :], 0
    return out


def with_formants(source: np.ndarray, sung: Sequence[Sung], singer: Singer) -> np.ndarray:
    """``source`` ``(samples,)`` through the formants of the vowels that are sung; float32, the same shape."""
    size, samples = 2 * _HOP, len(source)
    if not sung:
        return source
    count = -(-samples // _HOP) + 1
    padded = np.zeros((count + 1) * _HOP, np.float32)
    padded[_HOP : _HOP + samples] = source
    frames = np.lib.stride_tricks.sliding_window_view(padded, size)[::_HOP]
    frequencies = np.arange(_HOP + 1) * (SAMPLE_RATE / size)
    curves = np.stack([formants(singer, vowel, frequencies) for vowel in singer.vowels]).astype(np.float32)
    which, before, share = _vowels(sung, count)
    out = np.zeros((count + 1, _HOP), np.float32)
    for first in range(0, count, _BLOCK):  # what belongs to so many frames stays in the cache
        block = slice(first, min(first + _BLOCK, count))
        gains = curves[which[block]]
        changing = np.flatnonzero(share[block] < 1)
        older = curves[before[block][changing]]
        gains[changing] = older + share[block][changing, None] * (gains[changing] - older)
        spectra = fft.rfft(frames[block] * _WINDOW, axis=1)
        spectra *= gains
        filtered = fft.irfft(spectra, size, axis=1) * _WINDOW
        out[block] += filtered[:, :_HOP]
        out[block.start + 1 : block.stop + 1] += filtered[:, _HOP:]
    return np.asarray(out.reshape(-1)[_HOP : _HOP + samples])


def _vowels(sung: Sequence[Sung], count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of each frame its vowel, the one before it, and the share of the first in the two: 0 at the beginning of a note, soon 1."""
    centres = np.arange(count) * _HOP
    starts = np.array([note.start for note in sung])
    places = np.maximum(np.searchsorted(starts, centres, side="right") - 1, 0)
    vowels = np.array([note.vowel for note in sung])
    share = np.clip((centres - starts[places]) / (_VOWEL_SECONDS * SAMPLE_RATE), 0, 1).astype(np.float32)
    return vowels[places], vowels[np.maximum(places - 1, 0)], share


@lru_cache(maxsize=256)
def _pulse(open_quotient: float, harmonics: int) -> np.ndarray:
    """One period of the derivative of Rosenberg's pulse (shape C), of its first harmonics: float32 ``(4096,)``, root mean square 1."""
    place = np.arange(_TABLE) / _TABLE
    rise, fall = 0.7 * open_quotient, 0.3 * open_quotient
    flow = np.where(place < rise, 0.5 * (1 - np.cos(np.pi * place / rise)), 0.0)
    flow = np.where((place >= rise) & (place < rise + fall), np.cos(np.pi / 2 * (place - rise) / fall), flow)
    spectrum = np.fft.rfft(flow) * np.arange(_TABLE // 2 + 1)
    spectrum[max(harmonics, 1) + 1 :] = 0
    period = np.fft.irfft(1j * spectrum)
    return np.asarray(period / np.sqrt(np.mean(np.square(period))), np.float32)
