"""What one cannot seek in to a sample, or not cheaply, is decoded once, to a WAV in a folder for such: ``.stem.mp4``, files for ffmpeg,
and those whose header says nothing, or something wrong, about their length.
"""

from __future__ import annotations

import hashlib
import os
import struct
from pathlib import Path

import numpy as np

from jukemir_like import audio
from jukemir_like.audio import Audio, ffmpeg, formats, stemfile
from jukemir_like.audio.formats import flac
from jukemir_like.audio.stemfile import SUFFIX, is_native
from jukemir_like.audio.stems.reading import opened, readable
from jukemir_like.core.atomic import atomic_write

__all__ = ["SUFFIX", "decoded", "is_native", "is_seekable"]


def is_seekable(path: Path) -> bool:
    """Whether libsndfile finds every sample of a file as it is.

    Raises:
        InputError: it cannot be read, or is not audio.
    """
    with readable(path) as file:
        if ffmpeg.demuxer(file) is not None:
            return False
        if flac.ends_as_it_says(file):  # by its first and last bytes: there may be thousands of large ones
            return True
        streams = formats.streams(file, lambda: 0)
    if any(stream.data is not None for stream in streams):
        return False
    return streams[0] == formats.AS_IT_IS or _is_as_long_as_it_says(path)


def _is_as_long_as_it_says(path: Path) -> bool:
    with opened(path) as sound:
        if sound.frames <= 0 or not sound.seekable():
            return False
        sound.seek(sound.frames - 1)
        return len(sound.read(1)) == 1


def decoded(path: Path, folder: Path) -> Path:
    """The WAV of ``path``'s channels (of a ``.stem.mp4``: its stems) in ``folder``: an earlier one, if ``path`` has not changed, or a new.

    Raises:
        InputError: it cannot be decoded, or needs ffmpeg and there is none.
        StorageError: ``folder`` cannot be written.
    """
    with readable(path) as file:
        status = os.fstat(file.fileno())
    key = f"{path.absolute()}\0{status.st_size}\0{status.st_mtime_ns}".encode(errors="surrogateescape")
    target = folder / f"{hashlib.sha256(key).hexdigest()[:32]}.wav"
    if not target.is_file():
        if is_native(path):
            stems = stemfile.decode_native(path)
            audio.write_wav(target, stems.samples, stems.sample_rate)
        else:
            _write(target, audio.decode(path))
    return target


def _write(path: Path, sound: Audio) -> None:
    """Writes a WAV of floats: the samples are those of the source to the bit."""
    frames = np.ascontiguousarray(sound.samples.T, "<f4")
    channels, rate, size = frames.shape[1], sound.sample_rate, min(frames.nbytes, 0xFFFFFFFF - 36)
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, 3, channels, rate, 4 * channels * rate, 4 * channels, 32)
    with atomic_write(path) as temporary, open(temporary, "wb") as file:
        file.write(struct.pack("<4sI4s", b"RIFF", 36 + size, b"WAVE") + form + struct.pack("<4sI", b"data", size))
        file.write(frames.data)
