"""Locks on file systems that have none of their own, as Lustre is often mounted and NFS without its lock service: by a folder.

A lock is the folder ``NAME.held`` with one file in it, whose name identifies the holder (:func:`~jukemir_like.core.processes.identity`). A
process takes it by renaming a folder of its own, with its file in it, to that name: file systems allow this where there is no such folder,
or an empty one, and to one process at a time. The file of a holder that has ended is removed; by its name, so that no other's can be meant.

That a holder has ended can be seen on its own machine. On others it counts as ended when it has not renewed the time of its file for ten
minutes, by the clock of the file system.
"""

from __future__ import annotations

import errno
import itertools
import os
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from jukemir_like.core.atomic import file_system_time, storage_errors
from jukemir_like.core.processes import identity, is_known_to_have_ended

GIVEN_UP_SECONDS = 600.0
"""So long a holder on another machine may be silent."""

_RENEWAL_SECONDS = 20.0
_ATTEMPT = ".held-"
_HELD_BY_ANOTHER = {errno.ENOTEMPTY, errno.EEXIST}
_counter = itertools.count()


@contextmanager
def locked_by_folder(path: Path) -> Iterator[Path | None]:
    """Holds the lock ``path`` for the length of the block, and yields its folder; where another process or thread holds it, yields None.

    Raises:
        StorageError: the folder cannot be written.

    >>> with locked_by_folder(Path("example.lock")) as first, locked_by_folder(Path("example.lock")) as second:
    ...     first, second
    (PosixPath('example.lock.held'), None)
    """
    folder = folder_of(path)
    name = f"{identity()}-{next(_counter)}"
    with storage_errors(folder):
        _remove_ended(folder)
        is_held = _take(folder, name)
    if not is_held:
        yield None
        return
    released = threading.Event()
    threading.Thread(target=_renew, args=(folder / name, released), daemon=True).start()
    try:
        yield folder
    finally:
        released.set()
        with suppress(OSError):
            (folder / name).unlink()
            folder.rmdir()  # unless another has taken it in this moment


def folder_of(path: Path) -> Path:
    """The folder that stands for the lock ``path``."""
    return path.with_name(f"{path.name}.held")


def _take(folder: Path, name: str) -> bool:
    own = folder.with_name(f"{_ATTEMPT}{name}")
    own.mkdir()
    try:
        (own / name).touch()
        own.rename(folder)
    except OSError as error:
        # A network file system may have done it and lost the answer.
        if error.errno not in {*_HELD_BY_ANOTHER, errno.ENOENT}:
            raise
    finally:
        shutil.rmtree(own, ignore_errors=True)
    return (folder / name).exists()


def _remove_ended(folder: Path) -> None:
    """Removes the files of holders that have ended, and the folders of processes that ended while they tried to take the lock."""
    beside = folder.parent  # what asks for the time there must not keep the lock when it is killed
    for holder in _entries(folder, ""):
        if _has_ended(holder, holder.name, beside):
            holder.unlink(missing_ok=True)
    for attempt in _entries(beside, _ATTEMPT):
        if _has_ended(attempt, attempt.name.removeprefix(_ATTEMPT), beside):
            shutil.rmtree(attempt, ignore_errors=True)


def _entries(folder: Path, prefix: str) -> list[Path]:
    try:
        with os.scandir(folder) as entries:
            return [folder / entry.name for entry in entries if entry.name.startswith(prefix)]
    except FileNotFoundError:
        return []


def _has_ended(path: Path, name: str, beside: Path) -> bool:
    has_ended = is_known_to_have_ended(name.rpartition("-")[0])
    if has_ended is None:
        try:
            return file_system_time(beside) - path.stat().st_mtime > GIVEN_UP_SECONDS
        except FileNotFoundError:  # it has just gone
            return False
    return has_ended


def _renew(holder: Path, released: threading.Event) -> None:
    while not released.wait(_RENEWAL_SECONDS):
        try:
            os.utime(holder)
        except OSError:  # another took this process for dead
            return
