"""What was done with every input: one JSON line per file, in the hidden folder ``.records`` of a stage's output.

A stage that is interrupted loses nothing: each line is appended when its file is finished. Lines say what happened; whether an output is
kept depends on the output itself (:mod:`jukemir_like.core.resumable`), so that neither the order of the lines nor a clock can make an
old one count.
"""

from __future__ import annotations

import io
import itertools
import json
import math
import os
import stat
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

from jukemir_like.core.atomic import make_folder, storage_errors
from jukemir_like.core.errors import DONE, SOME_FAILED, InputError, StorageError
from jukemir_like.core.files import is_inside, open_regular, printable

FOLDER = ".records"
TEMPORARY_FOLDER = "temporary"
"""In ``.records``: files that are being written, see :func:`jukemir_like.core.atomic.atomic_write`."""

_SUFFIX = ".jsonl"
_BEGIN = b'{"input": "'

Record = dict[str, Any]
"""Its fields: ``input`` (relative path), ``status`` (``done`` or ``failed``), ``reason`` (why it failed), ``digest`` (SHA-256 of the
input's bytes), ``output_digest`` (of the output's), ``signature`` (digest of what else decides the output), ``audio_seconds`` (duration of
the audio), ``seconds`` (time that the work took), ``time`` (seconds since 1970); a stage may add others."""


def new(name: str, signature: str, **more: Any) -> Record:
    """A record of input ``name``, as yet without a fault; ``signature`` is the digest of what, beside its bytes, decides the output."""
    record: Record = {"input": name, "digest": None, "output_digest": None, "audio_seconds": 0.0, "seconds": 0.0}
    return record | {"status": "done", "reason": None, "signature": signature, "time": time.time()} | more


def failure(error: Exception) -> Record:
    """What to change in a record of an input that could not be used, and why in one line.

    >>> failure(InputError("is empty"))
    {'status': 'failed', 'reason': 'is empty'}
    """
    if isinstance(error, InputError):
        reason = str(error)
    elif isinstance(error, MemoryError):
        reason = "does not fit into memory"
    else:
        reason = " ".join(f"unexpected {type(error).__name__}: {error}".split())
    return {"status": "failed", "reason": reason}


def read(output: Path) -> dict[str, Record]:
    """The last record of every input, by its relative path: what to show. (Not what to keep: see :mod:`jukemir_like.core.resumable`.)

    Memory: one record per input, however often it was recorded.
    """
    last: dict[str, tuple[float, Record]] = {}
    for dated, record in _lines(output, journals(output)):
        earlier = last.get(record["input"])
        if earlier is None or dated >= earlier[0]:
            last[record["input"]] = dated, record
    return {name: record for name, (_, record) in last.items()}


def read_all(output: Path, names: Iterable[str] | None = None, within: Iterable[str] | None = None) -> dict[str, list[Record]]:
    """All records of every input, from all journals in ``output``: by ``time`` where they have it, else by when their journal was written.

    Lines that are torn, or are no record, are passed over; so are those whose ``input`` would lead out of its folder.

    Args:
        output: folder whose ``.records`` are read.
        names: of inputs: only their records, which are all that takes memory; None: of all.
        within: names of journals: only these; None: all.
    """
    dated = list(_lines(output, journals(output) if within is None else within, None if names is None else set(names)))
    by_input: dict[str, list[Record]] = {}
    for _, record in sorted(dated, key=lambda pair: pair[0]):
        by_input.setdefault(record["input"], []).append(record)
    return by_input


def dated(output: Path) -> Iterator[tuple[float, Record]]:
    """All records of all journals in ``output``, one at a time, each with what :func:`read_all` orders it by."""
    return _lines(output, journals(output))


def journals(output: Path) -> list[str]:
    """The names of the journals in ``output``, sorted."""
    try:
        return sorted(name.removesuffix(_SUFFIX) for name in os.listdir(output / FOLDER) if name.endswith(_SUFFIX))
    except OSError:
        return []


def _lines(output: Path, within: Iterable[str], names: set[str] | None = None) -> Iterator[tuple[float, Record]]:
    """Records and what they are ordered by, line after line."""
    spelled = None if names is None else {json.dumps(name).encode() for name in names}
    for journal in within:
        try:
            with open_regular(output / FOLDER / f"{journal}{_SUFFIX}") as raw, io.BufferedReader(raw) as file:  # type: ignore[type-var]
                written = os.fstat(file.fileno()).st_mtime
                for line in file:
                    if spelled is not None and not _may_be_of(line, spelled):
                        continue
                    record = _record(line)
                    if record is not None and (names is None or record["input"] in names):
                        yield float(record.get("time", written)), record
        except OSError:  # what it says is not known, as if it were missing
            continue


