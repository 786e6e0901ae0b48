"""Song i of a synthband: composed (its plan, the parts of its four stems and its loudness), and performed.

A performance turns a part into timed events for a synthesiser: human timing and touch, and the glides and vibrato of the sung line.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from jukemir_like.synthband import artist
from jukemir_like.synthband.accompaniment import accompaniment
from jukemir_like.synthband.bass import bass
from jukemir_like.synthband.drums import drums
from jukemir_like.synthband.editions import FIRST, Edition
from jukemir_like.synthband.feel import make_feel, swing_of, tuning_of
from jukemir_like.synthband.melody import melody
from jukemir_like.synthband.plan import DRUM_BANK, SAMPLE_RATE, SECONDS, STEMS, Part, Plan, make_plan
from jukemir_like.synthband.seeding import stream

BEND_RANGE = 4.0
"""Semitones of a full pitch bend."""

_CONTROL_SAMPLES = 256  # between two values of a controller
_DRUM_SECONDS = 0.6  # how long a key of a kit is held


@dataclass(frozen=True)
class Song:
    """A composed song.

    Args:
        seed: of the dataset.
        index: of the song in it.
        plan: tempo, key, form and chords.
        stems: the parts of each of :data:`~jukemir_like.synthband.plan.STEMS`.
        loudness: root mean square of the mono mix to be rendered, in dB of full scale.
        edition: whose song it is.
    """

    seed: int
    index: int
    plan: Plan
    stems: dict[str, tuple[Part, ...]]
    loudness: float
    edition: Edition = FIRST


def compose(seed: int, index: int, edition: Edition = FIRST) -> Song:
    """Composes song ``index`` of the dataset with ``seed``. Depends on nothing else.

    >>> song = compose(0, 0)
    >>> song.plan.role.genre, sorted(song.stems)
    ('bossa', ['bass', 'drums', 'other', 'vocals'])
    """
    role = artist.role(seed, index)
    plan = make_plan(role, artist.sound(seed, role.artist, role.genre), stream(seed, "plan", index))
    who = (edition, seed, role.artist)
    plan = replace(
        plan,
        swing=swing_of(*who, index, role.genre, plan.swing),
        feel=make_feel(*who, index, role.genre, SECONDS - plan.upbeat_seconds, STEMS),
        tuning_hertz=tuning_of(*who),
    )
    players = {"bass": bass, "drums": drums, "other": accompaniment, "vocals": melody}
    stems = {stem: tuple(players[stem](plan, stream(seed, stem, index))) for stem in STEMS}
    loudness = -32.0 + 8.0 * plan.energy + float(stream(seed, "loudness", index).normal(0, 1.0))
    return Song(seed, index, plan, stems, round(min(max(loudness, -35.0), -23.0), 2), edition)


class Event(NamedTuple):
    """One instruction. Sorted, they are in the order in which the synthesiser must get them.

    Args:
        sample: when.
        order: 0 ends of notes, 1 controls, 2 beginnings of notes.
        channel: MIDI channel.
        key: MIDI key; -1 for a bend, -2 for the expression.
        value: velocity 1–127, semitones, or expression 0–127.
    """

    sample: int
    order: int
    channel: int
    key: int
    value: float


class TimedNote(NamedTuple):
    """A note in seconds."""

    start: float
    end: float
    pitch: int
    velocity: int


def perform(part: Part, plan: Plan, late_seconds: float, rng: np.random.Generator) -> list[Event]:
    """The events of ``part``, those that begin within the recording."""
    notes = timed_notes(part, plan, late_seconds, rng)
    if part.sung:
        return _sung(notes, rng)
    events = []
    for note in notes:
        start = round(note.start * SAMPLE_RATE)
        events.append(Event(start, 2, 0, note.pitch, note.velocity))
        events.append(Event(max(round(note.end * SAMPLE_RATE), start + 1), 0, 0, note.pitch, 0))
    return sorted(events)


def timed_notes(part: Part, plan: Plan, late_seconds: float, rng: np.random.Generator) -> list[TimedNote]:
    """Notes in seconds, with the players' deviations: notes that are written together stay nearly together."""
    feel = plan.feel
    tightness, touch_size = plan.genre.tightness * feel.looseness, 4.0 * feel.touch
    fresh = math.sqrt(1 - feel.wander**2)  # so that the deviations have the same variance, correlated or not
    notes: list[TimedNote] = []
    sounding: dict[int, int] = {}
    beat, shift = -1.0, 0.0
    # Each note has its own row of deviates, so that leaving a note out moves no other.
    deviates = rng.standard_normal((len(part.notes), 3))
    for note, (together, apart, touch) in zip(part.notes, deviates, strict=True):
        if note.start != beat:
            beat, shift = note.start, feel.wander * shift + fresh * (float(together) * tightness)
        written = plan.seconds(note.start)
        start = max(written + late_seconds + note.delay_seconds + shift + float(apart) * tightness * 0.25, 0.0)
        if start >= SECONDS:
            continue
        end = start + (_DRUM_SECONDS if part.bank == DRUM_BANK else plan.seconds(note.start + note.length) - written)
        velocity = int(min(max(round(note.velocity + touch_size * float(touch)), 8), 127))
        # A key is released before it is struck again: the synthesiser's note-off would end both notes.
        if note.pitch in sounding:
            earlier = notes[sounding[note.pitch]]
            if earlier.start < start < earlier.end:
                notes[sounding[note.pitch]] = earlier._replace(end=start)
        sounding[note.pitch] = len(notes)
        notes.append(TimedNote(start, end, note.pitch, velocity))
    return notes


def _sung(notes: list[TimedNote], rng: np.random.Generator) -> list[Event]:
    """Legato notes on alternating channels, so that each can glide in while the one before fades.

    A note begins near the pitch of the one before (or, after a breath, a little low) and settles; long notes get vibrato after a while,
    and every note has a small swell.
    """
    glide_seconds = 0.03 + 0.04 * float(rng.random())
    vibrato_hertz = 4.8 + 1.6 * float(rng.random())
    vibrato_depth = 0.15 + 0.3 * float(rng.random())
    scoops = rng.random((len(notes), 2))
    events: list[Event] = []
    for place, note in enumerate(notes):
        channel = place % 2
        start, end = round(note.start * SAMPLE_RATE), round(min(note.end, SECONDS) * SAMPLE_RATE)
        if end <= start:
            continue
        before = notes[place - 1] if place else None
        if before is not None and note.start - before.end < 0.15:
            offset = float(min(max(before.pitch - note.pitch, -2.0), 2.0))
        else:
            offset = -1.5 * float(scoops[place, 0])
        samples = np.arange(start, end, _CONTROL_SAMPLES)
        seconds = (samples - start) / SAMPLE_RATE
        depth = vibrato_depth * np.clip((seconds - 0.22) / 0.3, 0.0, 1.0)
        phase = 2 * np.pi * (vibrato_hertz * seconds + scoops[place, 1])
        bend = offset * np.exp(-seconds / glide_seconds) + depth * np.sin(phase)
        swell = 84 + 36 * np.minimum(seconds / 0.12, 1.0) - 20 * np.clip((seconds - 0.6) / 2.0, 0.0, 1.0)
        for sample, semitones, level in zip(samples.tolist(), bend.tolist(), swell.tolist(), strict=True):
            events.append(Event(sample, 1, channel, -1, semitones))
            events.append(Event(sample, 1, channel, -2, level))
        events.append(Event(start, 2, channel, note.pitch, note.velocity))
        events.append(Event(end, 0, channel, note.pitch, 0))
    return sorted(events)
