"""What became of all batches of an extraction: what is done, what failed and why, which batches are missing.

The records are read once, one line after the other, and the folders of the vectors are listed; no vector is read. Kept in memory are the
names of the inputs and a few numbers of each: some 250 bytes per input.
"""

from __future__ import annotations

import re
from array import array
from collections import Counter
from dataclasses import dataclass, field
from glob import escape
from itertools import islice
from os.path import splitext
from pathlib import Path

import numpy as np

from jukemir_like import extract
from jukemir_like.core import records
from jukemir_like.core.errors import DONE, SOME_FAILED, RequestError
from jukemir_like.core.files import printable
from jukemir_like.core.vector_folder import VectorFolder
from jukemir_like.launch import batch_numbers
from jukemir_like.launch.slurm_array import MAX_ARRAY_SIZE
from jukemir_like.representations.names import parse

_JOURNAL = re.compile(r"batch-(\d{1,9})-(\d{1,9})")
_UNKNOWN, _DONE, _FAILED = range(3)
_NO_BATCH = -1
_ANY = "ANY"  # layer


@dataclass(frozen=True)
class Failure:
    """An input that failed.

    Args:
        input: its relative path.
        reason: why, in one line.
        batch: its batch; None where that is not known.
    """

    input: str
    reason: str
    batch: int | None


@dataclass(frozen=True)
class Batch:
    """What became of the files of one batch.

    Args:
        done, failed: files.
        missing: files of which nothing is recorded, or whose vector is not there any more.
    """

    done: int = 0
    failed: int = 0
    missing: int = 0

    @property
    def is_complete(self) -> bool:
        """Whether all of its files are done."""
        return not self.failed and not self.missing

    def __str__(self) -> str:
        counts = ((self.done, "done"), (self.failed, "failed"), (self.missing, "missing"))
        return ", ".join(f"{count:,} {what}" for count, what in counts if count) or "missing"


@dataclass
class Collected:
    """What became of an extraction.

    Args:
        output: folder of the vectors.
        batch_size: files per batch; None: it was not done in batches.
        batches: all batches, by number.
        failures: inputs that failed, by batch and name.
        done: files, also those whose batch is not known.
        missing: files of which nothing is recorded, or whose vector is not there any more.
        notes: what is not known, one line each.
    """

    output: Path
    batch_size: int | None
    batches: dict[int, Batch] = field(default_factory=dict)
    failures: list[Failure] = field(default_factory=list)
    done: int = 0
    missing: int = 0
    notes: list[str] = field(default_factory=list)

    @property
    def to_repeat(self) -> list[int]:
        """The batches in which something failed or is missing."""
        return [number for number, batch in self.batches.items() if not batch.is_complete]

    @property
    def exit_code(self) -> int:
        """0 where everything is done, else 3."""
        return SOME_FAILED if self.failures or self.missing or self.to_repeat else DONE

    def text(self, most: int = 20, max_array_size: int = MAX_ARRAY_SIZE) -> str:
        """The figures; then, ``most`` lines at most of each: batches that are not complete, failures; and how to repeat these batches.

        Args:
            most: lines.
            max_array_size: as of the script for SLURM.
        """
        incomplete = self.to_repeat
        files = f"{self.done:,} files done, {len(self.failures):,} failed, {self.missing:,} missing"
        if self.batch_size is not None:
            files = f"{len(self.batches) - len(incomplete):,} of {len(self.batches):,} batches of {self.batch_size} complete; {files}"
        lines = [f"{printable(str(self.output))}: {files}"]
        lines += [f"  batch {number}: {self.batches[number]}" for number in incomplete[:most]]
        lines += [f"  … and {len(incomplete) - most:,} batches more"] if len(incomplete) > most else []
        for failure in islice(self.failures, most):
            where = "" if failure.batch is None else f" (batch {failure.batch})"
            lines.append(f"  failed: {printable(failure.input)}{where}: {failure.reason}")
        lines += [f"  … and {len(self.failures) - most:,} failures more (--most)"] if len(self.failures) > most else []
        lines += [f"  {note}" for note in self.notes]
        if incomplete:
            tasks = {number % (max_array_size - 1) for number in incomplete}
            lines.append("Only these batches again, by the script of `commands extract --runner slurm` (what is finished is kept):")
            several = f"  (task T has the batches T, T + {max_array_size - 1} …)" if incomplete[-1] >= max_array_size - 1 else ""
            lines.append(f"  sbatch --array={batch_numbers.as_text(tasks)} FILE{several}")
            lines.append("or by any other runner:")
            lines.append(f"  jukemir-like commands extract … --batch_size {self.batch_size} --batches {batch_numbers.as_text(incomplete)}")
        return "\n".join(lines)


