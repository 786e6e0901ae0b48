"""Declarations: which files a dataset is made from, where they can be had and how they are verified. They lie in ``datasets/<name>/``.

``dataset.json`` is for programs: title, licence, citation, how to get access, known faulty items, and the files (*assets*), as a list or as
the name of a JSON file in the same folder that holds the list. The fields of an asset:

==================  ==================================================================================================================
``tag``             its name on the command line, unique among all declarations
``path``            where it lies below ``<cache>/datasets/<name>/``
``kind``            ``annotations``, ``audio`` or ``weights``; ``extra`` is downloaded only where it is named by its whole tag
``urls``            sources, in the order in which they are tried; none: it must be requested from its owner
``sha256, md5``,    digests of the file, those that are published; none is needed
``sha1``
``size``            bytes, where known
``contents``        ``{"sha256": …, "strip": n}`` for an archive that its host generates anew for each request, so that only the files
                    in it can be verified: :func:`jukemir_like.downloads.archives.contents_digest`
``unpack``          true for an archive (.zip, .tar.gz, .tgz, .tar) that is unpacked once it is verified
``parts_of``        the archive's name, where several assets, in the order of their paths, make one archive
``unpacked_size``   bytes of the files in the archive, where known
``only_for``        names of the datasets that need it, with their options, where others of the same assets do not: it is downloaded only
                    for them, or by its tag
==================  ==================================================================================================================

``items`` and ``clip`` say how much audio there will be, see :mod:`jukemir_like.launch.amounts`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, Literal, get_args

from jukemir_like.core import jsonfiles
from jukemir_like.core.cache import Cache
from jukemir_like.core.errors import RequestError

ENVIRONMENT_VARIABLE = "JUKEMIR_LIKE_DECLARATIONS"
ARCHIVE_SUFFIXES = (".tar.gz", ".tgz", ".tar", ".zip")
DIGESTS = {"sha256": 64, "md5": 32, "sha1": 40}
"""Digests that a declaration may have → hexadecimal digits; the first that is there names the file in records."""

AssetKind = Literal["annotations", "audio", "extra", "weights"]

_FIELDS = {"tag", "path", "kind", "urls", *DIGESTS, "size", "contents", "unpack", "parts_of", "unpacked_size", "only_for"}
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")
_TAG = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


@dataclass(frozen=True)
class ContentsDigest:
    """Digest of the files in an archive, without the ``strip`` outermost folders of each member's path."""

    sha256: str
    strip: int = 0


@dataclass(frozen=True)
class Asset:
    """One file, as declared; the fields are those of the table above.

    >>> Asset("DEMO", "audio/demo.zip", "audio", md5="0" * 32, unpack=True).archive
    'demo.zip'
    """

    tag: str
    path: str
    kind: AssetKind
    urls: tuple[str, ...] = ()
    sha256: str | None = None
    md5: str | None = None
    size: int | None = None
    contents: ContentsDigest | None = None
    unpack: bool = False
    parts_of: str | None = None
    unpacked_size: int | None = None
    sha1: str | None = None
    only_for: tuple[str, ...] = ()

    @property
    def archive(self) -> str | None:
        """Name of the archive that the file is, or is a part of; None where nothing is unpacked."""
        return self.parts_of or (PurePosixPath(self.path).name if self.unpack else None)

    @property
    def file_digests(self) -> dict[str, str]:
        """The declared digests of the file itself: name → value, the one that identifies it first."""
        return {name: value for name in DIGESTS if (value := getattr(self, name))}

    @property
    def digest(self) -> str | None:
        """The declared digest with its kind (``sha256:…``, ``md5:…``, ``sha1:…``, ``contents/<strip>:…``); None: none is declared."""
        for name, value in self.file_digests.items():
            return f"{name}:{value}"
        return f"contents/{self.contents.strip}:{self.contents.sha256}" if self.contents else None


@dataclass(frozen=True)
class Declaration:
    """A dataset as declared.

    Args:
        name: of its folder, in ``datasets/`` and in the cache.
        title: in a few words.
        licence: of its files.
        citation: of the publication, BibTeX.
        access: how to get what has no public source; None: all is public.
        assets: its files.
        faulty: known faulty items → the reason.
        of_encoder: whether it declares the weights of an encoder, which lie in another folder of the cache.
    """

    name: str
    title: str
    licence: str
    citation: str
    access: str | None = None
    assets: tuple[Asset, ...] = ()
    faulty: dict[str, str] = field(default_factory=dict)
    of_encoder: bool = False

    def folder(self, cache: Cache) -> Path:
        """The folder of its files in ``cache``."""
        return cache.weights(self.name) if self.of_encoder else cache.dataset(self.name)


