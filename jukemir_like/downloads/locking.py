"""One process at a time for one thing, whoever else works on the same cache."""

from __future__ import annotations

import errno
import fcntl
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from jukemir_like.core.atomic import make_folder, storage_errors
from jukemir_like.core.errors import StorageError

_POLL_SECONDS = 0.1
_BUSY = {errno.EAGAIN, errno.EACCES}
_NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP}


@contextmanager
def locked(path: Path, *, wait: bool = True, pause: Callable[[float], object] | None = None) -> Iterator[bool]:
    """Holds the lock file ``path``; yields whether it is held.

    Args:
        path: made where it is missing, removed afterwards.
        wait: for whoever holds it; otherwise False is yielded at once.
        pause: sleeps for the seconds that it is given; may raise to give up.

    The system lets go of the lock when its process ends, however it ends: a file that a killed process left is held by nobody.

    Raises:
        StorageError: the file cannot be made, or the file system has no locks.
    """
    sleep = pause or threading.Event().wait
    while True:
        make_folder(path.parent)
        with storage_errors(path):
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            held = _take(descriptor, path)
            # Whoever had it may have removed the file since: then this is a lock that nobody else can see.
            if held and _is_file_at(descriptor, path):
                try:
                    yield True
                finally:
                    path.unlink(missing_ok=True)
                return
        finally:
            os.close(descriptor)
        if not held:
            if not wait:
                yield False
                return
            sleep(_POLL_SECONDS)


def _take(descriptor: int, path: Path) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in _BUSY:
            return False
        if error.errno in _NO_LOCKS:
            raise StorageError(f"cannot lock {path}: its file system has no locks: choose a cache on another with --cache") from error
        raise
    return True


def _is_file_at(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False
