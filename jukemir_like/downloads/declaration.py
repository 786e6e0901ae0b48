"""What a dataset is made from, where that lies and how it is told from anything else: the declarations in ``datasets/<name>/``.

``dataset.json`` is for programs: title, licence, citation, how to get access, known faulty items, and the assets, as a list or as the name
of a JSON file beside it that holds the list. An asset:

==================  ==================================================================================================================
``tag``             its name on the command line, unique among all datasets
``path``            where it lies below ``<cache>/datasets/<name>/``
``kind``            ``annotations`` or ``audio``; ``extra`` is downloaded only where it is named by its whole tag
``urls``            sources, in the order in which they are tried; none: it must be asked for
``sha256, md5``     digests of the file; either, both or none
``size``            bytes, where known
``contents``        ``{"sha256": …, "strip": n}`` for an archive that its host makes anew: :mod:`jukemir_like.downloads.contents`
``unpack``          true for an archive (.zip, .tar.gz, .tgz) that is unpacked once it is verified
``parts_of``        the archive's name, where several assets, in the order of their paths, make one archive
``unpacked_size``   bytes of the files in the archive, where known
==================  ==================================================================================================================
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, Literal, get_args

from jukemir_like.core import jsonfiles
from jukemir_like.core.errors import RequestError

ENVIRONMENT_VARIABLE = "JUKEMIR_LIKE_DECLARATIONS"
ARCHIVE_SUFFIXES = (".tar.gz", ".tgz", ".zip")

Kind = Literal["annotations", "audio", "extra"]

_FIELDS = {"tag", "path", "kind", "urls", "sha256", "md5", "size", "contents", "unpack", "parts_of", "unpacked_size"}
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")
_TAG = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


@dataclass(frozen=True)
class Contents:
    """Digest of what is in an archive, without the ``strip`` outermost folders of each member's path."""

    sha256: str
    strip: int = 0


@dataclass(frozen=True)
class Asset:
    """One file of a dataset, as declared; the fields are those of the module's description."""

    tag: str
    path: str
    kind: Kind
    urls: tuple[str, ...] = ()
    sha256: str | None = None
    md5: str | None = None
    size: int | None = None
    contents: Contents | None = None
    unpack: bool = False
    parts_of: str | None = None
    unpacked_size: int | None = None

    @property
    def archive(self) -> str | None:
        """Name of the archive that it is, or is a part of; None where nothing is unpacked."""
        return self.parts_of or (PurePosixPath(self.path).name if self.unpack else None)

    @property
    def digest(self) -> str | None:
        """What is declared of its bytes, in one word (``sha256:…``, ``md5:…``, ``contents/1:…``); None: nothing but perhaps the size."""
        if self.sha256:
            return f"sha256:{self.sha256}"
        if self.md5:
            return f"md5:{self.md5}"
        return f"contents/{self.contents.strip}:{self.contents.sha256}" if self.contents else None


@dataclass(frozen=True)
class Declaration:
    """A dataset as declared.

    Args:
        name: of its folder, in ``datasets/`` and in the cache.
        access: how to get what has no public source; None: all is public.
        faulty: known faulty items → the reason.
    """

    name: str
    title: str
    licence: str
    citation: str
    access: str | None = None
    assets: tuple[Asset, ...] = ()
    faulty: dict[str, str] = field(default_factory=dict)


def declarations(name: str) -> Path:
    """The folder that declares dataset ``name`` (card, licence, assets).

    In ``$JUKEMIR_LIKE_DECLARATIONS`` where that is set and has it (a site's own mirrors), else in the installed package or the source tree.
    """
    folders = _roots()
    return next((root / name for root in folders if (root / name).is_dir()), folders[-1] / name)


def names() -> list[str]:
    """The datasets that are declared, sorted."""
    return sorted({path.parent.name for root in _roots() for path in root.glob("*/dataset.json") if _NAME.fullmatch(path.parent.name)})


def _roots() -> list[Path]:
    package = Path(__file__).parents[1]
    given = os.environ.get(ENVIRONMENT_VARIABLE)
    return [*([Path(given)] if given else []), package / "datasets" / "declarations", package.parent / "datasets"]


def declared(name: str) -> Declaration:
    """The declaration of dataset ``name``.

    Raises:
        RequestError: there is none, or it is not as it must be.
    """
    if name not in names():
        raise RequestError(f"unknown dataset {name!r}: choose one of {', '.join(names())}")
    path = declarations(name) / "dataset.json"
    value = _read(path, {str: object})
    assets = value.get("assets", [])
    if isinstance(assets, str):
        path = path.parent / assets
        assets = _read(path, [{str: object}])
    try:
        made = tuple(_asset(fields) for fields in assets)
        _check_unique(made)
        return Declaration(
            name=name,
            title=str(value.get("title", name)),
            licence=_text(value.get("licence")) or "not declared",
            citation=_text(value.get("citation")) or "",
            access=_text(value.get("access")),
            assets=made,
            faulty={str(item): str(reason) for item, reason in (value.get("faulty") or {}).items()},
        )
    except (ValueError, TypeError, AttributeError) as error:
        raise RequestError(f"{path} is not a declaration: {error}") from error


