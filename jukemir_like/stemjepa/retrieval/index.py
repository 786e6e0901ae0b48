"""What is known of the files of a library, and where that is kept.

The index stands in ``<cache>/libraries/<digest of the library's path>/<digest of the weights>.npz``. Vectors in it belong to the SHA-256
of a file's bytes, so that what is renamed or there twice is embedded once, and what is written anew under an old name is embedded again.
A file whose size and times are as they were need not be read; one that was changed within two seconds of being read must be, since
file systems' clocks are coarse.
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
from jukemir_like.stemjepa.pretrained import StemJEPA
from jukemir_like.stemjepa.retrieval.metrics import Vectors

_RECIPE = 2  # raised when the same file and weights would give another vector
_SETTLED_NS = 2_000_000_000

_TABLE = {"recipe": {_RECIPE}, "digests": [str], "files": {str: list}, "reasons": {str: str}, "channels?": {str: int}}

State = tuple[int, int, int]
"""Size, and the times in ns when the file was last written and last changed in any way; the last cannot be set back."""


def place(cache: Cache, folder: Path, model: StemJEPA) -> Path:
    """Where the index of ``folder`` for this model is kept."""
    if not model.digest:
        raise ValueError("a model without a file of weights has no index")
    name = model.digest[:16] + ("" if model.precision == "32" else f"-{model.precision}")
    return cache.root / "libraries" / hashlib.sha256(os.fsencode(folder.resolve())).hexdigest()[:16] / f"{name}.npz"


def state(path: Path) -> State | None:
    """What tells whether a file was changed; None where it cannot be asked."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns


def _entry(state: list[int] | None, digest: str) -> tuple[State | None, str]:
    """A file's entry in :attr:`Index.files`, from JSON."""
    jsonfiles.check({"state": state, "digest": digest}, {"state?": [int], "digest": str})
    return (None if state is None else (state[0], state[1], state[2])), digest


@dataclass
class Index:
    """What is known of a library.

    Args:
        files: relative path → its state when it was read (None: it may have changed since), and the digest of its bytes.
        vectors: digest → vector.
        reasons: digest → why there is no vector.
        channels: digest → channels that were mixed down, where they are more than two.
    """

    files: dict[str, tuple[State | None, str]] = field(default_factory=dict)
    vectors: dict[str, Vectors] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)
    channels: dict[str, int] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path) -> Index:
        """An empty one where there is none, or none that can be used: it can be made again."""
        try:
            arrays = read_archive(path, "it is made again")
            table = jsonfiles.parse(arrays["table"].tobytes())
            jsonfiles.check(table, _TABLE)
            found = arrays["vectors"]
            if found.dtype != np.float32 or found.ndim != 2 or not np.isfinite(found).all():
                return cls()
            vectors = dict(zip(table["digests"], found, strict=True))
            files = {name: _entry(*entry) for name, entry in table["files"].items()}
            return cls(files, vectors, table["reasons"], table.get("channels") or {})
        except (FileNotFoundError, DamagedFileError, ValueError, KeyError, TypeError, IndexError):
            return cls()

    def write(self, path: Path) -> None:
        table = {"recipe": _RECIPE, "digests": list(self.vectors), "files": self.files, "reasons": self.reasons, "channels": self.channels}
        encoded = np.frombuffer(json.dumps(table).encode(), np.uint8)
        vectors = np.stack([*self.vectors.values()]) if self.vectors else np.zeros((0, 0), np.float32)
        with atomic_write(path) as temporary, open(temporary, "wb") as file:
            np.savez(file, table=encoded, vectors=vectors)

    def knows(self, name: str, state: State | None) -> bool:
        """Whether file ``name``, as it is now, needs not be read."""
        known, digest = self.files.get(name, (None, ""))
        return known is not None and known == state and self.has(digest)

    def add(self, name: str, digest: str, state: State | None) -> None:
        """File ``name``, which was in ``state`` before it was read, has this digest."""
        settled = state is not None and time.time_ns() - state[2] > _SETTLED_NS
        self.files[name] = (state if settled else None, digest)

    def has(self, digest: str) -> bool:
        """Whether the content of this digest has a vector, or a reason why not."""
        return digest in self.vectors or digest in self.reasons

    def keep_only(self, names: Iterable[str]) -> None:
        """Forgets all other files, and what belongs to no file any more."""
        there = set(names)
        self.files = {name: entry for name, entry in self.files.items() if name in there}
        used = {digest for _, digest in self.files.values()}
        self.vectors = {digest: vector for digest, vector in self.vectors.items() if digest in used}
        self.reasons = {digest: reason for digest, reason in self.reasons.items() if digest in used}
        self.channels = {digest: number for digest, number in self.channels.items() if digest in used}
