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
    licence = card.licence if card.commercial else f"{card.licence} (no commercial use)"
    return EncoderRow(card.name, weights.converted_file(card, cache).exists(), _size(card), card.parameters, licence, card.tried)


def download_size(card: Card) -> tuple[int | None, bool]:
    """Bytes of the files of weights that a card declares, and whether they are an estimate; None: nothing says.

    Of the files as declared; else as the card estimates it, else four bytes for each number of the net.

    >>> download_size(cards.read("crepe"))
    (72326298, False)
    """
    declared = card if card.weights_name == card.name else cards.read(card.weights_name)
    sizes = [file.size for file in declared.files if file.size is not None]
    if sizes and len(sizes) == len(declared.files):
        return sum(sizes), False
    return declared.size or (4 * declared.parameters if declared.parameters else None), True


def _size(card: Card) -> str:
    size, is_estimate = download_size(card)
    return "" if size is None else f"{'about ' if is_estimate else ''}{format_bytes(size)}"


def _millions(number: int | None) -> str:
    return "" if number is None else f"{number / 1e6:,.1f} M" if number >= 1e6 else f"{number / 1e3:,.1f} k"
