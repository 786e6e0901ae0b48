"""Exclusive locks between processes: one at a time works on a thing, whoever else works on the same folder.

A lock is ``flock`` on a file. The operating system releases it when the process that holds it ends, however it ends, so a file that a
killed process left behind is held by nobody.
"""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from jukemir_like.core.atomic import make_folder, storage_errors
from jukemir_like.core.errors import StorageError

_POLL_SECONDS = 0.1
_HELD_BY_ANOTHER = {errno.EAGAIN, errno.EACCES}
_UNSUPPORTED = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP}


@contextmanager
def locked(
    path: Path,
    *,
    wait: bool = True,
    sleep: Callable[[float], object] | None = None,
    on_wait: Callable[[], object] = lambda: None,
    keep_file: bool = False,
    required: bool = True,
    advice: str = "choose a folder on another file system",
) -> Iterator[int | None]:
    """Holds an exclusive lock on the file ``path`` for the length of the block.

    Args:
        path: the lock file; created, with its folder, where it is missing.
        wait: wait for the process or thread that holds the lock; otherwise None is yielded at once.
        sleep: called with a number of seconds between two attempts; may raise to give up. None: the operating system waits.
        on_wait: called once, before waiting.
        keep_file: leave the file there; otherwise it is removed at the end.
        required: whether a file system without locks is an error; otherwise the block runs without a lock there.
        advice: what to do where the file system has no locks, for the message.

    Yields:
        The lock file's descriptor, which a child process may inherit: then the lock is held until both have ended. None: another process
        holds the lock.

    Raises:
        StorageError: the file cannot be created, or the file system has no locks.

    >>> with locked(Path("example.lock")) as first, locked(Path("example.lock"), wait=False) as second:
    ...     first is None, second is None
    (False, True)
    """
    has_waited = False
    while True:
        make_folder(path.parent)
        with storage_errors(path):
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            is_held = _acquire(descriptor, path, required, advice, block=has_waited and sleep is None)
            # The last holder may have removed the file after it was opened here: then nobody else can see this lock.
            if is_held and _is_file_at(descriptor, path):
                try:
                    yield descriptor
                finally:
                    if not keep_file:
                        path.unlink(missing_ok=True)
                return
        finally:
            os.close(descriptor)
        if is_held:
            continue
        if not wait:
            yield None
            return
        if not has_waited:
            on_wait()
            has_waited = True
        if sleep is not None:
            sleep(_POLL_SECONDS)


def _acquire(descriptor: int, path: Path, required: bool, advice: str, *, block: bool) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX if block else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in _HELD_BY_ANOTHER:
            return False
        if not required:
            return True
        if error.errno in _UNSUPPORTED:
            raise StorageError(f"cannot lock {path}: its file system has no locks: {advice}") from error
        raise
    return True


def _is_file_at(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False
