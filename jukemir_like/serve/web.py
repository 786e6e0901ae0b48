"""The page of the server: that of :mod:`jukemir_like.listening`, with what is asked above what was found."""

from __future__ import annotations

from functools import cache
from html import escape
from pathlib import Path

from jukemir_like.core.files import printable
from jukemir_like.listening.page import shell
from jukemir_like.serve.room import Room

_FOLDER = Path(__file__).parent


def page(room: Room) -> str:
    """The page as HTML, without an answer."""
    return _page(printable(str(room.catalogue.folder.absolute().name)), tuple(room.model.sources))


@cache
def _page(library: str, instruments: tuple[str, ...]) -> str:
    ask, style, script = ((_FOLDER / name).read_text(encoding="utf-8") for name in ("ask.html", "ask.css", "ask.js"))
    options = "".join(f'<option value="{escape(name)}">{escape(name)}</option>' for name in instruments)
    before = ask.replace("{library}", escape(library)).replace("{options}", options)
    return shell("Which stem fits?", before=before, style=style, script=script)
