"""A folder of audio files as candidates for what a mix lacks.

:mod:`~jukemir_like.stemjepa.retrieval.indexing` embeds them once, :mod:`~jukemir_like.stemjepa.retrieval.index` keeps their vectors.
"""

from __future__ import annotations

import itertools
import json
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from jukemir_like import audio
from jukemir_like.core import records
from jukemir_like.core.atomic import remove_abandoned
from jukemir_like.core.cache import Cache
from jukemir_like.core.errors import RequestError
from jukemir_like.core.files import printable
from jukemir_like.core.rows import Rows
from jukemir_like.deform.key_and_tempo import AS_IT_IS, Change
from jukemir_like.stemjepa.inference import StemJEPA
from jukemir_like.stemjepa.pooling import normalise
from jukemir_like.stemjepa.retrieval.embedding import Vectors
from jukemir_like.stemjepa.retrieval.index import Index, file_state, index_path
from jukemir_like.stemjepa.retrieval.indexing import SILENCE, embed_files
from jukemir_like.stemjepa.retrieval.queries import Query as Query
from jukemir_like.stemjepa.retrieval.queries import query as query


@dataclass(frozen=True)
class Match:
    """A file of a library that fits. ``score`` is a cosine, from -1 to 1; ``path`` is relative to the library.

    Of segments, ``start_seconds`` is where the chunk of the file begins that fits best, in the file as it is, and ``score`` is that
    chunk's. ``change`` says how the file is to be played so that it fits; ``tempo_unknown``, that a tempo was asked for and none fits.
    """

    rank: int
    score: float
    path: str
    start_seconds: float | None = None
    change: Change = AS_IT_IS
    tempo_unknown: bool = False


