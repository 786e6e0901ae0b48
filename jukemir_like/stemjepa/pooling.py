"""One vector per clip: the mean of its patches over time, the frequency bands side by side (arXiv 2408.02514, section 4.3).

A clip of any length is cut into consecutive chunks. The rest at its end is encoded by itself, at its own length, so that no token ever sees
padding, and a vector does not depend on the other clips of its batch. The end is rounded to whole patches: a patch that lies at least half
inside the clip counts (zeros complete it), another is left out. Every clip has at least one patch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from jukemir_like.core import devices
from jukemir_like.stemjepa import config

Encode = Callable[[Tensor, list[int]], Tensor]
"""Waveforms ``(batch, samples)`` and the number of the clip of each → patches ``(batch, bands · steps, width)``."""


@dataclass(frozen=True)
class Chunk:
    """A piece of clip number ``clip``: whole patches, of which the first ``steps`` in time count."""

    clip: int
    samples: np.ndarray
    steps: int


def pool_clips(clips: Iterable[np.ndarray], encode: Encode, model: config.Model, *, batch_size: int, device: torch.device) -> np.ndarray:
    """Vectors of clips: float32 of shape ``(clips, bands · width)``.

    Args:
        clips: mono float32 of shape ``(samples,)``, each at least one sample. They are read one by one; memory does not grow with them.
        encode: waveforms → patches.
        model: how clips are cut.
        batch_size: chunks in one call of ``encode``, at most; where there is no room for them, half of them, and so on.
        device: where ``encode`` takes its waveforms.
    """
    bands, width = model.bands, model.encoder.width
    sums: dict[int, np.ndarray] = {}
    steps: dict[int, int] = {}
    for batch in batch_by_length(cut_into_chunks(clips, model), batch_size):
        waveforms = torch.from_numpy(np.stack([chunk.samples for chunk in batch])).to(device)
        grid = encode_in_parts(encode, waveforms, [chunk.clip for chunk in batch]).float().view(len(batch), bands, -1, width)
        counts = torch.tensor([chunk.steps for chunk in batch], device=device)
        inside = torch.arange(grid.shape[2], device=device) < counts[:, None]
        totals = (grid * inside[:, None, :, None]).sum(2).flatten(1).cpu().numpy().astype(np.float64)
        for chunk, total in zip(batch, totals, strict=True):
            sums[chunk.clip] = sums.get(chunk.clip, 0) + total
            steps[chunk.clip] = steps.get(chunk.clip, 0) + chunk.steps
    return np.array([sums[clip] / steps[clip] for clip in sorted(sums)], np.float32).reshape(len(sums), model.dimension)


def encode_in_parts(encode: Encode, waveforms: Tensor, clips: list[int]) -> Tensor:
    """What ``encode`` gives for a batch; where there is no room for it, for one half and then for the other."""
    try:
        return encode(waveforms, clips)
    except Exception as error:
        if len(clips) == 1 or not devices.is_out_of_memory(error):
            raise
    devices.release_memory()  # here, where no traceback holds tensors any more
    half = len(clips) // 2
    return torch.cat([encode_in_parts(encode, waveforms[:half], clips[:half]), encode_in_parts(encode, waveforms[half:], clips[half:])])


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
