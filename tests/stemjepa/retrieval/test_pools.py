import numpy as np
import pytest

from jukemir_like.stemjepa.retrieval.embedding import Embedded, Embeddings
from jukemir_like.stemjepa.retrieval.pools import POOLS, standings


def embeddings(seed, tracks, stems=3, dimension=10, chunks=1, silence=0.0):
    random = np.random.default_rng(seed)
    count = tracks * chunks
    candidates = random.standard_normal((count, stems, dimension)).astype(np.float32)
    queries = (candidates + random.standard_normal(candidates.shape)).astype(np.float32)
    offered = random.random((count, stems)) >= silence
    return Embeddings(queries, candidates, offered & (offered.sum(1, keepdims=True) > 1), offered, np.repeat(np.arange(tracks), chunks))


def slow(embeddings, pool):
    """(track, source, rank, size) of every query, by loops."""
    found = []
    rows, stems = embeddings.asked.shape
    for row in range(rows):
        for source in range(stems):
            if not embeddings.asked[row, source]:
                continue
            cosines = {}
            for other in range(rows):
                for stem in range(stems):
                    own_track = embeddings.track[other] == embeddings.track[row]
                    wanted = {
                        "all": True,
                        "segments": True,
                        "all-but-context": not (own_track and stem != source),
                        "same-instrument": stem == source,
                    }[pool]
                    if embeddings.offered[other, stem] and wanted:
                        cosines[other, stem] = np.corrcoef(embeddings.queries[row, source], embeddings.candidates[other, stem])[0, 1]
            rank = 1 + sum(cosine > cosines[row, source] for cosine in cosines.values())
            found.append((embeddings.track[row], source, rank, len(cosines)))
    return found


@pytest.mark.parametrize("silence", [0.0, 0.3])
def test_every_pool_holds_what_it_says(silence):
    embedded = Embedded(embeddings(0, 9, silence=silence), embeddings(1, 4, chunks=3, silence=silence))
    found = {standing.pool: standing for standing in standings(embedded)}
    assert tuple(found) == POOLS
    for pool, standing in found.items():
        fast = zip(standing.track, standing.source, standing.ranks.better + 1, standing.ranks.size, strict=True)
        assert list(fast) == slow(embedded.segments if pool == "segments" else embedded.tracks, pool)
        assert not standing.ranks.tied.any()


def test_sizes_without_silence_are_those_of_the_protocol():
    sizes = {standing.pool: set(standing.ranks.size) for standing in standings(Embedded(embeddings(0, 150, stems=4), None))}
    assert sizes == {"all": {600}, "all-but-context": {597}, "same-instrument": {150}}


def test_ranking_is_instant():
    import time

    embedded = Embedded(embeddings(0, 150, stems=4, dimension=3840), None)
    started = time.perf_counter()
    list(standings(embedded))
    assert time.perf_counter() - started < 5
