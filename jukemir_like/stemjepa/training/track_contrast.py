"""The contrastive term between chunks of one track: what they share (instruments, sound, style, key) is what most labels of music ask for.

Mix and stem of one chunk share its harmony and rhythm as well, which tell them from all others; so the other terms alone need not learn
what lasts longer than a chunk.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from jukemir_like.stemjepa.model import without_autocast


def track_loss(mix: Tensor, stem: Tensor, track: Tensor, temperature: float) -> Tensor:
    """How surely each pooled mix finds the mixes, and the stems, of the other chunks of its track among those of the batch.

    Vectors are compared by the cosine of their deviations from the batch's mean. An example's own mix and stem are left out on both
    sides. The cross-entropy is the mean over the chunks to find (Khosla et al., *Supervised contrastive learning*, arXiv 2004.11362,
    equation 2), and that of finding mixes and of finding stems are averaged.

    Args:
        mix, stem: ``(batch, width)``; row i of both is of the same chunk.
        track: ``(batch,)``: number of the track of each chunk.
        temperature: above 0; cosines are divided by it.

    Returns:
        ``(batch,)``; about ln(batch) by chance, 0 for a chunk that is the only one of its track.

    >>> mix = torch.eye(4).repeat_interleave(2, dim=0)  # four tracks of two chunks, which are told apart perfectly
    >>> track_loss(mix, mix, torch.tensor([0, 0, 1, 1, 2, 2, 3, 3]), temperature=0.01).max().item() < 1e-6
    True
    """
    own = torch.eye(len(track), dtype=torch.bool, device=track.device)
    wanted = (track[:, None] == track[None]) & ~own
    count = wanted.sum(1).clamp(min=1)
    query = F.normalize(mix.float() - mix.float().mean(0), dim=-1)
    losses = []
    for candidates in (mix.float(), stem.float()):
        with without_autocast(mix.device):  # cosines are divided by a small number: three digits, those of bfloat16, are too few
            logits = query @ F.normalize(candidates - candidates.mean(0), dim=-1).T / temperature  # (batch, batch)
        surprise = torch.logsumexp(logits.masked_fill(own, float("-inf")), dim=1, keepdim=True) - logits
        losses.append((surprise * wanted).sum(1) / count)
    return (losses[0] + losses[1]) / 2
