"""Queries and candidates of tracks, with any network.

Of a track every stem is a candidate: it goes through the teacher. The sum of the others is the query that asks for it: it goes through
encoder and predictor, with the stem's instrument (paper, section 4.2). Both are cut in chunks and averaged over time as
:mod:`~jukemir_like.stemjepa.pooling` does.

A stem whose peak in the whole track is below :data:`SILENT` is silent. In a chunk it also is where its peak there is below :data:`QUIET`
of its peak in the track. Silent stems are neither offered nor asked for, and a silent mix asks for nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from jukemir_like.stemjepa import config, pooling
from jukemir_like.stemjepa.network import Network
from jukemir_like.stemjepa.retrieval.metrics import Vectors

SILENT = 1e-4  # −80 dB of full scale: three steps of 16 bits
QUIET = 1e-2  # −40 dB
BATCH_SIZE = 16


@dataclass(frozen=True)
class Embeddings:
    """Vectors of tracks, or of chunks of tracks.

    Args:
        queries, candidates: ``(n, stems, dimension)``, float32; zeros where neither asked for nor offered.
        asked, offered: ``(n, stems)``, whether there is such a query, such a candidate. What is asked for is offered.
        track: ``(n,)``, the number of the track that each is of.
    """

    queries: Vectors
    candidates: Vectors
    asked: NDArray[np.bool_]
    offered: NDArray[np.bool_]
    track: NDArray[np.int64]


@dataclass(frozen=True)
class Embedded:
    """Of whole tracks, and of their chunks: whole ones only, since the shorter last ones would know one another by their length."""

    tracks: Embeddings
    segments: Embeddings | None


def embed_tracks(
    network: Network, tracks: Iterable[np.ndarray], *, batch_size: int = BATCH_SIZE, segments: bool = True, bf16: bool = False
) -> Embedded:
    """Queries and candidates of every stem of ``tracks``.

    Args:
        network: on any device; it keeps its mode, and nothing gets a gradient.
        tracks: float32 of shape ``(stems, samples)`` at the model's rate, at least one sample each; read one by one.
        batch_size: mixes encoded at once, and as many stems; of one track or several.
        segments: keep the vectors of chunks too.
        bf16: compute in bfloat16; else as the surrounding autocast says.
    """
    model = network.settings
    known: list[_Track] = []
    jobs: dict[int, _Job] = {}
    for batch in pooling.batches(_chunks(tracks, model, segments, known, jobs), batch_size):
        work = [jobs.pop(chunk.clip) for chunk in batch]
        for job, chunk, both in zip(work, batch, _forward(network, work, batch, bf16), strict=True):
            job.track.add(job, chunk.steps, both)
    shape = (2, model.predictor.num_sources, model.dimension)
    whole = np.array([track.sums / track.steps for track in known], np.float32).reshape(-1, *shape)
    of_tracks = _embeddings(whole, [track.offered[None] for track in known], np.arange(len(known)))
    if not segments:
        return Embedded(of_tracks, None)
    pieces = np.concatenate([np.zeros((0, *shape), np.float32), *(track.vectors for track in known)])
    owners = np.repeat(np.arange(len(known)), [len(track.vectors) for track in known])
    return Embedded(of_tracks, _embeddings(pieces, [track.active for track in known], owners))


@contextmanager
def inference(network: Network, bf16: bool = False) -> Iterator[None]:
    """Evaluation without gradients; every module's mode is given back.

    Args:
        network: on any device.
        bf16: compute in bfloat16; else as the surrounding autocast says.
    """
    device = next(network.parameters()).device.type
    kind = torch.bfloat16 if bf16 else torch.get_autocast_dtype(device)
    modes = [(module, module.training) for module in network.modules()]
    network.eval()
    # Without autocast's cache: in older PyTorch, weights cast here lack their gradient in a training step under the same autocast.
    autocast = torch.autocast(device, kind, enabled=bf16 or torch.is_autocast_enabled(device), cache_enabled=False)
    try:
        with torch.no_grad(), autocast:
            yield
    finally:
        for module, mode in modes:
            module.training = mode


class _Job(NamedTuple):
    """What is to be known of a stem's chunk: whose it is, and the mix of the other stems."""

    track: _Track
    position: int
    source: int
    context: np.ndarray