@dataclass(frozen=True)
class Library:
    """The candidates of a folder.

    Args:
        folder: of the library.
        paths: of the candidates, relative to it, sorted.
        stored: ``(n, dimension)``, normalised for the cosine: the vectors of the index, in its order, which are read when they are needed.
        rows: of each candidate, which of ``stored`` is its own; of segments, one for each chunk, those of a file one after the other.
        silent: silent files, which are no candidates.
        summary: counts of the files that were embedded now and before, and those that failed.
        chunks: of segments, the number of chunks of each file; None: whole files.
        chunk_seconds: length of a chunk; the last part of a file that is shorter is no segment, but in a file that is shorter itself.
    """

    folder: Path
    paths: list[str]
    stored: Rows
    rows: np.ndarray
    silent: list[str]
    summary: records.Summary
    chunks: list[int] | None = None
    chunk_seconds: float = 0.0

    @classmethod
    def of_vectors(cls, paths: Sequence[str], vectors: Vectors, chunks: list[int] | None = None, chunk_seconds: float = 0.0) -> Library:
        """Candidates whose ``vectors`` ``(n, dimension)``, of any length, are there already; other arguments as of the class.

        >>> library = Library.of_vectors(["a.wav", "b.wav"], np.float32([[1, 2, 3], [3, 2, 1]]))
        >>> library.nearest(np.array([2, 4, 9]), top=1)[0].path
        'a.wav'
        """
        rows = Rows.of_array(normalise(vectors).astype(np.float32))
        return cls(Path(), [*paths], rows, np.arange(len(rows)), [], records.Summary("library"), chunks, chunk_seconds)

    @property
    def vectors(self) -> Vectors:
        """A copy of the normalised vectors in the order of :attr:`paths`, ``(len(paths), dimension)``; of segments, one for each chunk."""
        return self.stored.take(self.rows)

    def scores(self, query: Vectors) -> Vectors:
        """The score of every candidate for ``query``, in the order of :attr:`paths`; of segments, of its best chunk.

        Of several vectors, ``(any, dimension)`` instead of ``(dimension,)``, that of the nearest.
        """
        return self._scores_and_nearest(query)[0]

    def _scores_and_nearest(self, query: Vectors) -> tuple[Vectors, np.ndarray]:
        """Scores, and which vector of ``query`` each is of: the first of equal ones."""
        first, *others = np.atleast_2d(query)  # one by one: a score does not depend on other vectors, to the bit
        best = self._file_scores(first)
        nearest = np.zeros(len(best), np.intp)
        for number, vector in enumerate(others, 1):
            scores = self._file_scores(vector)
            nearest[scores > best] = number
            best = np.maximum(best, scores)
        return best, nearest

    def _file_scores(self, vector: Vectors) -> Vectors:
        scores = self._vector_scores(vector)
        return scores if self.chunks is None else np.asarray(np.maximum.reduceat(scores, self._first_chunks))

    def _vector_scores(self, query: Vectors) -> Vectors:
        wanted = normalise(query)
        scores = np.empty(len(self.stored))
        for which, vectors in self.stored.chunks():
            of_part = vectors @ wanted
            if self.chunks is not None:  # chunks that are silent have no vector
                none = np.flatnonzero(of_part == 0)
                of_part[none[~vectors[none].any(1)]] = -1.0
            scores[which] = of_part
        return np.asarray(scores[self.rows])

    @property
    def _first_chunks(self) -> np.ndarray:
        """Of each file, the position of its first chunk in :attr:`rows`."""
        return np.cumsum([0, *(self.chunks or [])][:-1])

    def nearest(self, query: Vectors, top: int, changes: Sequence[Change] = (AS_IT_IS,)) -> list[Match]:
        """The ``top`` candidates nearest to ``query``, best first; equal ones in the order of their paths.

        Args:
            query: ``(dimension,)``, or of a :class:`Query` its ``vectors`` ``(changes, dimension)``.
            top: how many.
            changes: of a :class:`Query`.
        """
        return self.search(query, top, changes)[0]

    def search(self, query: Vectors, top: int, changes: Sequence[Change] = (AS_IT_IS,)) -> tuple[list[Match], Vectors]:
        """:meth:`nearest` and :meth:`scores` by comparing once."""
        scores, nearest = self._scores_and_nearest(query)
        best = [int(number) for number in _best(scores, top)]
        starts: list[float | None] = [None] * len(best)
        if self.chunks is not None:
            vectors, first = np.atleast_2d(query), self._first_chunks
            of_chunks = {int(vector): self._vector_scores(vectors[vector]) for vector in np.unique(nearest[best])}
            parts = [of_chunks[nearest[number]][first[number] : first[number] + self.chunks[number]] for number in best]
            starts = [int(part.argmax()) * self.chunk_seconds for part in parts]
        matches = [
            Match(rank, float(scores[number]), self.paths[number], start, changes[nearest[number]])
            for rank, (number, start) in enumerate(zip(best, starts, strict=True), 1)
        ]
        return matches, scores

    def text(self, matches: list[Match]) -> str:
        """A table as text."""
        from tabulate import tabulate

        header, align = ["rank", "score", "path"], ["right", "right", "left"]
        cells = [[str(match.rank), f"{match.score:.3f}", printable(match.path)] for match in matches]
        columns = {
            "from, s": [None if match.start_seconds is None else f"{match.start_seconds:g}" for match in matches],
            "semitones": [_signed(match.change.semitones) for match in matches],
            "tempo": ["?" if match.tempo_unknown else _signed(match.change.tempo_percent, " %") for match in matches],
        }
        for name, column in columns.items():
            if None not in column:
                header, align = [*header, name], [*align, "right"]
                cells = [[*cell, str(value)] for cell, value in zip(cells, column, strict=True)]
        return tabulate(cells, header, colalign=align, disable_numparse=True)

    def to_json(self, matches: list[Match], request: Mapping[str, Any]) -> str:
        """``request`` with ``library``, ``files`` (candidates), ``silent``, ``failed``, ``notes`` and ``results`` (rank, score, path).

        Of segments with ``chunk_seconds`` too, and ``start_seconds`` of each result; ``semitones`` and ``tempo_percent`` of each where
        they were asked for, the latter null where no tempo fits.
        """
        library = {"library": str(self.folder), "files": len(self.paths), "silent": self.silent, "failed": self.summary.failed}
        of_chunks = {} if self.chunks is None else {"chunk_seconds": self.chunk_seconds}
        results = []
        for match in matches:
            more = {"start_seconds": match.start_seconds, **match.change._asdict()}
            results.append({"rank": match.rank, "score": match.score, "path": match.path})
            results[-1] |= {name: value for name, value in more.items() if value is not None}
            results[-1] |= {"tempo_percent": None} if match.tempo_unknown else {}
        return json.dumps({**request} | library | of_chunks | {"notes": self.summary.notes, "results": results}, indent=1)


