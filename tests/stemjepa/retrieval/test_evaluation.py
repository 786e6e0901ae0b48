import csv
import json

import numpy as np
import pytest
import soundfile
from scipy import stats

from jukemir_like import __version__
from jukemir_like.core.errors import RequestError
from jukemir_like.core.stems import STEMS
from jukemir_like.stemjepa.retrieval import evaluation, results, table
from jukemir_like.stemjepa.retrieval.embedding import Embedded, Embeddings, embed_tracks
from jukemir_like.stemjepa.retrieval.metrics import METRICS, POOLS


def embeddings(queries, candidates, asked=None):
    there = np.ones(queries.shape[:2], bool) if asked is None else asked
    return Embeddings(queries.astype(np.float32), candidates.astype(np.float32), there, there, np.arange(len(queries)))


@pytest.fixture
def random():
    return np.random.default_rng(0)


def test_a_network_that_knows_tracks_and_one_that_knows_instruments_are_told_apart_by_the_pools(random):
    tracks, instruments = random.standard_normal((40, 1, 64)), random.standard_normal((1, 4, 64))
    by_track = tracks + 0.01 * random.standard_normal((40, 4, 64))
    by_instrument = instruments + 0.01 * random.standard_normal((40, 4, 64))
    noise = 1.0 * random.standard_normal((40, 4, 64))
    knows_track = evaluation.evaluate(Embedded(embeddings(by_track + noise, by_track), None), STEMS)
    assert knows_track.score("all", "all", "R@1").value < 0.5  # four stems of the track are as near
    assert knows_track.score("all-but-context", "all", "R@1").value > 0.9
    assert knows_track.score("same-instrument", "all", "R@1").value > 0.9
    knows_instrument = evaluation.evaluate(Embedded(embeddings(by_instrument + noise, by_instrument), None), STEMS)
    assert knows_instrument.score("all", "all", "median_normalised_rank").value < 0.25
    assert knows_instrument.score("same-instrument", "all", "R@1").value < 0.2


def test_noise_scores_chance_within_its_interval(random):
    done = evaluation.evaluate(Embedded(embeddings(*random.standard_normal((2, 100, 4, 16))), None), STEMS)
    within = [score.low <= score.chance <= score.high for score in done.scores if score.instrument == "all"]
    assert sum(within) >= len(within) - 2


def test_scores_are_of_all_pools_instruments_and_metrics_and_instruments_average_to_all(random):
    vectors = random.standard_normal((2, 12, 4, 16))
    done = evaluation.evaluate(Embedded(embeddings(*vectors), embeddings(*vectors)), STEMS)
    assert [(score.pool, score.instrument, score.metric) for score in done.scores] == [
        (pool, instrument, metric) for pool in POOLS for instrument in ("all", *STEMS) for metric in METRICS
    ]
    for metric in ("R@1", "R@10", "recall_auc"):
        mean = np.mean([done.score("all", instrument, metric).value for instrument in STEMS])
        assert done.score("all", "all", metric).value == pytest.approx(mean)
    with pytest.raises(KeyError):
        done.score("all", "piano", "R@1")


def test_artists_make_wider_intervals_and_order_changes_nothing(random):
    tracks = random.standard_normal((10, 1, 1, 16)) + 0.3 * random.standard_normal((10, 6, 4, 16))
    candidates, queries = (
        tracks.reshape(60, 4, 16),
        tracks.reshape(60, 4, 16)
        + random.standard_normal((10, 1, 1, 1)).repeat(6, 1).reshape(60, 1, 1) * random.standard_normal((60, 4, 16)),
    )
    artists = [f"artist {number // 6}" for number in range(60)]
    alone = evaluation.evaluate(Embedded(embeddings(queries, candidates), None), STEMS).score("all", "all", "mean_normalised_rank")
    grouped = evaluation.evaluate(Embedded(embeddings(queries, candidates), None), STEMS, artists).score(
        "all", "all", "mean_normalised_rank"
    )
    assert (alone.groups, grouped.groups) == (60, 10)
    assert grouped.high - grouped.low > 1.2 * (alone.high - alone.low)
    order = random.permutation(60)
    moved = evaluation.evaluate(Embedded(embeddings(queries[order], candidates[order]), None), STEMS, [artists[number] for number in order])
    again = moved.score("all", "all", "mean_normalised_rank")
    assert (again.value, again.low, again.high) == pytest.approx((grouped.value, grouped.low, grouped.high))


