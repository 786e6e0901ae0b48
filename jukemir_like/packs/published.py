"""The vectors that were published with jukemir: six representations of four datasets, an archive each.

The archives are declared in ``datasets/precomputed/``. One holds ``<dataset>/<representation>/<uid>.npy``; its vectors become the
representation ``<representation>-jukemir``, so that they are never mixed with vectors that were computed here, nor taken for them. Their
signature is the archive's digest. What is known of them beside the digest, the number of vectors of each dataset and the form of its uids,
is from the paper (Castellon, Donahue and Liang, ISMIR 2021, arXiv 2107.05677) and the labels that were published with it.
"""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Collection, Iterator
from pathlib import Path, PurePosixPath

import numpy as np

from jukemir_like import datasets
from jukemir_like.core import arrays, records
from jukemir_like.core.errors import InputError, RequestError
from jukemir_like.core.files import printable
from jukemir_like.downloads import archives
from jukemir_like.downloads.declarations import Asset, Selection, read_declaration
from jukemir_like.packs.origin import Origin
from jukemir_like.packs.taking_over import Arrival, Source

SUFFIX = "-jukemir"
DIMENSIONS = {"chroma": 72, "mfcc": 120, "choi": 160, "musicnn": 4194, "clmr": 512, "jukebox": 4800}
"""Representation → length of its vectors."""
ITEMS = {"emomusic": 744, "giantsteps_clips": 7035, "gtzan_ff": 930, "magnatagatune": 25860}
"""Dataset → number of its vectors."""

_UIDS = {"emomusic": r"\d{4}", "giantsteps_clips": r"\d{7}-\d+", "gtzan_ff": r"[0-9a-f]{64}", "magnatagatune": r"\d{5}"}
_DECLARATION = "precomputed"
_MADE_BY, _MADE = "Castellon, Donahue and Liang (arXiv 2107.05677)", "2021"
_MAX_HEADER_BYTES = 1 << 12


def full_name(representation: str) -> str:
    """How the vectors are called in the cache.

    Raises:
        RequestError: there are none of such a representation.

    >>> full_name("jukebox"), full_name("jukebox-jukemir")
    ('jukebox-jukemir', 'jukebox-jukemir')
    """
    base = representation.removesuffix(SUFFIX)
    if base not in DIMENSIONS:
        raise RequestError(
            f"no vectors of {representation!r} were published: choose one of {', '.join(DIMENSIONS)}, or give a pack with --from"
        )
    return f"{base}{SUFFIX}"


def is_published(name: str) -> bool:
    """Whether ``name`` stands for published vectors.

    >>> is_published("jukebox-jukemir"), is_published("jukebox")
    (True, False)
    """
    return name.endswith(SUFFIX) and name.removesuffix(SUFFIX) in DIMENSIONS


def asset(dataset: str, representation: str) -> Asset:
    """The archive with the vectors of a dataset, whose name may have options (``magnatagatune+artist_clean``).

    Raises:
        RequestError: there is none, or the dataset has no such option.

    >>> asset("gtzan_ff", "jukebox").tag
    'PRECOMPUTED-GTZAN_FF-JUKEBOX'
    """
    name, base = full_name(representation), dataset.partition("+")[0]
    if base not in ITEMS:
        raise RequestError(f"no vectors of dataset {dataset!r} were published: choose one of {', '.join(ITEMS)}")
    datasets.options(dataset)  # raises where it has no such option
    tag = f"PRECOMPUTED-{base}-{name.removesuffix(SUFFIX)}".upper()
    found = next((asset for asset in read_declaration(_DECLARATION).assets if asset.tag == tag), None)
    if found is None or found.sha256 is None:
        raise RequestError(f"the declaration {_DECLARATION} has no {tag} with a sha256: correct it")
    return found


def selection(dataset: str, representation: str) -> Selection:
    """The same archive, as :func:`jukemir_like.downloads.download.download` takes it."""
    return [(read_declaration(_DECLARATION), [asset(dataset, representation)])]


def signature(dataset: str, representation: str) -> str:
    """Of the vectors: the digest of their archive.

    >>> signature("gtzan_ff", "jukebox")[:18]
    'sha256:d3d619b907f'
    """
    return f"sha256:{asset(dataset, representation).sha256}"


