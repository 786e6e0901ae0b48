"""The data on this node's own disk: copied once a node, whichever of its processes comes first; the others wait for it.

A file is copied beside its place and renamed, with its source's time of change: so a copy that has its source's size and time is whole, and
an interrupted copy goes on where it stopped. Nothing is read from the folder before every file in it has been compared.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from jukemir_like import audio
from jukemir_like.cache import atomic, make_folder, storage_errors, sweep
from jukemir_like.errors import RequestError, StorageError
from jukemir_like.parallel import Progress
from jukemir_like.records import printable

_DESCRIPTIONS = ("meta.json", "dataset.json")
_RESERVE = 64 << 20  # bytes of the disk that are left free
_AT_ONCE = 4  # files: on a network disk the time goes into waiting


def local_copy(folder: Path, destination: Path | None = None) -> Path:
    """Copies what is data in ``folder`` (audio files, ``meta.json``, ``dataset.json``) to this node's disk.

    Args:
        folder: the data.
        destination: where copies lie, each folder of data in one of its own; None: ``jukemir_like-<user's number>`` in the temporary folder
            (``TMPDIR``).

    Returns:
        The copy: the same relative paths. Files that the source does not have any more are gone from it.

    Raises:
        RequestError: there is no ``folder``, or it cannot be read.
        StorageError: it does not fit on the disk, or cannot be written there.
    """
    if not folder.is_dir():
        raise RequestError(f"there is no folder {printable(str(folder))}: give the folder of the stems as data.data_path")
    source = folder.resolve()
    root = destination or _private(Path(tempfile.gettempdir()) / f"jukemir_like-{os.getuid()}")
    copy = root / hashlib.sha256(os.fsencode(source)).hexdigest()[:16]
    make_folder(copy)
    with locked(root / f"{copy.name}.lock"):
        wanted = _listing(source)
        there = _listing(copy, every=True)
        for name in there.keys() - wanted.keys():
            with storage_errors(copy):
                (copy / name).unlink(missing_ok=True)
        missing = [name for name in wanted if there.get(name) != wanted[name]]
        if missing:
            _copy(source, copy, missing, wanted)
    return copy


def _copy(source: Path, copy: Path, names: list[str], wanted: dict[str, tuple[int, int]]) -> None:
    for folder in {(copy / name).parent for name in names}:
        sweep(folder)
    needed, free = sum(wanted[name][0] for name in names), shutil.disk_usage(copy).free
    if needed + _RESERVE > free:
        raise StorageError(
            f"cannot copy {printable(str(source))} to {copy}: {needed / 1e9:.2f} GB are needed, {free / 1e9:.2f} GB are free: "
            "set TMPDIR to a larger disk, or data.local_dir=false"
        )
    pool = ThreadPoolExecutor(_AT_ONCE)
    try:
        with Progress(len(names), "copying to the local disk", "file") as bar:
            for _ in pool.map(lambda name: _copy_one(source / name, copy / name), names):
                bar.update()
    finally:
        pool.shutdown(cancel_futures=True)


def _copy_one(source: Path, target: Path) -> None:
    with atomic(target) as temporary:
        try:
            with open(source, "rb") as file, open(temporary, "wb") as output:
                status = os.fstat(file.fileno())
                shutil.copyfileobj(file, output, 1 << 20)
                if output.tell() != status.st_size:
                    raise RequestError(f"{printable(str(source))} changed while it was copied: run again when the data is finished")
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.EACCES, errno.EIO) and not os.access(source, os.R_OK):
                raise RequestError(f"cannot read {printable(str(source))}: {os.strerror(error.errno).lower()}") from error
            raise
        os.utime(temporary, ns=(status.st_atime_ns, status.st_mtime_ns))


def _listing(folder: Path, *, every: bool = False) -> dict[str, tuple[int, int]]:
    """Size and time of change of the data's files, by relative path; with ``every`` of all that is not hidden."""
    if every:
        paths = [path for path in folder.rglob("*") if path.is_file()]
        names = [path.relative_to(folder).as_posix() for path in paths if not path.name.startswith(".")]
    else:
        names = [*audio.find(folder), *(name for name in _DESCRIPTIONS if (folder / name).is_file())]
    sizes = {}
    for name in names:
        status = (folder / name).stat()
        sizes[name] = status.st_size, status.st_mtime_ns
    return sizes


def _private(folder: Path) -> Path:
    """A folder of this user's alone: in a temporary folder that all users share, another could have laid data there."""
    with storage_errors(folder):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid() or status.st_mode & 0o022:
        raise StorageError(f"{folder} is not a folder of yours alone: remove it, or set TMPDIR to another folder")
    return folder


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Holds ``path`` for this process: others wait. The system lets go of it when the process ends, however it does."""
    with storage_errors(path):
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
