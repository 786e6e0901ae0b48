"""The encoders at a glance: which are ready, what would have to be fetched, how large it is, and what its licence allows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from jukemir_like.core.cache import Cache
from jukemir_like.downloads.summary import format_bytes
from jukemir_like.encoders import card as cards
from jukemir_like.encoders import weights
from jukemir_like.encoders.card import Card

_COMPARED = {"real weights": "real weights", "structure": "random weights", "formulas": "nothing; run on real weights", "never": "nothing"}


@dataclass(frozen=True)
class EncoderRow:
    """One encoder.

    Args:
        name: as users type it.
        ready: whether its weights are in the cache, converted.
        size: of the files that are downloaded, as text; of what is not declared, estimated.
        parameters: numbers of the net.
        licence: of the weights.
        tried: what was compared with the original program.
    """

    name: str
    ready: bool
    size: str
    parameters: int | None
    licence: str
    tried: str


def encoders(cache: Cache) -> list[EncoderRow]:
    """All encoders of this package, by name."""
    return [_row(cards.read(name), cache) for name in cards.names()]


def table(rows: Sequence[EncoderRow]) -> str:
    """The rows as lines of text.

    >>> print(table([EncoderRow("crepe", True, "89 MB", 22_244_328, "MIT", "real weights")]))
    encoder    here    download    numbers    licence    compared with the original on
    ---------  ------  ----------  ---------  ---------  -------------------------------
    crepe      yes     89 MB       22.2 M     MIT        real weights
    """
    from tabulate import tabulate

    headers = ["encoder", "here", "download", "numbers", "licence", "compared with the original on"]
    cells = [
        [row.name, "yes" if row.ready else "no", row.size, _millions(row.parameters), row.licence, _COMPARED[row.tried]] for row in rows
    ]
    return tabulate(cells, headers, disable_numparse=True)


def _row(card: Card, cache: Cache) -> EncoderRow:
    declared = card if card.weights_name == card.name else cards.read(card.weights_name)
    licence = card.licence if card.commercial else f"{card.licence} (no commercial use)"
    return EncoderRow(card.name, weights.converted_file(card, cache).exists(), _size(declared), card.parameters, licence, card.tried)


def _size(card: Card) -> str:
    """Of the files as declared; else as the card estimates it, else four bytes for each number of the net."""
    sizes = [file.size for file in card.files if file.size is not None]
    if sizes and len(sizes) == len(card.files):
        return format_bytes(sum(sizes))
    estimate = card.size or (4 * card.parameters if card.parameters else None)
    return "" if estimate is None else f"about {format_bytes(estimate)}"


def _millions(number: int | None) -> str:
    return "" if number is None else f"{number / 1e6:,.1f} M" if number >= 1e6 else f"{number / 1e3:,.1f} k"