class _Track:
    """Sums of a track's vectors over time, the vectors of its whole chunks, and what is silent in it."""

    def __init__(self, stems: np.ndarray, model: config.Model, keep: bool) -> None:
        peaks = np.abs(stems).max(1)
        self.offered = peaks >= SILENT
        steps = [chunk.steps for chunk in pooling.chunks([stems[0]], model)]
        self.steps = sum(steps)
        self.sums = np.zeros((2, len(stems), model.dimension))
        starts = np.arange(steps.count(model.steps) if keep else 0) * model.chunk_samples
        loud = [np.abs(stems[:, start : start + model.chunk_samples]).max(1) >= QUIET * peaks for start in starts]
        self.active = self.offered & np.array(loud, bool).reshape(-1, len(stems))
        self.vectors = np.zeros((len(starts), *self.sums.shape), np.float32)

    def add(self, job: _Job, steps: int, both: Vectors) -> None:
        """``both``, query and candidate of shape ``(2, dimension)``, are the means over ``steps`` time steps of ``job``."""
        self.sums[:, job.source] += steps * both
        if job.position < len(self.active) and self.active[job.position, job.source]:
            self.vectors[job.position, :, job.source] = both


def _chunks(
    tracks: Iterable[np.ndarray], model: config.Model, keep: bool, known: list[_Track], jobs: dict[int, _Job]
) -> Iterator[pooling.Chunk]:
    """Chunks of the stems that are not silent; ``clip`` is the key of what else is to be known of it in ``jobs``."""
    key = 0
    for number, stems in enumerate(tracks):
        if stems.ndim != 2 or len(stems) != model.predictor.num_sources or not stems.shape[1]:
            raise ValueError(f"track {number} is of shape {stems.shape}, the model has {model.predictor.num_sources} stems")
        known.append(track := _Track(stems, model, keep))
        for source in np.flatnonzero(track.offered):
            # Summed anew for each stem: the whole mix minus the stem would leave rounding where there is silence.
            context = np.delete(stems, source, 0).sum(0)
            both = (pooling.chunks([audio], model) for audio in (stems[source], context))
            for position, (chunk, beside) in enumerate(zip(*both, strict=True)):
                jobs[key] = _Job(track, position, int(source), beside.samples)
                yield pooling.Chunk(key, chunk.samples, chunk.steps)
                key += 1


def _forward(network: Network, jobs: list[_Job], batch: list[pooling.Chunk], bf16: bool) -> Vectors:
    """Queries and candidates: ``(batch, 2, dimension)``."""
    device = next(network.parameters()).device
    contexts, targets = (
        torch.from_numpy(np.stack(waveforms)).to(device)
        for waveforms in ([job.context for job in jobs], [chunk.samples for chunk in batch])
    )
    with inference(network, bf16):
        views = network(contexts, targets, torch.tensor([job.source for job in jobs], device=device))
    steps = torch.tensor([chunk.steps for chunk in batch], device=device)
    pooled = torch.stack([_mean(patches, steps, network.settings.bands) for patches in (views.prediction, views.target)], 1)
    return np.asarray(pooled.cpu().numpy())


def _mean(patches: Tensor, steps: Tensor, bands: int) -> Tensor:
    """The mean over the first ``steps`` ``(batch,)`` time steps of ``(batch, bands · any, width)``: ``(batch, bands · width)``."""
    grid = patches.float().view(len(patches), bands, -1, patches.shape[2])
    inside = torch.arange(grid.shape[2], device=grid.device) < steps[:, None]
    return (grid * inside[:, None, :, None]).sum(2).flatten(1) / steps[:, None]


def _embeddings(vectors: Vectors, active: list[NDArray[np.bool_]], owners: NDArray[np.int64]) -> Embeddings:
    """``vectors`` are ``(n, 2, stems, dimension)``, queries and candidates; ``active`` has a row of ``(stems,)`` for each, by track."""
    offered = np.concatenate([np.zeros((0, vectors.shape[2]), bool), *active])
    asked = offered & (offered.sum(1, keepdims=True) > 1)
    return Embeddings(vectors[:, 0], vectors[:, 1], asked, offered, owners)
