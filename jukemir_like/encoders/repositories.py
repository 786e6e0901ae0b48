"""Repositories of the Hugging Face hub: which commit and which files one has, on the hub, in a folder, or in the cache of its own library.

One request to ``{HF_ENDPOINT}/api/models/ORG/NAME/revision/REVISION?blobs=true`` tells the commit and the size of every file, and the
SHA-256 of the large ones. Small ones are fetched when they are read, and checked by git's digest. The cache of Hugging Face's own library
has folders ``models--ORG--NAME/snapshots/COMMIT``.
"""

from __future__ import annotations

import hashlib
import os
import re
import threading
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

from jukemir_like.core import files as core_files
from jukemir_like.core import jsonfiles
from jukemir_like.core.errors import InputError, RequestError
from jukemir_like.core.temporary import temporary_folder
from jukemir_like.downloads.declarations import Asset
from jukemir_like.downloads.http import new_session
from jukemir_like.downloads.partial_files import PartialFile
from jukemir_like.downloads.retries import HostFailures, RetryPolicy, fetch
from jukemir_like.downloads.threads import DownloadProgress, FileProgress

CONFIG, PREPROCESSOR, README = "config.json", "preprocessor_config.json", "README.md"
WEIGHT_SUFFIXES = (".safetensors", ".bin", ".pt", ".pth")

_LICENCE = re.compile(r"""^license:[ \t]*(?:\n[ \t]*-[ \t]*)?["']?([\w.+-]+)""", re.MULTILINE)  # in the front matter of a model's card
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


def of_folder(hub: str, folder: Path, revision: str | None) -> Repository:
    """A copy of a repository in a folder of the user's own, or a snapshot of Hugging Face's library.

    Args:
        hub: ``ORG/NAME``.
        folder: with its files; or with one folder, at any depth, that has them.
        revision: the commit, branch or tag that is wanted; None: any.

    Raises:
        RequestError: no such folder, or it is of another commit.
    """
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


def _endpoint() -> str:
    return (os.environ.get("HF_ENDPOINT") or "https://huggingface.co").rstrip("/")


def on_the_hub(hub: str, revision: str) -> Repository:
    """A repository as the hub says that it is.

    Args:
        hub: ``ORG/NAME``.
        revision: commit, branch or tag.

    Raises:
        RequestError: there is none, it is gated, or the hub cannot be asked.
    """
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
    with temporary_folder() as folder, closing(DownloadProgress(f"asking for {hub}", 1, threading.Event())) as bar:
        partial = PartialFile(folder / asset.path, asset)
        try:
            fetch(replace(asset, urls=(url,)), partial, new_session(), HostFailures(), RetryPolicy(), FileProgress(bar, hub))
            return partial.path.read_bytes()
        except InputError as error:
            raise RequestError(f"{hub}: {error} ({_HELP})") from error
        finally:
            partial.close()
