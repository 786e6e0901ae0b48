"""One asset, by one thread: kept if it is there and right, else adopted from the user's copy or fetched from its sources."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from jukemir_like.core.cache import storage_errors
from jukemir_like.core.errors import InputError
from jukemir_like.core.locks import locked
from jukemir_like.downloads import adopting, exchange, verifying
from jukemir_like.downloads.declaration import Asset
from jukemir_like.downloads.exchange import Patience
from jukemir_like.downloads.partial import Partial
from jukemir_like.downloads.places import Place
from jukemir_like.downloads.progress import Board, Follower
from jukemir_like.downloads.transfer import Hosts, fetch, host

if TYPE_CHECKING:
    import requests

_ADVICE = "choose a cache on another with --cache"


@dataclass(frozen=True)
class Row:
    """What became of one asset.

    Args:
        status: ``kept``, ``downloaded``, ``adopted``, ``unpacked`` or ``failed``.
        size: bytes of its file; None where there is none.
        source: host, or folder, it came from.
        seconds: spent on it.
        reason: why it failed, or what else is to be said.
    """

    tag: str
    status: str
    size: int | None = None
    source: str = ""
    seconds: float = 0.0
    reason: str | None = None


@dataclass
class Run:
    """What all threads of a run share.

    Args:
        board: the bars.
        delete_wrong: remove files in the cache that are not what is declared, and get them again.
        copy: the user's own copy, from which alone assets are taken; None: from their sources.
        found: which file of the copy is which asset, by tag.
        patience: with hosts.
    """

    board: Board
    delete_wrong: bool = False
    copy: adopting.Copy | None = None
    found: dict[str, Path] = field(default_factory=dict)
    patience: Patience = field(default_factory=Patience)
    hosts: Hosts = field(default_factory=Hosts)
    _own: threading.local = field(default_factory=threading.local)

    @property
    def client(self) -> requests.Session:
        """This thread's connections."""
        if not hasattr(self._own, "client"):
            self._own.client = exchange.session()
        made: requests.Session = self._own.client
        return made


def obtain(place: Place, asset: Asset, run: Run, *, wait: bool) -> Row | None:
    """Brings the asset's file into the cache; None where another process is at it and ``wait`` is false.

    Raises:
        InputError: it is not to be had, or what lies there is something else.
        StorageError: the cache cannot be written.
    """
    started = time.perf_counter()
    watch = Follower(run.board, asset.tag)
    try:
        with locked(place.lock(asset.tag), wait=wait, sleep=watch.pause, advice=_ADVICE) as lock:
            if lock is None:
                return None
            row = _kept(place, asset, run, watch)
            if row is None:
                row = _fetch(place, asset, run, watch) if run.copy is None else _adopt(place, asset, run, watch)
    finally:
        watch.close()
    return Row(**{**vars(row), "seconds": time.perf_counter() - started})


def _kept(place: Place, asset: Asset, run: Run, watch: Follower) -> Row | None:
    """The file that lies in the cache, if it is right; None where there is none, or none any more."""
    path = place.path(asset)
    if not path.exists():
        return None
    place.ledger.refresh()  # another process may have been faster
    size = path.stat().st_size
    if place.ledger.verified(asset) is not None:
        return Row(asset.tag, "kept", size)
    arrived = 0

    def follow(chunk: bytes) -> None:
        nonlocal arrived
        arrived += len(chunk)
        watch.arrived(arrived, size)

    try:
        if not path.is_file():
            raise InputError("is no file")
        found = verifying.check(path, asset, verifying.digest(path, asset, follow), watch.alive)
    except InputError as error:
        if not run.delete_wrong or not path.is_file():
            raise InputError(f"{path} {error}: left as it is; --delete_wrong removes it and gets it again") from error
        with storage_errors(path):
            path.unlink()
        watch.arrived(0, size)
        return None
    place.ledger.note(asset, found)
    return Row(asset.tag, "kept", size, reason=_unverifiable(asset, found))


def _fetch(place: Place, asset: Asset, run: Run, watch: Follower) -> Row:
    if not asset.urls:
        access = (place.declaration.access or "it must be asked for").rstrip(".")
        raise InputError(f"has no public source: {access}. Then give the folder of your copy with --from")
    partial = Partial(place.partial(asset), asset)
    try:
        watch.arrived(partial.size, None)
        fetched = fetch(asset, partial, run.client, run.hosts, run.patience, watch)
        partial.finish(place.path(asset))
    finally:
        partial.close()
    place.ledger.note(asset, fetched.digest, source=fetched.url)
    return Row(asset.tag, "downloaded", fetched.size, host(fetched.url), reason=_unverifiable(asset, fetched.digest))


def _adopt(place: Place, asset: Asset, run: Run, watch: Follower) -> Row:
    assert run.copy is not None  # noqa: S101 (for the type checker)
    path = run.found.get(asset.tag)
    if path is None:
        raise InputError(f"is not in {run.copy.folder}: no file there has its {'digest' if asset.digest else 'name'}")
    size = run.copy.sizes[path]
    arrived = 0

    def follow(count: int) -> None:
        nonlocal arrived
        arrived += count
        watch.arrived(arrived, size)

    digest = adopting.adopt(path, asset, place.path(asset), follow)
    place.ledger.note(asset, digest, source=str(path))
    return Row(asset.tag, "adopted", size, str(path), reason=_unverifiable(asset, digest))


def _unverifiable(asset: Asset, found: str) -> str | None:
    if asset.digest is not None:
        return None
    told = "its size is right" if asset.size is not None else "no size either"
    return f"no digest is declared to verify it by ({told}); it is {found}"
