"""``.stem.mp4`` (Native Instruments' Stems, and MUSDB18): stream 0 is the mixture, the others are the stems, compressed.

One cannot seek to a sample in them cheaply, so each is decoded once, by ffmpeg, to a WAV of one channel a stem in a folder for such.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

import numpy as np
import soundfile

from jukemir_like import audio
from jukemir_like.cache import make_folder, storage_errors
from jukemir_like.errors import InputError

SUFFIX = ".stem.mp4"
_AUDIO_STREAM = re.compile(r"^\s*Stream #0:\d+.*: Audio:", re.MULTILINE)
_ORDER = (1, 0, 2, 3)  # of four: the file has drums, bass, other, vocals; all else here has bass, drums, other, vocals


def is_native(path: Path) -> bool:
    """Whether a file's name says that it is such."""
    return path.name.lower().endswith(SUFFIX)


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
        _decode(path, target)
    return target


def _decode(path: Path, target: Path) -> None:
    program = shutil.which("ffmpeg")
    if program is None:
        raise InputError("needs ffmpeg, which is not on the PATH: install it, or convert the file to a WAV with a channel a stem")
    # ffmpeg without an output tells what the input holds, on stderr, and fails.
    information = subprocess.run([program, "-nostdin", "-hide_banner", "-i", _url(path)], capture_output=True)
    streams = len(_AUDIO_STREAM.findall(information.stderr.decode(errors="replace")))
    if streams < 3:
        raise InputError(f"holds {streams} streams of audio where a mixture and two stems or more are expected")
    make_folder(target.parent)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".tmp-") as scratch:
        outputs = [Path(scratch) / f"{stream}.wav" for stream in range(1, streams)]
        maps = [part for stream, output in enumerate(outputs, 1) for part in ("-map", f"0:a:{stream}", "-c:a", "pcm_s16le", _url(output))]
        done = subprocess.run([program, "-nostdin", "-v", "error", "-i", _url(path), *maps], capture_output=True)
        if done.returncode:
            reason = done.stderr.decode(errors="replace").strip().splitlines()
            raise InputError(f"cannot be decoded by ffmpeg ({reason[-1] if reason else f'it ended with {done.returncode}'})")
        with storage_errors(target):
            _join(outputs, target)


def _join(outputs: list[Path], target: Path) -> None:
    """One channel a stem: the plain mean of its own; shorter stems end in silence."""
    parts = [soundfile.read(output, dtype="float32", always_2d=True) for output in outputs]
    rates = {rate for _, rate in parts}
    if len(rates) > 1:
        raise InputError(f"has stems of different sample rates: {', '.join(map(str, sorted(rates)))} Hz")
    stems = np.zeros((len(parts), max(len(samples) for samples, _ in parts)), np.float32)
    for stem, (samples, _) in zip(stems, parts, strict=True):
        stem[: len(samples)] = samples.mean(axis=1)
    audio.write_wav(target, stems[list(_ORDER)] if len(stems) == len(_ORDER) else stems, rates.pop())


def _url(path: Path) -> str:
    """A name that ffmpeg takes for a file whatever characters are in it."""
    return "file:" + os.fspath(path.absolute())