def test_an_instrument_that_nobody_plays_has_no_scores_but_a_place(random, tmp_path):
    asked = np.ones((5, 4), bool)
    asked[:, 3] = False
    done = evaluation.evaluate(Embedded(embeddings(*random.standard_normal((2, 5, 4, 16)), asked), None), STEMS)
    missing = done.score("same-instrument", "vocals", "R@1")
    assert missing.n_queries == 0
    assert np.isnan(missing.value)
    assert missing.low is None
    table.write_table(tmp_path / "t.csv", results.rows(done, weights="w", digest="d", dataset="s"))
    row = next(row for row in csv.DictReader((tmp_path / "t.csv").read_text().splitlines()) if row["instrument"] == "vocals")
    assert row["value"] == row["low"] == row["chance"] == ""
    results.write_plot(tmp_path / "t.png", done, "title")
    assert "–" in results.text(done)


def test_a_folder_is_evaluated_track_by_track_and_its_bad_files_are_told(network, songs):
    (songs / "cut.wav").write_bytes((songs / "0.wav").read_bytes()[:5000])
    (songs / "text.wav").write_bytes(b"no audio")
    soundfile.write(songs / "mono.wav", np.ones(22050) * 0.1, 22050)
    soundfile.write(songs / "silent.wav", np.zeros((22050, 4)), 22050)
    done = evaluation.evaluate_folder(network, STEMS, songs)
    assert done.tracks == 6
    assert {name.split(".")[0] for name in done.failed} == {"cut", "text", "mono", "silent"}
    assert done.audio_seconds == pytest.approx(9)
    assert done.score("all", "all", "R@1").n_candidates == 24
    assert done.score("segments", "all", "R@1").n_queries == 6 * 2 * 4
    assert done.summary(1.0).exit_code == 3


def test_the_test_split_is_meant_where_there_are_splits_and_artists_are_drawn_together(network, songs):
    meta = {
        f"{number}": {"split": "train" if number > 3 else "test", "y": None, "extra": {"artist": f"{number // 2}"}} for number in range(6)
    }
    (songs / "wav").mkdir()
    for path in songs.glob("*.wav"):
        path.rename(songs / "wav" / path.name)
    (songs / "meta.json").write_text(json.dumps(meta))
    (songs / "dataset.json").write_text(json.dumps({"group": "artist", "stems": list(STEMS), "tasks": {}}))
    done = evaluation.evaluate_folder(network, STEMS, songs)
    assert (done.split, done.tracks, done.score("all", "all", "R@1").groups) == ("test", 4, 2)
    train = evaluation.evaluate_folder(network, STEMS, songs, split="train")
    assert (train.split, train.tracks) == ("train", 2)
    every = evaluation.evaluate_folder(network, STEMS, songs, split="all")
    assert (every.split, every.tracks, every.score("all", "all", "R@1").n_queries) == (None, 6, 24)
    with pytest.raises(RequestError, match="choose test, train or all"):
        evaluation.evaluate_folder(network, STEMS, songs, split="valid")
    with pytest.raises(RequestError, match="same names and order"):
        evaluation.evaluate_folder(network, ("drums", "bass", "other", "vocals"), songs)


def test_folders_of_one_file_a_stem_are_read_in_the_order_of_the_weights(network, tmp_path, stems):
    for number in range(3):
        for name, stem in zip(STEMS, stems(number), strict=True):
            path = tmp_path / "band" / f"song {number}" / f"{name}.wav"
            path.parent.mkdir(parents=True, exist_ok=True)
            soundfile.write(path, stem, 16000, subtype="FLOAT")
    order = ("vocals", "drums", "bass", "other")
    found = evaluation.evaluate_folder(network, order, tmp_path / "band")
    expected = embed_tracks(network, [stems(number)[[3, 1, 0, 2]] for number in range(3)])
    assert [(score.pool, score.value) for score in found.scores] == [
        (score.pool, pytest.approx(score.value)) for score in evaluation.evaluate(expected, order).scores
    ]


