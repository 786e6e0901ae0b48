"""The page of an evaluation has the queries that its ranks say."""

import io

import numpy as np
import pytest
import soundfile

from jukemir_like.audio.stems.tracks import Track
from jukemir_like.listening import evaluated
from jukemir_like.listening.evaluated import choose, page, ranked
from jukemir_like.stemjepa.retrieval.embedding import Embedded, Embeddings
from jukemir_like.stemjepa.retrieval.evaluation import evaluate

RATE, TRACKS, NAMES = 16000, 7, ("bass", "drums")


@pytest.fixture(scope="module")
def evaluation(tmp_path_factory):
    """Seven tracks of two stems with vectors of chance, of which one query and one candidate are missing."""
    folder = tmp_path_factory.mktemp("songs")
    random = np.random.default_rng(3)
    has = np.ones((TRACKS, 2), bool)
    has_query, has_candidate = has.copy(), has.copy()
    has_query[2, 0] = has_query[3, 1] = has_candidate[3, 1] = False
    vectors = random.normal(size=(2, TRACKS, 2, 8)).astype(np.float32)
    vectors[0, 0] = vectors[1, 0]  # a hit of each instrument
    embedded = Embedded(Embeddings(*vectors, has_query, has_candidate, np.arange(TRACKS)), None)
    tracks = []
    for number in range(TRACKS):
        path = folder / f"{number}.wav"
        soundfile.write(path, random.uniform(-0.3, 0.3, (2 * RATE, 2)), RATE, subtype="PCM_16")
        tracks.append(Track(str(number), (path,), RATE, 2 * RATE, 2))
    made = evaluate(embedded, NAMES, resamples=0)
    return type(made)(**{**vars(made), "embedded": embedded, "read_tracks": tuple(tracks)})


def test_ranks_are_those_of_the_evaluation(evaluation):
    (of_pool,) = (ranks for ranks in evaluation.pool_ranks if ranks.pool == evaluated.POOL)
    expected = {(int(s), int(t)): int(better) + 1 for s, t, better in zip(of_pool.source, of_pool.track, of_pool.ranks.better, strict=True)}
    queries = [query for number in range(2) for query in ranked(evaluation.embedded.tracks, number)]
    assert {(query.instrument, query.track): query.rank for query in queries} == expected
    for number in range(2):
        ranks = [query.rank for query in queries if query.instrument == number]
        assert ranks == sorted(ranks, reverse=True)


def test_the_worst_are_chosen_and_one_hit(evaluation):
    queries = ranked(evaluation.embedded.tracks, 0)
    chosen = choose(queries, 3)
    assert chosen[:2] == queries[:2]
    assert (chosen[2].track, chosen[2].rank) == (0, 1)
    assert choose(queries, 1) == queries[:1]
    assert choose([query for query in queries if query.rank > 1], 2) == queries[:2]
    assert len(choose(queries, 100)) == len(queries)


def test_each_query_has_its_mix_the_first_stems_and_the_right_one(evaluation):
    shown, failed = page(evaluation, dataset="songs", weights="mine", seconds=1.0)
    assert failed == {}
    assert len(shown.comparisons) == 6 + 6  # of 8 each, all that there are
    assert "12 of 12 queries" in shown.lead
    for comparison in shown.comparisons:
        ranks = [one.rank for one in comparison.candidates]
        assert ranks[:3] == [1, 2, 3]
        assert len(ranks) in (3, 4)
        (right,) = (one for one in comparison.candidates if one.marks == ["correct"])
        assert right.name == f"{comparison.name}, {comparison.instrument}"
        assert comparison.summary == ("found" if right.rank == 1 else f"rank {right.rank} of {comparison.of}")
        scores = [one.score for one in comparison.candidates]
        assert scores == sorted(scores, reverse=True)
    assert {comparison.group.partition(":")[0] for comparison in shown.comparisons} == set(NAMES)


