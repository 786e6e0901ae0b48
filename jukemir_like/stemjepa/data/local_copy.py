"""A copy of the data on this node's own disk, made once per node: by the first of its processes, while the others wait.

Each file is copied to a temporary name and renamed, with the time of change of its source. So a copy with the size and time of its source
is complete, and an interrupted copy continues where it stopped. No file of the copy is used before all of them have been compared.
"""

from __future__ import annotations

import hashlib
import os
import stat
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO

from jukemir_like import audio
from jukemir_like.core import files
from jukemir_like.core.atomic import atomic_write, make_folder, remove_abandoned, storage_errors
from jukemir_like.core.errors import InputError, RequestError, StorageError
from jukemir_like.core.files import check_free_space, printable
from jukemir_like.core.locks import locked
from jukemir_like.core.progress import Progress

_DESCRIPTIONS = ("meta.json", "dataset.json")
_ADVICE = "set TMPDIR to a larger disk, or data.local_dir=false"
_THREADS = 4  # which copy files: on a network disk, most of the time is waiting

OnError = Callable[[str, str], None]


def local_copy(folder: Path, destination: Path | None = None, *, on_error: OnError | None = None) -> Path:
    """Copies the data in ``folder`` (audio files, ``meta.json``, ``dataset.json``) to this node's disk.

    Args:
        folder: the data.
        destination: the folder of copies, one sub-folder for each folder of data; None: ``jukemir_like-<user ID>`` in the temporary folder
            (``TMPDIR``).
        on_error: called with the relative path of each file or sub-folder that cannot be read, which the copy lacks, and the reason; None:
            raise an error.

    Returns:
        The folder of the copy, with the same relative paths. Files that the source no longer has are deleted from it.

    Raises:
        RequestError: there is no ``folder``, or it cannot be read; without ``on_error`` also if something in it cannot be read.
        StorageError: the copy does not fit on the disk, or cannot be written.

    >>> copy = local_copy(Path("music"), Path("local"))
    >>> sorted(path.name for path in copy.iterdir())
    ['0.wav', '1.wav', '2.wav']
    """

    def skip(name: str, reason: str) -> None:
        if on_error is None or name in _DESCRIPTIONS:  # without these, the folder would be read in another way
            raise RequestError(f"{printable(str(folder / name))} {reason}: change its permissions, or move it away")
        on_error(name, reason)

    if not folder.is_dir():
        raise RequestError(f"there is no folder {printable(str(folder))}: give the folder of the stems as data.data_path")
    source = folder.resolve()
    root = destination or _private(Path(tempfile.gettempdir()) / f"jukemir_like-{os.getuid()}")
    copy = root / hashlib.sha256(os.fsencode(source)).hexdigest()[:16]
    make_folder(copy)
    with locked(root / f"{copy.name}.lock", keep_file=True):
        wanted = _listing(source, skip)
        copied = _listing_of_copy(copy)
        for name in copied.keys() - wanted.keys():
            with storage_errors(copy):
                (copy / name).unlink(missing_ok=True)
        missing = [name for name in wanted if copied.get(name) != wanted[name]]
        if missing:
            _copy(source, copy, missing, wanted, skip)
    return copy


def _copy(source: Path, copy: Path, names: list[str], wanted: dict[str, tuple[int, int]], on_error: OnError) -> None:
    for folder in {(copy / name).parent for name in names}:
        remove_abandoned(folder)
    needed_bytes = sum(wanted[name][0] for name in names)
    check_free_space(copy, needed_bytes, f"cannot copy {printable(str(source))} to {copy}", advice=_ADVICE)
    pool = ThreadPoolExecutor(_THREADS)
    try:
        with Progress(len(names), "copying to the local disk", "file") as bar:
            for name, refusal in zip(names, pool.map(lambda name: _copy_one(source / name, copy / name), names), strict=True):
                if refusal is not None:
                    on_error(name, refusal)
                bar.update()
    finally:
        pool.shutdown(cancel_futures=True)


def _copy_one(source: Path, target: Path) -> str | None:
    """Copies a file and returns None; or returns why it cannot be read, and deletes an earlier copy of it."""
    try:
        with _open_source(source) as file, atomic_write(target) as temporary:
            status = os.fstat(file.fileno())
            with open(temporary, "wb") as output:
                while block := _read_block(file):
                    output.write(block)
                if output.tell() != status.st_size:
                    raise InputError("changed while it was copied: run again when the data is finished")
            os.utime(temporary, ns=(status.st_atime_ns, status.st_mtime_ns))
    except InputError as error:
        with storage_errors(target):
            target.unlink(missing_ok=True)
        return str(error)
    return None


def _open_source(path: Path) -> BinaryIO:
    try:
        return files.open_regular(path)
    except OSError as error:
        raise InputError(files.refusal(error)) from error


def _read_block(file: BinaryIO) -> bytes:
    try:
        return file.read(1 << 20)
    except OSError as error:  # of the source: errors of the disk that is written to are StorageErrors
        raise InputError(files.refusal(error)) from error


def _listing(folder: Path, on_error: OnError) -> dict[str, tuple[int, int]]:
    """Size in bytes and time of change in ns of the files of the data, by relative path."""
    sizes = {}
    for name in [*audio.find(folder, on_error=on_error), *(name for name in _DESCRIPTIONS if os.path.lexists(folder / name))]:
        try:
            status = (folder / name).stat()
            if not stat.S_ISREG(status.st_mode):
                files.open_regular(folder / name).close()  # raises an error that says what it is instead
            sizes[name] = status.st_size, status.st_mtime_ns
        except OSError as error:
            on_error(name, files.refusal(error))
    return sizes


def _listing_of_copy(folder: Path) -> dict[str, tuple[int, int]]:
    """The same of all files of a copy that are not hidden, as temporary files are."""
    paths = [path for path in folder.rglob("*") if path.is_file() and not path.name.startswith(".")]
    return {path.relative_to(folder).as_posix(): (path.stat().st_size, path.stat().st_mtime_ns) for path in paths}


def _private(folder: Path) -> Path:
    """Makes a folder that only this user can write: in the temporary folder of all users, another user could put data into it."""
    with storage_errors(folder):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid() or status.st_mode & 0o022:
        raise StorageError(f"{folder} can be written by other users or is not yours: remove it, or set TMPDIR to another folder")
    return folder
