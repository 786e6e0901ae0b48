"""What every file of a folder holds, from its head: quick for tens of thousands of them, and one bad file costs only itself."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from pathlib import Path

import numpy as np

from jukemir_like.audio.stems import native, speakers, wav
from jukemir_like.audio.stems.reading import opened, read_frames, readable
from jukemir_like.audio.stems.tracks import Track
from jukemir_like.audio.stems.wav import Layout
from jukemir_like.core.errors import InputError, StorageError
from jukemir_like.core.parallel import map_unordered

_BATCH = 32  # files a worker is given at once: a head costs less than handing over one file
_LOOK_SAMPLES, _LOOKS = 4096, 16


@dataclass(frozen=True)
class Head:
    """One file.

    Args:
        file: where its samples are: the file itself, or what it was decoded to.
        channels, sample_rate, frames: as in its head.
        layout: of a plain WAV.
        silent: not one sample differs from 0.
        speakers: what the channels are by the header, where it speaks of loudspeakers or a sound field (:mod:`.speakers`).
    """

    file: Path
    channels: int
    sample_rate: int
    frames: int
    layout: Layout | None
    silent: bool
    speakers: str | None = None


def heads(folder: Path, names: Sequence[str], decoded: Path, workers: int) -> dict[str, Head | InputError]:
    """The head of every file, or why it cannot be used, by its relative path.

    Args:
        folder: where the files are.
        names: relative paths.
        decoded: folder for files that must be decoded before one can seek in them.
        workers: processes.

    Raises:
        StorageError: ``decoded`` cannot be written.
    """
    work = partial(_heads_of, folder, decoded)
    found: dict[str, Head | InputError] = {}
    suspects: list[str] = []
    for batch, result in map_unordered(work, _batches(names, _BATCH), min(workers, 1 + len(names) // _BATCH)):
        if isinstance(result, StorageError):
            raise result
        if isinstance(result, Exception):
            suspects += batch
        else:
            found.update(zip(batch, result, strict=True))
    # A file that kills its worker took a batch along: each of these in a batch of its own.
    for (name,), result in map_unordered(work, _batches(suspects, 1), 2 if suspects else 1):
        if not isinstance(result, Exception):
            found[name] = result[0]
        else:
            found[name] = result if isinstance(result, InputError) else InputError(f"unexpected {type(result).__name__}: {result}")
    return found


def _batches(names: Iterable[str], size: int) -> Iterator[list[str]]:
    iterator = iter(names)
    while batch := list(islice(iterator, size)):
        yield batch


def _heads_of(folder: Path, decoded: Path, names: list[str]) -> list[Head | InputError]:
    result: list[Head | InputError] = []
    for name in names:
        try:
            path = folder / name
            result.append(head(path, decoded))
        except InputError as error:
            result.append(InputError(str(error)))
    return result


def head(path: Path, decoded: Path) -> Head:
    """What one file holds.

    Args:
        path: the file.
        decoded: folder for what must be decoded before one can seek in it.

    Raises:
        InputError: it cannot be read, is not audio, is cut short, or has no samples.
    """
    if native.is_native(path):
        path = native.decoded(path, decoded)
    with readable(path) as file:
        if not file.seek(0, 2):
            raise InputError("the file is empty (0 bytes)")
        file.seek(0)
        layout = wav.layout(file)
        # Not asked of a WAV in mono or stereo: on a network disk every read is a round trip.
        said = speakers.named(file) if layout is None else speakers.named(file, layout.offset) if layout.channels > 2 else None
    if layout is not None:
        channels, sample_rate, frames = layout.channels, layout.sample_rate, layout.frames
    elif native.is_seekable(path):
        channels, sample_rate, frames = _by_libsndfile(path)
    else:
        return replace(head(native.decoded(path, decoded), decoded), speakers=said)  # which the decoded file does not say
    track = Track("", (path,), sample_rate, frames, channels, layouts=(layout,))
    return Head(path, channels, sample_rate, frames, layout, _silent(track), said)


def _by_libsndfile(path: Path) -> tuple[int, int, int]:
    with opened(path) as sound:
        if sound.frames <= 0 or sound.samplerate <= 0:
            raise InputError("holds no samples")
        return sound.channels, sound.samplerate, sound.frames


def _silent(track: Track) -> bool:
    """Whether all samples are 0. Music is found out by a look at its middle; only silence is read to its end."""
    span = max(1, track.frames - _LOOK_SAMPLES)
    looks = sorted(range(_LOOKS), key=lambda look: abs(look - _LOOKS // 2))
    if any(read_frames(track, look * span // _LOOKS, _LOOK_SAMPLES).any() for look in looks):
        return False
    step = 1 << 18
    return not any(np.any(read_frames(track, first, step)) for first in range(0, track.frames, step))
