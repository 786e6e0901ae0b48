"""The encoders at a glance: which are ready, what would have to be fetched, how large it is, and what its licence allows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from jukemir_like.core.cache import Cache
from jukemir_like.downloads.summary import format_bytes
from jukemir_like.encoders import card as cards
from jukemir_like.encoders import weights
from jukemir_like.encoders.card import TRIED, Card


@dataclass(frozen=True)
class EncoderRow:
    """One encoder.

    Args:
        name: as users type it.
        ready: whether its weights are in the cache, converted.
        size: bytes of the files that would be downloaded; None: not known before the hub is asked.
        parameters: numbers of the net.
        licence: of the weights.
        tried: what was compared with the original program.
    """

    name: str
    ready: bool
    size: int | None
    parameters: int | None
    licence: str
    tried: str


def encoders(cache: Cache) -> list[EncoderRow]:
    """All encoders of this package, by name."""
    return [_row(cards.read(name), cache) for name in cards.names()]


def table(rows: Sequence[EncoderRow]) -> str:
    """The rows as lines of text.

    >>> print(table([EncoderRow("crepe", True, 88_991_291, 22_244_328, "MIT", "real weights")]))
    encoder    here    download    numbers    licence    compared with the original program
    ---------  ------  ----------  ---------  ---------  ------------------------------------------------------
    crepe      yes     89.0 MB     22.2 M     MIT        compared with the original program, on its real weights
    """
    from tabulate import tabulate

    headers = ["encoder", "here", "download", "numbers", "licence", "tried"]
    cells = [
        [row.name, "yes" if row.ready else "no", format_bytes(row.size), _millions(row.parameters), row.licence, TRIED[row.tried]]
        for row in rows
    ]
    return tabulate(cells, headers, disable_numparse=True)


def _row(card: Card, cache: Cache) -> EncoderRow:
    declared = card if card.weights_name == card.name else cards.read(card.weights_name)
    sizes = [file.size for file in declared.files]
    size = None if not sizes or None in sizes else sum(size or 0 for size in sizes)
    licence = card.licence if card.commercial else f"{card.licence} (no commercial use)"
    return EncoderRow(card.name, weights.converted_file(card, cache).exists(), size, card.parameters, licence, card.tried)


def _millions(number: int | None) -> str:
    return "" if number is None else f"{number / 1e6:,.1f} M"
