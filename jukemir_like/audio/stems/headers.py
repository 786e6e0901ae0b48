"""What every file of a folder holds, from its header: quick for tens of thousands of them, and one bad file costs only itself.

A header may also say what the channels are (:func:`channel_meaning`): loudspeakers that they are for, or a sound field. Either is evidence
that they are not stems.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import BinaryIO

import numpy as np

from jukemir_like.audio.inputs import open_input
from jukemir_like.audio.stems import reading
from jukemir_like.audio.stems.reading import open_sound, read_frames
from jukemir_like.audio.stems.tracks import Track, is_native
from jukemir_like.audio.wav import WavLayout, read_layout
from jukemir_like.core.errors import InputError, StorageError
from jukemir_like.core.parallel import map_unordered

_BATCH = 32  # files that a worker is given at once: a header costs less than handing over one file
_SAMPLED_FRAMES, _SAMPLED_PLACES = 4096, 16


@dataclass(frozen=True)
class FileHeader:
    """One file.

    Args:
        file: where its samples are: the file itself, or what it was decoded to.
        channels, sample_rate, frames: as in any audio file.
        layout: of a plain WAV.
        silent: all samples are 0.
        meaning: what the channels are by the header, see :func:`channel_meaning`.
    """

    file: Path
    channels: int
    sample_rate: int
    frames: int
    layout: WavLayout | None
    silent: bool
    meaning: str | None = None


Headers = Mapping[str, FileHeader | InputError]
"""Relative path → its header, or why the file cannot be used."""


def read_headers(folder: Path, names: Sequence[str], decoded: Path, workers: int) -> Headers:
    """The header of every file.

    Args:
        folder: where the files are.
        names: relative paths.
        decoded: folder for files that must be decoded before one can seek in them.
        workers: processes.

    Raises:
        StorageError: ``decoded`` cannot be written.
    """
    work = partial(_read_batch, folder, decoded)
    headers: dict[str, FileHeader | InputError] = {}
    suspects: list[str] = []
    for batch, result in map_unordered(work, _batches(names, _BATCH), min(workers, 1 + len(names) // _BATCH)):
        if isinstance(result, StorageError):
            raise result
        if isinstance(result, Exception):
            suspects += batch
        else:
            headers.update(zip(batch, result, strict=True))
    # A file that kills its worker took a batch along: each of these in a batch of its own.
    for (name,), result in map_unordered(work, _batches(suspects, 1), 2 if suspects else 1):
        if not isinstance(result, Exception):
            headers[name] = result[0]
        else:
            headers[name] = result if isinstance(result, InputError) else InputError(f"unexpected {type(result).__name__}: {result}")
    return headers


def _batches(names: Iterable[str], size: int) -> Iterator[list[str]]:
    iterator = iter(names)
    while batch := list(islice(iterator, size)):
        yield batch


def _read_batch(folder: Path, decoded: Path, names: list[str]) -> list[FileHeader | InputError]:
    results: list[FileHeader | InputError] = []
    for name in names:
        try:
            results.append(read_header(folder / name, decoded))
        except InputError as error:
            results.append(InputError(str(error)))
    return results


def read_header(path: Path, decoded: Path) -> FileHeader:
    """What one file holds.

    Args:
        path: the file.
        decoded: folder for what must be decoded before one can seek in it.

    Raises:
        InputError: it cannot be read, is not audio, is cut short, or has no samples.
    """
    if is_native(path):
        path = reading.decoded_wav(path, decoded)
    with open_input(path) as file:
        if not file.seek(0, 2):
            raise InputError("the file is empty (0 bytes)")
        file.seek(0)
        layout = read_layout(file)
        # Not read of a WAV in mono or stereo: on a network disk every read is a round trip.
        meaning = None
        if layout is None or layout.channels > 2:
            meaning = channel_meaning(file, layout.offset if layout else _HEADER_BYTES)
    if layout is not None:
        channels, sample_rate, frames = layout.channels, layout.sample_rate, layout.frames
    elif reading.is_seekable(path):
        channels, sample_rate, frames = _read_by_libsndfile(path)
    else:
        return replace(read_header(reading.decoded_wav(path, decoded), decoded), meaning=meaning)  # which the decoded file lacks
    track = Track("", (path,), sample_rate, frames, channels, layouts=(layout,))
    return FileHeader(path, channels, sample_rate, frames, layout, _is_silent(track), meaning)


def _read_by_libsndfile(path: Path) -> tuple[int, int, int]:
    with open_sound(path) as sound:
        if sound.frames <= 0 or sound.samplerate <= 0:
            raise InputError("holds no samples")
        return sound.channels, sound.samplerate, sound.frames


def _is_silent(track: Track) -> bool:
    """Whether all samples are 0. For music a few places are enough, from the middle outwards; only silence is read to its end."""
    span = max(1, track.frames - _SAMPLED_FRAMES)
    places = sorted(range(_SAMPLED_PLACES), key=lambda place: abs(place - _SAMPLED_PLACES // 2))
    if any(read_frames(track, place * span // _SAMPLED_PLACES, _SAMPLED_FRAMES).any() for place in places):
        return False
    step = 1 << 18
    return not any(np.any(read_frames(track, first, step)) for first in range(0, track.frames, step))


# What the channels are ---------------------------------------------------------------------------------------------------------------

SOUND_FIELD, LOUDSPEAKERS = "an ambisonic recording", "sound for loudspeakers"

_HEADER_BYTES = 1 << 14
_EXTENSIBLE = 0xFFFE
_B_FORMAT_GUID = bytes.fromhex("2107d3118644c8c1ca000000")  # after four bytes that say integers or floats
_WORDS = re.compile(rb"ambisonic|ambix|b-format", re.IGNORECASE)
_COMMENT_MASK = re.compile(rb"WAVEFORMATEXTENSIBLE_CHANNEL_MASK=0x([0-9a-f]+)", re.IGNORECASE)
_CAF_B_FORMAT, _CAF_NEUTRAL = 107, (0, 147, 0xFFFF)  # neutral: described one by one; in order, without meaning; unknown


def channel_meaning(file: BinaryIO, length: int = _HEADER_BYTES) -> str | None:
    """:data:`SOUND_FIELD` or :data:`LOUDSPEAKERS`; None where the first ``length`` bytes of an open file say neither.

    Read are WAVE_FORMAT_EXTENSIBLE (its mask of loudspeakers, and the GUIDs of Ambisonic B-format; in WAV, RF64 and W64), the channel
    layout of CAF, FLAC's comment with such a mask, Opus' mapping family, and the words of a description before the samples.
    """
    file.seek(0)
    header = file.read(min(length, _HEADER_BYTES))
    before_samples = header[: min(place for place in (header.find(b"data"), header.find(b"SSND"), len(header)) if place >= 0)]
    if _WORDS.search(before_samples):
        return SOUND_FIELD
    if header.startswith(b"OggS") and (place := header.find(b"OpusHead")) >= 0:
        return SOUND_FIELD if header[place + 18 : place + 19] in (b"\2", b"\3") else None
    if header.startswith(b"caff"):
        return _meaning_in_caf(header)
    if header.startswith(b"fLaC"):
        comment = _COMMENT_MASK.search(header)
        return LOUDSPEAKERS if comment and int(comment[1], 16) else None
    return _meaning_in_wav(before_samples)


def _meaning_in_wav(header: bytes) -> str | None:
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


def _meaning_in_caf(header: bytes) -> str | None:
    place = header.find(b"chan")
    if place < 0 or len(header) < place + 16:
        return None
    kind = struct.unpack_from(">I", header, place + 12)[0] >> 16
    return SOUND_FIELD if kind == _CAF_B_FORMAT else None if kind in _CAF_NEUTRAL else LOUDSPEAKERS
