"""Areas under ROC and precision-recall curves of many tags, for many resamples, from one sort a tag.

A resample changes the multiplicities of rows, never their order. So each tag is sorted once, its rows are cut at the thresholds that
have positives, and a resample costs one sum over each piece instead of a sort. With p(t) the positives at threshold t, n(t) the
negatives at it, P(t) and N(t) those at t and above, P and N all of them, and sums over the thresholds that have positives:

- AUC = Σ p(t) (N - N(t) + n(t) / 2) / (P N)        the Mann-Whitney statistic, a tie counting one half
- AP  = Σ p(t) / P · P(t) / (P(t) + N(t))           the step-wise integral, as in scikit-learn
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

# Resamples under way together: (rows, 64) doubles of a usual test set fit a core's cache.
_BLOCK = 64


def rank_tags(y: np.ndarray, scores: np.ndarray, weights: np.ndarray | None = None) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """ROC-AUC and average precision of every tag.

    Args:
        y: bool of shape (n, tags).
        scores: float of shape (n, tags), not NaN.
        weights: multiplicities of shape (n,) or (resamples, n); None for all ones.

    Returns:
        Two arrays of shape (tags,) or (resamples, tags). NaN where there is no positive (both) or no negative (AUC).
    """
    table = np.ones((1, len(y))) if weights is None else np.atleast_2d(weights)
    auc, precision = np.full((2, len(table), y.shape[1]), np.nan)
    cuts = [_cut(y[:, tag], scores[:, tag]) if y[:, tag].any() else None for tag in range(y.shape[1])]
    for start in range(0, len(table), _BLOCK):
        part = slice(start, start + _BLOCK)
        columns = np.ascontiguousarray(table[part].T, np.float64)
        for tag, cut in enumerate(cuts):
            if cut is not None:
                positives, negatives = cut
                auc[part, tag], precision[part, tag] = _areas((positives @ columns).T.copy(), (negatives @ columns).T.copy())
    single = weights is None or weights.ndim == 1
    return (auc[0], precision[0]) if single else (auc, precision)


def _cut(y: np.ndarray, scores: np.ndarray) -> tuple[Any, Any]:
    """Sparse matrices that sum weights over the pieces of one tag, from the largest score down.

    The first, (thresholds, n), sums the positives at each threshold that has any. The second, (2 · thresholds + 1, n), sums the
    negatives between thresholds and at them in turn: above the first, at the first, between first and second, …, below the last.
    """
    from scipy.sparse import csr_array

    thresholds = np.unique(scores[y])[::-1]
    positives, negatives = (rows[np.argsort(-scores[rows], kind="stable")] for rows in (np.flatnonzero(y), np.flatnonzero(~y)))
    ends = np.searchsorted(-scores[positives], -thresholds, side="right")
    above, through = (np.searchsorted(-scores[negatives], -thresholds, side=side) for side in ("left", "right"))
    bounds = np.append(np.column_stack([above, through]).ravel(), len(negatives))
    return tuple(
        csr_array((np.ones(len(rows)), rows, np.append(0, cut)), shape=(len(cut), len(y)))
        for rows, cut in ((positives, ends), (negatives, bounds))
    )  # type: ignore[return-value]


def _areas(p: NDArray[np.float64], pieces: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """AUC and AP of one tag from ``p`` (resamples, thresholds) and the pieces of negatives (resamples, 2 · thresholds + 1)."""
    n_through = pieces.cumsum(1)[:, 1::2]
    p_through, total_p, total_n = p.cumsum(1), p.sum(1), pieces.sum(1)
    with np.errstate(invalid="ignore", divide="ignore"):
        auc = (p * (total_n[:, None] - n_through + pieces[:, 1::2] / 2)).sum(1) / (total_p * total_n)
        share = np.where(p > 0, p_through / (p_through + n_through), 0)  # a resample may leave a threshold, and all above it, empty
        precision = (p * share).sum(1) / total_p
    return auc, precision
