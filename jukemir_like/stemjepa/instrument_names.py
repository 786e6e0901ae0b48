"""Names of instruments as text: how they are written alike, which features they are made of, and which are names of the same thing.

Features are what a network sees of a name (Bojanowski et al., "Enriching word vectors with subword information", TACL 2017): every word,
and its runs of three and four characters. So two names that share words, or parts of words, are alike before anything is trained.

``instrument_names.csv`` has one line per instrument: the name that stands for it, and its synonyms, in several languages. The programs of
General MIDI, the classes of Slakh2100 and of MoisesDB and usual names of files are among them.
"""

from __future__ import annotations

import unicodedata
import zlib
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from pathlib import Path

from jukemir_like.core import csvfiles
from jukemir_like.core.errors import RequestError
from jukemir_like.stemjepa.config import LONGEST_SOURCE, excerpt

TABLE = Path(__file__).with_name("instrument_names.csv")
LENGTHS = (3, 4)
"""Numbers of characters of the parts of words."""

_BETWEEN = ";"
_COMBINING = "Mn"
_SYMBOLS = "So"  # pictures of instruments among them
_LONGEST_COUNT = 2  # digits: of "guitar 02", not of "808"
_SHORTEST_PLURAL = 4
_NO_PLURALS = ("ss", "us", "is")
_PLURALS = ("sses", "shes", "ches", "xes")


def words(name: str) -> tuple[str, ...]:
    """The words of a name, sorted, each once. Case, accents, order, punctuation, English plurals and numbers of parts do not matter.

    >>> words("Electric Guitars (jazz) 2"), words("jazz-electric_guitar"), words("Flügel")
    (('electric', 'guitar', 'jazz'), ('electric', 'guitar', 'jazz'), ('flugel',))
    """
    plain = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", name).casefold())
    letters = "".join(character for character in plain if unicodedata.category(character) != _COMBINING and character not in "'’")
    kept = "".join(character if character.isalnum() or unicodedata.category(character) == _SYMBOLS else " " for character in letters)
    found = kept.split()
    without_counts = [word for word in found if not (word.isdecimal() and len(word) <= _LONGEST_COUNT)]
    return tuple(sorted({_singular(word) for word in without_counts or found}))


def features(name: str) -> tuple[tuple[str, ...], ...]:
    """What a network sees of each word of a name: the word, then its parts; its beginning and its end are marked.

    >>> features("Horns")
    (('=horn', '<ho', 'hor', 'orn', 'rn>', '<hor', 'horn', 'orn>'),)
    """
    return tuple((f"={word}", *_parts(f"<{word}>")) for word in words(name))


def number(feature: str, buckets: int) -> int:
    """The number of a feature, below ``buckets``: the same in every process and on every machine.

    >>> number("=horn", 1000)
    464
    """
    return zlib.crc32(feature.encode()) % buckets


def check_name(name: str) -> None:
    """Raises :class:`RequestError` for what cannot be the name of an instrument: nothing, only punctuation, or a text.

    >>> check_name("muted jazz trumpet")
    """
    if len(name) > LONGEST_SOURCE:
        raise RequestError(f"the instrument {excerpt(name, 40)!r} has {len(name):,} characters: give a name of at most {LONGEST_SOURCE}")
    if not words(name):
        raise RequestError(f"the instrument {excerpt(name, 40)!r} has no letters: give a name, for example bass")


def meaning(name: str) -> str | None:
    """The name that stands for the instrument in the table; None where the table does not have it.

    >>> meaning("Schlagzeug"), meaning("Drum Kit"), meaning("muted jazz trumpet")
    ('drums', 'drums', None)
    """
    return _meanings().get(words(name))


def synonyms(name: str) -> tuple[str, ...]:
    """All names in the table of the instrument that ``name`` is one of, in its order; none where the table does not have it.

    >>> synonyms("Cello")[:3]
    ('cello', 'violoncello', 'Violoncell')
    """
    stands_for = meaning(name)
    return _table()[stands_for] if stands_for is not None else ()


def wordings(names: Sequence[str], *, but: Callable[[str], bool] = lambda _: False) -> list[tuple[str, ...]]:
    """How each of ``names`` may be said: itself, then its synonyms that mean no other of ``names``.

    Args:
        names: of instruments.
        but: which synonyms are never said.

    >>> wordings(["fiddle", "kazoo"], but=lambda name: name != "folk violin")
    [('fiddle', 'folk violin'), ('kazoo',)]
    """
    taken = {words(name) for name in names}
    return [(name, *(other for other in synonyms(name) if words(other) not in taken and not but(other))) for name in names]


def same_instrument(name: str, names: Iterable[str]) -> str | None:
    """The first of ``names`` that is ``name`` but for what :func:`words` leaves out, else the first that means the same instrument.

    >>> same_instrument("DRUM KIT", ["bass", "drums"]), same_instrument("kazoo", ["bass", "drums"])
    ('drums', None)
    """
    own, known = words(name), list(names)
    alike = next((other for other in known if words(other) == own), None)
    stands_for = meaning(name)
    if alike is not None or stands_for is None:
        return alike
    return next((other for other in known if meaning(other) == stands_for), None)


def _singular(word: str) -> str:
    if len(word) < _SHORTEST_PLURAL or not word.endswith("s") or word.endswith(_NO_PLURALS):
        return word
    return word[:-2] if word.endswith(_PLURALS) else word[:-1]


def _parts(marked: str) -> list[str]:
    return [marked[start : start + length] for length in LENGTHS for start in range(len(marked) - length + 1)]


@cache
def _table() -> dict[str, tuple[str, ...]]:
    """Name → itself and its synonyms."""
    rows = csvfiles.read(TABLE, {"name": str, "synonyms": str}, "install the package again")
    table: dict[str, tuple[str, ...]] = {}
    for row in rows:
        others = (part.strip() for part in row["synonyms"].split(_BETWEEN))
        table[row["name"]] = (row["name"], *(other for other in others if other))
    return table


@cache
def _meanings() -> dict[tuple[str, ...], str]:
    return {words(other): name for name, others in _table().items() for other in others}
