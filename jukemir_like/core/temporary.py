"""A folder for what is needed only while a process runs."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

from jukemir_like.core.signals import on_forced_exit


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """A new folder, removed in the end: also where a second signal ends this process at once, or where threads still write to it.

    >>> with temporary_folder() as folder:
    ...     folder.is_dir()
    True
    >>> folder.exists()
    False
    """
    folder = Path(tempfile.mkdtemp(prefix="jukemir-like-"))
    try:
        with on_forced_exit(partial(_remove, folder)):
            yield folder
    finally:
        _remove(folder)


def _remove(folder: Path) -> None:
    """Under another name: what a thread still writes fails then, and not the removal."""
    removed = folder.with_name(f"{folder.name}-removed")
    with suppress(OSError):
        folder.rename(removed)
    shutil.rmtree(removed, ignore_errors=True)