def collect(output: Path, *, source: Path | None = None, batch_size: int | None = None) -> Collected:
    """What became of the extraction into ``output``, by the last record of each input, and by which vectors there are.

    Args:
        output: folder of the vectors.
        source: folder of the inputs; None: it is not known, and only batches are known that have begun.
        batch_size: files per batch; None: that of the names of the journals.

    Raises:
        RequestError: nothing is recorded in ``output``, there are batches of several sizes, or ``source`` has no audio in it.

    >>> for batch_idx in range(2):
    ...     _ = extract.extract("mfcc", Path("music"), Path("vectors"), batch_size=2, batch_idx=batch_idx)
    >>> print(collect(Path("vectors"), source=Path("music")).text())
    vectors: 2 of 2 batches of 2 complete; 3 files done, 0 failed, 0 missing
    """
    inputs = None if source is None else extract.find_inputs(source)
    begun = _batches_begun(output)
    if inputs is None and not _has_records(output):
        raise RequestError(f"nothing is recorded in {output}: give the folder into which was extracted")
    if batch_size is None:
        if len(begun) > 1:
            raise RequestError(f"{output} has batches of {', '.join(map(str, sorted(begun)))} files: give --batch_size")
        batch_size = next(iter(begun), None)
    collected = Collected(output, batch_size)
    _Tally(inputs, batch_size).read(output, collected)
    if inputs is None:
        _complete_by_journals(collected, begun.get(batch_size or 0, set()))
    return collected


def folders(output: Path, representation: str | None = None) -> list[Path]:
    """The folders to collect: ``output``, or where nothing is recorded in it itself, those of the layers that were extracted in one pass.

    Args:
        output: folder of the vectors; of several layers, the folder of their folders.
        representation: whose vectors ``output`` is for in the cache, where folders of layers lie beside it; None: they lie in it.

    >>> _ = extract.extract("stemjepa", Path("music"), Path("of_layers"), layers="0,1")
    >>> [path.as_posix() for path in folders(Path("of_layers"))]
    ['of_layers/stemjepa.layer0', 'of_layers/stemjepa.layer1']
    """
    if _has_records(output) or (representation is not None and parse(representation).layer is not None):
        return [output]
    if representation is None:
        found = list(output.glob("*.layer*"))
    else:
        before, _, behind = parse(representation).with_layer(_ANY).folder.rpartition(_ANY)
        beside = output.parent.glob(f"{escape(before)}*{escape(behind)}")
        found = [path for path in beside if "." not in path.name.removeprefix(before).removesuffix(behind)]
    return sorted(filter(_has_records, found), key=_in_order) or [output]


