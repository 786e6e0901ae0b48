"""One HTTP exchange: ask for a file, or for the rest of one, and take what comes only where it is what was asked for.

A rest is asked for with ``Range`` and, of the source that sent the beginning, with ``If-Range`` (RFC 9110, 13.1.5 and 14.2), so that a file
that has changed since is sent whole. Another source's rest is taken only where a digest of the whole is declared.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from jukemir_like import __version__
from jukemir_like.core.disk import check_free_space
from jukemir_like.downloads.answer import (
    Passing,
    Refused,
    check_announced,
    check_continues,
    check_status,
    is_encoded,
    is_page,
    length,
    version_of,
)
from jukemir_like.downloads.declaration import Asset
from jukemir_like.downloads.partial import Partial

if TYPE_CHECKING:
    import requests

CHUNK_BYTES = 256 << 10
_SLOWEST = 100  # bytes a second, over as long as may pass without any


@dataclass(frozen=True)
class Patience:
    """How long to wait for whom.

    Args:
        connect_seconds: for a connection.
        read_seconds: for the next bytes.
        tries: of one source in succession without new bytes.
        backoff_seconds: wait before the second try, doubled before each further, and its upper bound.
        longest_wait_seconds: a source that asks for a longer wait (``Retry-After``) is not waited for.
    """

    connect_seconds: float = 10.0
    read_seconds: float = 60.0
    tries: int = 5
    backoff_seconds: tuple[float, float] = (1.0, 30.0)
    longest_wait_seconds: float = 300.0


class Watch(Protocol):
    """Who follows a transfer."""

    def alive(self) -> None:
        """Raises where the transfer is to end."""

    def arrived(self, size: int, total: int | None) -> None:
        """``size`` bytes of ``total`` are there; raises where the transfer is to end."""

    def pause(self, seconds: float) -> None:
        """Sleeps; raises where the transfer is to end."""


def session() -> requests.Session:
    """Connections that are kept open between files; for one thread."""
    import requests

    made = requests.Session()
    made.headers.update({"User-Agent": f"jukemir-like/{__version__}", "Accept": "*/*", "Accept-Encoding": "identity"})
    made.max_redirects = 10
    return made


def remote_size(client: requests.Session, url: str, timeout_seconds: float) -> int | None:
    """Bytes of the file at ``url`` as its host says; None where it does not."""
    import requests

    try:
        answer = client.head(url, allow_redirects=True, timeout=timeout_seconds)
    except requests.RequestException:
        return None
    with answer:
        plain = answer.status_code == 200 and not is_page(answer) and "Content-Encoding" not in answer.headers
        return length(answer) if plain else None


def receive(client: requests.Session, url: str, asset: Asset, partial: Partial, patience: Patience, watch: Watch, *, resume: bool) -> None:
    """Asks ``url`` for what ``partial`` lacks (with ``resume``; else for all) and adds it; returns when all that was announced is there.

    Raises:
        Refused, Passing, Anew: see there; ``partial`` holds what has come.
        StorageError: no room.
    """
    offset = partial.size if resume and _can_continue(partial, url, asset) else 0
    headers = {}
    if offset:
        partial.digest(watch.alive)
        headers["Range"] = f"bytes={offset}-"
        if partial.version and partial.version.url == url and partial.version.validator:
            headers["If-Range"] = partial.version.validator
    with _network(), client.get(url, headers=headers, stream=True, timeout=(patience.connect_seconds, patience.read_seconds)) as answer:
        check_status(answer, offset)
        decode = is_encoded(answer, asset)
        version = version_of(answer, url, decode)
        if answer.status_code == 206:
            check_continues(answer, offset, partial.version, version, decode)
        check_announced(answer, asset, version)
        check_free_space(
            partial.path,
            max(0, (version.total or 0) - offset),
            f"no room for {partial.path.stem} in {partial.path.parent}",
            advice="free some space, or choose another cache with --cache",
            reserve_bytes=0,
        )
        if answer.status_code != 206:
            partial.begin(version)
        totals = (asset.size, version.total, partial.version.total if partial.version else None)
        expected = next((total for total in totals if total is not None), None)
        _take_body(answer, partial, expected, patience, watch, decode)
    if expected is not None and partial.size < expected:
        raise Passing(f"ended after {partial.size:,} of {expected:,} bytes")


def _can_continue(partial: Partial, url: str, asset: Asset) -> bool:
    if not partial.size or partial.version is None:
        return False
    return bool(asset.sha256 or asset.md5) or (partial.version.url == url and partial.version.validator is not None)


@contextmanager
def _network() -> Iterator[None]:
    """Turns what requests and urllib3 raise into :class:`Refused` and :class:`Passing`."""
    import requests
    from urllib3 import exceptions

    try:
        yield
    except requests.TooManyRedirects as error:
        raise Refused("redirects without end") from error
    except (requests.exceptions.InvalidURL, requests.exceptions.InvalidSchema, requests.exceptions.MissingSchema) as error:
        raise Refused(f"leads to a place that is no web address: {error}") from error
    except (requests.ReadTimeout, exceptions.ReadTimeoutError) as error:
        raise Passing("sent nothing for too long") from error
    except (requests.ConnectionError, exceptions.HTTPError, requests.RequestException) as error:
        reason = _innermost(error)
        if "CERTIFICATE_VERIFY_FAILED" in reason:
            raise Refused("its certificate is not valid") from error
        if isinstance(error, exceptions.DecodeError):
            raise Refused(f"cannot be decoded: {reason}") from error
        unreachable = isinstance(error, requests.ConnectTimeout) or "NewConnectionError" in repr(error) or "NameResolution" in repr(error)
        raise Passing("cannot be reached" if unreachable else f"connection broken ({reason})", unreachable=unreachable) from error


def _innermost(error: BaseException) -> str:
    while (cause := error.__cause__ or error.__context__) is not None:
        error = cause
    return " ".join(str(error).split())[:120] or type(error).__name__


def _take_body(answer: requests.Response, partial: Partial, expected: int | None, patience: Patience, watch: Watch, decode: bool) -> None:
    since, arrived = time.monotonic(), 0
    # read1 gives what is there: what came before a cut is written, and a stop is heeded at once
    while chunk := answer.raw.read1(CHUNK_BYTES, decode_content=decode):
        if expected is not None and partial.size + len(chunk) > expected:
            raise Refused(f"sends more than the {expected:,} bytes of the file")
        partial.append(chunk)
        watch.arrived(partial.size, expected)
        arrived += len(chunk)
        if (passed := time.monotonic() - since) > patience.read_seconds:
            if arrived < _SLOWEST * passed:
                raise Passing(f"sent {arrived:,} bytes in {passed:.0f} s", trickle=True)
            since, arrived = time.monotonic(), 0