Selection = Sequence[tuple[Declaration, Sequence[Asset]]]
"""What is to be downloaded: assets, by the declaration that they belong to."""


def declared_names() -> list[str]:
    """Names of all declarations, sorted.

    >>> "synthband" in declared_names()
    True
    """
    return sorted({path.parent.name for root in _roots() for path in root.glob("*/dataset.json") if _NAME.fullmatch(path.parent.name)})


def declaration_folder(name: str) -> Path:
    """The folder that declares dataset ``name`` (card, licence, assets).

    In ``$JUKEMIR_LIKE_DECLARATIONS`` where that is set and has it (a site's own mirrors), else in the installed package or the source tree.

    >>> declaration_folder("gtzan").joinpath("card.md").exists()
    True
    """
    folders = _roots()
    return next((root / name for root in folders if (root / name).is_dir()), folders[-1] / name)


def _roots() -> list[Path]:
    package = Path(__file__).parents[1]
    own_root = os.environ.get(ENVIRONMENT_VARIABLE)
    return [*([Path(own_root)] if own_root else []), package / "datasets" / "declarations", package.parent / "datasets"]


def read_declaration(name: str) -> Declaration:
    """The declaration of dataset ``name``.

    Raises:
        RequestError: there is none, or it is not valid.

    >>> read_declaration("gtzan").assets[0].tag
    'GTZAN'
    """
    if name not in declared_names():
        raise RequestError(f"unknown dataset {name!r}: choose one of {', '.join(declared_names())}")
    path = declaration_folder(name) / "dataset.json"
    value = _read_json(path, {str: object})
    asset_list = value.get("assets", [])
    if isinstance(asset_list, str):
        path = path.parent / asset_list
        asset_list = _read_json(path, [{str: object}])
    try:
        assets = tuple(_parse_asset(fields) for fields in asset_list)
        _check_unique(assets)
        return Declaration(
            name=name,
            title=str(value.get("title", name)),
            licence=_one_line(value.get("licence")) or "not declared",
            citation=_one_line(value.get("citation")) or "",
            access=_one_line(value.get("access")),
            assets=assets,
            faulty={str(item): str(reason) for item, reason in (value.get("faulty") or {}).items()},
        )
    except (ValueError, TypeError, AttributeError) as error:
        raise RequestError(f"{path} is not a declaration: {error}") from error


def select_assets(name_or_tag: str, needed_by: Collection[str] = ()) -> Selection:
    """The assets of the declaration of this name, or all whose tags begin so. Those of kind ``extra`` only where this is their whole tag.

    Args:
        name_or_tag: of a declaration or of assets.
        needed_by: datasets that are to be made of the declaration: what is declared ``only_for`` others is left out.

    Raises:
        RequestError: nothing has such a name or tag.

    >>> [(declaration.name, len(assets)) for declaration, assets in select_assets("gtzan")]
    [('gtzan', 4)]
    >>> [len(assets) for _, assets in select_assets("gtzan", ["gtzan_tempo"])]
    [5]
    """
    if name_or_tag in declared_names():
        declaration = read_declaration(name_or_tag)
        if declaration.assets and all(asset.kind == "extra" for asset in declaration.assets):
            raise RequestError(
                f"{name_or_tag} is not downloaded as a whole: name one by its whole tag (as {declaration.assets[0].tag}), or get vectors "
                "by `jukemir-like download DATASET --representation NAME`"
            )
        assets = [asset for asset in declaration.assets if asset.kind != "extra"]
        return [(declaration, [asset for asset in assets if not asset.only_for or set(asset.only_for) & set(needed_by)])]
    selection: list[tuple[Declaration, Sequence[Asset]]] = []
    extra_tags: list[str] = []
    for declaration in map(read_declaration, declared_names()):
        matching = [asset for asset in declaration.assets if name_or_tag and asset.tag.startswith(name_or_tag)]
        assets = [asset for asset in matching if asset.kind != "extra" or asset.tag == name_or_tag]
        extra_tags += [asset.tag for asset in matching if asset.kind == "extra"]
        if assets:
            selection.append((declaration, assets))
    if not selection and extra_tags:
        raise RequestError(f"only extras have tags that begin with {name_or_tag!r}; name one by its whole tag: {', '.join(extra_tags)}")
    if not selection:
        raise RequestError(
            f"unknown dataset {name_or_tag!r}: choose one of {', '.join(declared_names())}, or the beginning of assets' tags"
        )
    return selection


