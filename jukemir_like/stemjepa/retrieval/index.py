"""The index of a library: which files it has, and the vectors of their bytes; read and written here.

It is ``<cache>/libraries/<digest of the library's path>/<digest of the weights>.npz``; with a vector per chunk ``…-segments.npz``. Vectors
belong to the SHA-256 of a file's bytes: a renamed or duplicate file is embedded once, and a file that is overwritten is embedded again. A
file whose size and times have not changed is not read. One that was changed within two seconds of being read is read again: file systems'
clocks are coarse, so its times may not show another change.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import time
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from jukemir_like.core import jsonfiles
from jukemir_like.core.arrays import matrix_header, open_archive
from jukemir_like.core.atomic import atomic_write
from jukemir_like.core.cache import Cache
from jukemir_like.core.errors import DamagedFileError
from jukemir_like.core.rows import Rows
from jukemir_like.stemjepa.inference import StemJEPA
from jukemir_like.stemjepa.retrieval.embedding import Vectors

_RECIPE = 3  # raised when the same file and weights would give another vector
_SETTLED_NS = 2_000_000_000

_TABLE = {"recipe": {_RECIPE}, "digests": [str], "files": {str: list}, "reasons": {str: str}, "channels?": {str: int}, "rows": [int]}

State = tuple[int, int, int]
"""Size in bytes, and the times in ns of the last write and of the last change of any kind; programs cannot set the latter back."""


def index_path(cache: Cache, folder: Path, model: StemJEPA, *, segments: bool = False) -> Path:
    """The file of the index of ``folder`` for this model; of whole files, or of their chunks."""
    if not model.digest:
        raise ValueError("a model without a file of weights has no index")
    name = model.digest[:16] + ("" if model.precision == "32" else f"-{model.precision}") + ("-segments" if segments else "")
    return cache.root / "libraries" / hashlib.sha256(os.fsencode(folder.resolve())).hexdigest()[:16] / f"{name}.npz"


def file_state(path: str | Path) -> State | None:
    """The state by which a change of a file is recognised; None where the system refuses it."""
    try:
        status = os.stat(path)  # noqa: PTH116 -- of 100,000 paths, each Path would take longer to make than to ask for
    except OSError:
        return None
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns


def _no_rows() -> Rows:
    return Rows.of_array(np.zeros((0, 1), np.float32))


@dataclass
class Index:
    """The files of a library and their vectors, normalised for the cosine.

    Args:
        files: relative path → state when it was read (None: it may have changed since), and digest of its bytes.
        vectors: ``(n, dimension)``, which stay in the file that was read or written last.
        rows: digest → which of ``vectors`` are its own: one, or one for each chunk.
        added: digest → vectors, ``(1, dimension)`` or ``(chunks, dimension)``, that have not been written yet.
        reasons: digest → why there is no vector.
        channels: digest → number of channels, where more than two were mixed down.
    """

    files: dict[str, tuple[State | None, str]] = field(default_factory=dict)
    vectors: Rows = field(default_factory=_no_rows)
    rows: dict[str, range] = field(default_factory=dict)
    added: dict[str, Vectors] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)
    channels: dict[str, int] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path) -> Index:
        """Reads an index; an empty one where the file is missing or damaged, since it can be computed again."""
        try:
            arrays, vectors = _opened(path, path)
            table = jsonfiles.parse(arrays["table"].tobytes())
            jsonfiles.check(table, _TABLE)
            counts = table["rows"]
            is_whole = min(counts, default=1) >= 1 and sum(counts) == len(vectors)
            if not is_whole or not all(np.isfinite(chunk).all() for _, chunk in vectors.chunks()):
                return cls()
            rows = _rows(dict(zip(table["digests"], counts, strict=True)))
            digests = {digest: digest for digest in rows}  # one object of each
            entries = {name: _entry(state, digests.get(digest, digest)) for name, (state, digest) in table["files"].items()}
            return cls(entries, vectors, rows, {}, table["reasons"], table.get("channels") or {})
        except (FileNotFoundError, DamagedFileError, ValueError, KeyError, TypeError, IndexError):
            return cls()

    def write(self, path: Path) -> None:
        """Writes the index, completely or not at all; then :attr:`vectors` are in this file, and none in :attr:`added`."""
        counts = {digest: len(rows) for digest, rows in self.rows.items()} | {digest: len(rows) for digest, rows in self.added.items()}
        table = {"recipe": _RECIPE, "digests": [*counts], "rows": [*counts.values()], "files": self.files}
        table |= {"reasons": self.reasons, "channels": self.channels}
        with atomic_write(path) as temporary:
            with zipfile.ZipFile(temporary, "w") as archive:
                if counts:
                    with archive.open("vectors.npy", "w", force_zip64=True) as member:
                        member.write(matrix_header(sum(counts.values()), self.of(next(iter(counts))).shape[1]))
                        for digest in counts:
                            member.write(self.of(digest).tobytes())
                with archive.open("table.npy", "w", force_zip64=True) as member:
                    np.save(member, np.frombuffer(json.dumps(table).encode(), np.uint8))
            written = _opened(temporary, path)[1]
        self.vectors, self.rows, self.added = written, _rows(counts), {}

    def of(self, digest: str) -> Vectors:
        """The vectors of the content with this digest, ``(1, dimension)`` or ``(chunks, dimension)``."""
        rows = self.rows.get(digest)
        return self.added[digest] if rows is None else self.vectors.take(np.arange(rows.start, rows.stop))

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
        return digest in self.rows or digest in self.added or digest in self.reasons

    def keep_only(self, names: Iterable[str]) -> None:
        """Removes all other files, and all entries that belong to no file any more."""
        kept = set(names)
        self.files = {name: entry for name, entry in self.files.items() if name in kept}
        used = {digest for _, digest in self.files.values()}
        for entries in (self.rows, self.added, self.reasons, self.channels):
            for digest in entries.keys() - used:
                del entries[digest]


def _opened(path: Path, name: Path) -> tuple[dict[str, np.ndarray], Rows]:
    """The arrays of an index, and its vectors; ``name`` is what messages call it."""
    arrays, matrix = open_archive(path, "it is computed again", "vectors")
    return arrays, _no_rows() if matrix is None else Rows.of_stored(replace(matrix, path=name))


def _rows(counts: dict[str, int]) -> dict[str, range]:
    """Digest → rows, one digest's after the other's, from digest → number of rows."""
    ends = itertools.accumulate(counts.values())
    return {digest: range(end - count, end) for (digest, count), end in zip(counts.items(), ends, strict=True)}


def _entry(state: Any, digest: Any) -> tuple[State | None, str]:
    """An entry of :attr:`Index.files` from JSON; ValueError if it is none."""
    if type(digest) is not str or (state is not None and [*map(type, state)] != [int, int, int]):  # quickly: there may be 100,000
        raise ValueError("is no entry of a file")
    return None if state is None else tuple(state), digest
