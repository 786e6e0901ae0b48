"""Is it collapsing? Figures that fall before the loss shows anything: a collapsed network predicts its constant targets perfectly."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812


def spread(vectors: Tensor) -> Tensor:
    """Standard deviation over the batch of vectors brought to unit length, averaged over features and times √width.

    1 where directions are drawn at random, 0 where all are alike (after Chen and He 2021, section 4.1).

    Args:
        vectors: ``(batch, width)``, two at least.
    """
    unit = F.normalize(vectors.float(), dim=-1)
    found: Tensor = unit.std(0).mean() * vectors.shape[1] ** 0.5
    return found


def effective_rank(vectors: Tensor) -> Tensor:
    """RankMe: exponential of the entropy of the singular values' shares (Garrido et al. 2023, equation 1).

    From 1, where all vectors lie on one line, to the lesser of batch and width.

    Args:
        vectors: ``(batch, width)``.
    """
    # In float64, for the eigenvalues of the smaller Gram matrix are the squares of the singular values.
    wide = vectors.double()
    gram = wide @ wide.T if wide.shape[0] <= wide.shape[1] else wide.T @ wide
    singular = torch.linalg.eigvalsh(gram).clamp(min=0).sqrt()
    shares = singular / singular.sum().clamp(min=torch.finfo(torch.float64).tiny)
    rank: Tensor = torch.special.entr(shares).sum().exp()
    return rank


def likeness(vectors: Tensor, others: Tensor) -> Tensor:
    """Mean cosine between two batches of patches, ``(batch, patches, width)`` each."""
    return F.cosine_similarity(vectors.float(), others.float(), dim=-1).mean()
