"""One HTTP exchange: request a file, or the rest of one, and accept only a response that can be what was requested.

The rest is requested with ``Range`` and, from the source that sent the beginning, with ``If-Range`` (RFC 9110, 13.1.5 and 14.2), so that a
file that has changed since is sent from its first byte. From another source the rest is accepted only where a digest of the whole file is
declared. Status, range, version, length and type of a response are checked before a byte of it is written.

What can go wrong is one of three: :class:`TemporarySourceError` (try again later), :class:`PermanentSourceError` (try another source),
:class:`CannotResumeError` (request the whole file). How often to try is decided in :mod:`jukemir_like.downloads.retries`.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from email.utils import parsedate_to_datetime
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from jukemir_like.core.files import check_free_space
from jukemir_like.core.version import __version__
from jukemir_like.downloads.declarations import Asset
from jukemir_like.downloads.partial_files import FileVersion, PartialFile
from jukemir_like.downloads.threads import FileProgress

if TYPE_CHECKING:
    import requests

_CHUNK_BYTES = 256 << 10
_MIN_BYTES_PER_SECOND = 100  # on average over the read timeout; slower counts as a stalled connection
_MAX_REDIRECTS = 10
_SMALL_BODY_BYTES = 1 << 16
_PAGE_SUFFIXES = (".html", ".htm")
_TEXT_SUFFIXES = (".txt", ".csv", ".tsv", ".json", ".md", ".xml")
_TEMPORARY_STATUS = {408, 425, 429}  # besides all from 500 on
_ENCODINGS = {"gzip", "x-gzip", "deflate"}


class TemporarySourceError(Exception):
    """A failure that may pass: a connection that breaks, a busy server.

    Args:
        reason: in words that follow the source's name.
        wait_seconds: how long the server asks to wait.
        is_unreachable: there was no connection.
        is_trickle: bytes came, but too slowly.
    """

    def __init__(self, reason: str, *, wait_seconds: float | None = None, is_unreachable: bool = False, is_trickle: bool = False):
        super().__init__(reason)
        self.wait_seconds = wait_seconds
        self.is_unreachable = is_unreachable
        self.is_trickle = is_trickle


class PermanentSourceError(Exception):
    """This source does not have the file; another request would get the same answer."""


class CannotResumeError(Exception):
    """This source does not send the rest that was requested: the whole file must be requested."""


def new_session() -> requests.Session:
    """A client that keeps connections open between files; for one thread."""
    import requests

    session = requests.Session()
    session.headers.update({"User-Agent": f"jukemir-like/{__version__}", "Accept": "*/*", "Accept-Encoding": "identity"})
    session.max_redirects = _MAX_REDIRECTS
    return session


def remote_size(session: requests.Session, url: str, timeout_seconds: float) -> int | None:
    """Bytes of the file at ``url`` as its host reports them; None where it does not."""
    import requests

    try:
        response = session.head(url, allow_redirects=True, timeout=timeout_seconds)
    except requests.RequestException:
        return None
    with response:
        is_file = response.status_code == 200 and not _is_page(response) and "Content-Encoding" not in response.headers
        return _content_length(response) if is_file else None


def receive(
    session: requests.Session,
    url: str,
    asset: Asset,
    partial: PartialFile,
    timeout_seconds: tuple[float, float],
    progress: FileProgress,
    *,
    resume: bool,
) -> None:
    """Requests the file at ``url`` and appends what arrives to ``partial``; returns when all that was announced is there.

    Args:
        session: see :func:`new_session`.
        url: of the file.
        asset: what is declared of it.
        partial: its beginning, where there is one.
        timeout_seconds: for a connection, and for the next bytes.
        progress: updated with each chunk; may raise to end the transfer.
        resume: request only what ``partial`` lacks, where that is possible.

    Raises:
        TemporarySourceError, PermanentSourceError, CannotResumeError: see there; ``partial`` keeps what has arrived.
        StorageError: the disk is full.
    """
    offset = partial.size if resume and _can_resume(partial, url, asset) else 0
    headers = {}
    if offset:
        partial.digest(progress.check_cancelled)  # before the connection is open, as it may take a while
        headers["Range"] = f"bytes={offset}-"
        if partial.version and partial.version.url == url and partial.version.validator:
            headers["If-Range"] = partial.version.validator
    with _network_errors(), session.get(url, headers=headers, stream=True, timeout=timeout_seconds) as response:
        _check_status(response, offset)
        decode = _is_encoded(response, asset)
        version = _file_version(response, url, decode)
        if response.status_code == 206:
            _check_continues(response, offset, partial.version, version, decode)
        _check_headers(response, asset, version)
        check_free_space(
            partial.path,
            max(0, (version.total or 0) - offset),
            f"no room for {partial.path.stem} in {partial.path.parent}",
            advice="free some space, or choose another cache with --cache",
            reserve_bytes=0,
        )
        if response.status_code != 206:
            partial.restart(version)
        totals = (asset.size, version.total, partial.version.total if partial.version else None)
        expected = next((total for total in totals if total is not None), None)
        _receive_body(response, partial, expected, timeout_seconds[1], progress, decode)
    if expected is not None and partial.size < expected:
        raise TemporarySourceError(f"ended after {partial.size:,} of {expected:,} bytes")


def _can_resume(partial: PartialFile, url: str, asset: Asset) -> bool:
    if not partial.size or partial.version is None:
        return False
    return bool(asset.file_digests) or (partial.version.url == url and partial.version.validator is not None)


def _receive_body(
    response: requests.Response, partial: PartialFile, expected: int | None, read_seconds: float, progress: FileProgress, decode: bool
) -> None:
    since, received = time.monotonic(), 0
    # read1 returns what is there: what came before a connection broke is written, and a cancelled download ends at once
    while chunk := response.raw.read1(_CHUNK_BYTES, decode_content=decode):
        if expected is not None and partial.size + len(chunk) > expected:
            raise PermanentSourceError(f"sends more than the {expected:,} bytes of the file")
        partial.append(chunk)
        progress.update(partial.size, expected)
        received += len(chunk)
        if (seconds := time.monotonic() - since) > read_seconds:
            if received < _MIN_BYTES_PER_SECOND * seconds:
                raise TemporarySourceError(f"sent {received:,} bytes in {seconds:.0f} s", is_trickle=True)
            since, received = time.monotonic(), 0


@contextmanager
def _network_errors() -> Iterator[None]:
    """Turns what requests and urllib3 raise into the errors of this module."""
    import requests
    from urllib3 import exceptions

    try:
        yield
    except requests.TooManyRedirects as error:
        raise PermanentSourceError("redirects without end") from error
    except (requests.exceptions.InvalidURL, requests.exceptions.InvalidSchema, requests.exceptions.MissingSchema) as error:
        raise PermanentSourceError(f"leads to something that is no web address: {error}") from error
    except (requests.ReadTimeout, exceptions.ReadTimeoutError) as error:
        raise TemporarySourceError("sent nothing for too long") from error
    except (requests.ConnectionError, exceptions.HTTPError, requests.RequestException) as error:
        reason = _root_cause(error)
        if "CERTIFICATE_VERIFY_FAILED" in reason:
            raise PermanentSourceError("its certificate is not valid") from error
        if isinstance(error, exceptions.DecodeError):
            raise PermanentSourceError(f"cannot be decoded: {reason}") from error
        is_unreachable = (
            isinstance(error, requests.ConnectTimeout) or "NewConnectionError" in repr(error) or "NameResolution" in repr(error)
        )
        message = "cannot be reached" if is_unreachable else f"connection broken ({reason})"
        raise TemporarySourceError(message, is_unreachable=is_unreachable) from error


def _root_cause(error: BaseException) -> str:
    while (cause := error.__cause__ or error.__context__) is not None:
        error = cause
    return " ".join(str(error).split())[:120] or type(error).__name__


# What a response says of itself.


def _check_status(response: requests.Response, offset: int) -> None:
    """Accepts 200, and 206 where the bytes from ``offset`` on were requested."""
    status = response.status_code
    if status == 200 or (status == 206 and offset):
        return
    # The connection can be used for the next request only once the body is read. Of a long one, a new connection costs less.
    if (_content_length(response) or 1 << 20) < _SMALL_BODY_BYTES:
        response.raw.drain_conn()
    if status == 416 and offset:
        raise CannotResumeError
    reason = f"{status} {response.reason or ''}".strip()
    if status in _TEMPORARY_STATUS or status >= 500:
        raise TemporarySourceError(reason, wait_seconds=_retry_after_seconds(response))
    raise PermanentSourceError(reason)


def _retry_after_seconds(response: requests.Response) -> float | None:
    """``Retry-After``, which is a number of seconds or a date (RFC 9110, 10.2.3)."""
    header = response.headers.get("Retry-After", "").strip()
    if re.fullmatch("[0-9]{1,9}", header):
        return float(header)
    try:
        return max(0.0, parsedate_to_datetime(header).timestamp() - time.time())
    except (ValueError, TypeError):
        return None


def _is_encoded(response: requests.Response, asset: Asset) -> bool:
    """Whether the body must be decoded. Some hosts declare the format of a .gz file itself as an encoding: such a file stays as it is."""
    return response.headers.get("Content-Encoding", "").strip().lower() in _ENCODINGS and not asset.path.endswith((".gz", ".tgz"))


def _file_version(response: requests.Response, url: str, decode: bool) -> FileVersion:
    """Which version of the file this is. Weak entity tags are ignored, as other bytes may have the same one."""
    if decode:  # lengths and ranges are those of the encoded bytes
        return FileVersion(url)
    etag = response.headers.get("ETag", "").strip()
    if response.status_code == 206:
        content_range = _content_range(response)
        total = content_range[1] if content_range else None
    else:
        total = _content_length(response)
    return FileVersion(url, etag if etag.startswith('"') else None, response.headers.get("Last-Modified"), total)


def _content_length(response: requests.Response) -> int | None:
    header = response.headers.get("Content-Length", "")
    return int(header) if re.fullmatch("[0-9]{1,18}", header) else None


def _content_range(response: requests.Response) -> tuple[int, int | None] | None:
    """First byte and length of the whole file, where that is known; None: no such header (RFC 9110, 14.4)."""
    match = re.fullmatch(r"\s*bytes\s+([0-9]+)-[0-9]+/([0-9]+|\*)\s*", response.headers.get("Content-Range", ""))
    return (int(match[1]), None if match[2] == "*" else int(match[2])) if match else None


def _check_continues(response: requests.Response, offset: int, before: FileVersion | None, now: FileVersion, decode: bool) -> None:
    """Raises unless the body begins at ``offset`` and is of the version ``before``, as far as headers tell."""
    content_range = _content_range(response)
    if decode or before is None or content_range is None or content_range[0] != offset:
        raise CannotResumeError
    if None not in (before.total, now.total) and before.total != now.total:
        raise CannotResumeError
    if before.url == now.url:
        if None not in (before.etag, now.etag) and before.etag != now.etag:
            raise CannotResumeError
        # A date has seconds only: it counts where one of the two has no entity tag.
        if None in (before.etag, now.etag) and None not in (before.modified, now.modified) and before.modified != now.modified:
            raise CannotResumeError


def _check_headers(response: requests.Response, asset: Asset, version: FileVersion) -> None:
    """Rejects what cannot be the file, before anything of it is written."""
    suffix = PurePosixPath(asset.path).suffix.lower()
    has_digest = bool(asset.file_digests)
    if _is_page(response) and suffix not in _PAGE_SUFFIXES and not (has_digest and suffix in _TEXT_SUFFIXES):
        raise PermanentSourceError("sent a web page instead of the file")
    if version.total is not None and asset.size is not None and version.total != asset.size:
        raise PermanentSourceError(f"has a file of {version.total:,} bytes, not {asset.size:,}")
    is_chunked = response.headers.get("Transfer-Encoding", "").lower() == "chunked"
    if not (has_digest or asset.contents or asset.size is not None or _content_length(response) is not None or is_chunked):
        raise PermanentSourceError("does not say how long the file is, and nothing is declared to tell whether it is complete")


def _is_page(response: requests.Response) -> bool:
    """Whether it is a web page by its own account: what hosts send instead of a file, with status 200 too."""
    return response.headers.get("Content-Type", "").partition(";")[0].strip().lower() in ("text/html", "application/xhtml+xml")
