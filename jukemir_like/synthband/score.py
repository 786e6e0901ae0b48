"""Notes and parts, which composing writes and rendering plays; and what every recording has: stems, length and sample rate."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

STEMS = ("bass", "drums", "other", "vocals")
SECONDS = 30.0
SAMPLE_RATE = 22050

DRUM_BANK = 128


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
