"""Queries and candidates of tracks, with any network.

Every stem of a track is a candidate: the teacher embeds it. The sum of the other stems is the query for it: encoder and predictor embed it,
with the stem's instrument (arXiv 2408.02514, section 4.2). Both are cut into chunks and averaged over time as in
:mod:`~jukemir_like.stemjepa.inference`.

A stem whose peak in the track is below :data:`SILENT` is silent. In a chunk it is also silent where its peak there is below :data:`QUIET`
of its peak in the track. A silent stem is no candidate and has no query, and a silent mix is no query.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from jukemir_like.stemjepa import config
from jukemir_like.stemjepa.model import Network
from jukemir_like.stemjepa.pooling import Chunk, batch_by_length, cut_into_chunks

SILENT = 1e-4  # −80 dB of full scale: three steps of 16 bits
QUIET = 1e-2  # −40 dB
BATCH_SIZE = 16

Vectors = NDArray[np.float32]


class Stems(NamedTuple):
    """A track with stems of its own.

    Args:
        samples: float32 of shape ``(stems, samples)``, any number of stems.
        instruments: ``(stems,)``, the number of the instrument of each, each once.
    """

    samples: np.ndarray
    instruments: NDArray[np.int64]


@dataclass(frozen=True)
class Embeddings:
    """Vectors of tracks, or of chunks of tracks.

    Args:
        queries, candidates: ``(n, stems, dimension)``, float32; zeros where there is no query or candidate.
        has_query, has_candidate: ``(n, stems)``, whether there is such a query, such a candidate. Where there is a query, there is a
            candidate.
        track: ``(n,)``, the number of the track of each.
        instruments: ``(n, stems)``, the number of the instrument of each stem, where each track has stems of its own: then ``stems`` is the
            most that a track has, and other tracks have neither queries nor candidates in the last columns. None: that of its column.
    """

    queries: Vectors
    candidates: Vectors
    has_query: NDArray[np.bool_]
    has_candidate: NDArray[np.bool_]
    track: NDArray[np.int64]
    instruments: NDArray[np.int64] | None = None


@dataclass(frozen=True)
class Embedded:
    """Vectors of whole tracks, and of their whole chunks. The last chunks are left out: their length would identify them."""

    tracks: Embeddings
    segments: Embeddings | None


def embed_tracks(
    network: Network, tracks: Iterable[np.ndarray | Stems], *, batch_size: int = BATCH_SIZE, segments: bool = True, bf16: bool = False
) -> Embedded:
    """Queries and candidates of every stem of ``tracks``.

    Args:
        network: on any device. It keeps its mode, and nothing gets a gradient.
        tracks: float32 of shape ``(stems, samples)`` at the model's rate, at least one sample each, with a stem for each instrument of
            the network; or stems of their own. Read one by one.
        batch_size: mixes encoded at once, and as many stems; of one track or several.
        segments: keep the vectors of chunks too.
        bf16: compute in bfloat16; else as the surrounding autocast says.
    """
    model = network.settings
    sums: list[_TrackSums] = []
    jobs: dict[int, _Job] = {}
    for batch in batch_by_length(_chunks(tracks, model, segments, sums, jobs), batch_size):
        batch_jobs = [jobs.pop(chunk.clip) for chunk in batch]
        for job, chunk, query_and_candidate in zip(batch_jobs, batch, _forward(network, batch_jobs, batch, bf16), strict=True):
            job.track.add(job, chunk.steps, query_and_candidate)
    has_own = any(track.instruments is not None for track in sums)
    shape = (2, max(len(track.audible) for track in sums) if has_own else model.predictor.num_sources, model.dimension)
    for track in sums:
        track.pad(shape[1])
    means = np.array([track.sums / track.steps for track in sums], np.float32).reshape(-1, *shape)
    instruments = np.array([track.instruments for track in sums]) if has_own else None
    of_tracks = _embeddings(means, [track.audible[None] for track in sums], np.arange(len(sums)), instruments)
    if not segments:
        return Embedded(of_tracks, None)
    of_chunks = np.concatenate([np.zeros((0, *shape), np.float32), *(track.chunk_vectors for track in sums)])
    track_of_chunk = np.repeat(np.arange(len(sums)), [len(track.chunk_vectors) for track in sums])
    return Embedded(of_tracks, _embeddings(of_chunks, [track.audible_in_chunk for track in sums], track_of_chunk, instruments))


def merge(parts: Sequence[tuple[Sequence[int], Embedded]]) -> Embedded:
    """Vectors of tracks that were embedded in several parts, in the order of the tracks' numbers.

    Args:
        parts: of each, the numbers of its tracks in their order, and their vectors. No two tracks have the same number.
    """
    place = {number: position for position, number in enumerate(sorted(number for numbers, _ in parts for number in numbers))}
    places = [np.array([place[number] for number in numbers], np.int64) for numbers, _ in parts]
    tracks = _merged([embedded.tracks for _, embedded in parts], places)
    segments = [embedded.segments for _, embedded in parts if embedded.segments is not None]
    return Embedded(tracks, _merged(segments, places) if len(segments) == len(parts) else None)


def _merged(parts: Sequence[Embeddings], places: Sequence[NDArray[np.int64]]) -> Embeddings:
    """``places`` has, for each part, the new number of each of its tracks."""
    track = np.concatenate([place[part.track] for part, place in zip(parts, places, strict=True)])
    order = np.argsort(track, kind="stable")
    stems = max(part.queries.shape[1] for part in parts)

    def joined(name: str) -> Any:
        return np.concatenate([_padded(getattr(part, name), stems) for part in parts])[order]

    instruments = joined("instruments") if all(part.instruments is not None for part in parts) else None
    return Embeddings(joined("queries"), joined("candidates"), joined("has_query"), joined("has_candidate"), track[order], instruments)


def _padded(values: np.ndarray, stems: int) -> np.ndarray:
    """``(n, fewer stems, …)`` with zeros behind: ``(n, stems, …)``."""
    return np.pad(values, [(0, 0), (0, stems - values.shape[1]), *[(0, 0)] * (values.ndim - 2)])


@contextmanager
def evaluation_mode(network: Network, bf16: bool = False) -> Iterator[None]:
    """Evaluation mode without gradients; afterwards every module has its former mode again.

    Args:
        network: on any device.
        bf16: compute in bfloat16; else as the surrounding autocast says.
    """
    device = next(network.parameters()).device.type
    dtype = torch.bfloat16 if bf16 else torch.get_autocast_dtype(device)
    modes = [(module, module.training) for module in network.modules()]
    network.eval()
    # Without autocast's cache: in older PyTorch, weights cast here lack their gradient in a training step under the same autocast.
    autocast = torch.autocast(device, dtype, enabled=bf16 or torch.is_autocast_enabled(device), cache_enabled=False)
    try:
        with torch.no_grad(), autocast:
            yield
    finally:
        for module, mode in modes:
            module.training = mode


class _Job(NamedTuple):
    """The chunk of a stem: of which track, stem and instrument it is, its number in the track, and the mix of the other stems
    ``(samples,)``.
    """

    track: _TrackSums
    position: int
    stem: int
    source: int
    context: np.ndarray


class _TrackSums:
    """Sums of a track's vectors over time, the vectors of its whole chunks, and which stems are silent.

    Attributes:
        audible: ``(stems,)`` booleans: not silent in the track.
        steps: patches along time.
        sums: ``(2, stems, dimension)``: queries and candidates.
        audible_in_chunk: ``(whole chunks, stems)`` booleans.
        chunk_vectors: ``(whole chunks, 2, stems, dimension)``.
        instruments: ``(stems,)``, the number of the instrument of each, of a track with stems of its own.
    """

    def __init__(self, stems: np.ndarray, instruments: NDArray[np.int64] | None, model: config.Model, segments: bool) -> None:
        self.instruments = instruments
        peaks = np.abs(stems).max(1)
        self.audible = peaks >= SILENT
        steps = [chunk.steps for chunk in cut_into_chunks([stems[0]], model)]
        self.steps = sum(steps)
        self.sums = np.zeros((2, len(stems), model.dimension))
        starts = np.arange(steps.count(model.steps) if segments else 0) * model.chunk_samples
        loud = [np.abs(stems[:, start : start + model.chunk_samples]).max(1) >= QUIET * peaks for start in starts]
        self.audible_in_chunk = self.audible & np.array(loud, bool).reshape(-1, len(stems))
        self.chunk_vectors = np.zeros((len(starts), *self.sums.shape), np.float32)

    def add(self, job: _Job, steps: int, query_and_candidate: Vectors) -> None:
        """Adds the means over the ``steps`` time steps of ``job``, of shape ``(2, dimension)``."""
        self.sums[:, job.stem] += steps * query_and_candidate
        if job.position < len(self.audible_in_chunk) and self.audible_in_chunk[job.position, job.stem]:
            self.chunk_vectors[job.position, :, job.stem] = query_and_candidate

    def pad(self, stems: int) -> None:
        """Adds silent stems, up to this many."""
        more = stems - len(self.audible)
        if more and self.instruments is not None:
            self.audible = np.pad(self.audible, (0, more))
            self.instruments = np.pad(self.instruments, (0, more))
            self.sums = np.pad(self.sums, [(0, 0), (0, more), (0, 0)])
            self.audible_in_chunk = np.pad(self.audible_in_chunk, [(0, 0), (0, more)])
            self.chunk_vectors = np.pad(self.chunk_vectors, [(0, 0), (0, 0), (0, more), (0, 0)])


def _chunks(
    tracks: Iterable[np.ndarray | Stems], model: config.Model, segments: bool, sums: list[_TrackSums], jobs: dict[int, _Job]
) -> Iterator[Chunk]:
    """Chunks of the stems that are not silent. Appends each track to ``sums``; ``chunk.clip`` is the key of the chunk in ``jobs``."""
    key = 0
    for number, given in enumerate(tracks):
        stems, instruments = given if isinstance(given, Stems) else (given, None)
        expected = model.predictor.num_sources if instruments is None else len(instruments)
        if stems.ndim != 2 or len(stems) != expected or not stems.size:
            raise ValueError(f"track {number} is of shape {stems.shape}, the model has {expected} stems")
        sums.append(track := _TrackSums(stems, instruments, model, segments))
        for stem in np.flatnonzero(track.audible):
            # A sum for each stem: the mix of all minus the stem would leave rounding errors where the others are silent.
            context = np.delete(stems, stem, 0).sum(0)
            source = int(stem if instruments is None else instruments[stem])
            pairs = zip(cut_into_chunks([stems[stem]], model), cut_into_chunks([context], model), strict=True)
            for position, (stem_chunk, context_chunk) in enumerate(pairs):
                jobs[key] = _Job(track, position, int(stem), source, context_chunk.samples)
                yield Chunk(key, stem_chunk.samples, stem_chunk.steps)
                key += 1


def _forward(network: Network, jobs: list[_Job], batch: list[Chunk], bf16: bool) -> Vectors:
    """Queries and candidates: ``(batch, 2, dimension)``."""
    device = next(network.parameters()).device
    contexts, targets = (
        torch.from_numpy(np.stack(waveforms)).to(device)
        for waveforms in ([job.context for job in jobs], [chunk.samples for chunk in batch])
    )
    with evaluation_mode(network, bf16):
        views = network(contexts, targets, torch.tensor([job.source for job in jobs], device=device))
    steps = torch.tensor([chunk.steps for chunk in batch], device=device)
    pooled = torch.stack([_mean(patches, steps, network.settings.bands) for patches in (views.prediction, views.target)], 1)
    return np.asarray(pooled.cpu().numpy())


def _mean(patches: Tensor, steps: Tensor, bands: int) -> Tensor:
    """The mean over the first ``steps`` ``(batch,)`` time steps of ``(batch, bands · any, width)``: ``(batch, bands · width)``."""
    grid = patches.float().view(len(patches), bands, -1, patches.shape[2])
    inside = torch.arange(grid.shape[2], device=grid.device) < steps[:, None]
    return (grid * inside[:, None, :, None]).sum(2).flatten(1) / steps[:, None]


def _embeddings(
    vectors: Vectors, audible: list[NDArray[np.bool_]], track: NDArray[np.int64], instruments: NDArray[np.int64] | None
) -> Embeddings:
    """``vectors`` are ``(n, 2, stems, dimension)``, queries and candidates; ``audible`` has ``(rows, stems)`` for each track, n in all;
    ``instruments`` are ``(tracks, stems)``.
    """
    has_candidate = np.concatenate([np.zeros((0, vectors.shape[2]), bool), *audible])
    has_query = has_candidate & (has_candidate.sum(1, keepdims=True) > 1)
    of_rows = None if instruments is None else instruments[track]
    return Embeddings(vectors[:, 0], vectors[:, 1], has_query, has_candidate, track, of_rows)
