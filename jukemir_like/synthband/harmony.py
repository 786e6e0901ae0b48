"""Harmony: from a roman numeral in a key to pitch classes, from chords to voicings that move little; and the progressions of each style.

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
    """The chord of a numeral in the key of ``tonic`` (a pitch class).

    Raises:
        ValueError: ``symbol`` is no numeral.

    >>> chord("V7", 0).pitch_classes
    (7, 11, 2, 5)
    """
    match = _SYMBOL.match(symbol)
    if match is None:
        raise ValueError(f"not a chord symbol: {symbol!r}")
    accidental, numeral, extension = match.groups()
    table = _MAJOR if numeral.isupper() else _MINOR
    root = tonic + _NUMERALS[numeral.lower()] + {"": 0, "b": -1, "#": 1}[accidental]
    return Chord(root % 12, table[extension], symbol)


@lru_cache(maxsize=4096)
def scale_over(tonic: int, steps: tuple[int, ...], harmony: Chord) -> frozenset[int]:
    """Pitch classes of a key's scale where chord ``harmony`` sounds: its tones replace the neighbours that they clash with."""
    classes = {(tonic + step) % 12 for step in steps}
    tones = set(harmony.pitch_classes)
    for tone in tones - classes:
        classes -= {(tone + 1) % 12, (tone - 1) % 12} - tones
        classes.add(tone)
    return frozenset(classes | tones)


