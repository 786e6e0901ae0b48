"""What a file's header says of its channels: loudspeakers that they are for, or a sound field. Either speaks against stems.

Read are WAVE_FORMAT_EXTENSIBLE (its mask of loudspeakers, and the GUIDs of Ambisonic B-format; in WAV, RF64 and W64), the channel layout of
CAF, FLAC's comment with such a mask, Opus' mapping family, and the words of a description that stands before the samples.
"""

from __future__ import annotations

import re
import struct
from typing import BinaryIO

SOUND_FIELD, LOUDSPEAKERS = "an ambisonic recording", "sound for loudspeakers"

_HEADER_BYTES = 1 << 14
_EXTENSIBLE = 0xFFFE
_B_FORMAT_GUID = bytes.fromhex("2107d3118644c8c1ca000000")  # after four bytes that say integers or floats
_WORDS = re.compile(rb"ambisonic|ambix|b-format", re.IGNORECASE)
_COMMENT_MASK = re.compile(rb"WAVEFORMATEXTENSIBLE_CHANNEL_MASK=0x([0-9a-f]+)", re.IGNORECASE)
_CAF_B_FORMAT, _CAF_NEUTRAL = 107, (0, 147, 0xFFFF)  # described one by one; in order, without meaning; unknown


def named(file: BinaryIO, length: int = _HEADER_BYTES) -> str | None:
    """:data:`SOUND_FIELD` or :data:`LOUDSPEAKERS`; None where the first ``length`` bytes of an open file say neither."""
    file.seek(0)
    header = file.read(min(length, _HEADER_BYTES))
    before = header[: min(place for place in (header.find(b"data"), header.find(b"SSND"), len(header)) if place >= 0)]
    if _WORDS.search(before):
        return SOUND_FIELD
    if header.startswith(b"OggS") and (place := header.find(b"OpusHead")) >= 0:
        return SOUND_FIELD if header[place + 18 : place + 19] in (b"\2", b"\3") else None
    if header.startswith(b"caff"):
        return _of_caf(header)
    if header.startswith(b"fLaC"):
        comment = _COMMENT_MASK.search(header)
        return LOUDSPEAKERS if comment and int(comment[1], 16) else None
    return _of_wav(before)


def _of_wav(header: bytes) -> str | None:
    place = header.find(b"fmt ")
    if place < 0:
        return None
    place += 24 if header.startswith(b"riff") else 8  # W64: a name of 16 bytes and a length of 8
    form = header[place : place + 40]
    if len(form) < 40 or struct.unpack_from("<H", form)[0] != _EXTENSIBLE:
        return None
    if form[28:] == _B_FORMAT_GUID:
        return SOUND_FIELD
    channels, mask = struct.unpack_from("<H", form, 2)[0], struct.unpack_from("<I", form, 20)[0]
    return LOUDSPEAKERS if mask.bit_count() >= channels else None


def _of_caf(header: bytes) -> str | None:
    place = header.find(b"chan")
    if place < 0 or len(header) < place + 16:
        return None
    kind = struct.unpack_from(">I", header, place + 12)[0] >> 16
    return SOUND_FIELD if kind == _CAF_B_FORMAT else None if kind in _CAF_NEUTRAL else LOUDSPEAKERS
