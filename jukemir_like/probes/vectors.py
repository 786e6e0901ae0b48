"""The vectors of a representation, read as one matrix, with a digest that identifies them."""

from __future__ import annotations

import errno
import hashlib
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from jukemir_like.core import arrays, files, records
from jukemir_like.core.cache import Cache
from jukemir_like.core.errors import DamagedFileError, RequestError
from jukemir_like.core.files import printable
from jukemir_like.packs import origin, published
from jukemir_like.packs.origin import Origin

_NO_VECTOR = "no vector"
_NO_FILE = (errno.ENOTDIR, errno.ENAMETOOLONG)  # no file can have this name


@dataclass(frozen=True)
class Vectors:
    """The vectors of some items.

    Args:
        X: float32 of shape (vectors, dimension).
        row: uid → row of ``X``.
        missing: uid → why there is no vector.
        digest: SHA-256 over uid and bytes of every vector.
        signature: of the representation that computed them; None where no record names it.
        origin: where they were taken over from; None where they were computed here.
    """

    X: NDArray[np.float32]
    row: dict[str, int]
    missing: dict[str, str]
    digest: str
    signature: str | None
    origin: Origin | None = None


def read(cache: Cache, dataset: str, representation: str, uids: Sequence[str], failed: dict[str, str]) -> Vectors:
    """Reads the vectors of ``uids``.

    Args:
        cache: where they are.
        dataset: name.
        representation: name.
        uids: in the order of the rows.
        failed: uid → reason, for items that have no audio.

    Raises:
        RequestError: there are none; they differ in size or in the signature of what computed them; one is damaged or not finite.
    """
    folder = cache.representation(dataset, representation)
    taken_over = origin.read(folder)
    again = f"run `jukemir-like extract` for {representation} on {dataset} again"
    if taken_over is not None or published.is_published(representation):
        again = f"run `jukemir-like download {dataset} --representation {representation}` again"
    known: dict[str, list[records.Record]] = defaultdict(list)
    for name, of_input in records.read_all(folder).items():
        known[str(PurePosixPath(name).with_suffix(""))] += of_input
    X, file_digests, digest = _matrix(folder, uids, again)
    rows = {uid: row for row, uid in enumerate(file_digests)}
    reasons = {uid: failed.get(uid) or _reason(known.get(uid)) or _NO_VECTOR for uid in uids if uid not in rows}
    if not file_digests:
        first = f" (of {next(iter(reasons))}: {next(iter(reasons.values()))})" if reasons else ""
        raise RequestError(f"no vectors of {representation} for {dataset} in {folder}{first}: {again.removesuffix(' again')}")
    signatures = set()
    for uid, file_digest in file_digests.items():
        with files.damage_errors(folder / f"{uid}.npy", again):
            signatures.add(_signature(known.get(uid, []), file_digest))
    named = sorted(signature for signature in signatures if signature)
    if len(named) > 1:
        shown = ", ".join(printable(signature[:20]) for signature in named[:5])
        raise RequestError(f"vectors in {folder} were computed by different versions of {representation} ({shown}): {again}")
    return Vectors(X, rows, reasons, digest, named[0] if named else None, taken_over)


def _reason(of_item: list[records.Record] | None) -> str | None:
    """Why there is no vector, according to the last record."""
    return of_item[-1].get("reason") if of_item else None


def _signature(of_item: list[records.Record], file_digest: str) -> str | None:
    """The signature under which the vector whose file has this digest was computed; None where no record names one.

    The record that names this digest counts, even if it is not the last. Other programs' records need not name digests: then the last
    one counts.

    Raises:
        ValueError: records name digests of what was written, and this is none of them.
    """
    written = {record["output_digest"]: record.get("signature") for record in of_item if record.get("output_digest")}
    if not written:
        return of_item[-1].get("signature") if of_item else None
    if file_digest not in written:
        raise ValueError("is not what was written there: it was changed since")
    return written[file_digest]


def _matrix(folder: Path, uids: Sequence[str], again: str) -> tuple[NDArray[np.float32], dict[str, str], str]:
    """The vectors that exist, the uid of each row with the SHA-256 of its file, and the digest of all."""
    digest = hashlib.sha256()
    X = np.empty((0, 0), np.float32)
    file_digests: dict[str, str] = {}
    for uid in uids:
        path = folder / f"{uid}.npy"
        try:
            data, vector = _vector(path, again)
        except FileNotFoundError:
            continue
        row = len(file_digests)
        if not row:
            X = _empty(path, len(uids), len(vector))
        if len(vector) != X.shape[1]:
            sizes = f"{folder / next(iter(file_digests))}.npy has {X.shape[1]} numbers, {path} has {len(vector)}"
            raise RequestError(f"vectors differ in size: {sizes}: {again}")
        with np.errstate(over="ignore"):  # a number too large for float32 becomes infinite, which is detected below
            X[row] = vector
        digest.update(uid.encode(errors="surrogateescape") + b"\0" + X[row].astype("<f4", copy=False).tobytes())
        file_digests[uid] = hashlib.sha256(data).hexdigest()
    X = X[: len(file_digests)]
    finite = np.isfinite(X).all(1)
    if not finite.all():
        raise DamagedFileError(f"{folder / list(file_digests)[int(finite.argmin())]}.npy holds a number that is not finite: {again}")
    return X, file_digests, digest.hexdigest()


def _empty(path: Path, rows: int, columns: int) -> NDArray[np.float32]:
    """An uninitialised matrix; rows that are never written take no memory."""
    try:
        return np.empty((rows, columns), np.float32)
    except MemoryError as error:
        raise RequestError(f"{path} has {columns:,} numbers: {rows:,} vectors of that size do not fit into memory") from error


def _vector(path: Path, again: str) -> tuple[bytes, np.ndarray]:
    """The bytes of a ``.npy`` file, and its array; FileNotFoundError where there is none."""
    with files.damage_errors(path, again):
        try:
            data = files.read_regular(path)
            vector = arrays.parse(data)
        except OSError as error:
            if error.errno in _NO_FILE:
                raise FileNotFoundError(error.errno, error.strerror, path) from error
            raise
        if vector.ndim != 1 or vector.dtype.kind != "f" or not vector.size:
            raise ValueError(f"is no vector: it holds {vector.dtype} of shape {vector.shape}")
        return data, vector
