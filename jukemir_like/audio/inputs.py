"""Audio files as inputs: which a folder has, one opened, its digest. What cannot be used is an :class:`InputError`."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
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

_EXTENSIONS = frozenset(map(os.fsencode, EXTENSIONS))


@dataclass(frozen=True)
class FolderState:
    """What changes when an entry is added to a folder, removed from it or renamed in it, or when its rights change.

    Args:
        path: relative to the folder that was listed, ``""`` for that itself.
        inode, size, mtime_ns, ctime_ns: of the folder, as the file system has them.
    """

    path: str
    inode: int
    size: int
    mtime_ns: int
    ctime_ns: int

    @classmethod
    def of(cls, path: str, status: os.stat_result) -> FolderState:
        """The state that ``status`` tells."""
        return cls(path, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)


@dataclass(frozen=True)
class Listing:
    """The audio files of a folder at one moment, and what tells later that they still are its audio files.

    Args:
        names: relative paths as bytes, in the order of :func:`find`.
        folders: every folder that was listed, as it was before.
        unreadable: sub-folders that could not be read → why.
        lost_links: links that led nowhere; a folder may come to be where one leads to.
    """

    names: list[bytes] = field(default_factory=list)
    folders: list[FolderState] = field(default_factory=list)
    unreadable: dict[str, str] = field(default_factory=dict)
    lost_links: list[str] = field(default_factory=list)


def is_audio(path: Path) -> bool:
    """Whether a folder's file counts as an input: a known extension, not hidden.

    >>> is_audio(Path("song.WAV")), is_audio(Path("cover.jpg")), is_audio(Path(".song.wav"))
    (True, False, False)
    """
    return _is_audio(os.fsencode(path.name))


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
    listing = list_audio(folder)
    if on_error is None:
        check_readable(folder, listing)
    else:
        for path, reason in listing.unreadable.items():
            on_error(path, reason)
    return list(map(os.fsdecode, listing.names))


def check_readable(folder: Path, listing: Listing) -> None:
    """:class:`RequestError` where a sub-folder of ``folder`` could not be read."""
    for path, reason in listing.unreadable.items():
        raise _unreadable(os.fspath(folder / path), reason.removeprefix("folder "))


def list_audio(folder: Path) -> Listing:
    """What :func:`find` finds, as a :class:`Listing`. A name takes some 60 bytes of memory.

    Raises:
        RequestError: ``folder`` itself cannot be read.

    >>> list_audio(Path("music")).names
    [b'0.wav', b'1.wav', b'2.wav']
    """
    listing = Listing()
    visited: set[tuple[int, int]] = set()

    def visit(directory: bytes, name: bytes) -> None:
        entries: list[bytes] = []
        try:
            status = os.stat(directory)  # noqa: PTH116 -- a Path has no names of any bytes
            if (status.st_dev, status.st_ino) in visited:
                return
            visited.add((status.st_dev, status.st_ino))
            with os.scandir(directory) as iterator:
                for entry in iterator:
                    if entry.name.startswith(b"."):
                        continue
                    try:
                        is_folder, is_file = entry.is_dir(), entry.is_file()
                    except OSError:  # a link to itself
                        is_folder = is_file = False
                    path = name + entry.name
                    if is_folder:
                        entries.append(path + b"/")
                    elif _is_audio(entry.name):
                        entries.append(path)
                    if not is_folder and not is_file and entry.is_symlink():
                        listing.lost_links.append(os.fsdecode(path))
        except OSError as error:
            if not name:
                raise _unreadable(os.fsdecode(directory), files.refusal(error)) from error
            listing.unreadable[os.fsdecode(name[:-1])] = f"folder {files.refusal(error)}"
            return
        listing.folders.append(FolderState.of(os.fsdecode(name[:-1]), status))
        # Sorted with the "/" of folders, so that what is below them comes in its place.
        for path in sorted(entries):
            if path.endswith(b"/"):
                visit(os.path.join(root, path), path)  # noqa: PTH118
            else:
                listing.names.append(path)

    root = os.fsencode(folder)
    visit(root, b"")
    return listing


def is_current(folder: Path, folders: Iterable[FolderState], unreadable: Mapping[str, str], lost_links: Iterable[str]) -> bool:
    """Whether ``folder`` still has the audio files of a :class:`Listing` with these fields; asks each folder, not each file.

    What it does not see: a file that a link leads to has become a folder.
    """
    root = os.fspath(folder)

    def of(path: str) -> str:
        return f"{root}/{path}" if path else root  # twice as fast as a Path, and there may be many

    def is_same(known: FolderState) -> bool:  # twice as fast as to make another and compare
        now = os.stat(of(known.path))  # noqa: PTH116
        state = (known.inode, known.size, known.mtime_ns, known.ctime_ns)
        return (now.st_ino, now.st_size, now.st_mtime_ns, now.st_ctime_ns) == state

    try:
        if not all(map(is_same, folders)):
            return False
        if any(os.path.isdir(of(path)) for path in lost_links):  # noqa: PTH112
            return False
    except (OSError, ValueError):
        return False
    for path, reason in unreadable.items():
        try:
            with os.scandir(of(path)):
                return False
        except OSError as error:
            if f"folder {files.refusal(error)}" != reason:
                return False
    return True


def _is_audio(name: bytes) -> bool:
    dot = name.rfind(b".")
    return 0 < dot < len(name) - 1 and name[dot:].lower() in _EXTENSIONS and not name.startswith(b".")


def _unreadable(directory: str, reason: str) -> RequestError:
    shown = os.fsencode(directory).decode(errors="backslashreplace")
    return RequestError(f"folder {shown} {reason}: give it rights, or move it away")


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