def test_an_order_that_nothing_says_is_that_of_the_weights_and_a_layout_is_told(network, songs):
    done = evaluation.evaluate_folder(network, ("vocals", "bass", "drums", "other"), songs)
    assert done.notes[0] == "6 tracks: one channel per stem (vocals, bass, drums, other), in the order given"
    assert evaluation.evaluate_folder(network, STEMS, songs).notes[0].endswith("in an order that nothing here says: taken as usual")


def test_a_track_with_samples_that_no_music_has_is_told(network, songs):
    samples, rate = soundfile.read(songs / "0.wav", dtype="float32")
    samples[5, 0] = 1e30
    soundfile.write(songs / "absurd.wav", samples, rate, subtype="FLOAT")
    done = evaluation.evaluate_folder(network, STEMS, songs)
    assert done.failed == {"absurd": "holds samples of 1e+30 times full scale: write it with samples from -1 to 1"}
    assert all(np.isfinite(score.value) for score in done.scores)


def test_one_track_is_no_pool(network, songs):
    for path in sorted(songs.iterdir())[1:]:
        path.unlink()
    with pytest.raises(RequestError, match="two or more"):
        evaluation.evaluate_folder(network, STEMS, songs)


def test_the_table_holds_every_score_to_the_last_bit(network, songs, tmp_path):
    done = evaluation.evaluate_folder(network, STEMS, songs)
    table.write_table(tmp_path / "a" / table.TABLE_NAME, results.rows(done, weights="mine", digest="abc", dataset="songs"))
    with open(tmp_path / "a" / table.TABLE_NAME, newline="") as file:
        reader = csv.DictReader(file)
        rows = list(reader)
    assert tuple(reader.fieldnames) == table.COLUMNS
    assert len(rows) == len(done.scores) == len(POOLS) * 5 * len(METRICS)
    for row, score in zip(rows, done.scores, strict=True):
        assert (float(row["value"]), float(row["low"]), float(row["chance"])) == (score.value, score.low, score.chance)
        assert (row["weights"], row["digest"], row["split"], row["version"], row["seed"]) == ("mine", "abc", "", __version__, "0")
    text = results.text(done)
    assert len(text.splitlines()) == 2 + 4 * 5 + 1
    best = done.score("all", "all", "R@1")
    assert f"{100 * best.value:.1f} [{100 * best.low:.1f}, {100 * best.high:.1f}]" in text


def test_the_closing_line_averages_over_instruments_and_names_the_worst():
    candidates = np.random.default_rng(1).standard_normal((10, 4, 32))
    queries = candidates.copy()
    queries[:, 1] = queries[[1, 0, 3, 2, *range(4, 10)], 1]  # drums: four of ten go wrong
    done = evaluation.evaluate(Embedded(embeddings(queries, candidates), None), STEMS)
    assert "9.0 times chance on average" in results.conclusion(done)  # 10, 6, 10, 10
    assert "6.0 times for drums" in results.conclusion(done)


def test_plots_are_pictures_and_the_same_each_time(network, songs, tmp_path):
    done = evaluation.evaluate_folder(network, STEMS, songs)
    for name in ("a.png", "b.png"):
        results.write_plot(tmp_path / name, done, "a title with $ and _")
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")


def test_all_found_among_few_tracks_is_no_certainty_and_is_said(random):
    vectors = random.standard_normal((7, 4, 16))
    done = evaluation.evaluate(Embedded(embeddings(vectors, vectors), None), STEMS)
    for metric in ("R@1", "R@5"):
        score = done.score("same-instrument", "all", metric)
        assert (score.value, score.high) == (1, 1)
        assert score.low == pytest.approx(stats.beta.ppf(0.025, 7.5, 0.5))  # seven tracks, however many stems
    rank = done.score("same-instrument", "all", "mean_normalised_rank")
    assert rank.value == pytest.approx(1 / 7)
    assert rank.low == pytest.approx(1 / 7)  # none is less
    assert 1 / 7 < rank.high < 1
    assert done.notes == ["only 7 groups: with fewer than 10, read intervals as rough"]
    assert not evaluation.evaluate(Embedded(embeddings(*random.standard_normal((2, 10, 4, 16))), None), STEMS).notes
    assert not evaluation.evaluate(Embedded(embeddings(vectors, vectors), None), STEMS, resamples=0).notes