def select(given: str) -> list[tuple[Declaration, list[Asset]]]:
    """What ``given`` means: a dataset, or the beginning of tags. Assets of kind ``extra`` only where ``given`` is their whole tag.

    Raises:
        RequestError: nothing is called that.
    """
    if given in names():
        declaration = declared(given)
        return [(declaration, [asset for asset in declaration.assets if asset.kind != "extra"])]
    found, extras = [], []
    for declaration in map(declared, names()):
        beginning = [asset for asset in declaration.assets if given and asset.tag.startswith(given)]
        chosen = [asset for asset in beginning if asset.kind != "extra" or asset.tag == given]
        extras += [asset.tag for asset in beginning if asset.kind == "extra"]
        if chosen:
            found.append((declaration, chosen))
    if not found and extras:
        raise RequestError(f"{given!r} is the beginning of extras alone, which are downloaded by their whole tag: {', '.join(extras)}")
    if not found:
        raise RequestError(f"unknown dataset {given!r}: choose one of {', '.join(names())}, or the beginning of the tags of assets")
    return found


def _read(path: Path, shape: Any) -> Any:
    try:
        return jsonfiles.read(path, shape, "correct the declaration")
    except FileNotFoundError as error:
        raise RequestError(f"cannot read the declaration {path}: there is no such file") from error


def _text(value: Any) -> str | None:
    """A text, or a table of texts in one line."""
    if isinstance(value, dict):
        value = "; ".join(f"{key}: {text}" for key, text in value.items())
    return " ".join(str(value).split()) if value else None


def _asset(fields: dict[str, Any]) -> Asset:
    tag = fields.get("tag", "without a tag")
    unknown = sorted(fields.keys() - _FIELDS)
    faults = {
        f"has unknown fields {', '.join(unknown)}": unknown,
        "has no plain tag": not isinstance(tag, str) or not _TAG.fullmatch(tag),
        "has no relative path": not _is_inside(fields.get("path")),
        f"has another kind than {', '.join(get_args(Kind))}": fields.get("kind") not in get_args(Kind),
        "has a sha256 that is not 64 hexadecimal digits": not _is_digest(fields.get("sha256"), 64),
        "has an md5 that is not 32 hexadecimal digits": not _is_digest(fields.get("md5"), 32),
        "has a size that is no number of bytes": not _is_size(fields.get("size")) or not _is_size(fields.get("unpacked_size")),
        "has a URL that is not http or https": not all(re.match("https?://[^/]", url) for url in fields.get("urls", ())),
        "has a name for its parts that is no plain name": not _is_plain(fields.get("parts_of")),
    }
    made = Asset(
        **{key: value for key, value in fields.items() if key in _FIELDS - {"urls", "contents", "unpack", "sha256", "md5"}},
        urls=tuple(fields.get("urls", ())),
        sha256=(fields.get("sha256") or "").lower() or None,
        md5=(fields.get("md5") or "").lower() or None,
        contents=_contents(fields.get("contents")),
        unpack=bool(fields.get("unpack")),
    )
    faults["is to be unpacked and its name does not end in .zip, .tar.gz or .tgz"] = bool(
        made.archive and not made.archive.endswith(ARCHIVE_SUFFIXES)
    )
    for fault, is_so in faults.items():
        if is_so:
            raise ValueError(f"asset {tag} {fault}")
    return made


def _contents(value: dict[str, Any] | None) -> Contents | None:
    if not value:
        return None
    if not value.get("sha256") or not _is_digest(value["sha256"], 64) or not isinstance(value.get("strip", 0), int):
        raise ValueError("contents must be a sha256 of 64 hexadecimal digits, and strip, a number of folders")
    return Contents(value["sha256"].lower(), value.get("strip", 0))


def _check_unique(assets: tuple[Asset, ...]) -> None:
    for key in ("tag", "path"):
        seen: set[str] = set()
        for asset in assets:
            value = getattr(asset, key)
            if value in seen:
                raise ValueError(f"two assets have the {key} {value}")
            seen.add(value)


def _is_inside(path: Any) -> bool:
    return isinstance(path, str) and bool(path) and not path.startswith("/") and all(_is_plain(part) for part in path.split("/"))


def _is_plain(name: Any) -> bool:
    """Whether it is None or a file name that is not hidden: hidden ones are the command's own."""
    return name is None or (isinstance(name, str) and bool(name) and not name.startswith(".") and "/" not in name and "\0" not in name)


def _is_digest(value: Any, digits: int) -> bool:
    return value is None or (isinstance(value, str) and bool(re.fullmatch(f"[0-9a-fA-F]{{{digits}}}", value)))


def _is_size(value: Any) -> bool:
    return value is None or (isinstance(value, int) and value >= 0)
