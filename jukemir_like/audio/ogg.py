"""Ogg (RFC 3533): a file may hold several streams, one after another (a chain); libsndfile decodes the first."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from jukemir_like.audio.stream import Stream
from jukemir_like.core.errors import InputError

_FIRST_PAGE = 2  # flag of a stream's first page
_SLACK_SAMPLES = 1 << 16  # a packet ends beyond the last position by less


@dataclass(frozen=True)
class _Page:
    start: int  # byte of the file
    is_first: bool
    position: int  # samples up to its end; below 0: no packet ends on it, or the stream's beginning is to be cut off
    serial: int
    number: int


def streams(data: bytes, start: int) -> list[Stream]:
    """The links of a chain; see :func:`jukemir_like.audio.decoding.streams`. A single one is left as it is."""
    starts: list[int] = []
    ends: list[int] = []
    # The first pages of all streams of a link (one of sound, perhaps others) stand together; the next such group begins the next link.
    was_first, latest = False, dict[int, int]()
    for page in _pages(data, start):
        if page.is_first and not was_first:
            starts.append(page.start)
            ends.append(0)
            latest = {}
        was_first = page.is_first
        if ends:
            ends[-1] = max(ends[-1], page.position)
            if page.number < latest.get(page.serial, 0):
                raise InputError("is damaged: its pages are not in order")
            latest[page.serial] = page.number
    if len(starts) < 2:
        return [Stream(max_samples=ends[0] + _SLACK_SAMPLES if ends else None)]
    return [
        Stream(data[first:last], max_samples=end + _SLACK_SAMPLES)
        for first, last, end in zip(starts, [*starts[1:], len(data)], ends, strict=True)
    ]


def _pages(data: bytes, position: int) -> Iterator[_Page]:
    while True:
        position = data.find(b"OggS", position)
        if position < 0 or position + 27 > len(data):
            return
        flags, end, serial, number, segments = *struct.unpack_from("<BqII", data, position + 5), data[position + 26]
        size = 27 + segments + sum(data[position + 27 : position + 27 + segments])
        is_first = bool(flags & _FIRST_PAGE)
        if is_first and not _is_intact(data[position : position + size]):
            position += 4
            continue
        yield _Page(position, is_first, end, serial, number)
        # Where a damaged header gives too large a size, the next page is found inside this one. No packet of audio holds a page.
        position += size if data.startswith(b"OggS", position + size) else 4


def _is_intact(page: bytes) -> bool:
    """Whether a page has the checksum in its header (the polynomial 0x04C11DB7, of the page with zeros for the checksum)."""
    checksum = 0
    for byte in page[:22] + bytes(4) + page[26:]:
        checksum ^= byte << 24
        for _ in range(8):
            checksum = (checksum << 1 ^ (0x04C11DB7 if checksum & 0x80000000 else 0)) & 0xFFFFFFFF
    return len(page) >= 27 and checksum == struct.unpack_from("<I", page, 22)[0]
