"""Reading files whose names and contents come from somebody else: only regular files are opened, and no name leads out of its folder.

What goes wrong while a file of the cache is read becomes one error that names the file and says what to do (:func:`damage_errors`). Before
large files are written, :func:`check_free_space` asks for the space.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from jukemir_like.core.errors import DamagedFileError, StorageError

RESERVE_BYTES = 64 << 20
"""To stay free on a disk, for what other processes write meanwhile."""

_KINDS = {
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFDIR: "a folder",
}
_MAX_REASON_CHARACTERS = 300


def open_regular(path: str | os.PathLike[str]) -> BinaryIO:
    """Opens a regular file, or a link to one, for unbuffered reading; never waits for a writer, never reads a device.

    Raises:
        OSError: it cannot be opened, or is something else than a file; ``strerror`` says what, in words.
    """
    # O_NONBLOCK: opening a named pipe would else wait until somebody writes to it.
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


def sha256(path: str | os.PathLike[str]) -> str:
    """SHA-256 of a regular file's bytes, in hexadecimal digits; raises as :func:`open_regular`."""
    with open_regular(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]


def refusal(error: OSError) -> str:
    """Why a file cannot be read, in words that follow its name.

    >>> refusal(PermissionError(13, "Permission denied"))
    'cannot be read (permission denied)'
    """
    if error.errno == errno.EINVAL and (error.strerror or "").startswith("is "):  # of open_regular
        return str(error.strerror)
    return f"cannot be read ({(error.strerror or type(error).__name__).lower()})"


@contextmanager
def damage_errors(path: str | os.PathLike[str], remedy: str) -> Iterator[None]:
    """Turns what goes wrong while ``path`` is read into a :class:`DamagedFileError`; a missing file stays a FileNotFoundError.

    Args:
        path: the file.
        remedy: what to do about it, such as ``process d again``.

    >>> with damage_errors("meta.json", "process d again"):
    ...     raise ValueError("is not JSON")
    Traceback (most recent call last):
    jukemir_like.core.errors.DamagedFileError: meta.json is not JSON: process d again
    """
    try:
        yield
    except FileNotFoundError:
        raise
    except OSError as error:
        raise DamagedFileError(f"{path} {refusal(error)}: {remedy}") from error
    except MemoryError as error:
        raise DamagedFileError(f"{path} does not fit into memory: {remedy}") from error
    except ValueError as error:
        reason = str(error)
        shown = reason if len(reason) <= _MAX_REASON_CHARACTERS else f"{reason[:_MAX_REASON_CHARACTERS]}…"
        raise DamagedFileError(f"{path} {shown}: {remedy}") from error


def is_inside(name: str) -> bool:
    """Whether ``name``, a relative path with ``/`` that somebody else wrote, stays in the folder it is relative to.

    Refused are: an empty name, an absolute path, a part that is empty, ``.`` or ``..``, a NUL, half a character (a lone surrogate that
    stands for no byte). A link in the folder may still lead out of it: that is the choice of the folder's owner, not of the name.

    >>> is_inside("songs/1.wav"), is_inside("../1.wav"), is_inside("/1.wav")
    (True, False, False)
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


def printable(name: str) -> str:
    r"""A file name that any terminal can show: bytes that are not UTF-8, half characters and control characters are escaped.

    >>> print(printable("caf\udce9\n.wav"))
    caf\xe9\n.wav
    """
    try:
        shown = name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    except UnicodeEncodeError:  # half characters that stand for no byte, from JSON
        shown = name.encode("utf-8", "backslashreplace").decode()
    return "".join(character if character.isprintable() else repr(character)[1:-1] for character in shown)


def free_bytes(path: Path) -> int:
    """Bytes that can still be written at ``path``; it and folders above it need not exist yet.

    >>> free_bytes(Path("not", "yet", "there")) == free_bytes(Path())
    True
    """
    path = path.absolute()
    return shutil.disk_usage(next(parent for parent in (path, *path.parents) if parent.exists())).free


def check_free_space(path: Path, needed_bytes: int, purpose: str, *, advice: str, reserve_bytes: int = RESERVE_BYTES) -> None:
    """Checks that ``needed_bytes``, and a reserve, can still be written at ``path``.

    Args:
        path: a file or folder; need not exist yet.
        needed_bytes: 0 always fits.
        purpose: what cannot be done without the space, the beginning of the message.
        advice: what to do, the end of the message.
        reserve_bytes: to stay free.

    Raises:
        StorageError: there is less space.
    """
    free = free_bytes(path)
    if needed_bytes and needed_bytes + reserve_bytes > free:
        raise StorageError(f"{purpose}: {needed_bytes / 1e9:.2f} GB are needed, {free / 1e9:.2f} GB are free: {advice}")
