"""Notes and parts: what composing makes and rendering plays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

DRUM_BANK = 128


class Note(NamedTuple):
    """One note.

    Args:
        start: in beats.
        length: in beats.
        pitch: MIDI key.
        velocity: 1 to 127.
        delay_seconds: after ``start``: the strings of a strum.
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
        level: in dB, against the other parts of its stem.
        tuning: in semitones.
        sung: one note at a time, gliding, with vibrato.
        pattern: what it was made from.
    """

    program: int
    notes: tuple[Note, ...]
    bank: int = 0
    level: float = 0.0
    tuning: float = 0.0
    sung: bool = False
    pattern: str = ""


def with_shape(velocity: float, step: int, steps_per_bar: int, accents: tuple[float, ...], depth: float = 1.0) -> float:
    """A velocity shaped by metre (bar, half bar, beat, eighth, sixteenth) and by the song's own accents."""
    metre = (
        8.0
        if step == 0
        else 4.0
        if step * 2 == steps_per_bar and step % 4 == 0
        else 2.0
        if step % 4 == 0
        else -4.0
        if step % 2 == 0
        else -9.0
    )
    return velocity + depth * (metre + 3.0 * (accents[step] - 1.0))
