"""Cards: the facts of one encoder as data. They are the TOML files in ``cards/``; users write their own.

A card of a model of the Hugging Face hub, in ten lines::

    name = "hubert-base"
    title = "HuBERT base"
    family = "transformers"
    hub = "facebook/hubert-base-ls960"
    licence = "Apache 2.0"
    sample_rate = 16000
    width = 768
    layers = 12
    layer = "7"

==================  ===================================================================================================================
``name``            as users type it: letters, digits, single hyphens, dots
``title``           in a few words
``family``          which code runs it: the module of that name in this package
``summary``         a sentence: what it was trained on, what its vector is
``licence``         of the weights; ``commercial = false`` where it forbids commercial use
``citation``        of the publication, BibTeX
``sample_rate``     in Hz
``width``           numbers per frame of a layer, or of the vector where there are no layers
``layers``          number of layers; they are called 0 (the input of the first) to this number. Left out: there are none to choose
``layer, pool``     what is taken unless the name says otherwise
``parameters``      how many numbers the net has
``size``            bytes of the download, about, where the files do not say so
``memory``          bytes that extraction takes at most in one process, about: as many processes are started as there is memory for
``tried``           what was compared with the original program, one of :data:`TRIED`
``weights``         name of the card whose weights it shares
``hub, revision``   repository on the Hugging Face hub, and its commit
``files``           files of weights, see :class:`WeightFile`
``settings``        of the family
==================  ===================================================================================================================
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import MISSING, Field, dataclass, field
from dataclasses import fields as fields_of
from datetime import date, time
from functools import cache
from pathlib import Path
from typing import Any

from jukemir_like.core import files, jsonfiles
from jukemir_like.core.cache import POOLS, is_name
from jukemir_like.core.errors import RequestError
from jukemir_like.downloads.declarations import ARCHIVE_SUFFIXES

TRIED = {
    "real weights": "compared with the original program, with its real weights",
    "formulas": "run on its real weights beside a plain version of its formulas; the original program itself was never run here",
    "structure": "compared with the original program on random weights; never run here on its real ones",
    "never": "never compared with the original program",
}
"""Values of ``tried``, and what they mean."""

RESOLVED = "card.toml"
"""The card of a model of the hub, with everything that the hub was asked, in the folder of an encoder's weights."""

_FOLDERS = (".records", ".partial", "unpacked")  # of a download
_FOLDER = Path(__file__).parent / "cards"
_FILE_SHAPE = {
    "path": str,
    "urls?": [str],
    "sha256?": str,
    "md5?": str,
    "size?": int,
    "unpack?": bool,
    "unpacked_size?": int,
    "member?": str,
    "member_sha256?": str,
    "package?": str,
}
_SHAPE = {
    "name": str,
    "title": str,
    "family": str,
    "licence": str,
    "sample_rate": int,
    "width": int,
    "summary?": str,
    "commercial?": bool,
    "citation?": str,
    "layers?": int,
    "layer?": str,
    "pool?": set(POOLS),
    "parameters?": int,
    "size?": int,
    "memory?": int,
    "tried?": set(TRIED),
    "weights?": str,
    "hub?": str,
    "revision?": str,
    "files?": [_FILE_SHAPE],
    "settings?": {str: object},
}


@dataclass(frozen=True)
class WeightFile:
    """A file of weights as its publisher has it.

    Args:
        path: its name in ``<cache>/weights/<encoder>/``.
        urls: sources, in the order in which they are tried.
        sha256, md5, size: to verify it by; None: not published.
        unpack: whether it is an archive that is unpacked.
        unpacked_size: bytes of its members.
        member: path of the one member that is needed.
        member_sha256: its digest, by which a copy of it alone is known.
        package: where an installed Python package has it: a path that begins with the name of the package.
    """

    path: str
    urls: tuple[str, ...] = ()
    sha256: str | None = None
    md5: str | None = None
    size: int | None = None
    unpack: bool = False
    unpacked_size: int | None = None
    member: str | None = None
    member_sha256: str | None = None
    package: str | None = None


@dataclass(frozen=True)
class Card:
    """An encoder's card; the fields are those of the table above."""

    name: str
    title: str
    family: str
    licence: str
    sample_rate: int
    width: int
    summary: str = ""
    commercial: bool = True
    citation: str = ""
    layers: int | None = None
    layer: str | None = None
    pool: str = "mean"
    parameters: int | None = None
    size: int | None = None
    memory: int | None = None
    tried: str = "never"
    weights: str = ""
    hub: str | None = None
    revision: str | None = None
    files: tuple[WeightFile, ...] = ()
    settings: dict[str, Any] = field(default_factory=dict)

    @property
    def weights_name(self) -> str:
        """The card that declares its weights: itself, unless ``weights`` names another."""
        return self.weights or self.name

    @property
    def layer_names(self) -> tuple[str, ...]:
        """Names of its layers, from the input of the first to the output of the last; empty where there are none to choose."""
        return () if self.layers is None else tuple(map(str, range(self.layers + 1)))


def names() -> list[str]:
    """Names of the cards of this package, sorted.

    >>> names() == sorted(names())
    True
    """
    return sorted(path.stem for path in _FOLDER.glob("*.toml"))


@cache
def read(name: str) -> Card:
    """The card called ``name``.

    Raises:
        RequestError: this package has no such card.
    """
    if name not in names():
        raise RequestError(f"no encoder is called {name!r}: choose one of {', '.join(names())}, or give your own card with --card")
    return read_file(_FOLDER / f"{name}.toml")


