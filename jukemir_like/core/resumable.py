"""The one resumable loop, which every stage with an output per input runs: in worker processes, one record per output, finished ones kept.

What decides that an output is kept: a record says that the same input bytes and the same signature gave an output of the very bytes that
the file has now (:meth:`Job.kept_record`). Neither the order of records nor a clock counts. So it holds where a clock was wrong, where
another process wrote in between, where a file was damaged, replaced or put back: a record describes its bytes, or none does and it is
recomputed.

A stage makes its jobs with :meth:`Stage.job`, groups them into chunks, and iterates over :meth:`Stage.run`.
"""

from __future__ import annotations

import re
import stat
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jukemir_like.core import files, records
from jukemir_like.core.atomic import make_folder, remove_abandoned
from jukemir_like.core.errors import InputError, RequestError, StorageError
from jukemir_like.core.parallel import map_unordered
from jukemir_like.core.progress import Progress
from jukemir_like.core.records import Record, Summary
from jukemir_like.core.two_steps import TwoSteps

WHOLE_FOLDER = "all"
"""Name of the journal of a run that is no batch."""

_BATCH_JOURNAL = re.compile(r"batch-([0-9]{1,9})-([0-9]{1,9})")


@dataclass(frozen=True)
class Job:
    """One output to compute.

    Args:
        input: its name in the records.
        output: the file to write.
        signature: digest of what, beside the input's bytes, decides the output.
        earlier: records of outputs of this signature; each names its ``digest`` and its ``output_digest``.
        folder: whose ``.records`` describe the output; None: the stage's.
    """

    input: str
    output: Path
    signature: str
    earlier: tuple[Record, ...] = ()
    folder: Path | None = None

    def kept_record(self, digest: str | None) -> Record | None:
        """The record which says that input bytes of this digest gave the output as it now is; None where it must be computed."""
        by_output = {record["output_digest"]: record for record in self.earlier if record.get("digest") == digest}
        return by_output.get(digest_or_none(self.output)) if by_output else None

    def record(self, **more: Any) -> Record:
        """A new record of this job."""
        return records.new(self.input, self.signature, **more)

    @property
    def temporary_folder(self) -> Path | None:
        """Where the output may be while it is written, see :func:`jukemir_like.core.atomic.atomic_write`; None: in its own folder."""
        return None if self.folder is None else temporary_folder(self.folder)


@dataclass(frozen=True)
class Chunk:
    """Jobs that are done together, by one worker.

    Args:
        jobs: at least one.
        source: what else the worker needs to know, for all of them; None: each job can be done alone.
    """

    jobs: tuple[Job, ...]
    source: Any = None


class Stage:
    """A run of a stage.

    Args:
        summary: what is done is counted here.
        output: folder whose ``.records`` describe its outputs.
        journal: name of the journal that this run writes.
        unit: what the progress counts.
        outputs: of a batch, input → output: what earlier runs recorded of other inputs is not looked at. None: all of it is read.
        stored: of a batch, input → digest of its output, where that is not in its file but in another one of the batch.
        is_stored_elsewhere: whether outputs of a batch may be in other files than these, which any of the earlier runs may have recorded.

    Attributes:
        summary: as given.
        known: input → records of earlier runs: all, or those that tell whether one of ``outputs`` can be kept.
    """

    def __init__(
        self, summary: Summary, output: Path, journal: str, *, unit: str = "file",
        outputs: Mapping[str, Path] | None = None, stored: Mapping[str, str] | None = None, is_stored_elsewhere: bool = False,
    ):  # fmt: skip
        self._started = time.perf_counter()
        self.summary = summary
        self._output, self._journal, self._unit = output, journal, unit
        if outputs is None or is_stored_elsewhere:
            self.known = records.read_all(output, outputs)
        else:
            self.known = _known_of_batch(output, journal, outputs, stored or {})

    def job(self, name: str, output: Path, signature: str) -> Job:
        """The job of computing ``output`` of input ``name``."""
        earlier = (record for record in self.known.get(name, ()) if _describes_output(record, signature))
        return Job(name, output, signature, tuple(earlier), self._output)

    def run(self, work: Callable[[Chunk], list[Record]], chunks: Iterable[Chunk], total: int, workers: int) -> Iterator[Record]:
        """Does ``chunks`` and yields a record for each job as they finish; the run is over when the iteration is.

        Args:
            work: picklable; returns a record for each job of a chunk, whose status is ``done``, ``failed`` or ``kept``. A record's
                ``result`` is yielded but not written to the journal. In two steps where it is a
                :class:`~jukemir_like.core.two_steps.TwoSteps`.
            chunks: read lazily.
            total: jobs in all of them.
            workers: processes.

        Raises:
            RequestError, StorageError: of ``work``, where the fault is not one input's. Outputs that were not finished are untouched.
        """
        with ExitStack() as opened, Progress(total, self.summary.stage, self._unit) as bar:
            journals: dict[Path, records.Journal] = {}
            self._open_journal(journals, self._output, opened)
            # Closed at once, also where a traceback would keep it: a process that waits may have a GPU's memory.
            results = opened.enter_context(closing(_results(work, chunks, max(1, min(workers, total)))))
            for chunk, result in results:
                for job, record in zip(chunk.jobs, result, strict=True):
                    self.summary.count(record)
                    if record["status"] == "failed":
                        job.output.unlink(missing_ok=True)
                    if record["status"] != "kept":
                        journal = self._open_journal(journals, job.folder or self._output, opened)
                        journal.append({name: value for name, value in record.items() if name != "result"})
                    yield record
                bar.update(len(chunk.jobs))
        self.summary.seconds = time.perf_counter() - self._started

    def _open_journal(self, journals: dict[Path, records.Journal], folder: Path, opened: ExitStack) -> records.Journal:
        if folder not in journals:
            journals[folder] = opened.enter_context(records.Journal(folder, self._journal))
        return journals[folder]

    def remove_others(self, wanted: Iterable[str], output_of: Callable[[str], Path]) -> None:
        """Removes the outputs of inputs that are none any more, where they are, to the byte, what a record says that a run has written."""
        for name in self.known.keys() - set(wanted):
            path = output_of(name)
            written = {record["output_digest"] for record in self.known[name] if record.get("output_digest")}
            if written and digest_or_none(path) in written:
                path.unlink(missing_ok=True)