class _Tally:
    """The last status of every input, and its batch."""

    def __init__(self, inputs: list[str] | None, batch_size: int | None):
        self._batch_size = batch_size
        self._is_complete = inputs is not None
        names = inputs or []
        self._index = {name: index for index, name in enumerate(names)}
        self._status = bytearray(len(names))
        self._times = array("d", bytes(8 * len(names)))
        self._batches = array("q", (_NO_BATCH if batch_size is None else index // batch_size for index in range(len(names))))
        self._reasons: dict[int, str] = {}

    def read(self, output: Path, collected: Collected) -> None:
        """Reads the records in ``output``; adds to ``collected`` what they say."""
        for journal, time, record in records.stream(output):
            index = self._index.get(record["input"])
            if index is None:
                if self._is_complete:
                    continue  # an input that is none any more
                index = self._index[record["input"]] = len(self._status)
                self._status.append(_UNKNOWN)
                self._times.append(0.0)
                self._batches.append(_NO_BATCH)
            if not self._is_complete and (name := _JOURNAL.fullmatch(journal)) and int(name[1]) == self._batch_size:
                self._batches[index] = int(name[2])
            if self._status[index] and time < self._times[index]:
                continue
            self._times[index] = time
            self._status[index] = _DONE if record["status"] == "done" else _FAILED
            if record["status"] == "failed":
                self._reasons[index] = record.get("reason") or "no reason is recorded"
        self._forget_lost(output)
        self._summarise(collected)

    def _forget_lost(self, output: Path) -> None:
        """Inputs that are recorded as done, but whose vector is not there, are missing. Of the names of vectors, hashes are kept."""
        there = np.fromiter(map(hash, VectorFolder(output, "extract again").names()), np.int64)
        expected = np.fromiter((hash(splitext(name)[0]) for name in self._index), np.int64, len(self._index))  # noqa: PTH122
        for index in np.flatnonzero(~np.isin(expected, there)):
            if self._status[index] == _DONE:
                self._status[index] = _UNKNOWN

    def _summarise(self, collected: Collected) -> None:
        counts: Counter[tuple[int, int]] = Counter(zip(self._batches, self._status, strict=True))
        for number in sorted({number for number, _ in counts} - {_NO_BATCH}):
            collected.batches[number] = Batch(counts[number, _DONE], counts[number, _FAILED], counts[number, _UNKNOWN])
        collected.done, collected.missing = self._status.count(_DONE), self._status.count(_UNKNOWN)
        failed = [(self._batches[index], name, index) for name, index in self._index.items() if self._status[index] == _FAILED]
        for number, name, index in sorted(failed):
            collected.failures.append(Failure(name, self._reasons[index], None if number == _NO_BATCH else number))
        if not self._is_complete and counts.keys() & {(_NO_BATCH, _DONE), (_NO_BATCH, _FAILED)}:
            collected.notes.append("the batch of some files is not known: --input FOLDER tells which are complete")


def _complete_by_journals(collected: Collected, begun: set[int]) -> None:
    """Adds, without the list of the inputs, what is missing: files of batches that are not full, and batches that have not begun."""
    size = collected.batch_size
    if size is None:
        return
    last = max(begun | collected.batches.keys(), default=0)
    batches = {number: collected.batches.get(number, Batch()) for number in range(last + 1)}
    if not collected.notes:
        for number, batch in batches.items():
            recorded = batch.done + batch.failed + batch.missing
            if number < last or not recorded:  # how many files the last one has is not known
                more = max(0, size - recorded)
                batches[number] = Batch(batch.done, batch.failed, batch.missing + more)
                collected.missing += more
    collected.batches = batches
    collected.notes.append(f"whether there are batches after {last} is not known without the inputs: --input FOLDER tells")


def _has_records(folder: Path) -> bool:
    return any((folder / records.FOLDER).glob("*.jsonl"))


def _in_order(path: Path) -> list[str | int]:
    """Layer 10 after layer 9."""
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", path.name)]


def _batches_begun(output: Path) -> dict[int, set[int]]:
    """Batch size → the batches of that size which have journals."""
    begun: dict[int, set[int]] = {}
    for journal in (output / records.FOLDER).glob("*.jsonl"):
        name = _JOURNAL.fullmatch(journal.stem)
        if name:
            begun.setdefault(int(name[1]), set()).add(int(name[2]))
    return begun