def read_file(path: Path) -> Card:
    """The card in a file.

    Raises:
        RequestError: it cannot be read, or is no card; the message names the field.
    """
    try:
        values = tomllib.loads(files.read_regular(path).decode())
        jsonfiles.check(values, _SHAPE)
        _check(values)
    except OSError as error:
        raise RequestError(f"{path} {files.refusal(error)}: give a card") from error
    except RecursionError as error:
        raise RequestError(f"{path} is no card: it is nested too deeply") from error
    except ValueError as error:  # also of TOML and UTF-8
        raise RequestError(f"{path} is no card: {str(error).removeprefix('is damaged: ')}") from error
    values["files"] = tuple(WeightFile(**fields | {"urls": tuple(fields.get("urls", ()))}) for fields in values.get("files", ()))
    return Card(**values)


def to_toml(card: Card) -> str:
    """The card as the text of a file that :func:`read_file` reads.

    >>> print(to_toml(Card("a", "A", "choi", "MIT", 16000, 160)), end="")
    name = "a"
    title = "A"
    family = "choi"
    licence = "MIT"
    sample_rate = 16000
    width = 160
    """
    values = {declared.name: getattr(card, declared.name) for declared in fields_of(card) if _is_given(card, declared)}
    files = values.pop("files", ())
    lines = [f"{name} = {_toml(value)}" for name, value in values.items()]
    for file in files:
        given = {declared.name: getattr(file, declared.name) for declared in fields_of(file) if _is_given(file, declared)}
        lines += ["", "[[files]]", *(f"{name} = {_toml(value)}" for name, value in given.items())]
    return "\n".join(lines) + "\n"


def _is_given(described: Card | WeightFile, declared: Field[Any]) -> bool:
    value = getattr(described, declared.name)
    return value is not None and value != {} and (declared.default is MISSING or value != declared.default)


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(name)} = {_toml(inner)}" for name, inner in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


@contextmanager
def misfit_errors(card: Card) -> Iterator[None]:
    """A user's own card whose settings or files do not fit its family becomes one line; with a card of this package it is a bug of ours.

    Raises:
        RequestError: what was raised in the block, where the card is the user's.
    """
    try:
        yield
    except (ArithmeticError, AttributeError, LookupError, RuntimeError, StopIteration, TypeError, ValueError) as error:
        if card.name in names() and card == read(card.name):
            raise
        what = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        raise RequestError(
            f"the card of {card.name} does not fit the family {card.family} ({what}): compare it with one of this package"
        ) from error


def _check(values: dict[str, Any]) -> None:
    known = {name.rstrip("?") for name in _SHAPE}
    if unknown := sorted(values.keys() - known):
        raise ValueError(f"it has the unknown fields {', '.join(unknown)}; known are {', '.join(sorted(known))}")
    known_of_files = {name.rstrip("?") for name in _FILE_SHAPE}
    for fields in values.get("files", ()):
        if unknown := sorted(fields.keys() - known_of_files):
            raise ValueError(f"files has the unknown fields {', '.join(unknown)}; known are {', '.join(sorted(known_of_files))}")
    if not is_name(values["name"]) or "@" in values["name"]:
        raise ValueError(f"name is {values['name']!r}, which cannot be a file's name")
    for name in ("sample_rate", "width"):
        if values[name] < 1:
            raise ValueError(f"{name} is {values[name]}, not a number above 0")
    _check_files(values)
    if dates := [name for name, value in values.get("settings", {}).items() if isinstance(value, date | time)]:
        raise ValueError(f"settings.{dates[0]} is a date, not a number, text, list or table")
    layers, layer = values.get("layers"), values.get("layer")
    if (layers is None) != (layer is None):
        raise ValueError("layers and layer belong together: give both or neither")
    if layers is not None and str(layer) not in map(str, range(layers + 1)):
        raise ValueError(f"layer is {layer!r}, not one of 0 … {layers}")


def _check_files(values: dict[str, Any]) -> None:
    """Paths stay in the folder of the encoder's weights, and are not those of files that this package writes there."""
    taken = {f"{values.get('weights') or values['name']}.safetensors": "the name of the converted weights", RESOLVED: "taken"}
    seen: set[str] = set()
    for fields in values.get("files", ()):
        for key in ("path", "member", "package"):
            parts = str(fields.get(key, "-")).split("/")
            if any(part in ("", ".", "..") or not part.isprintable() for part in parts) or parts[0] in _FOLDERS:
                raise ValueError(f"files has the {key} {fields[key]!r}, which is no relative path")
        path = fields["path"]
        if path in taken or path in seen:
            raise ValueError(
                f"files has the path {path!r}, which is {taken.get(path, 'there twice')}: give the card or the file another name"
            )
        seen.add(path)
        for key, digits in (("sha256", 64), ("member_sha256", 64), ("md5", 32)):
            if key in fields and not re.fullmatch(f"[0-9a-f]{{{digits}}}", fields[key]):
                raise ValueError(f"files has a {key} that is not {digits} small hexadecimal digits")
        if not all(re.match("https?://[^/]", url) for url in fields.get("urls", ())):
            raise ValueError("files has a URL that is not http or https")
        if fields.get("unpack") and not path.endswith(ARCHIVE_SUFFIXES):
            raise ValueError(f"files has the path {path!r}, which is to be unpacked and does not end in {', '.join(ARCHIVE_SUFFIXES)}")
