"""The vectors of a batch in one file (``extract --matrix``), and back again (``extract`` without it).

While a batch is computed, each vector has a file of its own. When all are there, they are written into one matrix
(:mod:`jukemir_like.core.matrices`), and their files are removed. Which bytes a vector has to have is what the records of the run say;
where they are found, in a file or in a row of an earlier matrix, does not matter. So each step can be repeated: an interrupted batch goes
on, and a clip that failed and can be used now is added.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from jukemir_like.core import files, matrices
from jukemir_like.core.atomic import remove_abandoned, storage_errors, write_bytes
from jukemir_like.core.errors import DamagedFileError, StorageError
from jukemir_like.core.files import check_free_space
from jukemir_like.core.matrices import Matrix, Row
from jukemir_like.core.records import Record
from jukemir_like.core.resumable import Job

_REMEDY = "its vectors are computed again"
_BATCH = re.compile(r"(batch-[0-9]+)-[0-9]+")


@dataclass(frozen=True)
class StoredJob(Job):
    """A job whose output may be a row of a matrix already.

    Args:
        row: the row; None: there is none.
        restore: whether a row that can stay is written to the output's own file.
    """

    row: Row | None = None
    restore: bool = False

    def kept_record(self, digest: str | None) -> Record | None:
        """As :meth:`Job.kept_record`, of the file, or else of the row."""
        kept = super().kept_record(digest)
        if kept is not None or self.row is None:
            return kept
        data = _read_row(self.row)
        by_output = {record["output_digest"]: record for record in self.earlier if record.get("digest") == digest}
        kept = None if data is None else by_output.get(hashlib.sha256(data).hexdigest())
        if kept is not None and data is not None and self.restore:
            write_bytes(self.output, data, self.temporary_folder)
        return kept


@dataclass
class BatchMatrix:
    """The matrix of a batch in a folder of vectors: what of it can stay, and what it is to be.

    Args:
        folder: of the vectors.
        name: of the batch, as its journal is called.
        wanted: whether the vectors are to be in one matrix; otherwise in a file each.

    Attributes:
        notes: matrices that are damaged.
    """

    folder: Path
    name: str
    wanted: bool
    notes: list[str] = field(default_factory=list)
    _jobs: list[StoredJob] = field(default_factory=list)
    _digests: dict[str, bytes | None] = field(default_factory=dict)  # by input; None: no vector
    _own: Matrix | None = None
    _own_rows: dict[str, Row] = field(default_factory=dict)
    _other_rows: dict[str, Row] | None = None

    def __post_init__(self) -> None:
        self._present = (self.folder / matrices.FOLDER).is_dir()
        if self._present:
            remove_abandoned(self.folder / matrices.FOLDER)
            self._own = self._read(matrices.list_of(self.folder, self.name))
            self._own_rows = dict(self._own.rows()) if self._own is not None else {}

    @property
    def path(self) -> Path | None:
        """The file of the matrix; None: there is none."""
        return None if self._own is None else self._own.path

    @property
    def is_used(self) -> bool:
        """Whether there is anything to do: a matrix is wanted, or there are some."""
        return self.wanted or self._present

    def overlapping(self) -> list[Path]:
        """Lists of names of others that can have vectors of this batch: batches of the same size have none, and they are many."""
        size = _BATCH.fullmatch(self.name)

        def is_of_same_size(index: Path) -> bool:
            other = _BATCH.fullmatch(index.stem)
            return size is not None and other is not None and other[1] == size[1]

        return [index for index in self._all_others() if not is_of_same_size(index)]

    def stored(self, outputs: Mapping[str, Path]) -> dict[str, str]:
        """Input → digest of its vector, of those of ``outputs`` (input → file) that are rows of this batch's matrix."""
        rows = {name: self._own_rows.get(self._vector(output)) for name, output in outputs.items()}
        found = ((name, _read_row(row)) for name, row in rows.items() if row is not None)
        return {name: hashlib.sha256(data).hexdigest() for name, data in found if data is not None}

    def job(self, job: Job) -> Job:
        """The same job, which knows of a row that its output may be."""
        if not self.is_used:
            return job
        stored = StoredJob(job.input, job.output, job.signature, job.earlier, job.folder, self._row(job), not self.wanted)
        self._jobs.append(stored)
        return stored

    def count(self, record: Record) -> None:
        """Takes the record of a finished job into account."""
        if self.is_used:
            self._digests[record["input"]] = bytes.fromhex(record["output_digest"]) if record["status"] != "failed" else None

    def finish(self) -> None:
        """Writes what the finished jobs have computed, in the form that is wanted, and removes the other form of it.

        Raises:
            StorageError: the folder cannot be written, or another process has removed vectors meanwhile.
        """
        finished = [job for job in self._jobs if job.input in self._digests]
        if not finished:
            return
        if self.wanted:
            may_be_elsewhere = self._other_rows is not None or self._has_got_others(finished)
            with matrices.only_writer(self.folder, self.name):
                self._write(finished)
            others = list(self._all_others()) if may_be_elsewhere else self.overlapping()
        else:
            others = matrices.find_lists(self.folder)
        self._drop(finished, others)

    def _has_got_others(self, finished: Iterable[StoredJob]) -> bool:
        """Whether the matrix of an earlier run has not all vectors that this one has: inputs may have moved here from another batch."""
        return self._own is not None and any(self._digests[job.input] and self._name(job) not in self._own_rows for job in finished)

    def _drop(self, finished: Sequence[StoredJob], lists: Sequence[Path]) -> None:
        """Takes what ``finished`` have, or failed to have, out of ``lists``; nothing that is not in the wanted form by now."""
        names = {self._name(job) for job in finished}
        read = ((index, self._read(index)) for index in lists)
        # A list without names is one that a killed process was about to remove.
        affected = [index for index, matrix in read if matrix is not None and not (matrix.names and names.isdisjoint(matrix.names))]
        if not lists and self.wanted:
            return
        with matrices.changes(self.folder):
            matrices.remove_unlisted(self.folder)
            own = self._read(matrices.list_of(self.folder, self.name)) if self.wanted else None
            here = set(() if own is None else own.names)

            def is_elsewhere(job: StoredJob) -> bool:
                return self._digests[job.input] is None or self._name(job) in here or job.output.exists()

            names = {self._name(job) for job in finished if is_elsewhere(job)}
            for index in affected:
                if (matrix := self._read(index)) is not None:
                    matrices.drop_rows(matrix, names.__contains__)

    def _write(self, finished: Sequence[StoredJob]) -> None:
        """Writes the matrix unless it is there, and then removes the files of its vectors."""
        self._own = self._read(matrices.list_of(self.folder, self.name))  # another process may have written it meanwhile
        with_vector = [job for job in finished if self._digests[job.input] is not None]
        places = [(self._name(job), job.output.exists()) for job in with_vector]
        if self._own is None or self._own.names != tuple(name for name, _ in places) or any(has_file for _, has_file in places):
            self._own = self._replaced(with_vector)
        if self._own is None:
            matrices.list_of(self.folder, self.name).unlink(missing_ok=True)
        matrices.remove_replaced(self.folder, self.name, None if self._own is None else self._own.path)
        lost = self._remove_files(with_vector)
        if lost:
            first = files.printable(self._name(lost[0]))
            raise StorageError(f"{len(lost):,} vectors of {self.folder}, such as {first}, were removed during the extraction: run again")

    def _remove_files(self, with_vector: Sequence[StoredJob]) -> list[StoredJob]:
        """Removes the files of vectors that are rows; returns the jobs whose vectors are neither."""
        written = set(() if self._own is None else self._own.names)
        with_file = [job for job in with_vector if job.output.exists()]
        lost = [job for job in with_vector if self._name(job) not in written and not job.output.exists()]
        if with_file:
            with matrices.changes(self.folder):
                own = self._read(matrices.list_of(self.folder, self.name))  # another process may have taken rows out of it
                rows = set(() if own is None else own.names)
                for job in with_file:
                    if self._name(job) in rows:
                        with storage_errors(job.output):
                            job.output.unlink(missing_ok=True)
        return lost

    def _replaced(self, with_vector: Sequence[StoredJob]) -> Matrix | None:
        found = next(self._vectors(with_vector), None)
        if found is None:
            return None
        dimension = matrices.dimension_of(found[1])
        check_free_space(
            self.folder,
            4 * dimension * len(with_vector),
            f"no room in {self.folder} for a matrix of {len(with_vector):,} vectors",
            advice="free some space, or extract in batches (--batch_size)",
        )
        of_this_size = ((name, data) for name, data in self._vectors(with_vector) if matrices.dimension_of(data) == dimension)
        return matrices.write_matrix(self.folder, self.name, dimension, of_this_size)

    def _vectors(self, with_vector: Sequence[StoredJob]) -> Iterator[tuple[str, bytes]]:
        """Name and bytes of the vectors that the records describe; those that are gone again are left out."""
        written = {} if self._own is None else dict(self._own.rows())
        for job in with_vector:
            rows = (job.row, written.get(self._name(job)))
            for data in (_read_file(job.output), *(None if row is None else _read_row(row) for row in rows)):
                if data is not None and hashlib.sha256(data).digest() == self._digests[job.input]:
                    yield self._name(job), data
                    break

    def _row(self, job: Job) -> Row | None:
        """The row that the job's output may be. Other batches' are read where a record says that there was an output."""
        name = self._name(job)
        if name in self._own_rows or not job.earlier or not self._present:
            return self._own_rows.get(name)
        if self._other_rows is None:
            if job.output.exists():
                return None
            self._other_rows = {}
            for index in self._all_others():
                if (matrix := self._read(index)) is not None:
                    self._other_rows.update(matrix.rows())
        return self._other_rows.get(name)

    def _all_others(self) -> Iterator[Path]:
        own = matrices.list_of(self.folder, self.name)
        return (index for index in matrices.find_lists(self.folder) if index != own)

    def _read(self, index: Path) -> Matrix | None:
        try:
            return matrices.read_matrix(index, _REMEDY)
        except FileNotFoundError:
            return None
        except DamagedFileError as error:
            self.notes = list(dict.fromkeys([*self.notes, str(error)]))
            return None

    def _name(self, job: Job) -> str:
        return self._vector(job.output)

    def _vector(self, output: Path) -> str:
        return output.relative_to(self.folder).with_suffix("").as_posix()


def _read_row(row: Row) -> bytes | None:
    try:
        return row.read()
    except (OSError, ValueError):
        return None


def _read_file(path: Path) -> bytes | None:
    try:
        return files.read_regular(path)
    except OSError:
        return None
