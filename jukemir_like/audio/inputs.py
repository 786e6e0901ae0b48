"""Audio files as inputs: which a folder has, one opened, its digest. What cannot be used is an :class:`InputError`."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from jukemir_like.core import files
from jukemir_like.core.errors import InputError, RequestError

EXTENSIONS = frozenset(
    {".wav", ".wave", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aif", ".aiff", ".aifc", ".au", ".snd", ".caf", ".w64", ".rf64"}
    | {".m4a", ".mp4", ".aac", ".wma"}
)
"""What counts as an audio file in a folder (lower case). The last four are decoded by ffmpeg; without one they are inputs all the same, so
that they are reported and not silently left out."""


def is_audio(path: Path) -> bool:
    """Whether a folder's file counts as an input: a known extension, not hidden.

    >>> is_audio(Path("song.WAV")), is_audio(Path("cover.jpg")), is_audio(Path(".song.wav"))
    (True, False, False)
    """
    return path.suffix.lower() in EXTENSIONS and not path.name.startswith(".")


def find(folder: Path, *, on_error: Callable[[str, str], None] | None = None) -> list[str]:
    """Audio files of ``folder`` and its sub-folders, as relative paths with ``/``, sorted by their bytes.

    Hidden files and folders are left out. Links to folders are followed once; a loop of links is not. What has the name of an audio file is
    listed, and opening it says why it is none (a named pipe, a link that leads nowhere).

    Args:
        folder: what to search.
        on_error: called with the relative path of each sub-folder that cannot be read, and why; None: that is an error.

    Raises:
        RequestError: ``folder`` itself, or without ``on_error`` a sub-folder, cannot be read.

    >>> find(Path("music"))
    ['0.wav', '1.wav', '2.wav']
    """
    names: list[str] = []
    visited: set[tuple[int, int]] = set()

    def visit(directory: str, name: str) -> None:
        try:
            status = Path(directory).stat()
            if (status.st_dev, status.st_ino) in visited:
                return
            visited.add((status.st_dev, status.st_ino))
            with os.scandir(directory) as iterator:
                entries = list(iterator)
        except OSError as error:
            if on_error is None or not name:
                shown = os.fsencode(directory).decode(errors="backslashreplace")
                raise RequestError(f"folder {shown} {files.refusal(error)}: give it rights, or move it away") from error
            on_error(name, f"folder {files.refusal(error)}")
            return
        for entry in entries:
            if entry.name.startswith("."):
                continue
            path = f"{name}/{entry.name}" if name else entry.name
            try:
                is_folder = entry.is_dir()
            except OSError:  # a link to itself
                is_folder = False
            if is_folder:
                visit(entry.path, path)
            elif is_audio(Path(entry.name)):
                names.append(path)

    visit(os.fspath(folder), "")
    return sorted(names, key=os.fsencode)


@contextmanager
def open_input(path: Path) -> Iterator[BinaryIO]:
    """A regular file opened without a buffer; :class:`InputError` for what the system refuses in the block."""
    with input_errors(), files.open_regular(path) as file:
        yield file


@contextmanager
def input_errors() -> Iterator[None]:
    """What the system refuses to read in the block becomes an :class:`InputError` of one line."""
    try:
        yield
    except OSError as error:
        raise InputError(files.refusal(error)) from error


def digest(path: Path) -> str:
    """SHA-256 of a file's bytes; :class:`InputError` where it cannot be read."""
    with input_errors():
        return files.sha256(path)
