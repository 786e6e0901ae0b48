"""The vectors of a representation, read back as one matrix, with proof of which they were."""

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

_NO_VECTOR = "no vector"
_NO_FILE = (errno.ENOTDIR, errno.ENAMETOOLONG)  # of this name there can be none


@dataclass(frozen=True)
class Vectors:
    """What was found of the vectors that were asked for.

    Args:
        X: float32 of shape (found, dimension).
        row: uid → row of ``X``.
        missing: uid → why there is no vector.
        digest: SHA-256 over uid and bytes of every vector found.
        signature: of the representation that made them; None where no record tells.
    """

    X: NDArray[np.float32]
    row: dict[str, int]
    missing: dict[str, str]
    digest: str
    signature: str | None


def read(cache: Cache, dataset: str, representation: str, uids: Sequence[str], failed: dict[str, str]) -> Vectors:
    """Reads the vectors of ``uids``.

    Args:
        cache: where they are.
        dataset: name.
        representation: name.
        uids: in the order of the rows.
        failed: uid → reason, for items that have no audio.

    Raises:
        RequestError: there are none; they differ in size or in the recipe that made them; one is damaged or not finite.
    """
    folder = cache.representation(dataset, representation)
    again = f"run `jukemir-like extract` for {representation} on {dataset} again"
    known: dict[str, list[records.Record]] = defaultdict(list)
    for name, found in records.read_all(folder).items():
        known[str(PurePosixPath(name).with_suffix(""))] += found
    digest = hashlib.sha256()
    X, made = _matrix(folder, uids, digest, again)
    rows = {uid: row for row, uid in enumerate(made)}
    reasons = {uid: failed.get(uid) or _reason(known.get(uid)) or _NO_VECTOR for uid in uids if uid not in rows}
    if not made:
        first = f" (of {next(iter(reasons))}: {next(iter(reasons.values()))})" if reasons else ""
        raise RequestError(f"no vectors of {representation} for {dataset} in {folder}{first}: {again.removesuffix(' again')}")
    signatures = set()
    for uid, output_digest in made.items():
        with files.damage_errors(folder / f"{uid}.npy", again):
            signatures.add(_signature(known.get(uid, []), output_digest))
    told = sorted(signature for signature in signatures if signature)
    if len(told) > 1:
        shown = ", ".join(printable(signature[:20]) for signature in told[:5])
        raise RequestError(f"vectors in {folder} were made by different versions of {representation} ({shown}): {again}")
    return Vectors(X, rows, reasons, digest.hexdigest(), told[0] if told else None)


def _reason(found: list[records.Record] | None) -> str | None:
    """Why there is no vector, by what was done last."""
    return found[-1].get("reason") if found else None


def _signature(found: list[records.Record], output_digest: str) -> str | None:
    """Under which signature the vector whose bytes have this digest was made; None where nothing tells.

    The record that names these bytes counts, whichever is the last. Other programs' records need not name them: then the last one counts.

    Raises:
        ValueError: records name the bytes that were written, and these are others.
    """
    written = {record["output_digest"]: record.get("signature") for record in found if record.get("output_digest")}
    if not written:
        return found[-1].get("signature") if found else None
    if output_digest not in written:
        raise ValueError("is not what was written there: somebody has changed it since")
    return written[output_digest]


def _matrix(folder: Path, uids: Sequence[str], digest: hashlib._Hash, again: str) -> tuple[NDArray[np.float32], dict[str, str]]:
    """The vectors that are there, and for the uid of each row the SHA-256 of its file."""
    X = np.empty((0, 0), np.float32)
    made: dict[str, str] = {}
    for uid in uids:
        path = folder / f"{uid}.npy"
        try:
            data, vector = _vector(path, again)
        except FileNotFoundError:
            continue
        row = len(made)
        if not row:
            X = _empty(path, len(uids), len(vector))
        if len(vector) != X.shape[1]:
            sizes = f"{folder / next(iter(made))}.npy has {X.shape[1]} numbers, {path} has {len(vector)}"
            raise RequestError(f"vectors differ in size: {sizes}: {again}")
        with np.errstate(over="ignore"):  # a number too large for float32 becomes infinite, and is told below
            X[row] = vector
        digest.update(uid.encode(errors="surrogateescape") + b"\0" + X[row].astype("<f4", copy=False).tobytes())
        made[uid] = hashlib.sha256(data).hexdigest()
    X = X[: len(made)]
    finite = np.isfinite(X).all(1)
    if not finite.all():
        raise DamagedFileError(f"{folder / list(made)[int(finite.argmin())]}.npy holds a number that is not finite: {again}")
    return X, made


def _empty(path: Path, rows: int, columns: int) -> NDArray[np.float32]:
    """A matrix; rows that are never filled take no memory."""
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
