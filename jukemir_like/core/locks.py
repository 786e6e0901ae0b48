"""Exclusive locks between processes: one at a time works on a thing, whoever else works on the same folder.

A lock is ``flock`` on a file. The operating system releases it when the process that holds it ends, however it ends, so a file that a
killed process left behind is held by nobody. Where the file system has no such locks, folders take their place
(:mod:`jukemir_like.core.lock_folders`).
"""

from __future__ import annotations

import errno
import fcntl
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path

from jukemir_like.core.atomic import make_folder, storage_errors
from jukemir_like.core.lock_folders import GIVEN_UP_SECONDS, folder_of, locked_by_folder

_POLL_SECONDS = 0.1
_POLL_SECONDS_OF_FOLDERS = 1.0
_HELD_BY_ANOTHER = {errno.EAGAIN, errno.EACCES}
_UNSUPPORTED = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP, errno.EINVAL}
_said: set[Path] = set()


class _UnsupportedError(Exception):
    pass


@contextmanager
def locked(
    path: Path,
    *,
    wait: bool = True,
    sleep: Callable[[float], object] | None = None,
    on_wait: Callable[[], object] = lambda: None,
    keep_file: bool = False,
    required: bool = True,
) -> Iterator[int | None]:
    """Holds an exclusive lock on the file ``path`` for the length of the block.

    Args:
        path: the lock file; created, with its folder, where it is missing.
        wait: wait for the process or thread that holds the lock; otherwise None is yielded at once.
        sleep: called with a number of seconds between two attempts; may raise to give up. None: the operating system waits.
        on_wait: called once, before waiting.
        keep_file: leave the file there; otherwise it is removed at the end.
        required: whether a folder takes the place of the lock where the file system has none; otherwise the block runs without one there,
            which is said once on standard error.

    Yields:
        The lock file's descriptor, which a child process may inherit: then the lock is held until both have ended (by a folder: until this
        one has). None: another process holds the lock.

    Raises:
        StorageError: the file cannot be created.

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
            is_held, by_folder = _acquire(descriptor, path, block=has_waited and sleep is None), False
        except _UnsupportedError:
            is_held, by_folder = True, required
            if not required:
                _say_once(path)
        try:
            # The last holder may have removed the file after it was opened here: then nobody else can see this lock.
            if is_held and (by_folder or _is_file_at(descriptor, path)):
                with locked_by_folder(path) if by_folder else nullcontext(path) as lock:
                    if lock is not None:
                        try:
                            yield descriptor
                        finally:
                            if not keep_file:
                                path.unlink(missing_ok=True)
                        return
        finally:
            os.close(descriptor)
        if is_held and not by_folder:
            continue
        if not wait:
            yield None
            return
        if not has_waited:
            on_wait()
            has_waited = True
            if by_folder:
                _say_held(path)
        if sleep is not None:
            sleep(_POLL_SECONDS_OF_FOLDERS if by_folder else _POLL_SECONDS)
        elif by_folder:
            time.sleep(_POLL_SECONDS_OF_FOLDERS)


def _acquire(descriptor: int, path: Path, *, block: bool) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX if block else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in _HELD_BY_ANOTHER:
            return False
        if error.errno in _UNSUPPORTED:
            raise _UnsupportedError from error
        with storage_errors(path):
            raise
    return True


def _is_file_at(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def _say_once(path: Path) -> None:
    if path not in _said:
        _said.add(path)
        _say(f"the file system of {path.parent} has no locks: see to it that nothing else writes there meanwhile")


def _say_held(path: Path) -> None:
    _say(
        f"waiting for another process that works on {path}; if it has ended on another machine, it is waited for "
        f"{GIVEN_UP_SECONDS / 60:g} minutes, or until you remove {folder_of(path)}"
    )


def _say(line: str) -> None:
    if sys.stderr is not None:
        with suppress(OSError, ValueError):  # a stream that is closed, or full
            print(f"jukemir-like: {line}", file=sys.stderr, flush=True)  # noqa: T201
