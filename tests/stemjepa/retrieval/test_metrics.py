import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import rankdata
from sklearn.metrics import top_k_accuracy_score

from jukemir_like.stemjepa import pooling
from jukemir_like.stemjepa.retrieval import metrics
from jukemir_like.stemjepa.retrieval.embedding import Embedded, Embeddings
from jukemir_like.stemjepa.retrieval.metrics import POOLS, Ranks, rank_in_pools


def slow_ranks(queries, candidates, own, allowed=None):
    """One query after another; ranks are scipy's: 'min' and 'max' of those that are tied."""
    first, last, size = [], [], []
    for number, query in enumerate(queries):
        among = [
            candidate for candidate in range(len(candidates)) if candidate == own[number] or allowed is None or allowed[number, candidate]
        ]
        cosines = []
        for candidate in among:
            a, b = (torch.nn.functional.layer_norm(torch.tensor(x), x.shape, eps=0.0) for x in (query, candidates[candidate]))
            cosines.append(round(float(torch.cosine_similarity(a.double(), b.double(), dim=0)), 5))
        place = among.index(own[number])
        first.append(rankdata([-cosine for cosine in cosines], "min")[place])
        last.append(rankdata([-cosine for cosine in cosines], "max")[place])
        size.append(len(among))
    return np.array(first), np.array(last), np.array(size)


@pytest.fixture
def problem():
    random = np.random.default_rng(0)
    candidates = random.standard_normal((37, 12)).astype(np.float32)
    candidates[20] = candidates[3]  # a tie with what is asked for
    own = random.integers(0, 37, 50)
    own[0], own[1] = 3, 20
    queries = (candidates[own] + 1.5 * random.standard_normal((50, 12))).astype(np.float32)
    allowed = random.random((50, 37)) < 0.5
    allowed[0, 20] = True
    return queries, candidates, own, allowed


@pytest.mark.parametrize("restricted", [False, True])
def test_ranks_are_those_of_the_slow_way(problem, restricted, monkeypatch):
    queries, candidates, own, allowed = problem
    monkeypatch.setattr(metrics, "_BLOCK", 16)  # 50 queries: whole blocks and a rest
    first, last, size = slow_ranks(queries, candidates, own, allowed if restricted else None)
    found = metrics.rank(queries, candidates, own, (lambda block: allowed[block]) if restricted else None)
    assert np.array_equal(found.better + 1, first)
    assert np.array_equal(found.better + 1 + found.tied, last)
    assert np.array_equal(found.size, size)
    assert found.tied.max() == 1


def test_recall_without_ties_is_scikit_learn_s_top_k_accuracy():
    random = np.random.default_rng(1)
    vectors = random.standard_normal((60, 8)).astype(np.float32)
    queries = (vectors + random.standard_normal(vectors.shape)).astype(np.float32)
    found = metrics.rank(queries, vectors, np.arange(60))
    cosines = np.corrcoef(queries, vectors)[:60, 60:]  # the cosine of centred vectors
    for k in (1, 5, 10):
        assert metrics.recall(found, k).mean() == pytest.approx(top_k_accuracy_score(np.arange(60), cosines, k=k, labels=np.arange(60)))


ranks_strategy = st.lists(st.integers(1, 30).flatmap(lambda n: st.integers(0, n - 1).flatmap(
    lambda better: st.tuples(st.just(better), st.integers(0, n - 1 - better), st.just(n)))), min_size=1, max_size=8)  # fmt: skip


@given(ranks_strategy)
def test_metrics_are_expectations_over_the_order_of_tied_candidates(found):
    ranks = Ranks(*np.array(found).T)
    values = metrics.values(ranks)
    for query, (better, tied, size) in enumerate(found):
        possible = np.arange(better + 1, better + tied + 2)
        for k in (1, 5, 10):
            assert values[f"R@{k}"][query] == pytest.approx((possible <= k).mean())
        assert values["mean_normalised_rank"][query] == pytest.approx((possible / size).mean())
        curve = [(possible <= k).mean() for k in range(1, size + 1)]
        assert values["recall_auc"][query] == pytest.approx(np.mean(curve))
    assert set(values) == set(metrics.METRICS) == set(metrics.chance(ranks))


@pytest.mark.parametrize("size", [1, 2, 7, 10, 600])
def test_chance_is_the_mean_over_all_ranks(size):
    everywhere = Ranks(np.arange(size), np.zeros(size, int), np.full(size, size))
    chance = metrics.chance(everywhere)
    for name, of_queries in metrics.values(everywhere).items():
        assert metrics.aggregate(name, of_queries) == pytest.approx(chance[name])


def test_chance_at_600_is_what_the_paper_s_protocol_gives():
    chance = metrics.chance(Ranks(*np.array([[0], [0], [600]])))
    assert [round(100 * chance[name], 2) for name in ("R@1", "R@5", "R@10")] == [0.17, 0.83, 1.67]
    assert chance["mean_normalised_rank"] == pytest.approx(0.5, abs=1e-3)


