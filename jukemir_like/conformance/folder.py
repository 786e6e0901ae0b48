"""What lies in a folder, at one moment; and what its records say."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from jukemir_like.conformance import npy

RECORDS = ".records/"

Record = dict[str, Any]


@dataclass(frozen=True)
class Entry:
    """A file or folder.

    Args:
        content: the bytes; None of a folder, and of a file that could not be read.
        inode: another number, another file.
        modified: nanoseconds since the epoch.
        user: the owner's number.
        is_folder: or a file.
    """

    content: bytes | None
    inode: int = 0
    modified: int = 0
    user: int = 0
    is_folder: bool = False


Snapshot = dict[str, Entry]
"""By path, relative to the folder; bytes that are not UTF-8 as Python has them in file names."""


def place(folder: Path, files: dict[str, bytes]) -> list[str]:
    """Writes ``files``, open to all users; returns the paths. Names that this file system does not take are left out."""
    placed = []
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
        placed.append(path)
    for parent, _, _ in os.walk(folder):
        Path(parent).chmod(0o777)
    return placed


def look(folder: Path) -> Snapshot:
    """What lies in ``folder`` now. What vanishes meanwhile is left out."""
    seen = {}
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
            seen[str(path.relative_to(folder))] = entry
    return seen


def output_of(path: str) -> str:
    """``a/b.wav`` → ``a/b.npy``."""
    return path.rpartition(".")[0] + ".npy"


def is_hidden(path: str) -> bool:
    """Whether it, or a folder that it is in, begins with a dot."""
    return any(part.startswith(".") for part in PurePosixPath(path).parts)


def visible(seen: Snapshot) -> Snapshot:
    """All that is not hidden."""
    return {path: entry for path, entry in seen.items() if not is_hidden(path)}


def is_unicode(path: str) -> bool:
    """Whether all of its bytes are UTF-8. How others are spelled in JSON is left open."""
    return not any("\ud800" <= character <= "\udfff" for character in path)


def outputs(seen: Snapshot) -> Snapshot:
    """Files with an output's name."""
    return {path: entry for path, entry in visible(seen).items() if path.endswith(".npy") and not entry.is_folder}


def touched(before: Snapshot, after: Snapshot) -> set[str]:
    """Outputs that are new, or were written again."""
    return {path for path, entry in outputs(after).items() if path not in before or not _is_same_file(before[path], entry)}


def is_untouched(path: str, before: Snapshot, after: Snapshot) -> bool:
    """Whether ``path`` is the very file that it was."""
    return path in before and path in after and _is_same_file(before[path], after[path])


def _is_same_file(first: Entry, second: Entry) -> bool:
    return (first.inode, first.modified, first.content) == (second.inode, second.modified, second.content)


def records(seen: Snapshot) -> dict[str, Record]:
    """The last record of every input that has one; lines that are none are passed over.

    Of lines about one input in several files, the file that was changed last decides; or the field ``time``, where both have it.
    """
    latest: dict[str, tuple[float, Record]] = {}
    for journal in sorted(journals(seen), key=lambda path: seen[path].modified):
        for line in (seen[journal].content or b"").split(b"\n"):
            record = _record(line)
            if record is None:
                continue
            time = record.get("time")
            known = latest.get(record["input"])
            if known is None or not isinstance(time, int | float) or time >= known[0]:
                latest[record["input"]] = (time if isinstance(time, int | float) else float("-inf"), record)
    return {name: record for name, (_, record) in latest.items()}


def journals(seen: Snapshot) -> list[str]:
    """The files of records."""
    return [path for path in seen if path.startswith(RECORDS) and path.endswith(".jsonl") and path.count("/") == 1]


def not_records(seen: Snapshot) -> list[str]:
    """Lines in the files of records that are no JSON object with an ``input``, and where they stand."""
    return [
        f"{journal}, line {number}: {line[:60]!r} is no record"
        for journal in sorted(journals(seen))
        for number, line in enumerate((seen[journal].content or b"").split(b"\n"), 1)
        if line and _record(line) is None
    ]


def vector_of(seen: Snapshot, path: str) -> Any:
    """The numbers in the output of input ``path``; None where there are none."""
    entry = seen.get(output_of(path))
    return None if entry is None else npy.values(entry.content)


def _record(line: bytes) -> Record | None:
    try:
        record = json.loads(line)
    except ValueError:
        return None
    return record if isinstance(record, dict) and isinstance(record.get("input"), str) else None
