"""What a song is written in: its plan (tempo, feel, form and the chord of every beat), made before any note, and the notes and parts on it.

Also what every recording has: stems, length and sample rate.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from jukemir_like.synthband.artist import Role, Sound
from jukemir_like.synthband.feel import AS_WRITTEN, Feel
from jukemir_like.synthband.genres import GENRES, Genre
from jukemir_like.synthband.harmony import CADENCES, PROGRESSIONS, Chord, bars, chord
from jukemir_like.synthband.seeding import pick, pick_weighted, uniform

STEMS = ("bass", "drums", "other", "vocals")
SECONDS = 30.0
SAMPLE_RATE = 22050

DRUM_BANK = 128

_FORMS = (
    ("intro", "verse", "chorus", "verse", "chorus"),
    ("intro", "verse", "verse", "chorus", "bridge"),
    ("verse", "chorus", "verse", "chorus", "bridge"),
    ("verse", "verse", "bridge", "verse", "verse"),
    ("chorus", "verse", "chorus", "bridge", "chorus"),
    ("intro", "chorus", "verse", "chorus", "verse"),
)
_CADENCE_CHANCE = 0.4


@dataclass(frozen=True)
class Section:
    """A part of the form; ``start_bar`` and ``bars`` in bars."""

    name: str
    start_bar: int
    bars: int


@dataclass(frozen=True)
class Span:
    """A chord and the beats it lasts, counted from the beginning of the song."""

    start: float
    length: float
    chord: Chord


@dataclass(frozen=True)
class Plan:
    """What all parts of a song share.

    Args:
        role: artist, genre, key.
        sound: the artist's.
        bpm: quarter notes per minute.
        beats_per_bar: 3 or 4.
        swing: position of the off-beat within its pair of ``swing_unit`` beats, 0.5 is straight.
        energy: 0 to 1.
        sections: the form.
        spans: the chords, without gaps.
        accents: a factor for each sixteenth of the bar: where this song prefers notes.
        upbeat_seconds: when beat 0 sounds.
        feel: how the band keeps time.
        tuning_hertz: A4.
    """

    role: Role
    sound: Sound
    bpm: float
    beats_per_bar: int
    swing: float
    swing_unit: float
    energy: float
    sections: tuple[Section, ...]
    spans: tuple[Span, ...]
    accents: tuple[float, ...]
    upbeat_seconds: float
    feel: Feel = AS_WRITTEN
    tuning_hertz: float = 440.0

    @property
    def genre(self) -> Genre:
        """The genre's ranges and palettes."""
        return GENRES[self.role.genre]

    @property
    def steps_per_bar(self) -> int:
        """Sixteenths in a bar."""
        return 4 * self.beats_per_bar

    @property
    def bars(self) -> int:
        """Number of bars, the last of which may lie past the end of the recording."""
        return self.sections[-1].start_bar + self.sections[-1].bars

    def strong(self, step: int) -> bool:
        """Whether a sixteenth of the bar is a strong beat: the first, and the third of four."""
        return step == 0 or (self.beats_per_bar == 4 and step == 8)

    def section(self, bar: int) -> Section:
        """The section that ``bar`` is in."""
        return next(section for section in reversed(self.sections) if section.start_bar <= bar)

    def span(self, beat: float) -> Span:
        """The chord that sounds at ``beat``."""
        return self.spans[self._index(beat)]

    def following(self, beat: float) -> Span:
        """The chord after the one at ``beat``."""
        return self.spans[min(self._index(beat) + 1, len(self.spans) - 1)]

    def seconds(self, beat: float) -> float:
        """When ``beat`` sounds, swing and drift included."""
        pair, fraction = divmod(beat / self.swing_unit, 1.0)
        swung = 2 * self.swing * fraction if fraction < 0.5 else self.swing + (fraction - 0.5) * 2 * (1 - self.swing)
        straight = (pair + swung) * self.swing_unit * 60 / self.bpm
        return self.upbeat_seconds + straight + self.feel.moved(straight)

    def late_seconds(self, stem: str) -> float:
        """How far behind the beat ``stem`` lies."""
        return (self.sound.late_seconds if stem == "vocals" else 0.0) + self.feel.place(stem)

    def _index(self, beat: float) -> int:
        low, high = 0, len(self.spans)
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if self.spans[middle].start <= beat + 1e-9 else (low, middle)
        return low


