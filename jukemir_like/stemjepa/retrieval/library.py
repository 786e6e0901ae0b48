"""A folder of audio files as candidates for what a mix lacks.

:mod:`~jukemir_like.stemjepa.retrieval.indexing` embeds them once, :mod:`~jukemir_like.stemjepa.retrieval.index` keeps their vectors.
"""

from __future__ import annotations

import itertools
import json
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from jukemir_like import audio
from jukemir_like.core import records
from jukemir_like.core.atomic import remove_abandoned
from jukemir_like.core.cache import Cache
from jukemir_like.core.errors import InputError, RequestError
from jukemir_like.core.files import printable
from jukemir_like.core.rows import Rows
from jukemir_like.datasets.meta import read_stems
from jukemir_like.stemjepa.inference import StemJEPA
from jukemir_like.stemjepa.interpretation import Interpretation
from jukemir_like.stemjepa.pooling import normalise
from jukemir_like.stemjepa.retrieval.embedding import SILENT, Vectors
from jukemir_like.stemjepa.retrieval.index import Index, file_state, index_path
from jukemir_like.stemjepa.retrieval.indexing import SILENCE, embed_files, load


@dataclass(frozen=True)
class Query:
    """The predicted vector ``(dimension,)`` of a missing stem, remarks on what it was predicted from, and what its name was taken for."""

    vector: Vectors
    notes: list[str]
    taken_for: Interpretation | None = None


@dataclass(frozen=True)
class Match:
    """A file of a library that fits. ``score`` is a cosine, from -1 to 1; ``path`` is relative to the library.

    Of segments, ``start_seconds`` is where the chunk of the file begins that fits best, and ``score`` is that chunk's.
    """

    rank: int
    score: float
    path: str
    start_seconds: float | None = None


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

    @property
    def vectors(self) -> Vectors:
        """A copy of the normalised vectors in the order of :attr:`paths`, ``(len(paths), dimension)``; of segments, one for each chunk."""
        return self.stored.take(self.rows)

    def scores(self, query: Vectors) -> Vectors:
        """The score of every candidate for ``query`` ``(dimension,)``, in the order of :attr:`paths`; of segments, of its best chunk."""
        return self._of_files(self._vector_scores(query))

    def _of_files(self, scores: Vectors) -> Vectors:
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

    def nearest(self, query: Vectors, top: int) -> list[Match]:
        """The ``top`` candidates nearest to ``query`` ``(dimension,)``, best first; equal ones in the order of their paths."""
        of_vectors = self._vector_scores(query)
        scores = self._of_files(of_vectors)
        best = [int(number) for number in _best(scores, top)]
        starts: list[float | None] = [None] * len(best)
        if self.chunks is not None:
            first = self._first_chunks
            parts = [of_vectors[first[number] : first[number] + self.chunks[number]] for number in best]
            starts = [int(part.argmax()) * self.chunk_seconds for part in parts]
        pairs = zip(best, starts, strict=True)
        return [Match(rank, float(scores[number]), self.paths[number], start) for rank, (number, start) in enumerate(pairs, 1)]

    def text(self, matches: list[Match]) -> str:
        """A table as text."""
        from tabulate import tabulate

        header, align = ["rank", "score", "path"], ["right", "right", "left"]
        cells = [[str(match.rank), f"{match.score:.3f}", printable(match.path)] for match in matches]
        if self.chunks is not None:
            header, align = [*header, "from, s"], [*align, "right"]
            cells = [[*cell, f"{match.start_seconds:g}"] for cell, match in zip(cells, matches, strict=True)]
        return tabulate(cells, header, colalign=align, disable_numparse=True)

    def to_json(self, matches: list[Match], request: Mapping[str, Any]) -> str:
        """``request`` with ``library``, ``files`` (candidates), ``silent``, ``failed``, ``notes`` and ``results`` (rank, score, path).

        Of segments with ``chunk_seconds`` too, and ``start_seconds`` of each result.
        """
        library = {"library": str(self.folder), "files": len(self.paths), "silent": self.silent, "failed": self.summary.failed}
        of_chunks = {} if self.chunks is None else {"chunk_seconds": self.chunk_seconds}
        results = [{name: value for name, value in vars(match).items() if value is not None} for match in matches]
        return json.dumps({**request} | library | of_chunks | {"notes": self.summary.notes, "results": results}, indent=1)


def _best(scores: Vectors, top: int) -> np.ndarray:
    """Positions of the ``top`` highest of ``scores`` ``(n,)``, best first; of equal ones, the first. Sorts only what may be among them."""
    if top >= len(scores):
        return np.argsort(-scores, kind="stable")
    last = np.partition(scores, len(scores) - top)[len(scores) - top]
    among = np.flatnonzero(scores >= last)
    return np.asarray(among[np.argsort(-scores[among], kind="stable")[:top]])


def query(model: StemJEPA, context: Path, instrument: str) -> Query:
    """Predicts the ``instrument`` that ``context``, an audio file of a mix, lacks. Channels are mixed down with equal weights.

    Raises:
        RequestError: an unknown instrument, a file that cannot be read, or silence.

    >>> query(StemJEPA.from_pretrained(), Path("song.wav"), "bass").vector.shape
    (256,)
    """
    taken = model.interpret(instrument)
    try:
        mix, channels = load(context, model.sample_rate)
        if np.abs(mix).max() < SILENT:
            raise InputError(SILENCE)
    except InputError as error:
        raise RequestError(f"the context {printable(str(context))} {error}: give a mix in an audio file") from error
    notes = _notes(context, channels, taken.taken_for) + ([taken.note] if taken.note else [])
    return Query(np.asarray(model.predict(mix, instrument)[0]), notes, taken)


def _notes(context: Path, channels: int, instrument: str) -> list[str]:
    """Remarks on a context whose channels are more than two, or are stems according to the nearest ``dataset.json`` above it."""
    described = next((folder for folder in context.absolute().parents if (folder / "dataset.json").is_file()), None)
    try:
        names = read_stems(described) if described else None
    except RequestError:  # a file of that name by another program
        names = None
    if names is None or len(names) != channels:
        return [f"the context has {channels} channels: mixed down with equal weights"] if channels > 2 else []
    note = f"the context is {channels} stems by dataset.json ({', '.join(names)}): mixed down with equal weights"
    return [f"{note}, {instrument} among them" if instrument in names else note]


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
    states = {name: file_state(folder / name) for name in paths}
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
