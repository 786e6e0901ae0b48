"""Retrieval among tracks with stems of their own: the same figures as of the usual stems where they are these, and a plain count else."""

import csv

import numpy as np
import pytest
import soundfile
import torch

from jukemir_like.core.cache import Cache
from jukemir_like.core.stems import STEMS
from jukemir_like.report.problems import Problems
from jukemir_like.report.retrieval import retrieval
from jukemir_like.stemjepa import config
from jukemir_like.stemjepa.model import Network
from jukemir_like.stemjepa.retrieval import evaluation, results, table
from jukemir_like.stemjepa.retrieval.embedding import Embedded, Embeddings, Stems, embed_tracks, merge
from jukemir_like.stemjepa.retrieval.names import kind_of, with_names


@pytest.fixture
def tracks(stems):
    return [stems(number, seconds) for number, seconds in enumerate([1.5, 0.64, 2.0])]


def test_the_usual_stems_in_another_order_give_the_same_ranks(network, tracks):
    random = np.random.default_rng(0)
    orders = [random.permutation(4) for _ in tracks]
    usual = embed_tracks(network, tracks)
    own = embed_tracks(network, [Stems(stems[order], order) for stems, order in zip(tracks, orders, strict=True)])
    for track, order in enumerate(orders):
        np.testing.assert_allclose(own.tracks.queries[track], usual.tracks.queries[track][order], atol=1e-5)
        np.testing.assert_allclose(own.tracks.candidates[track], usual.tracks.candidates[track][order], atol=1e-5)
    one, other = (evaluation.evaluate(embedded, STEMS, resamples=20) for embedded in (usual, own))
    assert [(score.pool, score.instrument, score.metric) for score in one.scores] == [
        (score.pool, score.instrument, score.metric) for score in other.scores
    ]
    np.testing.assert_allclose([score.value for score in one.scores], [score.value for score in other.scores])


def test_tracks_have_any_number_of_stems_in_any_batch_and_any_part(network, tracks):
    ensembles = [
        Stems(tracks[0][:2], np.array([3, 0])),
        Stems(tracks[1], np.array([0, 1, 2, 3])),
        Stems(np.concatenate([tracks[2][:3], 0 * tracks[2][:1]]), np.array([1, 2, 0, 3])),
    ]
    whole = embed_tracks(network, ensembles, batch_size=3)
    assert whole.tracks.has_query.tolist() == [[True, True, False, False], [True] * 4, [True] * 3 + [False]]
    assert whole.tracks.instruments.tolist() == [[3, 0, 0, 0], [0, 1, 2, 3], [1, 2, 0, 3]]
    alone = embed_tracks(network, ensembles[:1]).tracks
    np.testing.assert_allclose(whole.tracks.queries[0, :2], alone.queries[0], atol=1e-5)
    parts = merge([([0], embed_tracks(network, ensembles[:1])), ([1, 2], embed_tracks(network, ensembles[1:]))])
    for name in ("queries", "candidates", "has_query", "instruments", "track"):
        for one, other in ((whole.tracks, parts.tracks), (whole.segments, parts.segments)):
            np.testing.assert_allclose(getattr(one, name), getattr(other, name), atol=1e-5)


def test_ranks_are_those_of_a_plain_count():
    random = np.random.default_rng(1)
    queries, candidates = random.standard_normal((2, 7, 3, 16)).astype(np.float32)
    instruments = np.array([random.choice(5, 3, replace=False) for _ in range(6)] + [[5, 0, 1]])  # nothing else is called as 5
    there = np.ones((7, 3), bool)
    there[0, 2] = False
    embedded = Embedded(Embeddings(queries, candidates, there, there, np.arange(7), instruments), None)
    done = evaluation.evaluate(embedded, "abcdef", resamples=0, known="abc")

    def standardised(vector):
        return (vector - vector.mean()) / np.linalg.norm(vector - vector.mean())

    ranks: dict[str, list[tuple[int, float]]] = {"all": [], "all-but-context": [], "same-instrument": []}
    for track, stem in zip(*np.nonzero(there), strict=True):
        for pool, of_pool in ranks.items():
            near = []
            for other, place in zip(*np.nonzero(there), strict=True):
                same = instruments[track, stem] == instruments[other, place]
                is_right = (other, place) == (track, stem)
                if is_right or pool == "all" or (same if pool == "same-instrument" else other != track):
                    near.append((-standardised(queries[track, stem]) @ standardised(candidates[other, place]), is_right))
            if pool != "same-instrument" or len(near) > 1:
                of_pool.append(
                    (int(instruments[track, stem]), [is_right for _, is_right in sorted(near)].index(True) / len(near), len(near))
                )
    for pool, of_pool in ranks.items():
        for instrument, numbers in (("all", range(6)), ("all: trained names", (0, 1, 2)), ("all: new families", (3, 4, 5)), ("d", (3,))):
            values = [better + 1 / size for number, better, size in of_pool if number in numbers]
            score = done.score(pool, instrument, "mean_normalised_rank")
            assert (score.n_queries, score.value) == (len(values), pytest.approx(np.mean(values)))
    assert done.score("same-instrument", "f", "R@1").n_queries == 0
    assert done.score("all", "f", "R@1").n_queries == 1


