"""The Hugging Face hub: which commit and which files a repository has, for a card that names one, and for ``hf:ORG/NAME``.

One request to ``{HF_ENDPOINT}/api/models/ORG/NAME/revision/REVISION?blobs=true`` tells the commit and the size of every file, and the
SHA-256 of the large ones. Small ones (configurations) are fetched at once, checked by git's digest, and read: what cannot be run is refused
before its weights are downloaded. The card with commit, files and digests is written to ``<cache>/weights/<encoder>/card.toml`` once its
weights are converted, and counts from then on; to take a newer commit, remove that folder. What the user's own folder has, or the cache of
Hugging Face's own library (``models--ORG--NAME/snapshots``), is taken from there, and the hub is not asked.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import tempfile
import threading
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

from jukemir_like.core import files as core_files
from jukemir_like.core import jsonfiles
from jukemir_like.core.atomic import write_bytes
from jukemir_like.core.cache import Cache
from jukemir_like.core.errors import InputError, RequestError
from jukemir_like.downloads.declarations import Asset
from jukemir_like.downloads.http import new_session
from jukemir_like.downloads.partial_files import PartialFile
from jukemir_like.downloads.retries import HostFailures, RetryPolicy, fetch
from jukemir_like.downloads.threads import DownloadProgress, FileProgress
from jukemir_like.encoders import card as cards
from jukemir_like.encoders.card import RESOLVED, Card, WeightFile
from jukemir_like.encoders.model_types import Model
from jukemir_like.representations.names import RepresentationName, parse

CONFIG, PREPROCESSOR, README = "config.json", "preprocessor_config.json", "README.md"
WEIGHT_SUFFIXES = (".safetensors", ".bin", ".pt", ".pth")
UNKNOWN_LICENCE = "not known: see its card on the hub"

_CHOOSING = ("config", "model_type", "statistics_file", "unused", "weights_file")  # settings on which files and conversion depend
_WEIGHTS = ("model.safetensors", "pytorch_model.bin")  # in the order of preference; in parts, an index beside them names these
_NAME = re.compile(r"hf:(?P<hub>[A-Za-z0-9][A-Za-z0-9._-]*/[A-Za-z0-9][A-Za-z0-9._-]*)")
_LICENCE = re.compile(r"""^license:[ \t]*(?:\n[ \t]*-[ \t]*)?["']?([\w.+-]+)""", re.MULTILINE)  # in the front matter of a model's card
_SMALL_BYTES = 32 << 20
_HELP = "is the name right? Of a private or gated model, get the files yourself and give their folder with --from"


@dataclass(frozen=True)
class RepositoryFile:
    """A file of a repository.

    Args:
        size: bytes; None: not told.
        sha256: of the file, where it is a large one.
        git_digest: git's digest of a small one.
    """

    size: int | None = None
    sha256: str | None = None
    git_digest: str | None = None


@dataclass(frozen=True)
class Repository:
    """What a repository has at one commit.

    Args:
        hub: ``ORG/NAME``.
        revision: the commit; None: a folder that does not say.
        files: by name.
        licence: as its card has it; None: not told, or none of the usual.
        read: the bytes of a small file.
        url: of a file.
    """

    hub: str
    revision: str | None
    files: Mapping[str, RepositoryFile]
    licence: str | None
    read: Callable[[str], bytes]
    url: Callable[[str], str | None]


def name_of(base: str) -> str:
    """``ORG/NAME`` of ``hf:ORG/NAME``; :class:`RequestError` where it is none.

    >>> name_of("hf:facebook/hubert-base-ls960")
    'facebook/hubert-base-ls960'
    """
    match = _NAME.fullmatch(base)
    if match is None:
        raise RequestError(f"{base} names no model of the Hugging Face hub: hf:ORG/NAME does")
    return match["hub"]


