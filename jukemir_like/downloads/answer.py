"""What a host's answer says of itself, compared with what was asked for before a byte of it is written.

Its status, its range and version (RFC 9110, 13.1.5 and 14.4), its length and its type.
"""

from __future__ import annotations

import re
import time
from email.utils import parsedate_to_datetime
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from jukemir_like.downloads.declaration import Asset
from jukemir_like.downloads.partial import Version

if TYPE_CHECKING:
    import requests

_PAGE_NAMES = (".html", ".htm")
_TEXT_NAMES = (".txt", ".csv", ".tsv", ".json", ".md", ".xml")
_PASSING_STATUS = {408, 425, 429}
_ENCODINGS = {"gzip", "x-gzip", "deflate"}


class Refused(Exception):  # noqa: N818 (these say what a source did; they are no errors to a user)
    """This source does not have the file; asking again would change nothing."""


class Passing(Exception):  # noqa: N818
    """Something that may pass: a cut connection, a busy server.

    Args:
        wait_seconds: what the server asks for.
        unreachable: there was no connection.
        trickle: bytes came, too slowly.
    """

    def __init__(self, reason: str, *, wait_seconds: float | None = None, unreachable: bool = False, trickle: bool = False):
        super().__init__(reason)
        self.trickle = trickle
        self.wait_seconds = wait_seconds
        self.unreachable = unreachable


class Anew(Exception):  # noqa: N818
    """The rest that was asked for is not to be had here: the whole file must be asked for."""


def check_status(answer: requests.Response, offset: int) -> None:
    """Raises unless it is 200, or 206 where the bytes from ``offset`` on were asked for."""
    status = answer.status_code
    if status == 200 or (status == 206 and offset):
        return
    if (length(answer) or 1 << 20) < 1 << 16:  # the connection is good for the next request only once all is read
        answer.raw.drain_conn()
    if status == 416 and offset:
        raise Anew
    said = f"{status} {answer.reason or ''}".strip()
    if status in _PASSING_STATUS or status >= 500:
        raise Passing(said, wait_seconds=_retry_after(answer))
    raise Refused(said)


def _retry_after(answer: requests.Response) -> float | None:
    """Seconds, from a number or from a date (RFC 9110, 10.2.3)."""
    given = answer.headers.get("Retry-After", "").strip()
    if re.fullmatch("[0-9]{1,9}", given):
        return float(given)
    try:
        return max(0.0, parsedate_to_datetime(given).timestamp() - time.time())
    except (ValueError, TypeError):
        return None


def is_encoded(answer: requests.Response, asset: Asset) -> bool:
    """Whether what comes must be decoded first. Some hosts call a .gz file's own format an encoding: that is left as it is."""
    return answer.headers.get("Content-Encoding", "").strip().lower() in _ENCODINGS and not asset.path.endswith((".gz", ".tgz"))


def version_of(answer: requests.Response, url: str, decode: bool) -> Version:
    """Which bytes these are; of a weak entity tag no notice is taken, as it may stand for other bytes."""
    if decode:  # lengths and ranges are those of the encoded bytes
        return Version(url)
    etag = answer.headers.get("ETag", "").strip()
    if answer.status_code == 206:
        said = re.fullmatch(r"\s*bytes\s+[0-9]+-[0-9]+/([0-9]+)\s*", answer.headers.get("Content-Range", ""))
        total = int(said[1]) if said else None
    else:
        total = length(answer)
    return Version(url, etag if etag.startswith('"') else None, answer.headers.get("Last-Modified"), total)


def length(answer: requests.Response) -> int | None:
    """``Content-Length`` in bytes; None where there is none."""
    given = answer.headers.get("Content-Length", "")
    return int(given) if re.fullmatch("[0-9]{1,18}", given) else None


def check_continues(answer: requests.Response, offset: int, before: Version | None, now: Version, decode: bool) -> None:
    """Raises :class:`Anew` unless what comes begins at ``offset`` and is of the version ``before``, as far as can be told."""
    said = re.fullmatch(r"\s*bytes\s+([0-9]+)-([0-9]+)/(?:[0-9]+|\*)\s*", answer.headers.get("Content-Range", ""))
    if decode or before is None or said is None or int(said[1]) != offset:
        raise Anew
    if None not in (before.total, now.total) and before.total != now.total:
        raise Anew
    if before.url == now.url:
        if None not in (before.etag, now.etag) and before.etag != now.etag:
            raise Anew
        if None in (before.etag, now.etag) and None not in (before.modified, now.modified) and before.modified != now.modified:
            raise Anew


def check_announced(answer: requests.Response, asset: Asset, version: Version) -> None:
    """Refuses, before anything of it is written, what cannot be the file."""
    suffix = PurePosixPath(asset.path).suffix.lower()
    has_digest = bool(asset.sha256 or asset.md5)
    if is_page(answer) and suffix not in _PAGE_NAMES and not (has_digest and suffix in _TEXT_NAMES):
        raise Refused("sent a web page instead of the file")
    if version.total is not None and asset.size is not None and version.total != asset.size:
        raise Refused(f"has a file of {version.total:,} bytes, not {asset.size:,}")
    chunked = answer.headers.get("Transfer-Encoding", "").lower() == "chunked"
    if not (has_digest or asset.contents or asset.size is not None or length(answer) is not None or chunked):
        raise Refused("does not say how long the file is, and nothing is declared to tell whether it is whole")


def is_page(answer: requests.Response) -> bool:
    """Whether it calls itself a web page: what hosts send, with status 200 too, when they mean something else."""
    return answer.headers.get("Content-Type", "").partition(";")[0].strip().lower() in ("text/html", "application/xhtml+xml")
