"""One file over HTTP: from which of its sources, how often each is tried, and that nothing but the declared file is taken.

Sources are asked in the order of the declaration. One that does not have the file (403, 404, 410, a web page, another length) is left for
the next at once. What may pass (429, 5xx, a cut or stalled connection) is tried again after a wait, going on where it stopped; tries are
counted from the last new byte. A source that cannot
be reached, or whose file turned out to be another, is asked once more after all others.
"""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from jukemir_like.core.errors import InputError
from jukemir_like.downloads import verifying
from jukemir_like.downloads.answer import Anew, Passing, Refused
from jukemir_like.downloads.declaration import Asset
from jukemir_like.downloads.exchange import Patience, Watch, receive
from jukemir_like.downloads.partial import Partial

if TYPE_CHECKING:
    import requests

_ENOUGH = 3


class Hosts:
    """Which hosts are not asked any more in this run: those that failed the last three files that asked them. Shared by all threads.

    Without it, a dead host that is the first source of 2,000 files would be waited for 2,000 times.
    """

    def __init__(self) -> None:
        self._failures: Counter[str] = Counter()
        self._lock = threading.Lock()

    def failed(self, url: str) -> None:
        with self._lock:
            self._failures[host(url)] += 1

    def answered(self, url: str) -> None:
        with self._lock:
            self._failures[host(url)] = 0

    def given_up(self, url: str) -> bool:
        return self._failures[host(url)] >= _ENOUGH


@dataclass(frozen=True)
class Fetched:
    """Where a file came from, and what was found.

    Args:
        url: the source of its last piece.
        digest: for :meth:`jukemir_like.downloads.verifying.Ledger.note`.
        size: bytes.
    """

    url: str
    digest: str
    size: int


class _AnotherFile(Exception):  # noqa: N818
    """What came is not the file that was declared: another one, or pieces of two."""


def host(url: str) -> str:
    """Host and port of ``url``."""
    return urlsplit(url).netloc.rpartition("@")[2]


def fetch(asset: Asset, partial: Partial, client: requests.Session, hosts: Hosts, patience: Patience, watch: Watch) -> Fetched:
    """Gets the file of ``asset`` into ``partial``, whole and verified.

    Raises:
        InputError: no source has it; the message says why of each. ``partial`` keeps what can be continued.
        StorageError: no room.
    """
    faults: dict[str, str] = {}
    sources = list(asset.urls)
    for second in (False, True):
        again = []
        for url in sources:
            if not second and hosts.given_up(url):
                faults.setdefault(url, "not asked: it failed for several files before")
                continue
            try:
                digest = _from(url, asset, partial, client, patience, watch, second=second)
                hosts.answered(url)
                return Fetched(url, digest, partial.size)
            except Refused as fault:
                hosts.answered(url)
                faults[url] = str(fault)
            except Passing as fault:
                hosts.failed(url)
                faults[url] = str(fault)
                if fault.unreachable and not second:
                    again.append(url)
            except _AnotherFile as fault:
                hosts.answered(url)
                faults[url] = str(fault)
                again.append(url)
        sources = again
    raise InputError("; ".join(f"{host(url)}: {fault}" for url, fault in faults.items()))


def _from(url: str, asset: Asset, partial: Partial, client: requests.Session, patience: Patience, watch: Watch, *, second: bool) -> str:
    """The file from one source; its digest in one word."""
    tries, best, resume = 0, partial.size, True
    while True:
        try:
            if not _is_complete(partial, asset):
                receive(client, url, asset, partial, patience, watch, resume=resume)
        except Anew:
            resume = False
            continue
        except Passing as fault:
            if fault.unreachable and not second:
                raise
            if partial.size > best and not fault.trickle:
                tries, best = 0, partial.size
            tries, resume = tries + 1, True
            wait = _wait_seconds(fault, tries, patience)
            if tries >= patience.tries or wait > patience.longest_wait_seconds:
                asked = (
                    f" and asks for a wait of {wait:.0f} s" if wait > patience.longest_wait_seconds else f", {tries} times in succession"
                )
                raise Passing(f"{fault}{asked}") from fault
            watch.pause(wait)
            continue
        try:
            return verifying.check(partial.path, asset, partial.digest(watch.alive), watch.alive)
        except InputError as wrong:
            partial.discard()
            raise _AnotherFile(f"its file {wrong}") from wrong


def _is_complete(partial: Partial, asset: Asset) -> bool:
    """Whether an earlier process was ended when all had come."""
    total = asset.size if asset.size is not None else partial.version.total if partial.version else None
    return bool(partial.size) and total is not None and partial.size >= total


def _wait_seconds(fault: Passing, tries: int, patience: Patience) -> float:
    shortest, longest = patience.backoff_seconds
    return max(min(shortest * 2.0 ** (tries - 1), longest), fault.wait_seconds or 0.0)