def _signed(value: float | None, unit: str = "") -> str | None:
    return None if value is None else f"{value:+g}{unit}" if value else "0"


def _best(scores: Vectors, top: int) -> np.ndarray:
    """Positions of the ``top`` highest of ``scores`` ``(n,)``, best first; of equal ones, the first. Sorts only what may be among them."""
    if top >= len(scores):
        return np.argsort(-scores, kind="stable")
    last = np.partition(scores, len(scores) - top)[len(scores) - top]
    among = np.flatnonzero(scores >= last)
    return np.asarray(among[np.argsort(-scores[among], kind="stable")[:top]])


def open_library(model: StemJEPA, folder: Path, cache: Cache, *, segments: bool = False) -> Library:
    """The audio files of ``folder`` as candidates. Those that are new or changed are embedded now, the others come from the index.

    Args:
        model: embeds; must have weights from a file.
        folder: searched with its sub-folders.
        cache: holds the index.
        segments: of every file each whole chunk (of the model's length) is a candidate, but for silent ones. They have their own index.

    Raises:
        RequestError: not a folder, or no audio file in it that can be used.
        StorageError: the index cannot be written.

    >>> model = StemJEPA.from_pretrained()
    >>> library = open_library(model, Path("music"), Cache(Path("cache")))
    >>> library.paths, library.vectors.shape
    (['0.wav', '1.wav', '2.wav'], (3, 256))
    >>> len(library.nearest(query(model, Path("song.wav"), "bass").vector, top=2))
    2
    """
    started = time.perf_counter()
    if not folder.is_dir():
        raise RequestError(f"{folder} is not a folder: give the folder of a library")
    unreadable: dict[str, str] = {}
    paths = audio.find(folder, on_error=unreadable.__setitem__)
    if not paths:
        reasons = "".join(f" ({printable(name)}: {reason})" for name, reason in sorted(unreadable.items())[:1])
        raise RequestError(f"no audio files in {folder}{reasons}: give the folder of a library")
    path = index_path(cache, folder, model, segments=segments)
    remove_abandoned(path.parent)
    index = Index.read(path)
    rows, dimension = index.vectors.shape
    if rows and (dimension != model.dimension or (len(index.rows) != rows and not segments)):  # of other weights, or damaged
        index = Index()
    states = {name: file_state(f"{folder}/{name}") for name in paths}
    changed = {name: state for name, state in states.items() if not index.is_current(name, state)}
    summary = records.Summary(f"library {folder}", failed=unreadable)
    if changed or index.files.keys() != states.keys():
        try:
            embed_files(model, folder, changed, index, path, summary, segments=segments)
        finally:  # an interruption keeps the vectors of the files that were finished
            index.keep_only(states)
            index.write(path)
    summary.seconds = time.perf_counter() - started
    return _library(folder, paths, index, summary, model.model.encoder.chunk_seconds if segments else None)


def _library(folder: Path, paths: list[str], index: Index, summary: records.Summary, chunk_seconds: float | None = None) -> Library:
    digests = {name: index.files[name][1] for name in paths if name in index.files}
    usable = [name for name in paths if digests.get(name) in index.rows]
    reasons = summary.failed | {name: index.reasons[digest] for name, digest in digests.items() if digest in index.reasons}
    if not usable:
        name = min(reasons)
        raise RequestError(f"none of the {len(paths)} audio files of {folder} can be used (the first: {printable(name)}: {reasons[name]})")
    silent = sorted(name for name, reason in reasons.items() if reason == SILENCE)
    summary.failed = {name: reason for name, reason in sorted(reasons.items()) if reason != SILENCE}
    summary.kept = len(usable) - summary.done
    mixed_down = Counter(index.channels[digests[name]] for name in usable if digests[name] in index.channels)
    if mixed_down:
        counts = ", ".join(f"{count:,} of {channels}" for channels, count in sorted(mixed_down.items()))
        summary.notes.append(f"files with more than two channels, mixed down with equal weights: {counts} channels")
    if silent:
        summary.notes.append(f"{len(silent):,} silent, left out")
    of_files = [index.rows[digests[name]] for name in usable]
    rows = np.fromiter(itertools.chain.from_iterable(of_files), np.intp)
    chunks = None if chunk_seconds is None else [len(of_file) for of_file in of_files]
    return Library(folder, usable, index.vectors, rows, silent, summary, chunks, chunk_seconds or 0.0)