def only_for_others(selection: Selection) -> dict[str, list[str]]:
    """What ``selection`` lacks because only some datasets need it: the datasets' names, with commas between them → tags.

    >>> only_for_others(select_assets("gtzan", ["gtzan_ff+artist_folds"]))
    {'gtzan_tempo': ['GTZAN_TEMPO']}
    """
    tags: dict[str, list[str]] = {}
    for declaration, assets in selection:
        for asset in declaration.assets:
            if asset.only_for and asset not in assets:
                tags.setdefault(", ".join(asset.only_for), []).append(asset.tag)
    return tags


def _read_json(path: Path, shape: Any) -> Any:
    try:
        return jsonfiles.read(path, shape, "correct the declaration")
    except FileNotFoundError as error:
        raise RequestError(f"cannot read the declaration {path}: there is no such file") from error


def _one_line(value: Any) -> str | None:
    """A text, or an object of texts, as one line; None where it is empty."""
    if isinstance(value, dict):
        value = "; ".join(f"{key}: {text}" for key, text in value.items())
    return " ".join(str(value).split()) if value else None


def _parse_asset(fields: dict[str, Any]) -> Asset:
    tag = fields.get("tag", "without a tag")
    unknown = sorted(fields.keys() - _FIELDS)
    faults = {
        f"has unknown fields {', '.join(unknown)}": unknown,
        "has no tag of letters, digits and _ . -": not isinstance(tag, str) or not _TAG.fullmatch(tag),
        "has no relative path": not _is_relative_path(fields.get("path")),
        f"has a kind that is not one of {', '.join(get_args(AssetKind))}": fields.get("kind") not in get_args(AssetKind),
        "has a sha256 that is not 64 hexadecimal digits": not _is_digest(fields.get("sha256"), 64),
        "has an md5 that is not 32 hexadecimal digits": not _is_digest(fields.get("md5"), 32),
        "has a sha1 that is not 40 hexadecimal digits": not _is_digest(fields.get("sha1"), 40),
        "has a size that is not a number of bytes": not _is_size(fields.get("size")) or not _is_size(fields.get("unpacked_size")),
        "has a URL that is not http or https": not all(re.match("https?://[^/]", url) for url in fields.get("urls", ())),
        "has parts_of that is not a file name": not _is_file_name(fields.get("parts_of")),
        "has only_for that is not a list of names of datasets": not _is_list_of_texts(fields.get("only_for", [])),
    }
    asset = Asset(
        **{key: value for key, value in fields.items() if key in _FIELDS - {"urls", "contents", "unpack", "only_for", *DIGESTS}},
        urls=tuple(fields.get("urls", ())),
        sha256=(fields.get("sha256") or "").lower() or None,
        md5=(fields.get("md5") or "").lower() or None,
        sha1=(fields.get("sha1") or "").lower() or None,
        contents=_parse_contents(fields.get("contents")),
        unpack=bool(fields.get("unpack")),
        only_for=tuple(fields.get("only_for", ())),
    )
    faults["is to be unpacked and its name does not end in .zip, .tar.gz, .tgz or .tar"] = bool(
        asset.archive and not asset.archive.endswith(ARCHIVE_SUFFIXES)
    )
    for fault, is_present in faults.items():
        if is_present:
            raise ValueError(f"asset {tag} {fault}")
    return asset


def _parse_contents(value: dict[str, Any] | None) -> ContentsDigest | None:
    if not value:
        return None
    if not value.get("sha256") or not _is_digest(value["sha256"], 64) or not isinstance(value.get("strip", 0), int):
        raise ValueError("contents must be a sha256 of 64 hexadecimal digits, and strip, a number of folders")
    return ContentsDigest(value["sha256"].lower(), value.get("strip", 0))


def _check_unique(assets: tuple[Asset, ...]) -> None:
    for key in ("tag", "path"):
        seen: set[str] = set()
        for asset in assets:
            value = getattr(asset, key)
            if value in seen:
                raise ValueError(f"two assets have the {key} {value}")
            seen.add(value)


def _is_relative_path(path: Any) -> bool:
    return isinstance(path, str) and bool(path) and not path.startswith("/") and all(_is_file_name(part) for part in path.split("/"))


def _is_file_name(name: Any) -> bool:
    """Whether it is None or a file name that is not hidden: hidden files are those of this package."""
    return name is None or (isinstance(name, str) and bool(name) and not name.startswith(".") and "/" not in name and "\0" not in name)


def _is_digest(value: Any, digits: int) -> bool:
    return value is None or (isinstance(value, str) and bool(re.fullmatch(f"[0-9a-fA-F]{{{digits}}}", value)))


def _is_list_of_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(text, str) and text for text in value)


def _is_size(value: Any) -> bool:
    return value is None or (isinstance(value, int) and value >= 0)
