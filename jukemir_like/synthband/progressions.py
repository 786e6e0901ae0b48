"""The harmonic vocabulary: chord progressions by style and mode, one bar between bars ``|``, a bar's chords sharing it evenly.

Styles overlap on purpose (the same loop serves several genres): a genre is not to be read from its chords alone.
"""

from __future__ import annotations

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

CADENCES: dict[str, tuple[str, ...]] = {
    "major": ("V", "IV V", "V7", "ii V7", "IV", "Vsus4 V"),
    "minor": ("V", "iv V", "V7", "bVI V", "bVII", "iv V7"),
}
"""What may stand in the last bar of a section, leading back to the tonic."""


def bars(progression: str) -> list[list[str]]:
    """Chord symbols of each bar of a progression."""
    return [bar.split() for bar in progression.split("|")]
