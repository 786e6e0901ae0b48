"""Ogg: a file may hold several streams, one after another (a chain, RFC 3533); libsndfile decodes the first."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from jukemir_like.audio.formats.stream import Stream
from jukemir_like.core.errors import InputError

_BEGINS = 2  # flag of a stream's first page
_SLACK = 1 << 16  # a packet ends beyond the last position by less


@dataclass(frozen=True)
class _Page:
    start: int
    begins: bool
    position: int  # below 0: no packet ends on it, or the stream's beginning is to be cut off
    serial: int
    number: int


def streams(data: bytes, start: int) -> list[Stream]:
    """The links of a chain; see :func:`jukemir_like.audio.formats.streams`. A single one is left as it is."""
    links: list[int] = []
    ends: list[int] = []
    heading, latest = False, dict[int, int]()
    for page in _pages(data, start):
        if page.begins and not heading:
            links.append(page.start)
            ends.append(0)
            latest = {}
        heading = page.begins
        if ends:
            ends[-1] = max(ends[-1], page.position)
            if page.number < latest.get(page.serial, 0):
                raise InputError("is damaged: its pages are not in order")
            latest[page.serial] = page.number
    if len(links) < 2:
        return [Stream(room=ends[0] + _SLACK if ends else None)]
    return [Stream(data[first:last], room=end + _SLACK) for first, last, end in zip(links, [*links[1:], len(data)], ends, strict=True)]


def _pages(data: bytes, position: int) -> Iterator[_Page]:
    while True:
        position = data.find(b"OggS", position)
        if position < 0 or position + 27 > len(data):
            return
        flags, ends, serial, number, segments = *struct.unpack_from("<BqII", data, position + 5), data[position + 26]
        size = 27 + segments + sum(data[position + 27 : position + 27 + segments])
        begins = bool(flags & _BEGINS)
        if begins and not _is_whole(data[position : position + size]):
            position += 4
            continue
        yield _Page(position, begins, ends, serial, number)
        # Where a damaged page says too much, the next one is found inside it; a page inside a packet does not occur in audio.
        position += size if data.startswith(b"OggS", position + size) else 4


def _is_whole(page: bytes) -> bool:
    """Whether a page has the checksum that it says (the polynomial 0x04C11DB7, of the page with zeros for the checksum)."""
    checksum = 0
    for byte in page[:22] + bytes(4) + page[26:]:
        checksum ^= byte << 24
        for _ in range(8):
            checksum = (checksum << 1 ^ (0x04C11DB7 if checksum & 0x80000000 else 0)) & 0xFFFFFFFF
    return len(page) >= 27 and checksum == struct.unpack_from("<I", page, 22)[0]
