"""The vectors of a representation, read as one matrix, with a digest that identifies them.

A matrix that is large (:class:`Large`) stays on disk, and is read in chunks (:class:`~jukemir_like.core.rows.Rows`): where its vectors are
rows of matrices (``extract --matrix``) there; where they have a file each, a million files would be opened for every pass over the data, so
they are written into one temporary file first.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from jukemir_like.core import arrays, atomic, files, records
from jukemir_like.core.cache import Cache
from jukemir_like.core.errors import DamagedFileError, RequestError
from jukemir_like.core.files import check_free_space, printable
from jukemir_like.core.rows import MatrixFile, Rows
from jukemir_like.core.vector_folder import VectorFolder
from jukemir_like.packs import origin, published
from jukemir_like.packs.origin import Origin
from jukemir_like.probes import current_audio

CHUNKS_ABOVE = 1_000_000_000
"""Bytes of vectors, as float32, above which they are read in chunks."""

NO_VECTOR = "no vector"
"""Why an item is left out that was never extracted here."""


@dataclass(frozen=True)
class Large:
    """Which vectors are read in chunks, and where.

    Args:
        above: bytes as float32; a matrix of more is large.
        folder: for a temporary file.
        opened: at the end of which the temporary file is removed.
    """

    above: int
    folder: Path
    opened: ExitStack


def note(X: NDArray[np.float32] | Rows) -> list[str]:
    """A line for people, on vectors that are read in chunks; none for others.

    >>> note(Rows.of_array(np.zeros((1000, 1000))))
    ['vectors of 4.0 MB were read in chunks: the last digits may differ from those of vectors in memory']
    """
    if not isinstance(X, Rows):
        return []
    size = f"{X.nbytes / 1e9:.1f} GB" if X.nbytes >= 1e9 else f"{X.nbytes / 1e6:.1f} MB"
    return [f"vectors of {size} were read in chunks: the last digits may differ from those of vectors in memory"]


@dataclass(frozen=True)
class Vectors:
    """The vectors of some items.

    Args:
        X: float32 of shape (vectors, dimension); of a large matrix, its rows on disk.
        row: uid → row of ``X``.
        missing: uid → why there is no vector.
        digest: SHA-256 over uid and bytes of every vector.
        signature: of the representation that computed them; None where no record names it.
        origin: where they were taken over from; None where they were computed here.
    """

    X: NDArray[np.float32] | Rows
    row: dict[str, int]
    missing: dict[str, str]
    digest: str
    signature: str | None
    origin: Origin | None = None


def read(
    cache: Cache, dataset: str, representation: str, uids: Sequence[str], failed: dict[str, str], large: Large | None = None
) -> Vectors:
    """Reads the vectors of ``uids``.

    Args:
        cache: where they are.
        dataset: name.
        representation: name.
        uids: in the order of the rows.
        failed: uid → reason, for items that have no audio.
        large: which vectors are read in chunks; None: none, all are in memory.

    Raises:
        RequestError: there are none; they differ in size or in the signature of what computed them; one is damaged or not finite; records
            say that they were computed from other audio than the dataset has now. (Of vectors that were taken over, this is not asked.)
        StorageError: there is no room for the temporary file.
    """
    folder = cache.representation(dataset, representation)
    taken_over = origin.read(folder)
    again = f"run `jukemir-like extract` for {representation} on {dataset} again"
    if taken_over is not None or published.is_published(representation):
        again = f"run `jukemir-like download {dataset} --representation {representation}` again"
    known = _known(folder)
    audio = _Audio(cache.processed(dataset), {} if taken_over else current_audio.digests(cache.processed(dataset), uids))
    stored = VectorFolder(folder, again)
    try:
        X, row, named, digest = _matrix(stored, uids, known, again, large, audio)
    finally:
        stored.close()
    missing = [uid for uid in uids if uid not in row]
    if missing:
        afterwards = VectorFolder(folder, again)
        if any(uid in afterwards for uid in missing):
            raise RequestError(f"vectors in {folder} were moved while they were read: run again when their extraction has ended")
    reasons = {uid: failed.get(uid) or _reason(known.get(uid)) or NO_VECTOR for uid in missing}
    if not row:
        first = f" (of {next(iter(reasons))}: {next(iter(reasons.values()))})" if reasons else ""
        raise RequestError(f"no vectors of {representation} for {dataset} in {folder}{first}: {again.removesuffix(' again')}")
    if len(named) > 1:
        shown = ", ".join(printable(signature[:20]) for signature in named[:5])
        raise RequestError(f"vectors in {folder} were computed by different versions of {representation} ({shown}): {again}")
    if changed := current_audio.changed(audio.folder, audio.suspects):
        which = f"{len(changed):,} of {len(row):,} vectors of {representation} for {dataset}, such as that of {printable(changed[0])}"
        option = "" if cache.root == Cache.default().root else f" --cache {cache.root}"
        command = f"`jukemir-like extract {representation} --dataset {dataset}{option}`"
        raise RequestError(f"{which}, are of other audio than {dataset} has now: run {command} again")
    return Vectors(X, row, reasons, digest, named[0] if named else None, taken_over)


@dataclass(frozen=True, slots=True)
class _Known:
    """What a record says of a vector: a part of it, as there may be millions."""

    dated: float
    digest: str | None
    output_digest: str | None
    signature: str | None
    reason: str | None


def _known(folder: Path) -> dict[str, list[_Known]]:
    """uid → what its records say, the last one at the end."""
    known: dict[str, list[_Known]] = {}
    same: dict[str, str] = {}
    for dated, record in records.dated(folder):
        of_item = known.setdefault(str(PurePosixPath(record["input"]).with_suffix("")), [])
        signature = record.get("signature")
        signature = None if signature is None else same.setdefault(signature, signature)
        of_item.append(_Known(dated, record.get("digest"), record.get("output_digest"), signature, record.get("reason")))
    for of_item in known.values():
        of_item.sort(key=lambda one: one.dated)
    return known


def _reason(of_item: list[_Known] | None) -> str | None:
    """Why there is no vector, according to the last record."""
    return of_item[-1].reason if of_item else None


def _signature(of_item: list[_Known], file_digest: str) -> str | None:
    """The signature under which the vector whose file has this digest was computed; None where no record names one.

    The record that names this digest counts, even if it is not the last. Other programs' records need not name digests: then the last
    one counts.

    Raises:
        ValueError: records name digests of what was written, and this is none of them.
    """
    written = {record.output_digest: record.signature for record in of_item if record.output_digest}
    if not written:
        return of_item[-1].signature if of_item else None
    if file_digest not in written:
        raise ValueError("is not what was written there: it was changed since")
    return written[file_digest]


@dataclass
class _Audio:
    """What audio a dataset has now, and which vectors may be of another: uid → SHA-256 of what they were computed from."""

    folder: Path
    now: dict[str, str]
    suspects: dict[str, set[str]] = field(default_factory=dict)

    def compare(self, uid: str, of_item: list[_Known], file_digest: str) -> None:
        """Notes the vector if records say of which audio it is, and of no such that there is now."""
        now = self.now.get(uid)
        of_vector = [record for record in of_item if record.output_digest == file_digest] or of_item[-1:]
        computed_from = {record.digest for record in of_vector if record.digest}
        if now and computed_from and now not in computed_from:
            self.suspects[uid] = computed_from


def _matrix(
    stored: VectorFolder, uids: Sequence[str], known: dict[str, list[_Known]], again: str, large: Large | None, audio: _Audio
) -> tuple[NDArray[np.float32] | Rows, dict[str, int], list[str], str]:
    """The vectors that exist, uid → row, the signatures under which they were computed, and the digest of all."""
    digest = hashlib.sha256()
    collected: _InMemory | _OnDisk | None = None
    rows: dict[str, int] = {}
    signatures: set[str | None] = set()
    for uid, data in stored.read_many(uids):
        path = stored.where(uid)
        with files.damage_errors(path, again):
            try:
                if isinstance(data, Exception):
                    raise data
                vector = _vector(data)
            except FileNotFoundError:
                continue
            except ValueError as error:
                raise ValueError(f"{stored.words(uid)}{error}") from error
        if collected is None:
            is_large = large is not None and 4 * len(uids) * len(vector) > large.above
            collected = _OnDisk(stored, len(uids), len(vector), large) if is_large and large else _InMemory(path, len(uids), len(vector))
        if len(vector) != collected.dimension:
            sizes = f"{stored.where(next(iter(rows)))} has {collected.dimension} numbers, {path} has {len(vector)}"
            raise RequestError(f"vectors differ in size: {sizes}: {again}")
        with np.errstate(over="ignore"):  # a number too large for float32 becomes infinite
            of_uid = vector.astype("<f4", copy=False)
        if not np.isfinite(of_uid).all():
            raise DamagedFileError(f"{path} {stored.words(uid)}holds a number that is not finite: {again}")
        with files.damage_errors(path, again):
            try:
                file_digest = hashlib.sha256(data).hexdigest()
                signatures.add(_signature(known.get(uid, []), file_digest))
            except ValueError as error:
                raise ValueError(f"{stored.words(uid)}{error}") from error
        audio.compare(uid, known.get(uid, []), file_digest)
        digest.update(uid.encode(errors="surrogateescape") + b"\0" + of_uid.tobytes())
        collected.add(uid, of_uid)
        rows[uid] = len(rows)
    X = np.empty((0, 0), np.float32) if collected is None else collected.finished()
    return X, rows, sorted(signature for signature in signatures if signature), digest.hexdigest()


class _InMemory:
    """A matrix that grows row by row; rows that are never written take no memory."""

    def __init__(self, path: Path, rows: int, dimension: int):
        self.dimension, self._rows = dimension, 0
        try:
            self._X = np.empty((rows, dimension), np.float32)
        except MemoryError as error:
            raise RequestError(f"{path} has {dimension:,} numbers: {rows:,} vectors of that size do not fit into memory") from error

    def add(self, uid: str, vector: NDArray[np.float32]) -> None:  # noqa: ARG002
        self._X[self._rows] = vector
        self._rows += 1

    def finished(self) -> NDArray[np.float32]:
        return self._X[: self._rows]


class _OnDisk:
    """The same on disk: rows of matrices stay where they are, vectors with a file each are written one after another into one file."""

    def __init__(self, stored: VectorFolder, rows: int, dimension: int, large: Large):
        self.dimension, self._stored, self._large = dimension, stored, large
        self._sources: list[MatrixFile] = []
        self._number: dict[Path, int] = {}
        self._source, self._row = np.zeros(rows, np.int32), np.zeros(rows, np.int64)
        self._rows = self._in_file = 0
        self._path: Path | None = None

    def add(self, uid: str, vector: NDArray[np.float32]) -> None:
        row = self._stored.row(uid)
        if row is None:
            path, start, index = self._temporary_path(), 0, self._in_file
            with atomic.storage_errors(path):
                self._file.write(vector.tobytes())
            self._in_file += 1
        else:
            path, start, index = row.path, row.start, row.index
        if path not in self._number:
            self._number[path] = len(self._sources)
            self._sources.append(MatrixFile(path, start))
        self._source[self._rows], self._row[self._rows] = self._number[path], index
        self._rows += 1

    def finished(self) -> Rows:
        if self._path is not None:
            with atomic.storage_errors(self._path):
                self._file.close()
        return Rows(self._sources, self._source[: self._rows], self._row[: self._rows], self.dimension)

    def _temporary_path(self) -> Path:
        if self._path is None:
            folder = atomic.make_folder(self._large.folder)
            atomic.remove_abandoned(folder)
            size = 4 * self.dimension * (len(self._row) - self._rows)
            check_free_space(folder, size, f"no room in {folder} for a temporary file of all vectors", advice="extract with --matrix")
            self._path = self._large.opened.enter_context(atomic.temporary_file(folder))
            self._file = self._large.opened.enter_context(self._path.open("wb", buffering=1 << 20))
        return self._path


def _vector(data: bytes) -> np.ndarray:
    """The vector that the bytes of a ``.npy`` file hold; ValueError, whose message is to follow its name, where they hold none."""
    vector = arrays.parse(data)
    if vector.ndim != 1 or vector.dtype.kind != "f" or not vector.size:
        raise ValueError(f"is no vector: it holds {vector.dtype} of shape {vector.shape}")
    return vector