def _may_be_of(line: bytes, spelled: set[bytes]) -> bool:
    """Whether a line may be a record of one of the inputs; of lines as this module writes them, most are decided without parsing."""
    if not line.startswith(_BEGIN):
        return True
    end = line.find(b'"', len(_BEGIN))
    name = line[len(_BEGIN) - 1 : end + 1]
    # What follows the name might name another input: the last one counts.
    return name in spelled or b"\\" in name or not name.isascii() or line.count(b'"input"') > 1


def stream(output: Path) -> Iterator[tuple[str, float, Record]]:
    """The records of all journals in ``output``, one after the other, as they are read: name of the journal, time, record.

    Of several records of an input the one of the latest time counts. What is passed over is what :func:`read_all` passes over.
    """
    for journal in journals(output):
        for dated, record in _lines(output, [journal]):
            yield journal, dated, record


def _record(line: bytes) -> Record | None:
    """The record in a line; None where there is none. Each field that it has is of its type in ``_FIELDS``."""
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(record, dict) or not _FIELDS.keys() & record.keys() >= {"input", "status"}:
        return None
    if not all(is_valid(record[name]) for name, is_valid in _FIELDS.items() if name in record):
        return None
    # All lines have the same names and a few signatures: held once, they are not half of the memory of many records.
    return {sys.intern(name): sys.intern(value) if name in _REPEATED else value for name, value in record.items()}


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_text_or_null(value: Any) -> bool:
    return value is None or isinstance(value, str)


def _is_number(value: Any) -> bool:
    try:
        return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    except OverflowError:  # a whole number of hundreds of digits
        return False


def _is_duration(value: Any) -> bool:
    return _is_number(value) and value >= 0


_FIELDS = {
    "input": lambda value: isinstance(value, str) and is_inside(value),
    "status": lambda value: value in ("done", "failed"),
    "digest": _is_text_or_null,
    "output_digest": _is_text_or_null,
    "reason": _is_text_or_null,
    "signature": _is_text,
    "audio_seconds": _is_duration,
    "seconds": _is_duration,
    "time": _is_number,
}
_REPEATED = {"status", "signature"}


class Journal:
    """Appends records to ``output/.records/<name>.jsonl``; one writer per name. As a context manager it is closed at the block's end."""

    def __init__(self, output: Path, name: str):
        self.path = make_folder(output / FOLDER) / f"{name}{_SUFFIX}"
        with storage_errors(self.path):
            # O_NONBLOCK: a named pipe would else wait for a reader. O_RDWR: the last byte is read.
            self._descriptor = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NONBLOCK, 0o666)
        status = os.fstat(self._descriptor)
        if not stat.S_ISREG(status.st_mode):
            os.close(self._descriptor)
            raise StorageError(f"cannot write {printable(str(self.path))}: it is not a file; remove it")
        if status.st_size and os.pread(self._descriptor, 1, status.st_size - 1) != b"\n":  # a killed writer's torn line
            self._write(b"\n")

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self.close()

    def append(self, record: Record) -> None:
        """Adds one line. ``record`` needs ``input`` (relative path) and ``time`` (seconds since 1970)."""
        self._write((json.dumps(record, allow_nan=False) + "\n").encode())

    def close(self) -> None:
        os.close(self._descriptor)

    def _write(self, line: bytes) -> None:
        with storage_errors(self.path):
            while line:  # a disk that becomes full takes a part, and refuses the rest
                line = line[os.write(self._descriptor, line) :]


@dataclass
class Summary:
    """What a stage did with its files.

    Args:
        stage: its name in the closing line.
        done: files finished in this run.
        kept: files that an earlier run had finished.
        failed: input → reason.
        audio_seconds: duration of the audio in ``done``.
        seconds: wall-clock time of this run.
        notes: further lines to show.

    >>> print(Summary("extract mfcc", done=2, failed={"a.wav": "is empty"}, seconds=1.5, audio_seconds=60).text())
    extract mfcc: 2 done, 0 kept, 1 failed; 0.02 h of audio in 1.5 s, 40 times real time
      failed: a.wav: is empty
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
        """The closing lines: one of figures, one per note, and one per failed input (``most`` at most)."""
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
