"""The vectors of a representation, read back as one matrix, with proof of which they were."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from jukemir_like import records
from jukemir_like.cache import Cache
from jukemir_like.errors import RequestError

_NO_VECTOR = "no vector"


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
    found = {path.removesuffix(".npy") for path in _files(folder)}
    known = {str(PurePosixPath(name).with_suffix("")): record for name, record in records.read(folder).items()}
    reasons = {uid: failed.get(uid) or known.get(uid, {}).get("reason") or _NO_VECTOR for uid in uids if uid not in found}
    used = [uid for uid in uids if uid in found]
    if not used:
        first = f" (of {next(iter(reasons))}: {next(iter(reasons.values()))})" if reasons else ""
        raise RequestError(f"no vectors of {representation} for {dataset} in {folder}{first}: {again.removesuffix(' again')}")
    signatures = sorted({str(known[uid]["signature"]) for uid in used if known.get(uid, {}).get("signature")})
    if len(signatures) > 1:
        raise RequestError(f"vectors in {folder} were made by different versions of {representation} ({', '.join(signatures)}): {again}")
    digest = hashlib.sha256()
    X = _matrix(folder, used, digest, again)
    return Vectors(X, {uid: i for i, uid in enumerate(used)}, reasons, digest.hexdigest(), signatures[0] if signatures else None)


def _files(folder: Path) -> Iterator[str]:
    """Relative paths of the ``.npy`` files of ``folder``, hidden ones left out; one look a folder, not a file."""
    stack = [""]
    while stack:
        parent = stack.pop()
        try:
            entries = list(os.scandir(folder / parent))
        except FileNotFoundError:
            return
        for entry in entries:
            if entry.name.startswith("."):
                continue
            if entry.is_dir():
                stack.append(f"{parent}{entry.name}/")
            elif entry.name.endswith(".npy"):
                yield parent + entry.name


def _matrix(folder: Path, uids: Sequence[str], digest: hashlib._Hash, again: str) -> NDArray[np.float32]:
    X = np.empty((0, 0), np.float32)
    for i, uid in enumerate(uids):
        vector = _vector(folder / f"{uid}.npy", again)
        if i == 0:
            X = np.empty((len(uids), len(vector)), np.float32)
        if len(vector) != X.shape[1]:
            sizes = f"{folder / uids[0]}.npy has {X.shape[1]} numbers, {folder / uid}.npy has {len(vector)}"
            raise RequestError(f"vectors differ in size: {sizes}: {again}")
        X[i] = vector
        digest.update(uid.encode(errors="surrogateescape") + b"\0" + X[i].astype("<f4", copy=False).tobytes())
    finite = np.isfinite(X).all(1)
    if not finite.all():
        raise RequestError(f"{folder / uids[int(finite.argmin())]}.npy holds a number that is not finite: {again}")
    return X


_headers: dict[bytes, tuple[tuple[int, ...], np.dtype[np.generic]]] = {}


def _vector(path: Path, again: str) -> NDArray[np.generic]:
    """The array of a ``.npy`` file. All files of a folder have one header, which is parsed once: ten times faster than ``numpy.load``."""
    data = path.read_bytes()
    end = 10 + int.from_bytes(data[8:10], "little")  # format 1.0: magic, version, length of the header, header
    if data[:end] not in _headers:
        with open(path, "rb") as file:
            try:
                if npy.read_magic(file) != (1, 0):
                    raise ValueError("of an unusual version")
                shape, _, dtype = npy.read_array_header_1_0(file)
            except ValueError as error:
                raise RequestError(f"{path} is no NumPy file ({error}): {again}") from error
            if len(shape) != 1 or dtype.kind != "f" or shape[0] == 0:
                raise RequestError(f"{path} is no vector: it holds {dtype} of shape {shape}: {again}")
            _headers[data[:end]] = shape, dtype
    shape, dtype = _headers[data[:end]]
    if len(data) - end != shape[0] * dtype.itemsize:
        raise RequestError(f"{path} is truncated: {again}")
    return np.frombuffer(data, dtype, offset=end)
