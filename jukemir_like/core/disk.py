"""Free disk space, checked before anything is written."""

from __future__ import annotations

import shutil
from pathlib import Path

from jukemir_like.core.errors import StorageError

RESERVE_BYTES = 64 << 20
"""What is to stay free, for whatever else is written to the disk meanwhile."""


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
