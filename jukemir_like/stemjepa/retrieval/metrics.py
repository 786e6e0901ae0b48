"""How high a query's own candidate stands among all that it is compared with. Arrays in, figures out.

Conventions
-----------
Vectors are compared by the cosine of their layer-normalised values (no affine part), which is their correlation. Cosines closer than
:data:`TIE` are equal: in float32 the order of summation alone moves them by as much. A query whose own candidate has ``better``
candidates above it and ``tied`` others beside it holds each of the ranks ``better + 1`` to ``better + tied + 1`` with equal probability.
All metrics are expectations over that, so that a collapsed network, whose vectors are all alike, scores chance exactly.

Metrics
-------
With N the number of candidates of a query, its own included, and ranks from 1:

========================== ==================================================== =============
name                       of a query                                           by chance
========================== ==================================================== =============
``R@k``                    probability that the rank is at most k               min(k, N) / N
``mean_normalised_rank``   expected rank / N; the mean over queries is taken    (N + 1) / 2N
``median_normalised_rank`` the same; the median over queries is taken           (N + 1) / 2N
``recall_auc``             mean of R@k over k = 1 … N, = 1 − (rank − 1) / N     (N + 1) / 2N
========================== ==================================================== =============

All are fractions. Where N differs between queries, chance is the mean over queries.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from jukemir_like.stemjepa.pretrained import comparable

TIE = 1e-6
RECALLS = (1, 5, 10)
METRICS = (*(f"R@{k}" for k in RECALLS), "mean_normalised_rank", "median_normalised_rank", "recall_auc")

_BLOCK = 1024  # queries compared at once: 75 MB of cosines for 18,000 candidates
_RESAMPLES = 100  # of which medians are found at once

Array = NDArray[np.float64]
Vectors = NDArray[np.float32]
Allowed = Callable[[slice], NDArray[np.bool_]]


@dataclass(frozen=True)
class Ranks:
    """Where the own candidate of each query stands; all of shape ``(queries,)``, int64.

    Args:
        better: candidates that are nearer than the own one.
        tied: other candidates as near as the own one.
        size: candidates in all, the own one included.
    """

    better: NDArray[np.int64]
    tied: NDArray[np.int64]
    size: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.better)

    def of(self, chosen: NDArray[np.bool_]) -> Ranks:
        """The queries for which ``chosen``, of shape ``(queries,)``, holds."""
        return Ranks(self.better[chosen], self.tied[chosen], self.size[chosen])


def normalise(vectors: Vectors) -> Vectors:
    """:func:`~jukemir_like.stemjepa.pretrained.comparable` of vectors ``(n, dimension)``, in float32 and block by block."""
    normalised = np.empty(vectors.shape, np.float32)
    for start in range(0, len(vectors), _BLOCK):
        normalised[start : start + _BLOCK] = comparable(vectors[start : start + _BLOCK])
    return normalised


def rank(queries: Vectors, candidates: Vectors, own: NDArray[np.int64], allowed: Allowed | None = None) -> Ranks:
    """Ranks the own candidate of each query; memory grows with the number of candidates, not with its product with that of queries.

    Args:
        queries: ``(queries, dimension)``.
        candidates: ``(candidates, dimension)``.
        own: ``(queries,)``, which candidate is the right one.
        allowed: from a slice of queries to ``(queries in it, candidates)``, which candidates each is compared with; the own one always
            is. None: all.
    """
    queries, candidates = normalise(queries), normalise(candidates)
    better, tied, size = (np.zeros(len(queries), np.int64) for _ in range(3))
    for start in range(0, len(queries), _BLOCK):
        block = slice(start, min(start + _BLOCK, len(queries)))
        rows = np.arange(block.stop - start)
        cosines = queries[block] @ candidates.T
        lead = cosines - cosines[rows, own[block], None]
        among = np.ones(lead.shape, bool) if allowed is None else allowed(block).copy()
        among[rows, own[block]] = False
        better[block] = ((lead > TIE) & among).sum(1)
        tied[block] = ((np.abs(lead) <= TIE) & among).sum(1)
        size[block] = among.sum(1) + 1
    return Ranks(better, tied, size)


def recall(ranks: Ranks, k: float) -> Array:
    """Probability that each query's own candidate is among the first ``k``, shape ``(queries,)``."""
    return np.clip((k - ranks.better) / (ranks.tied + 1), 0, 1)


def normalised_rank(ranks: Ranks) -> Array:
    """Expected rank of each query's own candidate over the number of its candidates, above 0 and at most 1, shape ``(queries,)``."""
    return np.asarray((1 + ranks.better + ranks.tied / 2) / ranks.size)


def values(ranks: Ranks) -> dict[str, Array]:
    """What each query adds to each of :data:`METRICS`, shape ``(queries,)``: see :func:`aggregate`."""
    normalised = normalised_rank(ranks)
    area = 1 - normalised + 1 / ranks.size
    return {f"R@{k}": recall(ranks, k) for k in RECALLS} | dict(zip(METRICS[len(RECALLS) :], (normalised, normalised, area), strict=True))


def aggregate(metric: str, of_queries: Array) -> float:
    """The value of ``metric`` from what :func:`values` gives: the mean over queries, or the median; NaN without queries."""
    if not len(of_queries):
        return float("nan")
    return float(np.median(of_queries) if _is_median(metric) else np.mean(of_queries))


def aggregate_resamples(metric: str, of_queries: Array, times: NDArray[np.int32]) -> Array:
    """:func:`aggregate` of resamples.

    Args:
        metric: one of :data:`METRICS`.
        of_queries: ``(queries,)``.
        times: ``(resamples, queries)``, how often each query is in each resample.

    Returns:
        ``(resamples,)``; NaN where a resample has no query.
    """
    drawn = times.sum(1)
    if not _is_median(metric):
        with np.errstate(invalid="ignore"):
            return np.asarray(times @ of_queries / drawn)
    medians = np.full(len(times), np.nan)
    order = np.argsort(of_queries, kind="stable")
    rows = np.flatnonzero(drawn)
    for start in range(0, len(rows), _RESAMPLES):
        block = rows[start : start + _RESAMPLES]
        medians[block] = _medians(of_queries[order], times[block][:, order])
    return medians


def _medians(ascending: Array, times: NDArray[np.int32]) -> Array:
    """Medians of ``ascending`` (n,) with value i repeated ``times[:, i]`` times."""
    upto = times.cumsum(1)
    total = upto[:, -1]
    lower, upper = ((upto < place[:, None]).sum(1) for place in ((total + 1) // 2, total // 2 + 1))
    return np.asarray((ascending[lower] + ascending[upper]) / 2)


def _is_median(metric: str) -> bool:
    return metric == "median_normalised_rank"


def chance(ranks: Ranks) -> dict[str, float]:
    """What a random order of the candidates gives, in closed form; NaN without queries."""
    if not len(ranks):
        return dict.fromkeys(METRICS, float("nan"))
    half = float(np.mean((ranks.size + 1) / (2 * ranks.size)))
    recalls = {f"R@{k}": float(np.mean(np.minimum(k, ranks.size) / ranks.size)) for k in RECALLS}
    return recalls | dict.fromkeys(METRICS[len(RECALLS) :], half)
