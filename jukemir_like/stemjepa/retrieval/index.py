"""The index of a library: which files it has, and the vectors of their bytes; read and written here.

It is ``<cache>/libraries/<digest of the library's path>/<digest of the weights>.npz``; with a vector per chunk ``…-segments.npz``. Vectors
belong to the SHA-256 of a file's bytes: a renamed or duplicate file is embedded once, and a file that is overwritten is embedded again. A
file whose size and times have not changed is not read. One that was changed within two seconds of being read is read again: file systems'
clocks are coarse, so its times may not show another change.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from jukemir_like.core import jsonfiles
from jukemir_like.core.arrays import read_archive
from jukemir_like.core.atomic import atomic_write
from jukemir_like.core.cache import Cache
from jukemir_like.core.errors import DamagedFileError
from jukemir_like.stemjepa.inference import StemJEPA
from jukemir_like.stemjepa.retrieval.embedding import Vectors

_RECIPE = 2  # raised when the same file and weights would give another vector
_SETTLED_NS = 2_000_000_000

_TABLE = {"recipe": {_RECIPE}, "digests": [str], "files": {str: list}, "reasons": {str: str}, "channels?": {str: int}, "rows?": [int]}

State = tuple[int, int, int]
"""Size in bytes, and the times in ns of the last write and of the last change of any kind; programs cannot set the latter back."""


def index_path(cache: Cache, folder: Path, model: StemJEPA, *, segments: bool = False) -> Path:
    """The file of the index of ``folder`` for this model; of whole files, or of their chunks."""
    if not model.digest:
        raise ValueError("a model without a file of weights has no index")
    name = model.digest[:16] + ("" if model.precision == "32" else f"-{model.precision}") + ("-segments" if segments else "")
    return cache.root / "libraries" / hashlib.sha256(os.fsencode(folder.resolve())).hexdigest()[:16] / f"{name}.npz"


def file_state(path: Path) -> State | None:
    """The state by which a change of a file is recognised; None where the system refuses it."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns


@dataclass
class Index:
    """The files of a library and their vectors.

    Args:
        files: relative path → state when it was read (None: it may have changed since), and digest of its bytes.
        vectors: digest → vector, or vectors of chunks, ``(chunks, dimension)``; the same for all.
        reasons: digest → why there is no vector.
        channels: digest → number of channels, where more than two were mixed down.
    """

    files: dict[str, tuple[State | None, str]] = field(default_factory=dict)
    vectors: dict[str, Vectors] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)
    channels: dict[str, int] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path) -> Index:
        """Reads an index; an empty one where the file is missing or damaged, since it can be computed again."""
        try:
            arrays = read_archive(path, "it is computed again")
            table = jsonfiles.parse(arrays["table"].tobytes())
            jsonfiles.check(table, _TABLE)
            rows = arrays["vectors"]
            if rows.dtype != np.float32 or rows.ndim != 2 or not np.isfinite(rows).all():
                return cls()
            counts = table.get("rows")
            if counts is not None and (min(counts, default=1) < 1 or sum(counts) != len(rows)):
                return cls()
            vectors = dict(zip(table["digests"], rows if counts is None else np.split(rows, np.cumsum(counts)[:-1]), strict=True))
            entries = {name: _entry(*entry) for name, entry in table["files"].items()}
            return cls(entries, vectors, table["reasons"], table.get("channels") or {})
        except (FileNotFoundError, DamagedFileError, ValueError, KeyError, TypeError, IndexError):
            return cls()

    def write(self, path: Path) -> None:
        """Writes the index, completely or not at all."""
        table = {"recipe": _RECIPE, "digests": list(self.vectors), "files": self.files, "reasons": self.reasons, "channels": self.channels}
        if any(vectors.ndim == 2 for vectors in self.vectors.values()):
            table["rows"] = [len(vectors) for vectors in self.vectors.values()]
        encoded = np.frombuffer(json.dumps(table).encode(), np.uint8)
        vectors = np.vstack([*self.vectors.values()]) if self.vectors else np.zeros((0, 0), np.float32)
        with atomic_write(path) as temporary, open(temporary, "wb") as file:
            np.savez(file, table=encoded, vectors=vectors)

    def is_current(self, name: str, state: State | None) -> bool:
        """Whether file ``name``, now in ``state``, is in the index and need not be read."""
        indexed, digest = self.files.get(name, (None, ""))
        return indexed is not None and indexed == state and self.has(digest)

    def add(self, name: str, digest: str, state: State | None) -> None:
        """Adds file ``name`` with the digest of its bytes; ``state`` is that before it was read."""
        settled = state is not None and time.time_ns() - state[2] > _SETTLED_NS
        self.files[name] = (state if settled else None, digest)

    def has(self, digest: str) -> bool:
        """Whether there is a vector for the content with this digest, or a reason why not."""
        return digest in self.vectors or digest in self.reasons

    def keep_only(self, names: Iterable[str]) -> None:
        """Removes all other files, and all entries that belong to no file any more."""
        kept = set(names)
        self.files = {name: entry for name, entry in self.files.items() if name in kept}
        used = {digest for _, digest in self.files.values()}
        self.vectors = {digest: vector for digest, vector in self.vectors.items() if digest in used}
        self.reasons = {digest: reason for digest, reason in self.reasons.items() if digest in used}
        self.channels = {digest: number for digest, number in self.channels.items() if digest in used}


def _entry(state: list[int] | None, digest: str) -> tuple[State | None, str]:
    """An entry of :attr:`Index.files` from JSON."""
    jsonfiles.check({"state": state, "digest": digest}, {"state?": [int], "digest": str})
    return (None if state is None else (state[0], state[1], state[2])), digest
