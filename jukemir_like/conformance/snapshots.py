"""What is in a folder at a moment, what its records say, and which of its files were written in place."""

from __future__ import annotations

import ctypes
import io
import json
import os
import struct
import tarfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from jukemir_like.conformance import npy

if TYPE_CHECKING:
    import numpy as np

RECORDS = ".records/"

Record = dict[str, Any]

_IN_MODIFY = 0x2  # inotify(7)
_INOTIFY_EVENT = struct.Struct("iIII")  # watch, mask, cookie, length of the name


@dataclass(frozen=True)
class Entry:
    """A file or folder.

    Args:
        content: the bytes; None for a folder, and for a file that could not be read.
        inode: number of the file; a file that was replaced has another one.
        modified: nanoseconds since 1970.
        user: number of the owner.
        is_folder: whether it is a folder.
    """

    content: bytes | None
    inode: int = 0
    modified: int = 0
    user: int = 0
    is_folder: bool = False


Snapshot = dict[str, Entry]
"""By path relative to the folder; in it, bytes that are not UTF-8 are written as Python writes them in names of files."""


def take(folder: Path) -> Snapshot:
    """The present content of ``folder``, but for what vanishes meanwhile."""
    snapshot = {}
    for parent, folders, files in os.walk(folder):
        for name in (*folders, *files):
            path = Path(parent, name)
            try:
                status = path.lstat()
                content = None if name in folders else path.read_bytes()
            except FileNotFoundError:
                continue
            except OSError:
                content = None
            entry = Entry(content, status.st_ino, status.st_mtime_ns, status.st_uid, is_folder=name in folders)
            snapshot[str(path.relative_to(folder))] = entry
    return snapshot


def write_files(folder: Path, files: Mapping[str, bytes]) -> list[str]:
    """Writes ``files`` (by path), which all users may then write; returns the paths. Names that the file system refuses are left out."""
    written = []
    for path, content in files.items():
        target = folder / path
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
        except OSError:
            if path.isascii():
                raise
            continue
        target.chmod(0o666)
        written.append(path)
    for parent, _, _ in os.walk(folder):
        Path(parent).chmod(0o777)
    return written


def pack(folder: str, files: Mapping[str, bytes]) -> bytes:
    """A tar archive of ``folder`` (relative, without dots) with ``files`` in it, which all users may write.

    An engine takes and gives the content of a volume as such an archive, whoever owns the files.
    """
    folders = {folder} | {f"{folder}/{parent}" for path in files for parent in PurePosixPath(path).parents if parent.name}
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name in sorted(folders):
            entry = tarfile.TarInfo(name)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o777
            archive.addfile(entry)
        for path, content in files.items():
            entry = tarfile.TarInfo(f"{folder}/{path}")
            entry.size, entry.mode = len(content), 0o666
            archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def unpack(archive_bytes: bytes) -> Snapshot:
    """The content of the one folder in a tar archive.

    >>> sorted(unpack(pack("output", {"a/b.npy": b"1"})))
    ['a', 'a/b.npy']
    """
    snapshot: Snapshot = {}
    with tarfile.open(fileobj=io.BytesIO(archive_bytes)) as archive:
        for member in archive:
            path = member.name.partition("/")[2]
            if path:
                file = archive.extractfile(member) if member.isfile() else None
                modified = int(member.mtime * 1e9)
                content = None if file is None else file.read()
                snapshot[path] = Entry(content, modified=modified, user=member.uid, is_folder=member.isdir())
    return snapshot


# ---- paths ----


def output_of(path: str) -> str:
    """The output of input ``path``.

    >>> output_of("a/b.wav")
    'a/b.npy'
    """
    return path.rpartition(".")[0] + ".npy"


def is_hidden(path: str) -> bool:
    """Whether its name, or that of a folder that it is in, begins with a dot."""
    return any(part.startswith(".") for part in PurePosixPath(path).parts)


def is_unicode(path: str) -> bool:
    """Whether all bytes of ``path`` are UTF-8. The contract leaves some freedom in how others are written in JSON."""
    return not any("\ud800" <= character <= "\udfff" for character in path)


def visible(snapshot: Snapshot) -> Snapshot:
    """The part that is not hidden."""
    return {path: entry for path, entry in snapshot.items() if not is_hidden(path)}


