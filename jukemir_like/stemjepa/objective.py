"""How far a prediction is from its target."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

_LEAST_VARIANCE = 1e-6


def predictive(prediction: Tensor, target: Tensor) -> Tensor:
    """Normalised squared error of every example (paper, section 3): 0 where directions agree, 2 where they are orthogonal, 4 at most.

    The target's patches are standardised over their features, then both are brought to unit length: 2 − 2 ⟨p, t⟩. No gradient reaches
    the target.

    Args:
        prediction: ``(batch, patches, width)``.
        target: as ``prediction``.

    Returns:
        ``(batch,)``: the mean over patches.
    """
    target = target.detach().float()
    centred = target - target.mean(-1, keepdim=True)
    target = centred / (target.var(-1, keepdim=True) + _LEAST_VARIANCE).sqrt()
    cosine = F.cosine_similarity(prediction.float(), target, dim=-1)
    return (2 - 2 * cosine).mean(-1)


def contrastive(query: Tensor, key: Tensor, temperature: float, forbidden: Tensor | None = None) -> Tensor:
    """How surely each query finds its own key among the batch's, and each key its query (InfoNCE, both ways; arXiv 2411.19806).

    Args:
        query: ``(batch, width)``; of any length, cosines are taken.
        key: ``(batch, width)``; key i belongs to query i.
        temperature: above 0; cosines are divided by it.
        forbidden: ``(batch, batch)`` booleans: pairs that are no negatives, as two chunks of one track; None: all others are.

    Returns:
        ``(batch,)``: mean of the two cross-entropies; ln(batch) by chance.
    """
    logits = F.normalize(query.float(), dim=-1) @ F.normalize(key.float(), dim=-1).T / temperature
    if forbidden is not None:
        logits = logits.masked_fill(forbidden & ~torch.eye(len(logits), dtype=torch.bool, device=logits.device), float("-inf"))
    own = torch.arange(len(logits), device=logits.device)
    return (F.cross_entropy(logits, own, reduction="none") + F.cross_entropy(logits.T, own, reduction="none")) / 2
