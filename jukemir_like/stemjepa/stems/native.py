"""``.stem.mp4``: one cannot seek to a sample in it cheaply, so it is decoded once, to a WAV with a channel a stem in a folder for such."""

from __future__ import annotations

import hashlib
from pathlib import Path

from jukemir_like import audio, stemfile
from jukemir_like.stemfile import SUFFIX, is_native

__all__ = ["SUFFIX", "decoded", "is_native"]


def decoded(path: Path, folder: Path) -> Path:
    """The WAV of ``path``'s stems in ``folder``: an earlier one, if ``path`` has not changed, or a new one.

    Raises:
        InputError: no ffmpeg, or it cannot decode ``path``.
        StorageError: ``folder`` cannot be written.
    """
    status = path.stat()
    key = f"{path.absolute()}\0{status.st_size}\0{status.st_mtime_ns}".encode(errors="surrogateescape")
    target = folder / f"{hashlib.sha256(key).hexdigest()[:32]}.wav"
    if not target.is_file():
        stems = stemfile.decode_native(path)
        audio.write_wav(target, stems.samples, stems.sample_rate)
    return target