@pytest.mark.parametrize("kind", ["alike", "constant", "zero", "rounded"])
def test_a_collapsed_network_scores_chance_exactly(kind):
    vector = np.random.default_rng(2).standard_normal(96).astype(np.float32)
    vectors = {"alike": vector, "constant": np.full(96, 0.37, np.float32), "zero": np.zeros(96, np.float32), "rounded": vector}[kind]
    vectors = np.tile(vectors, (100, 1))
    if kind == "rounded":  # the same but for the last bits
        vectors *= 1 + 1e-7 * np.random.default_rng(3).standard_normal(vectors.shape).astype(np.float32)
    found = metrics.rank(np.tile(vector, (100, 1)), vectors, np.arange(100))
    chance = metrics.chance(found)
    for name, of_queries in metrics.values(found).items():
        assert metrics.aggregate(name, of_queries) == pytest.approx(chance[name])


@settings(max_examples=25)
@given(st.integers(2, 20), st.integers(0, 1000), st.floats(0.1, 10), st.floats(-3, 3))
def test_ranks_do_not_depend_on_scale_offset_or_order(count, seed, scale, offset):
    random = np.random.default_rng(seed)
    queries, candidates = random.standard_normal((2, count, 6)).astype(np.float32)
    plain = metrics.rank(queries, candidates, np.arange(count))
    order = random.permutation(count)
    moved = metrics.rank(queries, (candidates * scale + offset)[order].astype(np.float32), np.argsort(order))
    assert np.array_equal(plain.better, moved.better)
    assert np.array_equal(plain.tied, moved.tied)


def test_no_queries_have_no_value():
    empty = metrics.rank(np.zeros((0, 4), np.float32), np.ones((3, 4), np.float32), np.zeros(0, int))
    assert all(np.isnan(metrics.aggregate(name, of_queries)) for name, of_queries in metrics.values(empty).items())
    assert all(np.isnan(value) for value in metrics.chance(empty).values())


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6))
def test_a_resample_is_its_queries_repeated(seed):
    random = np.random.default_rng(seed)
    of_queries = random.random(25).round(1)
    times = random.integers(0, 4, (110, 25)).astype(np.int32)
    times[3] = 0
    for metric in metrics.METRICS:
        found = metrics.aggregate_resamples(metric, of_queries, times)
        slow = [metrics.aggregate(metric, np.repeat(of_queries, row)) for row in times]
        assert found == pytest.approx(np.array(slow), nan_ok=True)
        assert np.isnan(found[3])


# Pools


def embeddings(seed, tracks, stems=3, dimension=10, chunks=1, silence=0.0):
    random = np.random.default_rng(seed)
    count = tracks * chunks
    candidates = random.standard_normal((count, stems, dimension)).astype(np.float32)
    queries = (candidates + random.standard_normal(candidates.shape)).astype(np.float32)
    audible = random.random((count, stems)) >= silence
    return Embeddings(queries, candidates, audible & (audible.sum(1, keepdims=True) > 1), audible, np.repeat(np.arange(tracks), chunks))


def slow(embeddings, pool):
    """(track, source, rank, size) of every query, by loops."""
    ranks = []
    rows, stems = embeddings.has_query.shape
    for row in range(rows):
        for source in range(stems):
            if not embeddings.has_query[row, source]:
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
                    if embeddings.has_candidate[other, stem] and wanted:
                        cosines[other, stem] = np.corrcoef(embeddings.queries[row, source], embeddings.candidates[other, stem])[0, 1]
            rank = 1 + sum(cosine > cosines[row, source] for cosine in cosines.values())
            ranks.append((embeddings.track[row], source, rank, len(cosines)))
    return ranks


@pytest.mark.parametrize("silence", [0.0, 0.3])
def test_every_pool_holds_what_it_says(silence):
    embedded = Embedded(embeddings(0, 9, silence=silence), embeddings(1, 4, chunks=3, silence=silence))
    by_pool = {ranked.pool: ranked for ranked in rank_in_pools(embedded)}
    assert tuple(by_pool) == POOLS
    for pool, ranked in by_pool.items():
        fast = zip(ranked.track, ranked.source, ranked.ranks.better + 1, ranked.ranks.size, strict=True)
        assert list(fast) == slow(embedded.segments if pool == "segments" else embedded.tracks, pool)
        assert not ranked.ranks.tied.any()


def test_sizes_without_silence_are_those_of_the_protocol():
    sizes = {ranked.pool: set(ranked.ranks.size) for ranked in rank_in_pools(Embedded(embeddings(0, 150, stems=4), None))}
    assert sizes == {"all": {600}, "all-but-context": {597}, "same-instrument": {150}}


def test_queries_are_ranked_in_blocks_and_not_one_by_one(monkeypatch):
    blocks = []
    normalise = pooling.normalise
    monkeypatch.setattr(pooling, "normalise", lambda vectors: blocks.append(len(vectors)) or normalise(vectors))
    list(rank_in_pools(Embedded(embeddings(0, 300, stems=4, dimension=3840), None)))
    assert blocks == [1024, 176] * 6  # 1,200 queries, then 1,200 candidates, in each of three pools
