"""How high a query ranks its correct candidate in four pools of candidates, and the metrics of these ranks. Arrays in, figures out.

Pools
-----
Each pool measures another ability:

=================== ===================================================================== ===============================================
pool                candidates of a query                                                 what identifies the correct one
=================== ===================================================================== ===============================================
``all``             all stems of all tracks, the query's own context stems among them     the track and the instrument (the published
                                                                                          protocol)
``all-but-context`` the same without the context stems of the query                       the track, or the instrument for the most part
``same-instrument`` the query's instrument in all tracks; N is the number of tracks       the track alone: musical fit
``segments``        as ``all``, of whole chunks of all tracks instead of whole tracks;    the track, the instrument, and the moment
                    the correct one is the chunk at the same time
=================== ===================================================================== ===============================================

Where each track has stems of its own, N of ``same-instrument`` is the number of tracks that have an instrument of this name; queries
for which there is no second one are left out of this pool: they are correct by chance.

Silent stems have no queries and are no candidates (:mod:`~.embedding` defines silence).

Ranks
-----
Vectors are compared by the cosine of their layer-normalised values (no affine part), which is their correlation. Cosines closer than
:data:`TIE` are equal: in float32 the order of summation alone moves them by as much. A query whose correct candidate has ``better``
candidates above it and ``tied`` others equal to it holds each of the ranks ``better + 1`` to ``better + tied + 1`` with equal probability.
All metrics are expectations over that, so that a collapsed network, whose vectors are all alike, scores chance exactly.

Metrics
-------
With N the number of candidates of a query, the correct one included, and ranks from 1:

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

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from jukemir_like.stemjepa import pooling
from jukemir_like.stemjepa.retrieval.embedding import Embedded, Embeddings, Vectors

POOLS = ("all", "all-but-context", "same-instrument", "segments")
TIE = 1e-6
RECALLS = (1, 5, 10)
METRICS = (*(f"R@{k}" for k in RECALLS), "mean_normalised_rank", "median_normalised_rank", "recall_auc")

_BLOCK = 1024  # queries compared at once: 75 MB of cosines for 18,000 candidates
_RESAMPLES = 100  # whose medians are computed at once

Array = NDArray[np.float64]
Allowed = Callable[[slice], NDArray[np.bool_]]


@dataclass(frozen=True)
class Ranks:
    """The rank of the correct candidate of each query; all of shape ``(queries,)``, int64.

    Args:
        better: candidates nearer to the query than the correct one.
        tied: other candidates as near as the correct one.
        size: candidates in all, the correct one included.
    """

    better: NDArray[np.int64]
    tied: NDArray[np.int64]
    size: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.better)

    def select(self, mask: NDArray[np.bool_]) -> Ranks:
        """The ranks of the queries for which ``mask``, of shape ``(queries,)``, is true."""
        return Ranks(self.better[mask], self.tied[mask], self.size[mask])


@dataclass(frozen=True)
class PoolRanks:
    """The ranks of the queries of one pool.

    Args:
        pool: one of :data:`POOLS`.
        ranks: of the queries.
        track: ``(queries,)``, the number of the track of each.
        source: ``(queries,)``, the number of the instrument of each.
    """

    pool: str
    ranks: Ranks
    track: NDArray[np.int64]
    source: NDArray[np.int64]


def rank_in_pools(embedded: Embedded) -> Iterator[PoolRanks]:
    """Ranks every query in every pool; ``segments`` only where segments were kept."""
    for pool in POOLS[:3]:
        yield _rank_in_pool(pool, embedded.tracks)
    if embedded.segments is not None:
        yield _rank_in_pool("segments", embedded.segments)


def _rank_in_pool(pool: str, embeddings: Embeddings) -> PoolRanks:
    query_row, query_stem = np.nonzero(embeddings.has_query)
    candidate_row, candidate_stem = np.nonzero(embeddings.has_candidate)
    number = np.full(embeddings.has_candidate.shape, -1)  # of the candidate, by row and stem
    number[candidate_row, candidate_stem] = np.arange(len(candidate_row))
    query_source, candidate_source = query_stem, candidate_stem
    if embeddings.instruments is not None:
        candidate_source = embeddings.instruments[candidate_row, candidate_stem]
        query_source = embeddings.instruments[query_row, query_stem]
        if pool == "same-instrument":
            has_rival = np.bincount(candidate_source)[query_source] > 1
            query_row, query_stem, query_source = query_row[has_rival], query_stem[has_rival], query_source[has_rival]
    query_track, candidate_track = embeddings.track[query_row], embeddings.track[candidate_row]

    def allowed(block: slice) -> NDArray[np.bool_]:
        same_instrument = query_source[block, None] == candidate_source
        if pool == "same-instrument":
            return np.asarray(same_instrument)
        return np.asarray(same_instrument | (query_track[block, None] != candidate_track))

    ranks = rank(
        embeddings.queries[query_row, query_stem],
        embeddings.candidates[candidate_row, candidate_stem],
        number[query_row, query_stem],
        None if pool in ("all", "segments") else allowed,
    )
    return PoolRanks(pool, ranks, query_track, query_source)


def rank(queries: Vectors, candidates: Vectors, correct: NDArray[np.int64], allowed: Allowed | None = None) -> Ranks:
    """Ranks the correct candidate of each query. Memory grows with the number of candidates, not with its product with that of queries.

    Args:
        queries: ``(queries, dimension)``.
        candidates: ``(candidates, dimension)``.
        correct: ``(queries,)``, the number of the correct candidate of each.
        allowed: from a slice of queries to ``(queries in it, candidates)`` booleans: the candidates that each is compared with. The correct
            one is always included. None: all.

    >>> vectors = np.array([[1, 0, 0], [0, 1, 0], [0, 1, 0.5]], np.float32)
    >>> rank(vectors[[0, 1]], vectors, correct=np.array([0, 2]))
    Ranks(better=array([0, 1]), tied=array([0, 0]), size=array([3, 3]))
    """
    queries, candidates = _normalised(queries), _normalised(candidates)
    better, tied, size = (np.zeros(len(queries), np.int64) for _ in range(3))
    for start in range(0, len(queries), _BLOCK):
        block = slice(start, min(start + _BLOCK, len(queries)))
        rows = np.arange(block.stop - start)
        cosines = queries[block] @ candidates.T
        lead = cosines - cosines[rows, correct[block], None]
        rivals = np.ones(lead.shape, bool) if allowed is None else allowed(block).copy()
        rivals[rows, correct[block]] = False
        better[block] = ((lead > TIE) & rivals).sum(1)
        tied[block] = ((np.abs(lead) <= TIE) & rivals).sum(1)
        size[block] = rivals.sum(1) + 1
    return Ranks(better, tied, size)


def _normalised(vectors: Vectors) -> Vectors:
    """:func:`jukemir_like.stemjepa.pooling.normalise` of vectors ``(n, dimension)``, in float32 and block by block."""
    normalised = np.empty(vectors.shape, np.float32)
    for start in range(0, len(vectors), _BLOCK):
        normalised[start : start + _BLOCK] = pooling.normalise(vectors[start : start + _BLOCK])
    return normalised


def recall(ranks: Ranks, k: float) -> Array:
    """Probability that the correct candidate of each query is among the first ``k``, shape ``(queries,)``.

    >>> recall(Ranks(better=np.array([0, 3]), tied=np.array([1, 0]), size=np.array([9, 9])), k=1)
    array([0.5, 0. ])
    """
    return np.clip((k - ranks.better) / (ranks.tied + 1), 0, 1)


def normalised_rank(ranks: Ranks) -> Array:
    """Expected rank of each query's correct candidate over the number of its candidates, above 0 and at most 1, shape ``(queries,)``.

    >>> normalised_rank(Ranks(better=np.array([0, 3]), tied=np.array([0, 0]), size=np.array([4, 4])))
    array([0.25, 1.  ])
    """
    return np.asarray((1 + ranks.better + ranks.tied / 2) / ranks.size)


def values(ranks: Ranks) -> dict[str, Array]:
    """The value of each of :data:`METRICS` for each query, shape ``(queries,)``: see :func:`aggregate`."""
    normalised = normalised_rank(ranks)
    area = 1 - normalised + 1 / ranks.size
    return {f"R@{k}": recall(ranks, k) for k in RECALLS} | dict(zip(METRICS[len(RECALLS) :], (normalised, normalised, area), strict=True))


def aggregate(metric: str, of_queries: Array) -> float:
    """The value of ``metric`` from those of queries, as :func:`values` returns: their mean or median; NaN without queries.

    >>> aggregate("R@1", np.array([1.0, 0.0, 0.5])), aggregate("median_normalised_rank", np.array([0.1, 0.9, 0.2]))
    (0.5, 0.2)
    """
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

    >>> aggregate_resamples("R@1", np.array([1.0, 0.0]), np.array([[1, 1], [2, 0]], np.int32))
    array([0.5, 1. ])
    """
    counts = times.sum(1)
    if not _is_median(metric):
        with np.errstate(invalid="ignore"):
            return np.asarray(times @ of_queries / counts)
    medians = np.full(len(times), np.nan)
    order = np.argsort(of_queries, kind="stable")
    rows = np.flatnonzero(counts)
    for start in range(0, len(rows), _RESAMPLES):
        block = rows[start : start + _RESAMPLES]
        medians[block] = _medians(of_queries[order], times[block][:, order])
    return medians


def _medians(ascending: Array, times: NDArray[np.int32]) -> Array:
    """Medians of ``ascending`` (n,) with value i repeated ``times[:, i]`` times: the mean of the two middle values, or the middle twice."""
    cumulative = times.cumsum(1)
    total = cumulative[:, -1]
    lower, upper = ((cumulative < place[:, None]).sum(1) for place in ((total + 1) // 2, total // 2 + 1))
    return np.asarray((ascending[lower] + ascending[upper]) / 2)


def _is_median(metric: str) -> bool:
    return metric == "median_normalised_rank"


def chance(ranks: Ranks) -> dict[str, float]:
    """The expected metrics of a random order of the candidates, in closed form; NaN without queries.

    >>> chance(Ranks(better=np.array([0]), tied=np.array([0]), size=np.array([20])))["R@5"]
    0.25
    """
    if not len(ranks):
        return dict.fromkeys(METRICS, float("nan"))
    half = float(np.mean((ranks.size + 1) / (2 * ranks.size)))
    recalls = {f"R@{k}": float(np.mean(np.minimum(k, ranks.size) / ranks.size)) for k in RECALLS}
    return recalls | dict.fromkeys(METRICS[len(RECALLS) :], half)
