"""Where every stage reads and writes, and how: whole files or none.

The layout is a contract that users see::

    datasets/<name>/…                          raw assets
    processed/<dataset>/meta.json  wav/<uid>.wav
    checkpoints/<name>.safetensors
    representations/<dataset>/<representation>/<uid>.npy
    probes/<dataset>/<representation>/…
    report/index.html
"""

from __future__ import annotations

import errno
import hashlib
import io
import itertools
import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jukemir_like.core.errors import InputError, RequestError, StorageError

if TYPE_CHECKING:
    import numpy as np

ENVIRONMENT_VARIABLE = "JUKEMIR_LIKE_CACHE_DIR"

_STORAGE_ERRNOS = {
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
_MOST_BYTES_OF_A_NAME = 200  # room for a suffix
_TEMPORARY_PREFIX = ".tmp-"
_ABANDONED_SECONDS = 3600.0
_counter = itertools.count()


def is_name(name: str) -> bool:
    """Whether a dataset, a representation or weights can be called so: one part of a path, not hidden, not long, that can be shown."""
    return bool(name) and name[0] != "." and "/" not in name and name.isprintable() and len(name.encode()) <= _MOST_BYTES_OF_A_NAME


def folder_name(name: str) -> str:
    """``name`` itself; :class:`RequestError` where it is none by :func:`is_name`."""
    if is_name(name):
        return name
    shown = ascii(name) if len(name) <= 100 else f"{name[:100]!a}…"
    raise RequestError(
        f"{shown} cannot be the name of a dataset, a representation or weights: it may not be empty, begin with a dot, hold a '/' or a "
        f"control character, or have more than {_MOST_BYTES_OF_A_NAME} bytes"
    )


@dataclass(frozen=True)
class Cache:
    """The folders of one cache. A name that cannot be a folder's is a :class:`RequestError`, see :func:`folder_name`.

    Args:
        root: the cache's folder; need not exist yet.
    """

    root: Path

    @classmethod
    def default(cls, root: str | os.PathLike[str] | None = None) -> Cache:
        """``root`` if given, else ``$JUKEMIR_LIKE_CACHE_DIR``, else ``~/.jukemir_like``; looked up at call time."""
        chosen = root or os.environ.get(ENVIRONMENT_VARIABLE)
        return cls(Path(chosen).absolute() if chosen else Path.home() / ".jukemir_like")

    def dataset(self, name: str) -> Path:
        """Raw assets of dataset ``name``."""
        return self.root / "datasets" / folder_name(name)

    def processed(self, dataset: str) -> Path:
        """Folder of ``meta.json``, ``dataset.json`` and ``wav/``."""
        return self.root / "processed" / folder_name(dataset)

    def checkpoint(self, name: str) -> Path:
        """Weights called ``name``; ``checkpoint("*")`` is the pattern of all."""
        return self.root / "checkpoints" / f"{folder_name(name)}.safetensors"

    def representation(self, dataset: str, representation: str) -> Path:
        """Folder of one ``.npy`` a clip."""
        return self.root / "representations" / folder_name(dataset) / folder_name(representation)

    def probe(self, dataset: str, representation: str) -> Path:
        """Folder of the probes' runs and results."""
        return self.root / "probes" / folder_name(dataset) / folder_name(representation)

    @property
    def report(self) -> Path:
        """Folder of the results page."""
        return self.root / "report"


@contextmanager
def storage_errors(path: Path) -> Iterator[None]:
    """Turns the operating system's refusals to write at ``path`` into a one-line :class:`StorageError`.

    A name that is too long is the input's fault: :class:`InputError`.
    """
    try:
        yield
    except OSError as error:
        if error.errno is None:  # NumPy's, of a file that took a part of an array
            raise StorageError(f"cannot write {_shown(path)}: {error}; is the disk full?") from error
        if error.errno == errno.ENAMETOOLONG:
            raise InputError("has a name that is too long for its output") from error
        if error.errno in _STORAGE_ERRNOS:
            raise StorageError(f"cannot write {_shown(path)}: {_STORAGE_ERRNOS[error.errno]}") from error
        raise


def _shown(path: Path) -> str:
    return os.fsencode(path).decode(errors="replace")


def make_folder(folder: Path) -> Path:
    """Makes ``folder`` and its parents; :class:`StorageError` where that is refused."""
    with storage_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    return folder


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """Yields a temporary path in the folder of ``path``; on a clean exit it is renamed to ``path``, on any other it is removed.

    The temporary name is hidden, short (so that the longest legal name can be written) and tells machine and process, so that
    :func:`sweep` can remove what a killed process left.
    """
    make_folder(path.parent)
    temporary = path.parent / f"{_temporary_prefix()}{os.getpid()}-{next(_counter)}{path.suffix[:8]}"
    try:
        with storage_errors(path):
            yield temporary
            temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_bytes(path: Path, data: bytes) -> str:
    """Writes a whole file or none; returns its SHA-256."""
    with atomic(path) as temporary:
        temporary.write_bytes(data)
    return hashlib.sha256(data).hexdigest()


def write_array(path: Path, array: np.ndarray) -> str:
    """Writes a ``.npy`` file, whole or not at all; returns its SHA-256.

    Through memory: ``numpy.save`` into a file tells of a full disk in an error that does not say so.
    """
    import numpy as np

    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    return write_bytes(path, buffer.getvalue())


def write_json(path: Path, value: Any) -> None:
    """Writes ``value`` as indented UTF-8 JSON, atomically. Same value, same bytes."""
    write_bytes(path, (json.dumps(value, indent=1, ensure_ascii=True, allow_nan=False) + "\n").encode())


def sweep(folder: Path) -> int:
    """Removes temporary files of dead processes in ``folder``; returns how many.

    Whether a process lives can be seen on its own machine (and in its own container) alone; what others left goes when it has not been
    written to for an hour, by the clock of the file system.
    """
    removed = 0
    left = sorted(folder.glob(f"{_TEMPORARY_PREFIX}*")) if folder.is_dir() else []
    now = file_system_time(folder) if left else 0.0
    for temporary in left:
        if _abandoned(temporary, now):
            with storage_errors(temporary):
                temporary.unlink(missing_ok=True)
            removed += 1
    return removed


def file_system_time(folder: Path) -> float:
    """Seconds since 1970 as the file system of ``folder`` has them, by which its files are dated; 0 where ``folder`` cannot be written."""
    probe = folder / f"{_temporary_prefix()}{os.getpid()}-{next(_counter)}"
    try:
        probe.touch()
        return probe.stat().st_mtime
    except OSError:
        return 0.0
    finally:
        with suppress(OSError):
            probe.unlink()


def _temporary_prefix() -> str:
    """Begins with who counts processes: the machine, and on it the container, as each of these has a process 1."""
    try:
        namespace = Path("/proc/self/ns/pid").stat().st_ino
    except OSError:
        namespace = 0
    return f"{_TEMPORARY_PREFIX}{socket.gethostname()[:32]}-{namespace:x}-"


def _abandoned(temporary: Path, now: float) -> bool:
    if temporary.name.startswith(_temporary_prefix()):
        process = temporary.name[len(_temporary_prefix()) :].partition("-")[0]
        return process.isdigit() and not _alive(int(process))
    try:
        return now - temporary.lstat().st_mtime > _ABANDONED_SECONDS
    except OSError:  # its writer has just renamed it
        return False


def _alive(process: int) -> bool:
    """Whether ``process`` may still write. A killed one whose parent has not waited for it has a number, but does nothing any more."""
    try:
        os.kill(process, 0)
        state = Path(f"/proc/{process}/stat").read_bytes().rpartition(b")")[2].split()[:1]
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return state not in ([b"Z"], [b"X"])
