"""Among what a stem is looked for: four pools, each of which asks another question.

=================== ===================================================================== ===============================================
pool                candidates of a query                                                 what finds the right one
=================== ===================================================================== ===============================================
``all``             all stems of all tracks, the query's own context stems among them     the track and the instrument (the published
                                                                                          protocol)
``all-but-context`` the same without the context stems of the query                       the track, or the instrument for the most part
``same-instrument`` the asked instrument of all tracks; N is the number of tracks         the track alone: musical fit
``segments``        as ``all``, of whole chunks of all tracks instead of whole tracks;    the track, the instrument, and the moment
                    the right one is the chunk at the same time
=================== ===================================================================== ===============================================

A stem that is silent is neither asked for nor offered, and a silent mix asks for nothing (:mod:`~.embedding` says what is silent).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from jukemir_like.stemjepa.retrieval import metrics
from jukemir_like.stemjepa.retrieval.embedding import Embedded, Embeddings
from jukemir_like.stemjepa.retrieval.metrics import Ranks

POOLS = ("all", "all-but-context", "same-instrument", "segments")


@dataclass(frozen=True)
class Standings:
    """How the queries of one pool came out.

    Args:
        pool: one of :data:`POOLS`.
        ranks: of the queries.
        track: ``(queries,)``, which track each is of.
        source: ``(queries,)``, which instrument each asks for.
    """

    pool: str
    ranks: Ranks
    track: NDArray[np.int64]
    source: NDArray[np.int64]


def standings(embedded: Embedded) -> Iterator[Standings]:
    """Ranks every query in every pool; ``segments`` only where segments were kept."""
    for pool in POOLS[:3]:
        yield _rank(pool, embedded.tracks)
    if embedded.segments is not None:
        yield _rank("segments", embedded.segments)


def _rank(pool: str, embeddings: Embeddings) -> Standings:
    asking, query_source = np.nonzero(embeddings.asked)
    offering, candidate_source = np.nonzero(embeddings.offered)
    number = np.full(embeddings.offered.shape, -1)
    number[offering, candidate_source] = np.arange(len(offering))
    query_track, candidate_track = embeddings.track[asking], embeddings.track[offering]

    def allowed(block: slice) -> NDArray[np.bool_]:
        same_instrument = query_source[block, None] == candidate_source
        if pool == "same-instrument":
            return np.asarray(same_instrument)
        return np.asarray(same_instrument | (query_track[block, None] != candidate_track))

    ranks = metrics.rank(
        embeddings.queries[asking, query_source],
        embeddings.candidates[offering, candidate_source],
        number[asking, query_source],
        None if pool in ("all", "segments") else allowed,
    )
    return Standings(pool, ranks, query_track, query_source)
