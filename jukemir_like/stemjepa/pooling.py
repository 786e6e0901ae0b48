"""From clips of any length to one vector each: the mean of their patches over time, the frequency bands side by side.

A clip is cut in consecutive chunks. What is left at its end is encoded by itself, at its own length, so that no token ever sees padding,
and the vector does not depend on what is encoded beside it. The end is rounded to whole patches: one that lies at least half inside the
clip counts (zeros complete it), another is left out; every clip has one patch at least.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from jukemir_like.stemjepa import config

Encode = Callable[[Tensor, list[int]], Tensor]
"""Waveforms ``(batch, samples)`` and the numbers of their clips → patches ``(batch, bands · steps, width)``."""


@dataclass(frozen=True)
class Chunk:
    """A piece of clip number ``clip``: whole patches, of which the first ``steps`` in time count."""

    clip: int
    samples: np.ndarray
    steps: int


def vectors(clips: Iterable[np.ndarray], encode: Encode, model: config.Model, *, at_once: int, device: torch.device) -> np.ndarray:
    """Vectors of clips: float32 of shape ``(clips, bands · width)``.

    Args:
        clips: mono float32 of shape ``(samples,)``, each at least one sample, read one after another; memory does not grow with them.
        encode: what makes patches of waveforms.
        model: how clips are cut.
        at_once: most chunks in one call of ``encode``.
        device: where ``encode`` takes its waveforms.
    """
    bands, width = model.bands, model.encoder.width
    sums: dict[int, np.ndarray] = {}
    steps: dict[int, int] = {}
    for batch in batches(chunks(clips, model), at_once):
        waveforms = torch.from_numpy(np.stack([chunk.samples for chunk in batch])).to(device)
        grid = encode(waveforms, [chunk.clip for chunk in batch]).float().view(len(batch), bands, -1, width)
        counts = torch.tensor([chunk.steps for chunk in batch], device=device)
        inside = torch.arange(grid.shape[2], device=device) < counts[:, None]
        totals = (grid * inside[:, None, :, None]).sum(2).flatten(1).cpu().numpy().astype(np.float64)
        for chunk, total in zip(batch, totals, strict=True):
            sums[chunk.clip] = sums.get(chunk.clip, 0) + total
            steps[chunk.clip] = steps.get(chunk.clip, 0) + chunk.steps
    return np.array([sums[clip] / steps[clip] for clip in sorted(sums)], np.float32).reshape(len(sums), model.dimension)


def chunks(clips: Iterable[np.ndarray], model: config.Model) -> Iterator[Chunk]:
    """The chunks of clips, clip after clip. They are copies: a clip can be forgotten while the last of it waits."""
    patch = model.frontend.hop_length * model.encoder.patch_frames
    least = model.frontend.n_fft // 2 // patch + 1  # patches below which the front-end has nothing to reflect
    for number, clip in enumerate(clips):
        left = max(1, (2 * len(clip) + patch) // (2 * patch))
        for start in range(0, left * patch, model.chunk_samples):
            steps = min(left, model.steps)
            left -= steps
            samples = clip[start : start + steps * patch]
            yield Chunk(number, np.pad(samples, (0, max(steps, least) * patch - len(samples))), steps)


def batches(chunks: Iterable[Chunk], most: int) -> Iterator[list[Chunk]]:
    """Chunks of one length together, ``most`` at once; fewer than four times ``most`` wait for company."""
    waiting: dict[int, list[Chunk]] = {}
    for chunk in chunks:
        waiting.setdefault(len(chunk.samples), []).append(chunk)
        if len(waiting[len(chunk.samples)]) == most:
            yield waiting.pop(len(chunk.samples))
        elif sum(map(len, waiting.values())) == 4 * most:
            yield waiting.pop(max(waiting, key=lambda length: len(waiting[length])))
    yield from waiting.values()
