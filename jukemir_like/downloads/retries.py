"""Retries: one file from its sources, how often each is tried and how long to wait, until the declared file is there.

Sources are tried in the order of the declaration.

- A source that does not have the file (403, 404, 410, a web page, another length) is left for the next at once.
- A failure that may pass (429, 503 and all 5xx, a broken or stalled connection) is tried again after a wait, from the last byte that has
  arrived. Attempts are counted anew from every new byte.
- A source that cannot be reached, or whose file is not the declared one, is tried once more after all others.
- A host that failed three files in succession is not tried for the others: :class:`HostFailures`.
"""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from jukemir_like.core.errors import InputError
from jukemir_like.downloads.declarations import Asset
from jukemir_like.downloads.http import CannotResumeError, PermanentSourceError, TemporarySourceError, receive
from jukemir_like.downloads.partial_files import PartialFile
from jukemir_like.downloads.threads import FileProgress
from jukemir_like.downloads.verification import verify

if TYPE_CHECKING:
    import requests

_MAX_HOST_FAILURES = 3


@dataclass(frozen=True)
class RetryPolicy:
    """Timeouts, and how often a source is tried.

    Args:
        connect_seconds: timeout for a connection.
        read_seconds: timeout for the next bytes.
        attempts: of one source in succession without new bytes.
        backoff_seconds: wait before the second attempt, doubled before each further one, and its upper bound.
        max_wait_seconds: a source that asks for a longer wait (``Retry-After``) is not waited for.
    """

    connect_seconds: float = 10.0
    read_seconds: float = 60.0
    attempts: int = 5
    backoff_seconds: tuple[float, float] = (1.0, 30.0)
    max_wait_seconds: float = 300.0

    def wait_seconds(self, attempt: int, requested: float | None = None) -> float:
        """How long to wait after attempt ``attempt`` (from 1 on), at least as long as the server has ``requested``.

        >>> [RetryPolicy().wait_seconds(attempt) for attempt in (1, 2, 3, 9)]
        [1.0, 2.0, 4.0, 30.0]
        """
        first, longest = self.backoff_seconds
        return max(min(first * 2.0 ** (attempt - 1), longest), requested or 0.0)


class HostFailures:
    """Which hosts are not tried any more: those that failed the last three files. Shared by all threads of a download.

    Without it, a dead host that is the first source of 2,000 files would be waited for 2,000 times.
    """

    def __init__(self) -> None:
        self._failures: Counter[str] = Counter()
        self._lock = threading.Lock()

    def add_failure(self, url: str) -> None:
        """The host of ``url`` has failed a file."""
        with self._lock:
            self._failures[host_of(url)] += 1

    def reset(self, url: str) -> None:
        """The host of ``url`` has answered."""
        with self._lock:
            self._failures[host_of(url)] = 0

    def is_given_up(self, url: str) -> bool:
        """Whether the host of ``url`` is not to be tried any more."""
        return self._failures[host_of(url)] >= _MAX_HOST_FAILURES


@dataclass(frozen=True)
class FetchedFile:
    """A file that has arrived and is verified.

    Args:
        url: the source of its last bytes.
        digest: with its kind, see :func:`jukemir_like.downloads.verification.verify`.
        size: bytes.
    """

    url: str
    digest: str
    size: int


class _WrongFileError(Exception):
    """What arrived is not the declared file: another one, or pieces of two versions."""


def host_of(url: str) -> str:
    """Host and port of ``url``.

    >>> host_of("https://user@example.org:8080/a.mp3")
    'example.org:8080'
    """
    return urlsplit(url).netloc.rpartition("@")[2]


def fetch(
    asset: Asset, partial: PartialFile, session: requests.Session, failures: HostFailures, policy: RetryPolicy, progress: FileProgress
) -> FetchedFile:
    """Downloads the file of ``asset`` into ``partial``, complete and verified.

    Raises:
        InputError: no source has it; the message gives the reason for each. ``partial`` keeps what can be resumed.
        StorageError: the disk is full.
    """
    reasons: dict[str, str] = {}
    sources = list(asset.urls)
    for is_last_round in (False, True):
        next_round = []
        for url in sources:
            if not is_last_round and failures.is_given_up(url):
                reasons.setdefault(url, "not tried: it failed for several files before")
                continue
            try:
                digest = _fetch_from(url, asset, partial, session, policy, progress, retry_unreachable=is_last_round)
                failures.reset(url)
                return FetchedFile(url, digest, partial.size)
            except PermanentSourceError as error:
                failures.reset(url)
                reasons[url] = str(error)
            except TemporarySourceError as error:
                failures.add_failure(url)
                reasons[url] = str(error)
                if error.is_unreachable and not is_last_round:
                    next_round.append(url)
            except _WrongFileError as error:
                failures.reset(url)
                reasons[url] = str(error)
                next_round.append(url)
        sources = next_round
    raise InputError("; ".join(f"{host_of(url)}: {reason}" for url, reason in reasons.items()))


def _fetch_from(
    url: str,
    asset: Asset,
    partial: PartialFile,
    session: requests.Session,
    policy: RetryPolicy,
    progress: FileProgress,
    *,
    retry_unreachable: bool,
) -> str:
    """Downloads the file from one source; returns its digest."""
    attempts, most_bytes, resume = 0, partial.size, True
    timeout_seconds = (policy.connect_seconds, policy.read_seconds)
    while True:
        try:
            if not _is_complete(partial, asset):
                receive(session, url, asset, partial, timeout_seconds, progress, resume=resume)
        except CannotResumeError:
            resume = False
            continue
        except TemporarySourceError as error:
            if error.is_unreachable and not retry_unreachable:
                raise
            if partial.size > most_bytes and not error.is_trickle:
                attempts, most_bytes = 0, partial.size
            attempts, resume = attempts + 1, True
            wait = policy.wait_seconds(attempts, error.wait_seconds)
            if wait > policy.max_wait_seconds:
                raise TemporarySourceError(f"{error} and asks for a wait of {wait:.0f} s") from error
            if attempts >= policy.attempts:
                raise TemporarySourceError(f"{error}, {attempts} times in succession") from error
            progress.sleep(wait)
            continue
        try:
            return verify(partial.path, asset, partial.digest(progress.check_cancelled), progress.check_cancelled)
        except InputError as error:
            partial.discard()
            raise _WrongFileError(f"its file {error}") from error


def _is_complete(partial: PartialFile, asset: Asset) -> bool:
    """Whether all has arrived already: an earlier process was ended before it could verify the file."""
    total = asset.size if asset.size is not None else partial.version.total if partial.version else None
    return bool(partial.size) and total is not None and partial.size >= total