def voicing(harmony: Chord, voices: int, centre: float, previous: tuple[int, ...] | None) -> tuple[int, ...]:
    """Pitches of a chord, ascending, near ``centre`` and as close as possible to the ``previous`` voicing.

    Of a chord with more tones than ``voices`` the root is left out first (the bass has it), then the fifth; a chord with fewer is doubled
    at the octave. Candidates are all inversions in close and in drop-2 position.
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
    inversions = []
    for lowest in range(centre - 12, centre + 6):
        if lowest % 12 not in tones:
            continue
        pitches = [lowest]
        while len(pitches) < voices:
            pitches.append(next(pitch for pitch in range(pitches[-1] + 1, pitches[-1] + 13) if pitch % 12 in tones))
        inversions.append(tuple(pitches))
        if voices >= 4:
            dropped = pitches.copy()
            dropped[-2] -= 12
            inversions.append(tuple(sorted(dropped)))
    return tuple(inversions)


PROGRESSIONS: dict[str, dict[str, tuple[str, ...]]] = {
    "pop": {
        "major": (
            "I | V | vi | IV",
            "I | vi | IV | V",
            "I | IV | vi | V",
            "I | iii | IV | V",
            "I | ii | IV | V",
            "I | V | ii | IV",
            "I | I | IV | V",
        ),
        "minor": (
            "i | bVI | bIII | bVII",
            "i | iv | bVI | V",
            "i | bVI | iv | V",
            "i | v | bVI | bVII",
            "i | bVII | bVI | V",
            "i | i | bVI | V",
        ),
    },
    "rock": {
        "major": (
            "I | bVII | IV | I",
            "I | IV | I | V",
            "I | bVII | IV | IV",
            "I | IV V",
            "I | V | IV | I",
            "I | I | bVII | IV",
            "I | ii | IV | I",
        ),
        "minor": (
            "i | bVII | bVI | bVII",
            "i | bIII | bVII | iv",
            "i | i | bVI | bVII",
            "i | iv | i | v",
            "i | bVII iv",
            "i | bVI bVII",
            "i | bIII | iv | i",
        ),
    },
    "metal": {
        "major": ("I5 | IV5 | V5 | I5", "I5 | bVII5 | IV5 | I5", "I5 | I5 | IV5 | V5", "I | V | vi | IV", "I5 | V5 IV5"),
        "minor": (
            "i5 | bVI5 | bVII5 | i5",
            "i5 | i5 | bII5 | i5",
            "i5 | bVII5 | bVI5 | V5",
            "i5 | bIII5 iv5 | i5 | bVI5 v5",
            "i5 | i5 | bVI5 | bVII5",
            "i5 | iv5 | V5 | i5",
        ),
    },
    "jazz": {
        "major": (
            "Imaj7 | vi7 | ii7 | V7",
            "Imaj7 vi7 | ii7 V7",
            "ii7 | V7 | Imaj7 | I6",
            "Imaj7 | ii7 V7 | iii7 VI7 | ii7 V7",
            "I6 | VI7 | ii7 | V13",
            "Imaj7 | I7 | IVmaj7 | iv6",
            "Imaj7 | iv7 bVII9 | Imaj7 | ii7 V7",
            "iii7 VI7 | ii7 V7 | Imaj7 | I6",
        ),
        "minor": (
            "i6 | iiø V7b9 | i6 | iiø V7b9",
            "i7 | iv7 | iiø | V7b9",
            "i6 | bVI7 | V7 | i6",
            "iiø | V7b9 | i6 | i7",
            "i7 | i7 | iv7 | V7",
            "iv7 | bVII9 | i6 | V7b9",
        ),
    },
    "blues": {
        "major": (
            "I7 | IV7 | I7 | I7 | IV7 | IV7 | I7 | I7 | V7 | IV7 | I7 | V7",
            "I7 | I7 | I7 | I7 | IV7 | IV7 | I7 | VI7 | ii7 | V7 | I7 | V7",
            "I7 | IV7 | I7 | V7",
            "I7 | I7 | IV7 | I7 V7",
        ),
        "minor": (
            "i7 | iv7 | i7 | i7 | iv7 | iv7 | i7 | i7 | bVI7 | V7 | i7 | V7",
            "i7 | i7 | iv7 | V7",
            "i7 | iv7 | i7 | V7",
            "i | i | i | i7 | iv7 | iv7 | i | i | V7 | iv7 | i | V7",
        ),
    },
    "funk": {
        "major": ("I9 | I9 | I9 | IV9", "I7 | IV7", "I9 | bVII9", "I9 | IV9 | I9 | V9", "Imaj7 | IVmaj7 | ii7 | V9"),
        "minor": ("i7 | IV9", "i7 | i7 | iv7 | bVII9", "i9 | i9 | i9 | V7", "i7 | bIII iv7", "i7 | bVII | IV9 | i7"),
    },
    "dance": {
        "major": ("Imaj7 | iii7 | IVmaj7 | V", "I | vi7 | ii7 | V", "I | V | vi | IV", "Imaj7 | IVmaj7", "I | I | ii7 | V"),
        "minor": (
            "i7 | iv7 | bVII | bIII",
            "i | bVI | bVII | i",
            "i7 | i7 | bVImaj7 | v7",
            "i | bVI | iv | V",
            "i9 | iv9",
            "i | bIII | bVII | iv",
        ),
    },
    "reggae": {
        "major": ("I | I | IV | V", "I | ii", "I | V | ii | IV", "I | IV", "I | vi | IV | V", "I | iii | IV | ii"),
        "minor": ("i | iv | i | v", "i | bVII", "i | i | iv | iv", "i7 | iv7", "i | bVI | bVII | i", "i | v | iv | i"),
    },
    "country": {
        "major": (
            "I | IV | V | I",
            "I | I | V7 | V7",
            "I | IV | I | V7",
            "I | I | IV | IV | I | V7 | I | I",
            "I | vi | IV | V",
            "I I7 | IV | I V7 | I",
        ),
        "minor": ("i | bVII | i | V", "i | iv | V7 | i", "i | i | bVII | bVII", "i | bIII | bVII | i", "i | bVI | bVII | i"),
    },
    "bossa": {
        "major": (
            "Imaj7 | II7 | ii7 | V7",
            "I6 | biii°7 | ii7 | V7b9",
            "Imaj9 | Imaj9 | ii7 | V13",
            "Imaj7 | iv6 | iii7 VI7 | ii7 V7",
            "Imaj7 | ii7 | iii7 | V7",
        ),
        "minor": ("i6 | i6 | iiø | V7b9", "i7 | iv7 bVII9 | bIIImaj7 | V7b9", "i9 | bVI7 | V7b9 | i9", "i6 | IV9 | iiø V7b9 | i6"),
    },
    "ambient": {
        "major": (
            "Iadd9 | IVmaj7",
            "Imaj7 | iii7 | IVmaj7 | I",
            "I | Vsus4 | IVadd9 | I",
            "Iadd9 | vi7 | IVmaj7 | V",
            "I | IVadd9 | ii7 | Iadd9",
        ),
        "minor": (
            "iadd9 | bVImaj7",
            "i | bVI | bIII | bVII",
            "i9 | iv9 | bVImaj7 | i",
            "i | v7 | bVImaj7 | bVII",
            "iadd9 | bIII | iv7 | i",
        ),
    },
    "hiphop": {
        "major": ("Imaj7 | IVmaj7", "ii7 V7 | Imaj7 vi7", "I | vi7", "Imaj9 | iii7 | IVmaj7 | iv6", "I | bVII | IV | I"),
        "minor": ("i7 | bVImaj7", "i | i | iv | V", "i9 | iv7", "i7 | iiø V7b9", "i | bVI | v | i", "i7 | bVII | bVI7 | V7"),
    },
    "baroque": {
        "major": (
            "I V | vi iii | IV I | IV V",
            "I | IV | V | I",
            "I vi | ii V",
            "I V | I IV | ii V | I",
            "I IV | vii° iii | vi ii | V I",
            "I | V7 | I | V",
        ),
        "minor": (
            "i iv | bVII bIII | bVI iiø | V i",
            "i | V | i | V7",
            "i bVII | bVI V",
            "i V | i iv | iiø V | i",
            "i iv | V i",
            "i v | bVI bIII | iv i | V V7",
        ),
    },
}
"""Style → mode → chord progressions: ``|`` between bars, the chords of a bar share it evenly.

Styles overlap on purpose (the same loop serves several genres): a genre cannot be read from its chords alone.
"""

CADENCES: dict[str, tuple[str, ...]] = {
    "major": ("V", "IV V", "V7", "ii V7", "IV", "Vsus4 V"),
    "minor": ("V", "iv V", "V7", "bVI V", "bVII", "iv V7"),
}
"""Mode → chords for the last bar of a section, which lead back to the tonic."""


def bars(progression: str) -> list[list[str]]:
    """The chord symbols of each bar of a progression.

    >>> bars("I | IV V")
    [['I'], ['IV', 'V']]
    """
    return [bar.split() for bar in progression.split("|")]
