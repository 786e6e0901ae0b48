"""One stream of an audio file, and the ID3 tags that may stand before any.

libsndfile decodes one stream, and no further than the header says. But a file may hold several streams one after another, and its header
may give no length, or a wrong one. So the modules of the formats (``uncompressed``, ``flac``, ``mpeg``, ``ogg``) look at the bytes, and
give what libsndfile must be handed to decode all of them: a list of :class:`Stream`. They decode nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import BinaryIO


@dataclass(frozen=True)
class Stream:
    """What libsndfile is handed.

    Args:
        data: the bytes of a file that holds this stream alone, with a right header; None: the file itself.
        max_samples: of each channel, where the number that libsndfile gives may be absurd; None: as many as it gives.
        skip_samples: of each channel, at the beginning, that do not belong to the file.
        min_samples: how many of each channel must be decoded behind those, or something was lost.
    """

    data: bytes | None = None
    max_samples: int | None = None
    skip_samples: int = 0
    min_samples: int = 0


UNCHANGED = Stream()
"""The file itself, of which libsndfile decodes all that there is."""


def after_id3_tags(file: BinaryIO) -> int:
    """The first byte behind the ID3v2 tags that an open file begins with; 0 where it begins with none."""
    position = 0
    while True:
        file.seek(position)
        header = file.read(10)
        if header[:3] != b"ID3" or not (length := id3_length(header)):
            return position
        position += length


def id3_length(header: bytes) -> int:
    r"""Bytes of an ID3v2 tag with its header (and footer), from its first ten bytes; 0 where they are damaged.

    >>> id3_length(b"ID3\4\0\0\0\0\1\0")
    138
    """
    if len(header) < 10 or any(byte & 0x80 for byte in header[6:10]):
        return 0
    length = header[6] << 21 | header[7] << 14 | header[8] << 7 | header[9]  # 7 bits per byte, so that none looks like a frame of MPEG
    return 10 + length + (10 if header[5] & 0x10 else 0)