class PublishedArchive(Source):
    """One of the archives.

    Args:
        path: the file, which is known to have the declared digest.
        dataset: name, may have options.
        representation: with or without ``-jukemir``.

    Raises:
        RequestError: no such vectors were published.
    """

    def __init__(self, path: Path, dataset: str, representation: str):
        declared = asset(dataset, representation)
        self.dataset, self.representation = dataset, full_name(representation)
        self._base, self._of = self.representation.removesuffix(SUFFIX), dataset.partition("+")[0]
        self.dimension, self.count = DIMENSIONS[self._base], ITEMS[self._of]
        self.size = self.count * self.dimension * 4
        licence = read_declaration(_DECLARATION).licence
        self.origin = Origin(Path(declared.path).name, str(declared.sha256), _MADE_BY, _MADE, licence=licence)
        self._path, self.notes = path, []

    def arrivals(self) -> Iterator[Arrival]:
        """The vectors, as float32. A file that is none of them is left out and noted."""
        self.notes.clear()
        most_bytes = _MAX_HEADER_BYTES + 8 * self.dimension  # of a vector; float64 is accepted
        limits = archives.ArchiveLimits(self._path.stat().st_size, unpacked_size=2 * self.count * most_bytes)
        seen: set[str] = set()
        left_out: list[str] = []
        try:
            with archives.archive_errors(self.origin.source), open(self._path, "rb") as file:
                for member in archives.members(file, self.origin.source):
                    limits.count_member()
                    if member.kind == "folder":
                        continue
                    uid = self._uid(member.name)
                    if uid is None or uid in seen or member.kind != "file":
                        left_out.append(printable(member.name))
                        continue
                    seen.add(uid)
                    with member.open() as stream:
                        data = stream.read(most_bytes + 1)
                    limits.count_bytes(len(data))
                    yield self._arrival(uid, data)
        except (InputError, OSError) as error:
            raise RequestError(f"{self._path} cannot be taken over: {error}; remove it and download again") from error
        if left_out:
            self.notes.append(f"{len(left_out):,} files in the archive are no vectors of it and are left out, the first: {left_out[0]}")
        if len(seen) != self.count:
            self.notes.append(f"{self.count:,} vectors were published, the archive has {len(seen):,}")

    def unprocessed_notes(self, uids: Collection[str]) -> list[str]:
        """Their form was checked, and their number was compared with the published one."""
        return [
            f"{self.dataset} is not processed in this cache: the {len(uids):,} uids have its form, but were not compared with its items"
        ]

    def _uid(self, name: str) -> str | None:
        """The uid of a vector, by the name of its file in the archive; None where it is none."""
        *folders, file = PurePosixPath(name).parts or ("",)
        uid = file.removesuffix(".npy")
        is_vector = folders == [self._of, self._base] and file.endswith(".npy") and re.fullmatch(_UIDS[self._of], uid, re.ASCII)
        return uid if is_vector else None

    def _arrival(self, uid: str, data: bytes) -> Arrival:
        record = records.new(f"{uid}.wav", f"sha256:{self.origin.sha256}")
        try:
            vector = _vector(data, self.dimension)
        except ValueError as error:
            return Arrival(uid, record | records.failure(InputError(f"its vector {error}")), None)
        file = io.BytesIO()
        np.save(file, vector, allow_pickle=False)
        written = file.getvalue()
        return Arrival(uid, record | {"output_digest": hashlib.sha256(written).hexdigest()}, written)


def _vector(data: bytes, dimension: int) -> np.ndarray:
    """The vector in a ``.npy`` file, as float32. ValueError, whose message follows its name, where it is not what was published."""
    array = arrays.parse(data)
    if array.shape != (dimension,) or array.dtype.kind != "f":
        raise ValueError(f"is {array.dtype} of shape {array.shape}, not {dimension:,} numbers")
    with np.errstate(over="ignore"):  # a number too large for float32 becomes infinite
        vector = array.astype("<f4")
    if not np.isfinite(vector).all():
        raise ValueError("holds a number that is not finite")
    return vector
