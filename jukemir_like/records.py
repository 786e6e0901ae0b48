"""What was done with every input: one JSON line a file, in the hidden folder ``.records`` of a stage's output.

A stage that is interrupted loses nothing: each line is appended when its file is finished, and the last line about an input counts.
"""

from __future__ import annotations

import itertools
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jukemir_like.cache import make_folder, storage_errors
from jukemir_like.errors import DONE, SOME_FAILED, InputError

FOLDER = ".records"

Record = dict[str, Any]


def new(name: str, signature: str, **more: Any) -> Record:
    """A record of input ``name``, as yet without a fault; ``signature`` is the digest of what, beside its bytes, decides the output."""
    record: Record = {"input": name, "digest": None, "audio_seconds": 0.0, "seconds": 0.0, "status": "done", "reason": None}
    return record | {"signature": signature, "time": time.time()} | more


def failure(error: Exception) -> Record:
    """What to change in a record of an input that could not be used, and why in one line."""
    if isinstance(error, InputError):
        reason = str(error)
    elif isinstance(error, MemoryError):
        reason = "does not fit into memory"
    else:
        reason = f"unexpected {type(error).__name__}: {error}"
    return {"status": "failed", "reason": reason}


def read(output: Path) -> dict[str, Record]:
    """The latest record of every input, by its relative path, from all journals in ``output``; torn lines are passed over."""
    latest: dict[str, Record] = {}
    for journal in sorted((output / FOLDER).glob("*.jsonl")):
        for line in journal.read_bytes().splitlines():
            try:
                record = json.loads(line)
                known = latest.get(record["input"])
                if known is None or record["time"] >= known["time"]:
                    latest[record["input"]] = record
            except (ValueError, KeyError, TypeError):
                continue
    return latest


class Journal:
    """Appends records to ``output/.records/<name>.jsonl``; one writer a name."""

    def __init__(self, output: Path, name: str):
        self.path = make_folder(output / FOLDER) / f"{name}.jsonl"
        with storage_errors(self.path):
            self._descriptor = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o666)
        size = os.fstat(self._descriptor).st_size
        if size and os.pread(self._descriptor, 1, size - 1) != b"\n":  # a killed writer's torn line
            self._write(b"\n")

    def append(self, record: Record) -> None:
        """Adds one line. ``record`` needs ``input`` (relative path) and ``time`` (seconds since the epoch)."""
        self._write((json.dumps(record, allow_nan=False) + "\n").encode())

    def close(self) -> None:
        os.close(self._descriptor)

    def _write(self, line: bytes) -> None:
        with storage_errors(self.path):
            os.write(self._descriptor, line)


@contextmanager
def journal(output: Path, name: str) -> Iterator[Journal]:
    """A :class:`Journal` that is closed at the end of the block."""
    opened = Journal(output, name)
    try:
        yield opened
    finally:
        opened.close()


@dataclass
class Summary:
    """What a stage did with its files.

    Args:
        stage: what the closing line calls it.
        done: files finished in this run.
        kept: files that an earlier run had finished.
        failed: input → reason.
        audio_seconds: duration of the audio in ``done``.
        seconds: wall-clock time of this run.
        notes: further lines worth saying.
    """

    stage: str
    done: int = 0
    kept: int = 0
    failed: dict[str, str] = field(default_factory=dict)
    audio_seconds: float = 0.0
    seconds: float = 0.0
    notes: list[str] = field(default_factory=list)

    def count(self, record: Record) -> None:
        """Adds one record, whose status is ``done``, ``kept`` or ``failed``."""
        if record["status"] == "kept":
            self.kept += 1
        elif record["status"] == "failed":
            self.failed[record["input"]] = record["reason"]
        else:
            self.done += 1
            self.audio_seconds += record["audio_seconds"]

    @property
    def exit_code(self) -> int:
        """0, or 3 where some inputs failed."""
        return SOME_FAILED if self.failed else DONE

    def text(self, most: int = 20) -> str:
        """The closing lines: one of figures, one a note, and one a failed input (``most`` at most)."""
        speed = f", {self.audio_seconds / self.seconds:,.0f} times real time" if self.audio_seconds and self.seconds else ""
        lines = [
            f"{self.stage}: {self.done:,} done, {self.kept:,} kept, {len(self.failed):,} failed; "
            f"{self.audio_seconds / 3600:.2f} h of audio in {self.seconds:.1f} s{speed}"
        ]
        lines += [f"  {note}" for note in self.notes]
        lines += [f"  failed: {printable(name)}: {reason}" for name, reason in itertools.islice(sorted(self.failed.items()), most)]
        if len(self.failed) > most:
            lines.append(f"  … and {len(self.failed) - most:,} more, in {FOLDER}/")
        return "\n".join(lines)


def printable(name: str) -> str:
    """A file name that any terminal can show: bytes that are not UTF-8 and control characters are escaped."""
    shown = name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return "".join(character if character.isprintable() else repr(character)[1:-1] for character in shown)