def resolve(name: str, cache: Cache, own_copy: Path | None = None) -> Card:
    """The card of ``hf:ORG/NAME``, with its files.

    Args:
        name: with or without options.
        cache: where an earlier download wrote the card.
        own_copy: a folder that has the files.

    Raises:
        RequestError: no such repository, the hub cannot be asked, or the model cannot be run.
    """
    parsed = parse(name)
    repository_name = name_of(parsed.base)
    before = _pinned(_folder(parsed.base), cache, own_copy)
    if before is not None:
        return before
    repository = _find(repository_name, None, {}, own_copy)
    config, preprocessor = _json(repository, CONFIG), _json(repository, PREPROCESSOR) if PREPROCESSOR in repository.files else {}
    model = Model(str(config.get("model_type")), config, preprocessor, repository_name)
    if model.sample_rate is None:
        raise RequestError(
            f"{repository_name} does not say its sample rate (no {PREPROCESSOR}): write a card for it, and give it with --card"
        )
    licence = repository.licence or UNKNOWN_LICENCE
    card = Card(
        name=_folder(parsed.base),
        title=repository_name.partition("/")[2],
        family="transformers",
        licence=licence,
        commercial="-nc" not in licence.lower(),
        sample_rate=model.sample_rate,
        width=model.width,
        layers=model.layers,
        layer=str(model.layers // 2),
        hub=repository_name,
        settings={"chunk_seconds": model.chunk_seconds},
    )
    return _resolved(card, repository)


def _folder(base: str) -> str:
    return RepresentationName(base).folder


def with_files(card: Card, cache: Cache, own_copy: Path | None = None) -> Card:
    """``card`` with the files of its repository; itself, where it names none, or all files already.

    Raises:
        RequestError: no such repository, or the hub cannot be asked.
    """
    if card.hub is None or card.files:
        return card
    before = _pinned(card.name, cache, own_copy)
    if before is not None and (before.hub, choice(before)) == (card.hub, choice(card)) and card.revision in (None, before.revision):
        return replace(card, revision=before.revision, files=before.files)
    return _resolved(card, _find(card.hub, card.revision, card.settings, own_copy))


def pin(card: Card, cache: Cache) -> None:
    """Writes down the card of what was downloaded and converted, if it is one of the hub; from then on it counts."""
    path, data = cache.weights(card.name) / RESOLVED, cards.to_toml(card).encode()
    if card.hub is not None and not (path.exists() and path.read_bytes() == data):
        write_bytes(path, data)


def choice(card: Card) -> str | None:
    """Digest of the settings on which the chosen files and their conversion depend; None: it has none of them."""
    chosen = {name: card.settings[name] for name in _CHOOSING if name in card.settings}
    return hashlib.sha256(json.dumps(chosen, sort_keys=True).encode()).hexdigest() if chosen else None


def _pinned(name: str, cache: Cache, own_copy: Path | None) -> Card | None:
    """The card that an earlier download wrote; None: there is none, or it is of a user's folder, and another one is given."""
    path = cache.weights(name) / RESOLVED
    if not path.exists():
        return None
    before = cards.read_file(path)
    return before if own_copy is None or all(file.urls for file in before.files) else None


def _resolved(card: Card, repository: Repository) -> Card:
    files = tuple(_declare(repository, name) for name in _needed(card.settings, repository))
    return replace(card, revision=repository.revision, files=files)


def _needed(settings: Mapping[str, Any], repository: Repository) -> list[str]:
    """Names of the files that an encoder needs: descriptions, and weights, as safetensors where there are such."""
    described = [] if "config" in settings else [CONFIG]
    wanted = [*described, settings.get("statistics_file")]
    named = [name for name in (*wanted, settings.get("weights_file")) if name is not None]
    if outside := [name for name in named if name.startswith("/") or any(part in ("", ".", "..") for part in name.split("/"))]:
        raise RequestError(f"{outside[0]!r} is no file of a repository: correct the card of {repository.hub}")
    if missing := [name for name in wanted if name is not None and name not in repository.files]:
        raise RequestError(f"{repository.hub} has no {missing[0]}: it is no model that can be run")
    optional = [PREPROCESSOR] if PREPROCESSOR in repository.files else []
    return [*(name for name in wanted if name is not None), *optional, *_weights(settings.get("weights_file"), repository)]


def _weights(chosen: str | None, repository: Repository) -> list[str]:
    for name in _WEIGHTS if chosen is None else (chosen,):
        if name in repository.files:
            return [name]
        if f"{name}.index.json" in repository.files:
            parts = _json(repository, f"{name}.index.json").get("weight_map")
            names = sorted(set(parts.values())) if isinstance(parts, dict) else []
            if names and all(isinstance(part, str) and part in repository.files and "/" not in part for part in names):
                return names
            raise RequestError(f"{repository.hub}: {name}.index.json names files that are not there")
    has = ", ".join(name for name in sorted(repository.files) if name.endswith((*WEIGHT_SUFFIXES, ".h5", ".msgpack", ".onnx", ".pkl")))
    raise RequestError(f"{repository.hub} has no {' or '.join(_WEIGHTS if chosen is None else (chosen,))} (it has {has or 'no weights'})")


def _declare(repository: Repository, name: str) -> WeightFile:
    file = repository.files[name]
    sha256, size, url = file.sha256, file.size, repository.url(name)
    if sha256 is None and (size is None or size <= _SMALL_BYTES):
        data = repository.read(name)
        sha256, size = hashlib.sha256(data).hexdigest(), len(data)
    return WeightFile(name, () if url is None else (url,), sha256=sha256, size=size)


def _json(repository: Repository, name: str) -> dict[str, Any]:
    if name not in repository.files:
        raise RequestError(f"{repository.hub} has no {name}: it is no model that can be run")
    try:
        value = jsonfiles.parse(repository.read(name))
        if not isinstance(value, dict):
            raise ValueError("is no JSON object")
    except ValueError as error:
        raise RequestError(f"{repository.hub}: {name} {error}") from error
    return value


def _find(hub: str, revision: str | None, settings: Mapping[str, Any], own_copy: Path | None) -> Repository:
    """The repository in the user's folder, in the cache of Hugging Face's library if all that is needed is there, or on the hub."""
    if own_copy is not None:
        return _of_folder(hub, own_copy, revision)
    folder = snapshot(hub, revision)
    if folder is not None:
        repository = _of_folder(hub, folder, revision)
        with suppress(RequestError):
            if all(name in repository.files for name in _needed(settings, repository)):
                return repository
    return _ask(hub, revision or "main")


# Folders.


def snapshot(hub: str, revision: str | None) -> Path | None:
    """The folder in the cache of Hugging Face's own library that has a commit of ``hub``; None: it has none.

    Args:
        hub: ``ORG/NAME``.
        revision: commit, branch or tag; None: ``main``.
    """
    environment = os.environ
    home = Path(environment.get("HF_HOME") or Path(environment.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "huggingface")
    folder = Path(environment.get("HF_HUB_CACHE") or home / "hub") / f"models--{hub.replace('/', '--')}"
    try:
        commit = (folder / "refs" / (revision or "main")).read_text().strip()
    except (OSError, ValueError):
        commit = revision or ""
    found = folder / "snapshots" / commit
    return found if is_commit(commit) and found.is_dir() else None


def is_commit(revision: str | None) -> bool:
    """Whether a revision is a whole commit, not a branch, a tag or the beginning of one."""
    return re.fullmatch("[0-9a-f]{40}", revision or "") is not None


def _of_folder(hub: str, folder: Path, revision: str | None) -> Repository:
    if not folder.is_dir():
        raise RequestError(f"{folder} is not a folder: give the folder of your own copy with --from")
    below = [path.parent for path in sorted(folder.rglob(CONFIG))]
    if len(below) == 1:  # as in models--ORG--NAME/snapshots/COMMIT
        (folder,) = below
    names = [path.relative_to(folder).as_posix() for path in sorted(folder.rglob("*")) if path.is_file() and not path.name.startswith(".")]
    commit = folder.name if is_commit(folder.name) else revision
    if is_commit(revision) and commit != revision:
        raise RequestError(f"{folder} is of another revision than the card of {hub} names, {revision}: give another copy")

    def read(name: str) -> bytes:
        try:
            return core_files.read_regular((folder / name).resolve())
        except OSError as error:
            raise RequestError(f"{folder / name} {core_files.refusal(error)}: give another copy") from error

    def digest(name: str) -> RepositoryFile:
        path = (folder / name).resolve()
        is_weights = name.endswith(WEIGHT_SUFFIXES)
        return RepositoryFile(path.stat().st_size, _digest(path) if is_weights else None)

    def url(name: str) -> str | None:
        return None if commit is None else f"{_endpoint()}/{hub}/resolve/{commit}/{quote(name)}"

    return Repository(hub, commit, _Lazy(names, digest), _licence_of_readme(read(README)) if README in names else None, read, url)


def _licence_of_readme(data: bytes) -> str | None:
    text = data.decode(errors="replace").replace("\r\n", "\n").removeprefix("\ufeff")
    front = text.split("\n---", 1)[0] if text.startswith("---\n") else ""
    found = _LICENCE.search(front)
    return _told(found[1] if found else None)


class _Lazy(dict[str, RepositoryFile]):
    """Files whose digests are computed when they are asked for."""

    def __init__(self, names: Iterable[str], digest: Callable[[str], RepositoryFile]):
        super().__init__(dict.fromkeys(names, RepositoryFile()))
        self._digest = digest

    def __getitem__(self, name: str) -> RepositoryFile:
        return self._digest(name)


def _digest(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


# The hub.


def _endpoint() -> str:
    return (os.environ.get("HF_ENDPOINT") or "https://huggingface.co").rstrip("/")


def _ask(hub: str, revision: str) -> Repository:
    endpoint = _endpoint()
    if os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE"):
        raise RequestError(f"{hub} is not on this machine, and HF_HUB_OFFLINE is set: unset it, or give a folder with --from")
    answer = _get(
        f"{endpoint}/api/models/{hub}/revision/{quote(revision, safe='')}?blobs=true", Asset("answer", "answer.json", "weights"), hub
    )
    try:
        value = jsonfiles.parse(answer)
        jsonfiles.check(
            value, {"sha": str, "siblings": [{"rfilename": str, "size?": int, "blobId?": str, "lfs?": {"sha256": str, "size": int}}]}
        )
        commit = value["sha"]
        if not is_commit(commit):
            raise ValueError("has no commit")
    except ValueError as error:
        raise RequestError(f"the answer of {endpoint} about {hub} {error}: is it a host of the Hugging Face hub?") from error
    if value.get("gated"):
        raise RequestError(f"{hub} is gated: accept its terms on {endpoint}/{hub}, get the files, and give their folder with --from")
    files = {sibling["rfilename"]: _file(sibling) for sibling in value["siblings"]}

    def url(name: str) -> str:
        return f"{endpoint}/{hub}/resolve/{commit}/{quote(name)}"

    def read(name: str) -> bytes:
        file = files[name]
        data = _get(url(name), Asset("file", Path(name).name, "weights", sha256=file.sha256, size=file.size), hub)
        if file.git_digest and hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest() != file.git_digest:
            raise RequestError(f"{hub}: {name} arrived damaged (its digest is another one): try again")
        return data

    return Repository(hub, commit, files, _licence(value), read, url)


def _file(sibling: Mapping[str, Any]) -> RepositoryFile:
    large = sibling.get("lfs")
    if large:
        return RepositoryFile(large["size"], large["sha256"])
    return RepositoryFile(sibling.get("size"), git_digest=sibling.get("blobId"))


def _licence(value: Mapping[str, Any]) -> str | None:
    data = value.get("cardData")
    licence = data.get("license") if isinstance(data, dict) else None
    if not isinstance(licence, str):
        tags = value.get("tags")
        tagged = [tag for tag in tags if isinstance(tag, str) and tag.startswith("license:")] if isinstance(tags, list) else []
        licence = tagged[0].removeprefix("license:") if tagged else None
    return _told(licence)


def _told(licence: str | None) -> str | None:
    return None if licence is None or licence.lower() in ("", "other", "unknown") else licence


def _get(url: str, asset: Asset, hub: str) -> bytes:
    """The body of an answer, with the retries of all downloads."""
    with tempfile.TemporaryDirectory() as folder, closing(DownloadProgress(f"asking for {hub}", 1, threading.Event())) as bar:
        partial = PartialFile(Path(folder) / asset.path, asset)
        try:
            fetch(replace(asset, urls=(url,)), partial, new_session(), HostFailures(), RetryPolicy(), FileProgress(bar, hub))
            return partial.path.read_bytes()
        except InputError as error:
            raise RequestError(f"{hub}: {error} ({_HELP})") from error
        finally:
            partial.close()