def outputs(snapshot: Snapshot) -> Snapshot:
    """The files that have an output's name."""
    return {path: entry for path, entry in visible(snapshot).items() if path.endswith(".npy") and not entry.is_folder}


def changed_outputs(before: Snapshot, after: Snapshot) -> set[str]:
    """Outputs that are new or were written again, even with the same content."""
    return {path for path, entry in outputs(after).items() if path not in before or not _is_same_file(before[path], entry)}


def is_unchanged(path: str, before: Snapshot, after: Snapshot) -> bool:
    """Whether ``path`` is in both, and is the very same file, not written again."""
    return path in before and path in after and _is_same_file(before[path], after[path])


def vector(snapshot: Snapshot, path: str) -> np.ndarray | None:
    """The numbers in the output of input ``path``; None if it is missing or cannot be read."""
    entry = snapshot.get(output_of(path))
    return None if entry is None else npy.values(entry.content)


def _is_same_file(first: Entry, second: Entry) -> bool:
    return (first.inode, first.modified, first.content) == (second.inode, second.modified, second.content)


# ---- records ----


def journals(snapshot: Snapshot) -> list[str]:
    """The paths of the files of records."""
    return [path for path in snapshot if path.startswith(RECORDS) and path.endswith(".jsonl") and path.count("/") == 1]


def records(snapshot: Snapshot) -> dict[str, Record]:
    """The last record of every input that has one; lines that are no records are skipped.

    Of several lines about one input, the one in the journal that was changed last counts; or that with the later ``time``, if they have it.
    """
    latest: dict[str, tuple[float, Record]] = {}
    for journal in sorted(journals(snapshot), key=lambda path: snapshot[path].modified):
        for line in (snapshot[journal].content or b"").split(b"\n"):
            record = _record(line)
            if record is None:
                continue
            time = record.get("time")
            earlier = latest.get(record["input"])
            if earlier is None or not isinstance(time, int | float) or time >= earlier[0]:
                latest[record["input"]] = (time if isinstance(time, int | float) else float("-inf"), record)
    return {name: record for name, (_, record) in latest.items()}


def invalid_lines(snapshot: Snapshot) -> list[str]:
    """Lines of the journals that are no JSON object with an ``input``: a message about each that says where it is."""
    return [
        f"{journal}, line {number}: {line[:60]!r} is no record"
        for journal in sorted(journals(snapshot))
        for number, line in enumerate((snapshot[journal].content or b"").split(b"\n"), 1)
        if line and _record(line) is None
    ]


def _record(line: bytes) -> Record | None:
    try:
        record = json.loads(line)
    except ValueError:
        return None
    return record if isinstance(record, dict) and isinstance(record.get("input"), str) else None


# ---- files that are written in place ----


@contextmanager
def written_in_place(folder: Path) -> Iterator[set[str]]:
    """Yields a set that, after the block, contains the names in ``folder`` whose files were written to under that name.

    A file that is written under another name and then renamed is in the set under its first name only. The kernel reports every write
    (inotify), so that not even the shortest moment is missed. Sub-folders are not watched. Where the kernel cannot report writes (not
    Linux, or no watches left) the set stays empty.
    """
    names: set[str] = set()
    descriptor = _watch(folder)
    try:
        yield names
        if descriptor is not None:
            names.update(_modified_names(descriptor))
    finally:
        if descriptor is not None:
            os.close(descriptor)


def _watch(folder: Path) -> int | None:
    """A descriptor of inotify for ``folder``. Called through the C library, as Python has no interface to it."""
    try:
        library = ctypes.CDLL(None)
        descriptor = int(library.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC))
    except (OSError, AttributeError):
        return None
    if descriptor < 0:
        return None
    if library.inotify_add_watch(descriptor, os.fsencode(folder), _IN_MODIFY) < 0:
        os.close(descriptor)
        return None
    return descriptor


def _modified_names(descriptor: int) -> Iterator[str]:
    while True:
        try:
            events = os.read(descriptor, 1 << 16)
        except BlockingIOError:  # all events have been read
            return
        position = 0
        while position < len(events):
            _, _, _, length = _INOTIFY_EVENT.unpack_from(events, position)
            position += _INOTIFY_EVENT.size
            yield os.fsdecode(events[position : position + length].rstrip(b"\0"))
            position += length