def test_the_mix_lacks_the_stem_and_the_stem_is_it(evaluation):
    """Correlation of what is heard with what the file holds there."""
    shown, _ = page(evaluation, dataset="songs", weights="mine", seconds=1.0)
    comparison = next(one for one in shown.comparisons if one.instrument == "drums")
    bass, drums = soundfile.read(evaluation.read_tracks[int(comparison.name)].files[0])[0].T
    right = next(one for one in comparison.candidates if one.marks)
    for sound, expected, other in ((comparison.mix, bass, drums), (right, drums, bass)):
        heard = soundfile.read(io.BytesIO(sound.audio))[0][::2]  # 32 → 16 kHz; what folds back is uncorrelated
        first = round(sound.offset_seconds * RATE)
        assert np.corrcoef(heard, expected[first : first + RATE])[0, 1] > 0.5
        assert abs(np.corrcoef(heard, other[first : first + RATE])[0, 1]) < 0.1


def test_a_track_that_is_gone_costs_itself(evaluation):
    gone = evaluation.read_tracks[0].files[0]
    content = gone.read_bytes()
    gone.unlink()
    try:
        shown, failed = page(evaluation, dataset="songs", weights="mine", seconds=1.0)
    finally:
        gone.write_bytes(content)
    assert list(failed) == ["0"]
    assert len(shown.comparisons) == 10
    assert any(one.problem for comparison in shown.comparisons for one in comparison.candidates)


def test_an_evaluation_without_vectors_is_an_error(evaluation):
    with pytest.raises(ValueError, match="no vectors"):
        page(type(evaluation)(**{**vars(evaluation), "embedded": None}), dataset="songs", weights="mine")


def test_tracks_with_stems_of_their_own_are_asked_for_their_own_channels(tmp_path):
    """Names in any channel; one name that a single track has, and more names than are shown."""
    random, names = np.random.default_rng(5), [f"instrument {number:02}" for number in range(19)][::-1]
    numbers = np.array([random.permutation(18)[:6] if track else [18, 0, 1, 2, 3, 4] for track in range(12)])
    vectors = random.normal(size=(2, 12, 6, 8)).astype(np.float32)
    has = np.ones((12, 6), bool)
    embedded = Embedded(Embeddings(*vectors, has, has, np.arange(12), numbers), None)
    made = evaluate(embedded, names, resamples=0, known=names)  # which sorts the names
    (of_pool,) = (ranks for ranks in made.pool_ranks if ranks.pool == evaluated.POOL)
    expected = {(int(s), int(t)): int(better) + 1 for s, t, better in zip(of_pool.source, of_pool.track, of_pool.ranks.better, strict=True)}
    queries = [query for number in range(19) for query in ranked(embedded.tracks, number)]
    assert {(query.instrument, query.track): query.rank for query in queries} == expected
    tracks = []
    for track in range(12):
        levels = 0.01 * (1 + numbers[track])  # a stem is known by its level
        soundfile.write(tmp_path / f"{track}.wav", np.outer(np.sin(np.arange(RATE) * 0.1), levels), RATE, subtype="FLOAT")
        tracks.append(
            Track(
                str(track),
                (tmp_path / f"{track}.wav",),
                RATE,
                RATE,
                6,
                stems=tuple(names[n] for n in numbers[track]),
                numbers=(*map(int, numbers[track]),),
            )
        )
    shown, failed = page(
        type(made)(**{**vars(made), "embedded": embedded, "read_tracks": tuple(tracks)}), dataset="d", weights="w", seconds=0.5
    )
    assert failed == {}
    assert len(shown.comparisons) == 16
    found = {names[n]: [query.rank == 1 for query in queries if query.instrument == n] for n in {query.instrument for query in queries}}
    least = sorted(map(np.mean, found.values()))[:16]
    assert sorted(np.mean(found[one.instrument]) for one in shown.comparisons) == least
    for one in shown.comparisons:
        assert one.group.endswith(f"in {100 * np.mean(found[one.instrument]):.0f} % of {len(found[one.instrument])} queries")
    for query in queries[:20]:
        for track in query.order:
            part = evaluated._part(tracks[track], query.channels[int(track)], 0.0, 0.5)
            assert np.abs(part.samples).max() == pytest.approx(0.01 * (1 + query.instrument), abs=1e-3)
