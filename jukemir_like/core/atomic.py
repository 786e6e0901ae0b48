"""Writing files: whole or not at all. What the system refuses becomes a one-line error.

A file is written under a temporary name in the folder of its target and renamed. The temporary name identifies the process that writes it,
among those of all machines and containers, so that :func:`remove_abandoned` can remove what a killed process left, and nothing that another
still writes.
"""

from __future__ import annotations

import errno
import hashlib
import io
import itertools
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jukemir_like.core.errors import InputError, StorageError
from jukemir_like.core.processes import identity, is_known_to_have_ended

if TYPE_CHECKING:
    import numpy as np

_REASONS = {
    errno.ENOSPC: "the disk is full: free some space and run again",
    errno.EDQUOT: "the disk quota is used up: free some space and run again",
    errno.EFBIG: "the file is larger than this file system or process may write",
    errno.EROFS: "the folder is read-only: choose another output folder",
    errno.EACCES: "permission denied: choose another output folder, change its owner, or (in a container) run as its owner, --user",
    errno.EPERM: "permission denied: choose another output folder or change its owner",
    errno.ENOTDIR: "a part of the path is a file, not a folder: choose another output folder",
    errno.EEXIST: "a file stands where a folder must be: choose another output folder",
    errno.EISDIR: "a folder stands where the file must be: choose another output folder",
    errno.ENOTEMPTY: "a folder stands where the file must be: choose another output folder",
    errno.ELOOP: "a link on the way leads to itself: choose another output folder",
    errno.EIO: "the disk reports a fault: see the system's log, choose another output folder",
    errno.ESTALE: "the network file system has lost the folder: run again when it is back",
}
_TEMPORARY_PREFIX = ".tmp-"
_ABANDONED_SECONDS = 3600.0
_counter = itertools.count()


@contextmanager
def storage_errors(path: Path) -> Iterator[None]:
    """Turns the operating system's refusals to write at ``path`` into a one-line :class:`StorageError`.

    A name that is too long is the input's fault: :class:`InputError`.
    """
    try:
        yield
    except OSError as error:
        shown = os.fsencode(path).decode(errors="replace")
        if error.errno is None:  # NumPy's, of a file that took a part of an array
            raise StorageError(f"cannot write {shown}: {error}; is the disk full?") from error
        if error.errno == errno.ENAMETOOLONG:
            raise InputError("has a name that is too long for its output") from error
        if error.errno in _REASONS:
            raise StorageError(f"cannot write {shown}: {_REASONS[error.errno]}") from error
        raise


def make_folder(folder: Path) -> Path:
    """Makes ``folder`` and its parents; :class:`StorageError` where that is refused."""
    with storage_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    return folder


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Yields a temporary path in the folder of ``path``; on a clean exit it is renamed to ``path``, on any other it is removed.

    The temporary name is hidden, and short, so that the longest legal name can be written.

    >>> with atomic_write(Path("notes.txt")) as temporary:
    ...     _ = temporary.write_text("whole, or the earlier file stays")
    """
    make_folder(path.parent)
    temporary = _temporary_path(path.parent, path.suffix[:8])
    try:
        with storage_errors(path):
            yield temporary
            temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_bytes(path: Path, data: bytes) -> str:
    """Writes a whole file or none; returns its SHA-256."""
    with atomic_write(path) as temporary:
        temporary.write_bytes(data)
    return hashlib.sha256(data).hexdigest()


def write_array(path: Path, array: np.ndarray) -> str:
    """Writes a ``.npy`` file, whole or not at all; returns its SHA-256.

    Through memory: ``numpy.save`` into a file reports a full disk in an error that does not say so.
    """
    import numpy as np

    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    return write_bytes(path, buffer.getvalue())


def write_json(path: Path, value: Any) -> None:
    """Writes ``value`` as indented JSON in ASCII, atomically. Same value, same bytes."""
    write_bytes(path, (json.dumps(value, indent=1, ensure_ascii=True, allow_nan=False) + "\n").encode())


def remove_abandoned(folder: Path) -> int:
    """Removes temporary files of processes that have ended in ``folder``; returns how many.

    Whether a process runs can be seen on its own machine (and in its own container) alone. Files of others, and those from before the
    machine's last start, are removed when they have not been written to for an hour, by the clock of the file system.
    """
    try:
        with os.scandir(folder) as entries:
            temporaries = sorted(entry.name for entry in entries if entry.name.startswith(_TEMPORARY_PREFIX))
    except (FileNotFoundError, NotADirectoryError):
        return 0
    removed = 0
    now = file_system_time(folder) if temporaries else 0.0
    for temporary in (folder / name for name in temporaries):
        if _is_abandoned(temporary, now):
            with storage_errors(temporary):
                temporary.unlink(missing_ok=True)
            removed += 1
    return removed


def file_system_time(folder: Path) -> float:
    """Seconds since 1970 as the file system of ``folder`` has them, by which its files are dated; 0 where ``folder`` cannot be written."""
    probe = _temporary_path(folder)
    try:
        probe.touch()
        return probe.stat().st_mtime
    except OSError:
        return 0.0
    finally:
        with suppress(OSError):
            probe.unlink()


def _temporary_path(folder: Path, suffix: str = "") -> Path:
    return folder / f"{_TEMPORARY_PREFIX}{identity()}-{next(_counter)}{suffix}"


def _is_abandoned(temporary: Path, now: float) -> bool:
    writer = "-".join(temporary.name.removeprefix(_TEMPORARY_PREFIX).split("-")[:3])
    has_ended = is_known_to_have_ended(writer)
    if has_ended is not None:
        return has_ended
    try:
        return now - temporary.lstat().st_mtime > _ABANDONED_SECONDS
    except OSError:  # its writer has just renamed it
        return False
