"""Names of files that say which stem of which song they hold, in the ways that programs that separate or export stems write them.

Known are, whatever the case:

- a folder per song, a file per stem: ``Song/vocals.wav``, ``Song/no_vocals.wav`` (Demucs), ``Song/accompaniment.wav`` (Spleeter;
  Open-Unmix and MUSDB18-HQ alike);
- the stem in brackets: ``1_Song_(Vocals).wav``, ``Song (Instrumental).wav``, ``Song [Bass].wav`` (Ultimate Vocal Remover, MDX and
  others, also with the model's name after it);
- the stem at the end, after a hyphen, an underscore or a dot: ``Song - Vocals.wav``, ``Song_instrum.wav`` (MDX23, exports of mixers);
- before the tails of two services: ``Song_vocals_split_by_lalalai.wav``, ``Song-vocals-Eb minor-120bpm-440hz.wav`` (Moises).
"""

from __future__ import annotations

import re
from collections.abc import Iterable

_PARTS = (
    *("vocals", "vocal", "voice", "bass", "drums", "drum", "percussion", "other", "others", "piano", "guitar", "guitars"),
    *("acoustic_guitar", "electric_guitar", "lead_guitar", "rhythm_guitar", "synth", "synthesizer", "keyboard", "strings", "brass"),
    *("wind", "woodwinds", "organ", "lead_vocals", "lead_vocal", "backing_vocals", "back_vocals", "background_vocals", "residual"),
)
_WITHOUT_VOCALS = ("instrumental", "instrumentals", "instrum", "instrum2", "inst", "accompaniment", "karaoke", "backing", "backing_track")

STEM_NAMES = frozenset([*_PARTS, *(f"no_{part}" for part in _PARTS), *_WITHOUT_VOCALS])
"""Names of stems, with underscores for blanks and hyphens."""

MIXTURES = frozenset({"mixture", "mix", "linear_mixture", "full_mix", "original"})
"""Names of what lies beside the stems of a song and is none of them."""

_BLANKS = re.compile(r"[\s_-]+")
_BRACKETS = re.compile(r"[(\[]([^()\[\]]+)[)\]]")
_SEPARATOR = re.compile(r"\s+-\s+|[-_.]")
_TAIL = re.compile(
    r"_split_by_lalalai$|-[a-g](?:#|b|♯|♭)?[ _]?(?:major|minor|maj|min)?-\d+(?:\.\d+)?bpm(?:-\d+(?:\.\d+)?hz)?$", re.IGNORECASE
)
_NUMBERED = re.compile(r"(?:track|song|title|take)?[-_ .]*\d+")
_SOUND_FIELD = re.compile(r"ambisonic|ambix|(?<![a-z])(?:b[-_ ]?format|foa|fuma|quadraphonic)(?![a-z])", re.IGNORECASE)


def stem_names(sources: Iterable[str] = (), *, only: bool = False) -> frozenset[str]:
    """Names that count as those of stems: the user's own and, but for ``only``, :data:`STEM_NAMES`."""
    return frozenset(map(normalized, sources)) | (frozenset() if only else STEM_NAMES)


def stem_of(name: str, known: frozenset[str]) -> str:
    """The stem that a file is named after (name without folder and suffix): of ``known`` or :data:`MIXTURES`, else the name in lower case.

    >>> stem_of("No Vocals", STEM_NAMES), stem_of("El Violin", STEM_NAMES)
    ('no_vocals', 'el violin')
    """
    stem = normalized(name)
    return stem if stem in known or stem in MIXTURES else name.lower()


def song_and_stem(name: str, known: frozenset[str]) -> tuple[str, str] | None:
    """Song and stem (of ``known`` or :data:`MIXTURES`) of a file's name that has both; None for any other name.

    >>> song_and_stem("1_Song_(No Vocals)", STEM_NAMES)
    ('1_Song', 'no_vocals')
    >>> song_and_stem("Song-vocals-Eb minor-120bpm", STEM_NAMES), song_and_stem("Kind of bass", STEM_NAMES)
    (('Song', 'vocals'), None)
    """
    for match in _BRACKETS.finditer(name):
        stem = normalized(match[1])
        if stem in known or stem in MIXTURES:
            rest = name[match.end() :].rstrip()
            return (song + rest, stem) if (song := name[: match.start()].rstrip(" _-.")) else None
    shorter = _TAIL.sub("", name)
    for match in _SEPARATOR.finditer(shorter):  # the first one that fits leaves the longest name of a stem: no_vocals, not vocals
        stem = normalized(shorter[match.end() :])
        if (stem in known or stem in MIXTURES) and (song := shorter[: match.start()].rstrip(" _-.")):
            return song, stem
    return None


def is_mixture_of(name: str, song: str) -> bool:
    """Whether a file called ``name`` is what ``song`` was separated from: of the same name, but for a number put before it."""
    return name.lower() in (song.lower(), re.sub(r"^\d+_", "", song).lower())


def are_numbered(names: Iterable[str]) -> bool:
    """Whether all names are numbers, as tracks of albums have them: ``01``, ``Track 2``."""
    return all(_NUMBERED.fullmatch(name.lower()) for name in names)


def is_sound_field(path: str) -> bool:
    """Whether a relative path says that its channels are those of a recording of a sound field: Ambisonics, quadraphonic sound."""
    return _SOUND_FIELD.search(path) is not None


def normalized(name: str) -> str:
    """A name of a stem as it is compared: in lower case, underscores for blanks and hyphens.

    >>> normalized(" Lead-Vocals")
    'lead_vocals'
    """
    return _BLANKS.sub("_", name.strip().lower())