def make_plan(role: Role, sound: Sound, rng: np.random.Generator) -> Plan:
    """The plan of a song, sampled from the ranges of its genre."""
    genre = GENRES[role.genre]
    bpm = round(genre.bpm[0] * (genre.bpm[1] / genre.bpm[0]) ** rng.random(), 2)
    beats_per_bar = 3 if rng.random() < genre.waltz else 4
    accents = tuple(float(accent) for accent in rng.choice((0.25, 1.0, 2.2), 4 * beats_per_bar, p=(0.4, 0.3, 0.3)))
    swing = uniform(rng, genre.swing)
    energy = uniform(rng, genre.energy)
    needed = math.ceil(SECONDS * bpm / 60 / beats_per_bar) + 1
    sections = _form(needed, rng)
    return Plan(
        role=role,
        sound=sound,
        bpm=bpm,
        beats_per_bar=beats_per_bar,
        swing=swing,
        swing_unit=genre.swing_unit,
        energy=energy,
        sections=sections,
        spans=_chords(role, genre, sections, beats_per_bar, rng),
        accents=accents,
        upbeat_seconds=uniform(rng, (0.05, 0.4)),
    )


def _form(needed: int, rng: np.random.Generator) -> tuple[Section, ...]:
    """Sections that fill ``needed`` bars."""
    names = pick(rng, _FORMS)
    long = 8 if needed > 14 and rng.random() < 0.6 else 4
    short = 2 if needed > 11 else 1
    sections: list[Section] = []
    bar = 0
    while bar < needed:
        name = names[len(sections) % len(names)]
        if name == "intro" and sections:
            name = "verse"
        length = short if name == "intro" else 4 if name == "bridge" else long
        sections.append(Section(name, bar, length))
        bar += length
    return tuple(sections)


def _chords(role: Role, genre: Genre, sections: tuple[Section, ...], beats_per_bar: int, rng: np.random.Generator) -> tuple[Span, ...]:
    """The chord of every beat. Each kind of section has a progression of its own; the last bar of a section may turn back to the tonic."""
    style = pick_weighted(rng, genre.harmony)
    progressions = {name: pick(rng, PROGRESSIONS[style][role.mode]) for name in ("verse", "chorus", "bridge")}
    progressions["intro"] = progressions[pick(rng, ("verse", "chorus"))]
    cadence = pick(rng, CADENCES[role.mode])
    cadences = rng.random() < _CADENCE_CHANCE
    spans: list[Span] = []
    for section in sections:
        loop = bars(progressions[section.name])
        for bar in range(section.bars):
            symbols = loop[bar % len(loop)]
            if cadences and bar == section.bars - 1 and section.name != "intro" and len(loop) <= 4:
                symbols = cadence.split()
            start = float((section.start_bar + bar) * beats_per_bar)
            for symbol, (offset, length) in zip(symbols, _shares(len(symbols), beats_per_bar), strict=True):
                harmony = chord(symbol, role.tonic)
                last = spans[-1] if spans else None
                if last is not None and last.chord == harmony and offset:
                    spans[-1] = Span(last.start, last.length + length, harmony)
                else:
                    spans.append(Span(start + offset, length, harmony))
    return tuple(spans)


def _shares(count: int, beats_per_bar: int) -> list[tuple[float, float]]:
    """Offset and length in beats of ``count`` chords that share a bar, on whole beats."""
    edges = [round(i * beats_per_bar / count + 1e-6) for i in range(count + 1)]
    return [(float(start), float(end - start)) for start, end in pairwise(edges)]


class Note(NamedTuple):
    """One note.

    Args:
        start: in beats.
        length: in beats.
        pitch: MIDI key.
        velocity: 1 to 127.
        delay_seconds: after ``start``, for the strings of a strum.
    """

    start: float
    length: float
    pitch: int
    velocity: float
    delay_seconds: float = 0.0


@dataclass(frozen=True)
class Part:
    """What one instrument plays.

    Args:
        program: preset of the soundfont.
        notes: ordered by start.
        bank: 0, or 128 for drum kits.
        level: in dB, relative to the other parts of its stem.
        tuning: in semitones.
        sung: one note at a time, gliding, with vibrato.
        pattern: name of the pattern that it was made from.
    """

    program: int
    notes: tuple[Note, ...]
    bank: int = 0
    level: float = 0.0
    tuning: float = 0.0
    sung: bool = False
    pattern: str = ""


def shaped_velocity(velocity: float, step: int, steps_per_bar: int, accents: tuple[float, ...], depth: float = 1.0) -> float:
    """A velocity shaped by metre (bar, half bar, beat, eighth, sixteenth) and by the song's own accents.

    Args:
        velocity: before shaping.
        step: sixteenth of the bar.
        steps_per_bar: sixteenths in a bar.
        accents: a factor for each sixteenth of the bar; 1 is neutral.
        depth: how strongly it is shaped; 0: not at all.

    >>> shaped_velocity(80, 0, 16, (1.0,) * 16), shaped_velocity(80, 1, 16, (1.0,) * 16)
    (88.0, 71.0)
    """
    if step == 0:
        metre = 8.0
    elif step * 2 == steps_per_bar and step % 4 == 0:
        metre = 4.0
    elif step % 4 == 0:
        metre = 2.0
    elif step % 2 == 0:
        metre = -4.0
    else:
        metre = -9.0
    return velocity + depth * (metre + 3.0 * (accents[step] - 1.0))