def test_kinds_of_names():
    known = ("violin", "drums", "kazoo")
    assert [kind_of(name, known) for name in ("kazoo", "string section", "flute", "hurdy-gurdy")] == [
        "trained names", "new names", "new families", "new families",
    ]  # fmt: skip


def test_a_name_that_is_not_known_is_asked_for_as_the_mean_of_its_family_or_of_all(network):
    known = ("violin", "cello", "drums", "oud")
    extended, sources = with_names(network, known, ["drums", "viola", "flute"])
    assert sources == (*known, "viola", "flute")
    rows = network.predictor.sources.weight
    assert rows.shape[0] == 4
    more = extended.predictor.sources.weight
    torch.testing.assert_close(more, torch.cat([rows, rows[:2].mean(0)[None], rows.mean(0)[None]]))
    context = torch.randn(2, 8, 32)
    with torch.no_grad():
        torch.testing.assert_close(extended.predictor(context, torch.tensor([1, 2])), network.predictor(context, torch.tensor([1, 2])))
    assert with_names(network, known, ["oud"]) == (network, known)


def test_a_folder_of_songs_is_scored_by_name_and_the_report_has_the_kinds(network, tmp_path, stems):
    names = ("bass", "drums", "flute", "double bass")
    for song in range(4):
        chosen = names[: 2 + song % 3]
        for name, samples in zip(chosen, stems(song), strict=False):
            path = tmp_path / "songs" / f"{song}" / f"{name}.wav"
            path.parent.mkdir(parents=True, exist_ok=True)
            soundfile.write(path, samples, 16000)
    done = evaluation.evaluate_folder(network, STEMS, tmp_path / "songs", own_stems=True)
    assert done.sources == ("bass", "double bass", "drums", "flute")
    counts = {score.instrument: score.n_queries for score in done.scores if (score.pool, score.metric) == ("all", "R@1")}
    assert counts == {
        "all": 11, "all: trained names": 8, "all: new names": 1, "all: new families": 2,
        "bass": 4, "double bass": 1, "drums": 4, "flute": 2,
    }  # fmt: skip
    rows = results.rows(done, weights="mine", digest="0", dataset="songs")
    path = results.folder(Cache(tmp_path), "songs", "mine") / table.TABLE_NAME
    table.write_table(path, rows)
    results.write_plot(path.with_name("retrieval.png"), done, "songs")
    assert "all: new names" in results.text(done)
    assert len(list(csv.DictReader(path.open()))) == len(rows)
    (section,) = retrieval(Cache(tmp_path), Problems(tmp_path))
    assert section["dataset"] == "songs"


def test_a_network_of_texts_makes_the_vector_of_any_name(model):
    shape = model.to_dict()
    shape["predictor"] |= {"instruments": "text", "conditioning": "film", "num_sources": 2, "text_buckets": 512}
    network = Network(config.Model.from_dict(shape)).eval()
    network.name_instruments(("jazz trumpet", "drums"))
    extended, sources = with_names(network, ("jazz trumpet", "drums"), ["trumpet", "drums"])
    assert sources == ("jazz trumpet", "drums", "trumpet")
    with torch.no_grad():
        expected = network.predictor.sources.encode(["jazz trumpet", "drums", "trumpet"])
    torch.testing.assert_close(extended.predictor.sources.weight, expected)
