"""Files whose names and contents come from somebody else: only regular files are opened, and no name leads out of its folder."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path, PurePosixPath
from typing import BinaryIO

_KINDS = {
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFDIR: "a folder",
}


def open_regular(path: str | os.PathLike[str]) -> BinaryIO:
    """Opens a regular file, or a link to one, for unbuffered reading; never waits for a writer, never reads a device.

    Raises:
        OSError: it cannot be opened, or is something else than a file; ``strerror`` says what, in words.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0))
    try:
        kind = stat.S_IFMT(os.fstat(descriptor).st_mode)
        if kind != stat.S_IFREG:
            raise OSError(errno.EINVAL, f"is {_KINDS.get(kind, 'something else')}, not a file", os.fspath(path))
        return open(descriptor, "rb", buffering=0)
    except BaseException:
        os.close(descriptor)
        raise


def read_regular(path: str | os.PathLike[str]) -> bytes:
    """The bytes of a regular file; raises as :func:`open_regular`."""
    with open_regular(path) as file:
        return file.read()


def refusal(error: OSError) -> str:
    """Why a file cannot be read, in words that follow its name: ``cannot be read (permission denied)``."""
    if error.errno == errno.EINVAL and (error.strerror or "").startswith("is "):
        return str(error.strerror)
    return f"cannot be read ({(error.strerror or type(error).__name__).lower()})"


def is_inside(name: str) -> bool:
    """Whether ``name``, a relative path with ``/`` that somebody else wrote, stays in the folder it is relative to.

    Not so are: an empty name, an absolute path, a part that is empty, ``.`` or ``..``, a NUL, half a character. (A link in the folder may
    still lead out of it: that is the folder's owner's will, not the name's.)
    """
    try:
        os.fsencode(name)
    except UnicodeEncodeError:  # half a character
        return False
    return bool(name) and "\0" not in name and all(part not in ("", ".", "..") for part in name.split("/"))


def inside(folder: Path, name: str) -> Path:
    """``folder / name``; :class:`ValueError` where ``name`` leads out of ``folder`` (see :func:`is_inside`)."""
    if not is_inside(name):
        raise ValueError(f"{name!r} leads out of its folder")
    return folder / PurePosixPath(name)
