"""The page of the server: that of :mod:`jukemir_like.listening`, with what is asked above what was found."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from jukemir_like.core.files import printable
from jukemir_like.listening.page import shell
from jukemir_like.serve.room import Room
from jukemir_like.stemjepa.config import LONGEST_SOURCE

_FOLDER = Path(__file__).parent


def page(room: Room, largest: int) -> str:
    """The page as HTML, without an answer.

    Args:
        room: whose library and instruments it offers.
        largest: bytes of a file that is given.
    """
    library = printable(str(room.catalogue.folder.absolute().name))
    model = room.model
    return _page(library, tuple(model.sources), largest, in_words=model.is_text_conditioned, has_parts=room.catalogue.has_parts)


@cache
def _page(library: str, instruments: tuple[str, ...], largest: int, *, in_words: bool, has_parts: bool) -> str:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(_FOLDER), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    ask = environment.get_template("ask.html").render(
        library=library, instruments=instruments, in_words=in_words, has_parts=has_parts, largest=largest, longest=LONGEST_SOURCE
    )
    style, script = ((_FOLDER / name).read_text(encoding="utf-8") for name in ("ask.css", "ask.js"))
    return shell("Which stem fits?", before=ask, style=style, script=script)
