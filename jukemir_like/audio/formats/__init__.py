"""What a file of audio really holds, where its header does not say it: a length that is estimated, missing or wrong, several streams.

libsndfile decodes one stream, and no further than the header says. :func:`streams` looks at the bytes instead, and gives what libsndfile
must be handed to decode all of it. Nothing is decoded here.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import BinaryIO

from jukemir_like.audio.formats import flac, headers, mpeg, ogg
from jukemir_like.audio.formats.stream import AS_IT_IS, Stream

__all__ = ["AS_IT_IS", "Stream", "streams"]


def streams(file: BinaryIO, declared: Callable[[], int]) -> list[Stream]:
    """The streams of an open file, to be decoded one after another.

    Args:
        file: open for reading; afterwards it stands at its beginning again.
        declared: how many frames libsndfile says that the file has; called where that is its own estimate.

    Raises:
        InputError: it changes its sample rate or its channels in the middle, or it does not tell how long it is.
    """
    try:
        file.seek(0)
        start = mpeg.after_tags(file)
        file.seek(start)
        head = file.read(16)
        if head[:4] == b"fLaC":
            return flac.streams(_all(file), start)
        if head[:4] == b"OggS":
            return ogg.streams(_all(file), start)
        if mpeg.is_frame(head):
            return mpeg.streams(_all(file), start, declared)
        patches = headers.patches(file, head) if not start else {}
        if not patches:
            return [AS_IT_IS]
        data = bytearray(_all(file))
        for offset, field in patches.items():
            data[offset : offset + len(field)] = field
        return [Stream(bytes(data))]
    finally:
        file.seek(0, io.SEEK_SET)


def _all(file: BinaryIO) -> bytes:
    file.seek(0)
    return file.read()
