"""The editions of synthband: what differs between them, as data. An edition's songs do not change: what is new makes a new edition.

Song i of a seed is composed alike in all editions (artist, split, key, genre, chords, melody); they differ in how it is performed and
recorded, so a difference between scores on two editions is one of sound.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Edition:
    """One edition. Ranges are those of uniform draws; (x, x): always x.

    Args:
        name: of the dataset, and of its folder.
        version: raised when the same seed would give other songs or other labels.
        is_wide: whether songs have soundfonts, singers and a studio of their own; else one soundfont, one patch per voice and one room.
        looseness: factor on the standard deviation of the players' timing, per artist.
        touch: factor on that of their velocities, per artist.
        wander: correlation of a player's deviation with the one before, 0 (independent) to below 1, per artist.
        place_seconds: standard deviation of how far ahead of or behind the beat each stem lies, per artist.
        swing_deviation: standard deviation of what an artist adds to the swing of the genre.
        shuffle_chance: that a song of a straight genre has a light shuffle.
        drift: standard deviation of the tempo within a song, as a fraction of it, per artist; none where a band plays to a click.
        tuning_hertz: of A4, per artist.
    """

    name: str
    version: int
    is_wide: bool = False
    looseness: tuple[float, float] = (1.0, 1.0)
    touch: tuple[float, float] = (1.0, 1.0)
    wander: tuple[float, float] = (0.0, 0.0)
    place_seconds: float = 0.0
    swing_deviation: float = 0.0
    shuffle_chance: float = 0.0
    drift: tuple[float, float] = (0.0, 0.0)
    tuning_hertz: tuple[float, float] = (440.0, 440.0)


FIRST = Edition("synthband", 1)
SECOND = Edition(
    "synthband2",
    1,
    is_wide=True,
    looseness=(0.6, 1.8),
    touch=(0.6, 2.0),
    wander=(0.2, 0.9),
    place_seconds=0.006,
    swing_deviation=0.012,
    shuffle_chance=0.2,
    drift=(0.003, 0.02),
    tuning_hertz=(435.0, 445.0),
)
EDITIONS = {edition.name: edition for edition in (FIRST, SECOND)}
"""By the name of the dataset."""
