"""What was done with every input: one JSON line a file, in the hidden folder ``.records`` of a stage's output.

A stage that is interrupted loses nothing: each line is appended when its file is finished, and the last line about an input counts.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from jukemir_like.cache import make_folder, storage_errors

FOLDER = ".records"

Record = dict[str, Any]


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


def tally(records: list[Record]) -> Counter[str]:
    """Number of records by ``status``."""
    return Counter(record["status"] for record in records)
