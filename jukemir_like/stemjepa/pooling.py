"""One vector per clip: the mean of its patches over time, the frequency bands side by side (arXiv 2408.02514, section 4.3).

Of several layers of the encoder, one pass gives a vector each. For another summary over time than the mean, :func:`feed_pools` hands on the
frames: one per time step, with the bands side by side.

A clip of any length is cut into consecutive chunks. The rest at its end is encoded by itself, at its own length, so that no token ever sees
padding, and a vector does not depend on the other clips of its batch. The end is rounded to whole patches: a patch that lies at least half
inside the clip counts (zeros complete it), another is left out. Every clip has at least one patch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from jukemir_like.core import devices
from jukemir_like.stemjepa import config

_NO_SAMPLES = np.zeros(0, np.float32)

Encode = Callable[[Tensor, list[int]], Iterable[Tensor]]
"""Waveforms ``(batch, samples)`` and the number of the clip of each → layer after layer, patches ``(batch, bands · steps, width)``."""


class Pool(Protocol):
    """What takes the frames of a clip, such as :class:`jukemir_like.representations.pooling.Pool`."""

    def add(self, frames: Tensor) -> None:
        """Takes frames of shape ``(time, bands · width)``."""


@dataclass(frozen=True)
class Chunk:
    """A piece of clip number ``clip``: whole patches, of which the first ``steps`` in time count."""

    clip: int
    samples: np.ndarray
    steps: int


def pool_clips(
    clips: Iterable[np.ndarray], encode: Encode, model: config.Model, *, batch_size: int, device: torch.device, layers: int = 1
) -> np.ndarray:
    """Vectors of clips: float32 of shape ``(clips, layers, bands · width)``.

    Args:
        clips: mono float32 of shape ``(samples,)``, each at least one sample. They are read one by one; memory does not grow with them.
        encode: waveforms → patches.
        model: how clips are cut.
        batch_size: chunks in one call of ``encode``, at most; where there is no room for them, half of them, and so on.
        device: where ``encode`` takes its waveforms.
        layers: how many ``encode`` gives.
    """
    return _pooled(_encoded(clips, encode, model, batch_size, device), model, layers)


@dataclass(frozen=True)
class EncodedClips:
    """Clips as an encoder gives them: batches of chunks, without their samples, each with its patches ``(batch, bands · steps, width)``."""

    batches: Sequence[tuple[list[Chunk], Tensor]]


def encode_clips(
    clips: Iterable[np.ndarray], encode: Encode, model: config.Model, *, batch_size: int, device: torch.device
) -> EncodedClips:
    """What :func:`pool_encoded` pools, all of it in memory; arguments as in :func:`pool_clips`, but that ``encode`` gives one layer."""
    batches = _batches(clips, encode, model, batch_size, device)
    return EncodedClips([([replace(chunk, samples=_NO_SAMPLES) for chunk in batch], patches) for batch, (patches,) in batches])


def pool_encoded(encoded: EncodedClips, encode: Encode, model: config.Model) -> np.ndarray:
    """:func:`pool_clips` for an ``encode`` that goes on from the patches of an encoder instead of from waveforms, and gives one layer."""
    batches = ((batch, encode_in_parts(encode, patches, [chunk.clip for chunk in batch])) for batch, patches in encoded.batches)
    return _pooled(_grids(batches, model), model, layers=1)


def _pooled(batches: Iterable[tuple[list[Chunk], list[Tensor]]], model: config.Model, layers: int) -> np.ndarray:
    sums: dict[int, np.ndarray] = {}
    steps: dict[int, int] = {}
    for batch, grids in batches:
        for layer, grid in enumerate(grids):
            counts = torch.tensor([chunk.steps for chunk in batch], device=grid.device)
            inside = torch.arange(grid.shape[2], device=grid.device) < counts[:, None]
            totals = (grid * inside[:, None, :, None]).sum(2).flatten(1).cpu().numpy().astype(np.float64)
            for chunk, total in zip(batch, totals, strict=True):
                sums.setdefault(chunk.clip, np.zeros((layers, model.dimension)))[layer] += total
        for chunk in batch:
            steps[chunk.clip] = steps.get(chunk.clip, 0) + chunk.steps
    vectors = [sums[clip] / steps[clip] for clip in sorted(sums)]
    return np.array(vectors, np.float32).reshape(len(sums), layers, model.dimension)


def feed_pools(
    clips: Iterable[np.ndarray],
    encode: Encode,
    model: config.Model,
    pools: Sequence[Sequence[Pool]],
    *,
    batch_size: int,
    device: torch.device,
) -> None:
    """Adds the frames of every clip i to ``pools[i]``, one per layer. The chunks of a clip come in any order; arguments as above."""
    for batch, grids in _encoded(clips, encode, model, batch_size, device):
        for layer, grid in enumerate(grids):
            for chunk, bands in zip(batch, grid.cpu(), strict=True):
                pools[chunk.clip][layer].add(bands.transpose(0, 1)[: chunk.steps].flatten(1))


def _encoded(
    clips: Iterable[np.ndarray], encode: Encode, model: config.Model, batch_size: int, device: torch.device
) -> Iterator[tuple[list[Chunk], list[Tensor]]]:
    """Batches of chunks, with the patches of each layer as float32 of shape ``(batch, bands, steps, width)``."""
    return _grids(_batches(clips, encode, model, batch_size, device), model)


def _batches(
    clips: Iterable[np.ndarray], encode: Encode, model: config.Model, batch_size: int, device: torch.device
) -> Iterator[tuple[list[Chunk], list[Tensor]]]:
    for batch in batch_by_length(cut_into_chunks(clips, model), batch_size):
        waveforms = torch.from_numpy(np.stack([chunk.samples for chunk in batch])).to(device)
        yield batch, encode_in_parts(encode, waveforms, [chunk.clip for chunk in batch])


def _grids(batches: Iterable[tuple[list[Chunk], list[Tensor]]], model: config.Model) -> Iterator[tuple[list[Chunk], list[Tensor]]]:
    for batch, layers in batches:
        yield batch, [patches.float().view(len(batch), model.bands, -1, model.encoder.width) for patches in layers]


def encode_in_parts(encode: Encode, waveforms: Tensor, clips: list[int]) -> list[Tensor]:
    """What ``encode`` gives for a batch, one tensor per layer; where there is no room for it, for one half and then for the other."""
    try:
        return list(encode(waveforms, clips))
    except Exception as error:
        if len(clips) == 1 or not devices.is_out_of_memory(error):
            raise
    devices.release_memory()  # here, where no traceback holds tensors any more
    half = len(clips) // 2
    parts = encode_in_parts(encode, waveforms[:half], clips[:half]), encode_in_parts(encode, waveforms[half:], clips[half:])
    return [torch.cat(layer) for layer in zip(*parts, strict=True)]


def cut_into_chunks(clips: Iterable[np.ndarray], model: config.Model) -> Iterator[Chunk]:
    """The chunks of clips, clip after clip. They are copies, so that a clip can be freed while its last chunk waits for a batch.

    >>> model = config.Model()  # chunks of 8 s at 16 kHz, patches of 0.16 s
    >>> [(chunk.clip, chunk.steps) for chunk in cut_into_chunks([np.zeros(16000), np.zeros(9 * 16000)], model)]
    [(0, 6), (1, 50), (1, 6)]
    """
    patch = model.frontend.hop_length * model.encoder.patch_frames
    # The front-end reflects n_fft / 2 samples at each end, so a waveform must be longer than that.
    fewest = model.frontend.n_fft // 2 // patch + 1
    for number, clip in enumerate(clips):
        left = max(1, (2 * len(clip) + patch) // (2 * patch))  # len(clip) / patch, rounded half up, in integers
        for start in range(0, left * patch, model.chunk_samples):
            steps = min(left, model.steps)
            left -= steps
            samples = clip[start : start + steps * patch]
            yield Chunk(number, np.pad(samples, (0, max(steps, fewest) * patch - len(samples))), steps)


def batch_by_length(chunks: Iterable[Chunk], batch_size: int) -> Iterator[list[Chunk]]:
    """Batches of at most ``batch_size`` chunks of equal length; fewer than four times as many chunks wait for others of their length.

    >>> chunks = [Chunk(0, np.zeros(length), 1) for length in (5, 3, 5, 5)]
    >>> [[len(chunk.samples) for chunk in batch] for batch in batch_by_length(chunks, 2)]
    [[5, 5], [3], [5]]
    """
    waiting: dict[int, list[Chunk]] = {}
    for chunk in chunks:
        waiting.setdefault(len(chunk.samples), []).append(chunk)
        if len(waiting[len(chunk.samples)]) == batch_size:
            yield waiting.pop(len(chunk.samples))
        elif sum(map(len, waiting.values())) == 4 * batch_size:
            yield waiting.pop(max(waiting, key=lambda length: len(waiting[length])))
    yield from waiting.values()


def normalise(vectors: np.ndarray) -> np.ndarray:
    """Vectors whose dot products are the scores of retrieval: LayerNorm without affine part, then length 1. A constant vector becomes 0.

    Args:
        vectors: ``(*, dimension)``.

    >>> normalise(np.array([[1.0, 3.0], [2.0, 2.0]])).round(3).tolist()
    [[-0.707, 0.707], [0.0, 0.0]]
    """
    centred = vectors - vectors.mean(-1, keepdims=True, dtype=np.float64)
    return np.asarray(centred / np.maximum(np.linalg.norm(centred, axis=-1, keepdims=True), 1e-6))
