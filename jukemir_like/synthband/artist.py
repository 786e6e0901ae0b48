"""Who plays song i: its artist, split, genre and key, and the artist's own sound.

Everything is computed from the seed and the index alone, so a larger synthband contains the smaller one. Of every twenty consecutive
artists 12 are train, 3 valid and 5 test, in a fixed order that gives each split its first artist among the first three. Within a split,
every 24 consecutive songs (counted from its first) have all 24 keys, and every 12 consecutive artists all genres. Keys are sampled
independently of genres, so neither predicts the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from jukemir_like.synthband.genres import GENRES, NAMES, VOICES
from jukemir_like.synthband.seeding import Option, pick, pick_weighted, stream, uniform

SONGS_PER_ARTIST = 4
_SPLIT_LETTERS = "TtvTTtTTTvTtTTTtvTtT"
_SPLIT_ORDER = tuple({"T": "train", "v": "valid", "t": "test"}[letter] for letter in _SPLIT_LETTERS)
_SECOND_GENRE_CHANCE = 0.15  # that a song is in its artist's second genre
_FIRST_NAMES = ("Velvet", "Copper", "Silent", "Paper", "Electric", "Midnight", "Golden", "Broken", "Distant", "Crimson", "Hollow", "Lucky")
_LAST_NAMES = ("Harbour", "Foxes", "Lanterns", "Station", "Orchard", "Parade", "Mirrors", "Valley", "Pilots", "Garden", "Engines", "Choir")


@dataclass(frozen=True)
class Role:
    """What is known of a song before it is composed.

    Args:
        artist: number of its artist.
        split: ``train``, ``valid`` or ``test``: the artist's.
        genre: a name in ``genres``.
        key: index in :data:`jukemir_like.datasets.KEYS`: tonic, + 12 for minor.
    """

    artist: int
    split: str
    genre: str
    key: int

    @property
    def tonic(self) -> int:
        """Pitch class of the tonic."""
        return self.key % 12

    @property
    def mode(self) -> str:
        """``major`` or ``minor``."""
        return "minor" if self.key >= 12 else "major"


@dataclass(frozen=True)
class Sound:
    """An artist's sound in one genre.

    Args:
        kit: preset of bank 128.
        kit_tuning: semitones.
        bass: program.
        voice: program of the sung lead.
        chairs: program of each chair of the accompaniment.
        registers: transposition of bass, other and vocals in semitones.
        levels: of the stems against each other in dB, in the order of the stems.
        singer: factor on the formants of the voice: below 1 a larger head.
        tone: gains in dB of the low shelf, the middle and the high shelf.
        centre_hertz: of the middle.
        reverberation_seconds: until the room has decayed by 60 dB.
        wetness: level of the room against the direct sound, 0 to 1.
        late_seconds: how far behind the beat vocals and snare lie.
    """

    kit: int
    kit_tuning: float
    bass: int
    voice: int
    chairs: tuple[int, ...]
    registers: tuple[int, int, int]
    levels: tuple[float, ...]
    singer: float
    tone: tuple[float, ...]
    centre_hertz: float
    reverberation_seconds: float
    wetness: float
    late_seconds: float


def role(seed: int, index: int) -> Role:
    """Artist, split, genre and key of song ``index``.

    >>> role(0, 3) == role(0, 3), role(0, 3).artist, role(0, 4).artist
    (True, 0, 1)
    """
    artist, song = divmod(index, SONGS_PER_ARTIST)
    block, position = divmod(artist, len(_SPLIT_ORDER))
    split = _SPLIT_ORDER[position]
    rank = block * _SPLIT_ORDER.count(split) + _SPLIT_ORDER[:position].count(split)
    # The same order of genres in every split: even a small test set then has no genre that is not in train.
    genre = _shuffled_cycle(seed, "genre", NAMES, rank)
    rng = stream(seed, "stray", index)
    if rng.random() < _SECOND_GENRE_CHANCE:
        genre = pick(stream(seed, "second genre", artist), NAMES)
    key = _shuffled_cycle(seed, f"key {split}", range(24), rank * SONGS_PER_ARTIST + song)
    return Role(artist, split, genre, key)


def name(artist: int) -> str:
    """The name of a band, a different one for each number.

    >>> name(0), name(144)
    ('Velvet Harbour', 'Velvet Harbour 2')
    """
    last, first = divmod(artist, len(_FIRST_NAMES))
    cycle, last = divmod(last + first, len(_LAST_NAMES))
    return f"{_FIRST_NAMES[first]} {_LAST_NAMES[last]}" + (f" {cycle + 1}" if cycle else "")


@lru_cache(maxsize=1024)
def sound(seed: int, artist: int, genre: str) -> Sound:
    """The sound of ``artist`` when playing ``genre``. Singer, room and tone are the same in all genres."""
    own = stream(seed, "artist", artist)
    singer = uniform(own, (0.85, 1.18))
    voice = pick(own, VOICES)
    vocal_register = round(uniform(own, (-7, 6)))
    tone = tuple(float(gain) for gain in own.normal(0, 2.0, 3))
    centre = 500 * 2 ** uniform(own, (-0.5, 2.0))
    room = (uniform(own, (0.25, 1.1)), uniform(own, (0.05, 0.5)))
    late = uniform(own, (0.0, 0.02))
    levels = tuple(float(level) for level in own.normal(0, 1.2, 4))
    palette = GENRES[genre]
    band = stream(seed, "band", artist, NAMES.index(genre))
    return Sound(
        kit=pick_weighted(band, {kit: 1 / (rank + 1) for rank, kit in enumerate(palette.kits)}),
        kit_tuning=uniform(band, (-2.0, 2.0)),
        bass=pick(band, palette.bass),
        voice=voice,
        chairs=tuple(pick(band, chair.programs) for chair in palette.chairs),
        registers=(round(uniform(band, (-2, 4))), round(uniform(band, (-4, 4))), vocal_register),
        levels=tuple(a + b for a, b in zip(palette.levels, levels, strict=True)),
        singer=singer,
        tone=tuple(a + b for a, b in zip(palette.tone, tone, strict=True)),
        centre_hertz=centre,
        reverberation_seconds=room[0],
        wetness=room[1] * palette.wetness,
        late_seconds=late,
    )


@lru_cache(maxsize=4096)
def _permutation(seed: int, purpose: str, count: int, block: int) -> tuple[int, ...]:
    return tuple(int(index) for index in stream(seed, purpose, block).permutation(count))


def _shuffled_cycle(seed: int, purpose: str, options: Sequence[Option], rank: int) -> Option:
    """Element ``rank`` of an endless sequence in which each block of ``len(options)`` holds every option once, in a new random order."""
    block, position = divmod(rank, len(options))
    return options[_permutation(seed, purpose, len(options), block)[position]]
