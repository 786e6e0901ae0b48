"""One spelling of a key: ``C# minor``, ``db  Minor`` and ``Db minor`` are the class ``Db minor``."""

from __future__ import annotations

from jukemir_like.datasets import KEYS

_FLATS = {"C#": "Db", "D#": "Eb", "F#": "Gb", "G#": "Ab", "A#": "Bb", "Cb": "B", "B#": "C", "E#": "F", "Fb": "E"}


def key_name(value: str) -> str | None:
    """The class of :data:`jukemir_like.datasets.KEYS` that ``value`` names, None where it names none.

    Sharps and rare enharmonic names are read as the flats and naturals of the classes; letter case and spaces do not matter.

    >>> key_name("d#  Minor ")
    'Eb minor'
    >>> key_name("C / G minor") is None
    True
    """
    tonic, _, mode = " ".join(value.split()).partition(" ")
    tonic = tonic[:1].upper() + tonic[1:].lower()
    name = f"{_FLATS.get(tonic, tonic)} {mode.lower()}"
    return name if name in KEYS else None
