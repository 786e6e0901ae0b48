"""The data of a listening page, and the page: one file of HTML that needs no server and asks nothing of any other.

The page is a shell (``page.html``, ``page.css``, ``player.js``, ``page.js``) that shows JSON, which stands in it (:func:`render`) or is
given to its ``window.listening.show(data)``, as a server does whose page is :func:`shell`. The JSON is :meth:`Page.to_json`'s:

``title, lead``
    text of the heading and of the line under it.
``facts``
    list of ``[term, text]``: weights, library, date, version.
``notes``
    list of sentences.
``comparisons``
    list; the page has a choice among them where there are several. Each has:

    ``name, group``
        what to call it in that choice, and under which heading (an instrument).
    ``instrument``
        what is looked for.
    ``seconds``
        of every sound in it. All begin together and are repeated together.
    ``of``
        number of files (or stems) that were ranked.
    ``scale``
        ``[lowest, median, highest]`` score of all that were ranked, or null.
    ``summary``
        a sentence, or "".
    ``mix``
        a sound.
    ``candidates``
        list of sounds, best first.

A sound has:

    ``name``
        of the file; shown as text, whatever it holds.
    ``audio``
        ``{"base64": …}``, the bytes of a file that browsers decode; ``{"url": …}``, where to get them (``connect`` of :func:`render` and
        :func:`shell` must allow it); or null.
    ``peaks``
        0 to 100, the waveform of what is heard, from left to right; any number of them.
    ``offset_seconds``
        where in the file it begins.
    ``problem``
        why there is no audio, or null.
    ``notes``
        list of short remarks.

and a candidate also:

    ``rank, score``
        from 1; a cosine.
    ``marks``
        list of ``"same-track"`` and ``"correct"``.

``window.listening`` has, for programs and tests, ``show(data)``; ``complete(data, n, more)``, by which fields of the nth candidate (from 1)
come later; ``player`` (``player.js``: ``play()``, ``pause()``, ``seek(seconds)``,
``choose(n)`` with 0 for the mix alone, ``position()``, ``playing``, …); ``player.context`` and ``player.buses.mix`` and ``.stem``, the
nodes of Web Audio that all sound goes through.
"""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jukemir_like.core.atomic import write_bytes
from jukemir_like.core.errors import InputError, StorageError
from jukemir_like.core.files import printable
from jukemir_like.core.version import __version__

_FOLDER = Path(__file__).parent
SAME_TRACK, CORRECT = "same-track", "correct"


@dataclass(frozen=True)
class Sound:
    """What can be heard of a file; see the module. ``audio`` are bytes that browsers decode, an address, or None."""

    name: str
    audio: bytes | str | None
    peaks: list[int] = field(default_factory=list)
    offset_seconds: float = 0.0
    problem: str | None = None
    notes: list[str] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """The sound as the page reads it."""
        audio = {"base64": base64.b64encode(self.audio).decode()} if isinstance(self.audio, bytes) else self.audio and {"url": self.audio}
        return {name: getattr(self, name) for name in self.__dataclass_fields__} | {"audio": audio}


@dataclass(frozen=True)
class Candidate(Sound):
    """A sound that was ranked; ``marks`` are :data:`SAME_TRACK` and :data:`CORRECT`."""

    rank: int = 0
    score: float = 0.0
    marks: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Comparison:
    """A mix and its candidates, best first; see the module."""

    name: str
    instrument: str
    seconds: float
    of: int
    mix: Sound
    candidates: list[Candidate]
    scale: tuple[float, float, float] | None = None
    group: str = ""
    summary: str = ""

    def to_json(self) -> dict[str, Any]:
        """The comparison as the page reads it."""
        sounds = {"mix": self.mix.to_json(), "candidates": [candidate.to_json() for candidate in self.candidates]}
        return {name: getattr(self, name) for name in self.__dataclass_fields__} | sounds


@dataclass(frozen=True)
class Page:
    """Everything that a page shows; see the module."""

    title: str
    lead: str
    comparisons: list[Comparison]
    facts: list[tuple[str, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """The page as ``window.listening.show`` takes it."""
        lists = {"facts": [list(fact) for fact in self.facts], "comparisons": [comparison.to_json() for comparison in self.comparisons]}
        return {"title": self.title, "lead": self.lead, "notes": self.notes} | lists


def made() -> tuple[str, str]:
    """When and by which version: a fact for a page."""
    return "made", f"{dt.datetime.now().astimezone():%Y-%m-%d %H:%M} by jukemir-like {__version__}"


def render(page: Page, connect: str = "'none'") -> str:
    """The page as HTML; a file by itself where all its audio is bytes.

    Args:
        page: what it shows.
        connect: what it may load audio from, in the words of a Content-Security-Policy: ``'self'`` for a server's own page.

    >>> page = Page("Which bass fits?", "", [Comparison("song", "bass", 30.0, 1, Sound("<b>.wav", None), [])])
    >>> "<b>.wav" in render(page)
    False
    """
    return _html(page.title, page.to_json(), connect)


def write(path: Path, page: Page) -> None:
    """Writes the page as a file by itself, completely or not at all.

    Raises:
        StorageError: it cannot be written.
    """
    content = render(page).encode()
    try:
        write_bytes(path, content)
    except (InputError, FileNotFoundError) as error:
        reason = "its name is too long" if isinstance(error, InputError) else "the folder takes no files"
        raise StorageError(f"cannot write {printable(str(path))}: {reason}") from error


def shell(title: str, connect: str = "'self'", *, style: str = "", before: str = "", script: str = "") -> str:
    """The page without data, for a server that gives it to ``window.listening.show``.

    Args:
        title: of the document.
        connect: as in :func:`render`.
        style: of the server, CSS after the page's own; the policy allows it and no other.
        before: of the server, HTML above what was found.
        script: of the server, JavaScript that runs after the page's own; the policy allows it and no other.
    """
    return _html(title, None, connect, added_style=style, before=before, script=script)


def _html(title: str, data: Any, connect: str, *, added_style: str = "", before: str = "", script: str = "") -> str:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(_FOLDER), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    style = (_FOLDER / "page.css").read_text(encoding="utf-8") + added_style
    scripts = [(_FOLDER / name).read_text(encoding="utf-8") for name in ("player.js", "page.js")] + ([script] if script else [])
    return environment.get_template("page.html").render(
        title=title,
        connect=connect,
        media="" if connect == "'none'" else f" {connect}",
        style=style,
        style_digest=_digest(style),
        scripts=scripts,
        script_digests=[_digest(text) for text in scripts],
        data=None if data is None else _in_script(data),
        before=before,
    )


def _in_script(data: Any) -> str:
    """JSON that cannot end the element that it stands in."""
    text = json.dumps(data, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _digest(text: str) -> str:
    """By which the page's policy knows its own style and scripts, and allows no other."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