def _results(work: Callable[[Chunk], list[Record]], chunks: Iterable[Chunk], workers: int) -> Generator[tuple[Chunk, list[Record]]]:
    """Chunks and their records. A chunk that fails as a whole is repeated job by job: one bad input does not spoil the others."""
    divided: list[Chunk] = []
    for items in (chunks, divided):
        with closing(work.map_unordered(items, workers) if isinstance(work, TwoSteps) else map_unordered(work, items, workers)) as mapped:
            for chunk, result in mapped:
                if isinstance(result, StorageError | RequestError):
                    raise result
                if isinstance(result, Exception):
                    if len(chunk.jobs) > 1 and chunk.source is None:
                        divided += [Chunk((job,)) for job in chunk.jobs]
                        continue
                    result = [job.record() | records.failure(result) for job in chunk.jobs]
                yield chunk, result


def _describes_output(record: Record, signature: str) -> bool:
    return record["status"] == "done" and record.get("signature") == signature and bool(record.get("output_digest"))


def _known_of_batch(output: Path, journal: str, outputs: Mapping[str, Path], stored: Mapping[str, str]) -> dict[str, list[Record]]:
    """Records of the inputs of a batch, by which outputs that are there can be kept.

    The batch's own journal has them, unless another run made an output: the whole folder, batches of another size, another program. Then
    the other journals are read, those of batches that overlap with this one first, until all outputs are described.
    """
    known = records.read_all(output, outputs, [journal])
    there = {name: digest for name, path in outputs.items() if (digest := digest_or_none(path) or stored.get(name)) is not None}
    _forget_described(there, known)
    if there:
        for other in _overlapping_first(records.journals(output), journal):
            found = records.read_all(output, there, [other])
            for name, more in found.items():
                known.setdefault(name, []).extend(more)
            _forget_described(there, found)
            if not there:
                break
    return known


def _forget_described(digests: dict[str, str], known: Mapping[str, list[Record]]) -> None:
    """Removes the outputs of which a record says that they were made as they are."""
    for name, made in known.items():
        if name in digests and any(record.get("output_digest") == digests[name] for record in made):
            del digests[name]


def journal_of_batch(batch_size: int | None, batch_idx: int | None) -> str:
    """The name of the journal of a batch, or of a run over the whole folder.

    >>> journal_of_batch(256, 3), journal_of_batch(None, None)
    ('batch-256-3', 'all')
    """
    return WHOLE_FOLDER if batch_size is None or batch_idx is None else f"batch-{batch_size}-{batch_idx}"


def _overlapping_first(journals: list[str], own: str) -> list[str]:
    """Other journals than ``own``; first those of batches that have inputs of its batch, as long as inputs are not added or removed."""
    span = _span(own)

    def is_elsewhere(name: str) -> bool:
        start, stop = _span(name)
        return not (start < span[1] and span[0] < stop)

    return sorted((name for name in journals if name != own), key=is_elsewhere)


def _span(journal: str) -> tuple[int, int]:
    """The places of the inputs of the batch that has this journal; none of another journal."""
    match = _BATCH_JOURNAL.fullmatch(journal)
    size, idx = (int(match[1]), int(match[2])) if match else (0, 0)
    return size * idx, size * (idx + 1)


def temporary_folder(output: Path) -> Path:
    """Where the jobs of a stage write what is not finished. With so few files in it, it can be cleaned up by every batch.

    >>> temporary_folder(Path("vectors")).as_posix()
    'vectors/.records/temporary'
    """
    return output / records.FOLDER / records.TEMPORARY_FOLDER


def clean_up(outputs: Iterable[Path]) -> None:
    """Removes the temporary files that killed processes left in the folders of ``outputs``."""
    for folder in {output.parent for output in outputs}:
        remove_abandoned(folder)


def clean_up_batch(output: Path, outputs: Iterable[Path]) -> None:
    """As :func:`clean_up`, for one batch of many: the folders of ``outputs``, which may be large, are listed in the first run into
    ``output`` alone, as earlier versions wrote there.
    """
    folder = temporary_folder(output)
    if not folder.is_dir():
        clean_up(outputs)
    remove_abandoned(make_folder(folder))


def digest_or_none(path: Path) -> str | None:
    """SHA-256 of a file's bytes; None where it cannot be read."""
    try:
        return files.sha256(path)
    except OSError:
        return None


@contextmanager
def unchanged(*paths: Path) -> Iterator[None]:
    """For reading the same files twice in the block (for the digest, for the samples): :class:`InputError` where one changed meanwhile."""
    before = [_state(path) for path in paths]
    yield
    if [_state(path) for path in paths] != before:
        raise InputError("was changed while it was read: run again")


def _state(path: Path) -> tuple[Any, ...] | None:
    """What changes when a file, or one in a folder, is written."""
    try:
        status = path.stat()
        below = tuple(map(_state, sorted(path.iterdir()))) if stat.S_ISDIR(status.st_mode) else ()
    except OSError:
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns, below
