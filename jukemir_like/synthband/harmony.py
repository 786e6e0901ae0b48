"""Chords: from a roman numeral in a key to pitch classes, and from chords to voicings that move as little as they can.

Numerals are counted from the major scale of the tonic in both modes, so that a chord is written the same way wherever it occurs:
the common chords of a minor key are ``i bIII iv v V bVI bVII``. Upper case is a major triad, lower case a minor one; what follows the
numeral (``7``, ``maj7``, ``sus4``, ``5`` …) extends or replaces it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

SCALES = {"major": (0, 2, 4, 5, 7, 9, 11), "minor": (0, 2, 3, 5, 7, 8, 10)}
PENTATONIC = {"major": (0, 2, 4, 7, 9), "minor": (0, 3, 5, 7, 10)}

_NUMERALS = {"i": 0, "ii": 2, "iii": 4, "iv": 5, "v": 7, "vi": 9, "vii": 11}
_SYMBOL = re.compile(r"^([b#]?)([ivIV]+)(.*)$")
_MAJOR = {
    "": (0, 4, 7),
    "7": (0, 4, 7, 10),
    "maj7": (0, 4, 7, 11),
    "6": (0, 4, 7, 9),
    "9": (0, 4, 7, 10, 2),
    "maj9": (0, 4, 7, 11, 2),
    "add9": (0, 4, 7, 2),
    "13": (0, 4, 10, 9),
    "7b9": (0, 4, 7, 10, 1),
    "sus4": (0, 5, 7),
    "5": (0, 7),
}
_MINOR = {
    "": (0, 3, 7),
    "7": (0, 3, 7, 10),
    "6": (0, 3, 7, 9),
    "9": (0, 3, 7, 10, 2),
    "add9": (0, 3, 7, 2),
    "ø": (0, 3, 6, 10),
    "°": (0, 3, 6),
    "°7": (0, 3, 6, 9),
    "5": (0, 7),
}


@dataclass(frozen=True)
class Chord:
    """A chord in absolute pitch.

    Args:
        root: pitch class, 0 (C) to 11.
        intervals: semitones above the root of all its tones, the root first.
        symbol: the numeral it was written as.
    """

    root: int
    intervals: tuple[int, ...]
    symbol: str

    @property
    def pitch_classes(self) -> tuple[int, ...]:
        """Pitch classes of all tones, the root first."""
        return tuple((self.root + interval) % 12 for interval in self.intervals)

    def tone(self, *wanted: int) -> int:
        """The first of the ``wanted`` intervals that the chord has, as a pitch class; its root where it has none."""
        return (self.root + next((interval for interval in wanted if interval in self.intervals), 0)) % 12


@lru_cache(maxsize=4096)
def chord(symbol: str, tonic: int) -> Chord:
    """Reads a numeral in the key of ``tonic`` (pitch class)."""
    match = _SYMBOL.match(symbol)
    if match is None:
        raise ValueError(f"not a chord symbol: {symbol!r}")
    accidental, numeral, extension = match.groups()
    table = _MAJOR if numeral.isupper() else _MINOR
    root = tonic + _NUMERALS[numeral.lower()] + {"": 0, "b": -1, "#": 1}[accidental]
    return Chord(root % 12, table[extension], symbol)


@lru_cache(maxsize=4096)
def scale_over(tonic: int, steps: tuple[int, ...], harmony: Chord) -> frozenset[int]:
    """Pitch classes of a key's scale where chord ``harmony`` sounds: its tones replace the neighbours they would rub against."""
    classes = {(tonic + step) % 12 for step in steps}
    tones = set(harmony.pitch_classes)
    for tone in tones - classes:
        classes -= {(tone + 1) % 12, (tone - 1) % 12} - tones
        classes.add(tone)
    return frozenset(classes | tones)


def voicing(harmony: Chord, voices: int, centre: float, previous: tuple[int, ...] | None) -> tuple[int, ...]:
    """Pitches of a chord, ascending, near ``centre`` and as close as possible to the ``previous`` voicing.

    Of a chord with more tones than ``voices`` the root goes first (the bass has it), then the fifth; one with fewer is doubled at
    the octave. Candidates are all inversions in close and in drop-2 position.
    """
    tones = list(harmony.pitch_classes)
    for spare in (harmony.root, (harmony.root + 7) % 12):
        if len(tones) > max(voices, 2) and spare in tones:
            tones.remove(spare)
    tones = sorted(tones[:voices] if len(tones) > voices else tones)
    best: tuple[float, tuple[int, ...]] | None = None
    for candidate in _inversions(tuple(tones), voices, round(centre)):
        cost = 0.6 * abs(sum(candidate) / len(candidate) - centre)
        if previous is not None:
            cost += sum(abs(a - b) for a, b in zip(candidate, previous, strict=False)) / len(candidate)
        if best is None or (cost, candidate) < best:
            best = (cost, candidate)
    assert best is not None  # noqa: S101 - a chord always has an inversion
    return best[1]


@lru_cache(maxsize=16384)
def _inversions(tones: tuple[int, ...], voices: int, centre: int) -> tuple[tuple[int, ...], ...]:
    found = []
    for lowest in range(centre - 12, centre + 6):
        if lowest % 12 not in tones:
            continue
        pitches = [lowest]
        while len(pitches) < voices:
            pitches.append(next(pitch for pitch in range(pitches[-1] + 1, pitches[-1] + 13) if pitch % 12 in tones))
        found.append(tuple(pitches))
        if voices >= 4:
            dropped = pitches.copy()
            dropped[-2] -= 12
            found.append(tuple(sorted(dropped)))
    return tuple(found)
