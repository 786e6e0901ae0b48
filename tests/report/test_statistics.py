"""Intervals and comparisons, against SciPy's bootstrap, closed forms and repeated rows."""

import zlib

import numpy as np
import pytest
import scipy.stats

from jukemir_like import statistics
from jukemir_like.errors import RequestError
from jukemir_like.probe import metrics


def test_the_interval_is_scipy_s_for_items_that_stand_alone():
    correct = np.random.default_rng(0).random(200) < 0.7
    draws = np.concatenate(list(statistics.draw([f"{index:03d}" for index in range(200)], 4000, 0)))
    found = statistics.interval(correct.mean(), draws @ correct / 200, 200)
    expected = scipy.stats.bootstrap((correct.astype(float),), np.mean, n_resamples=4000, method="BCa", random_state=0).confidence_interval
    assert found.low == pytest.approx(expected.low, abs=0.012)
    assert found.high == pytest.approx(expected.high, abs=0.012)


def test_the_interval_of_a_mean_is_the_normal_one_when_there_is_much_of_it():
    values = np.random.default_rng(1).standard_normal(3000)
    draws = np.concatenate(list(statistics.draw([f"{index:04d}" for index in range(3000)], 3000, 0)))
    found = statistics.interval(values.mean(), draws @ values / 3000, 3000)
    half = 1.96 * values.std() / np.sqrt(3000)
    assert found.low == pytest.approx(values.mean() - half, abs=0.15 * half)
    assert found.high == pytest.approx(values.mean() + half, abs=0.15 * half)


def test_items_of_a_group_are_drawn_together_and_as_many_groups_as_there_are():
    groups = ["b", "a", "c", "a", "b", "b"]
    draws = np.concatenate(list(statistics.draw(groups, 700, 3)))
    assert draws.shape == (700, 6)
    assert (draws[:, 0] == draws[:, 4]).all()
    assert (draws[:, 1] == draws[:, 3]).all()
    assert (draws[:, [0, 1, 2]].sum(1) == 3).all()


def test_the_draw_depends_on_names_of_groups_and_seed_not_on_the_order_of_items():
    first = np.concatenate(list(statistics.draw(["a", "b", "c"], 50, 1)))
    turned = np.concatenate(list(statistics.draw(["c", "a", "b"], 50, 1)))
    np.testing.assert_array_equal(first, turned[:, [1, 2, 0]])
    assert (first != np.concatenate(list(statistics.draw(["a", "b", "c"], 50, 2)))).any()


def test_grouped_items_give_a_wider_interval_than_the_same_items_alone():
    random = np.random.default_rng(0)
    values = np.repeat(random.random(40) < 0.6, 5).astype(float)  # five items of an artist, all alike
    widths = []
    for groups in ([f"{index // 5:03d}" for index in range(200)], [f"{index:03d}" for index in range(200)]):
        draws = np.concatenate(list(statistics.draw(groups, 2000, 0)))
        found = statistics.interval(values.mean(), (draws @ values) / draws.sum(1), len(set(groups)))
        widths.append(found.high - found.low)
    assert widths[0] == pytest.approx(np.sqrt(5) * widths[1], rel=0.15)


@pytest.mark.parametrize("task", ["key", "genre", "tags", "emotion"])
def test_a_resample_scores_what_the_repeated_rows_score(cache, make_run, tasks, task):
    run = make_run(cache, "d", "chroma", tasks[task], 0.5, n=60)
    test = run.predictions("test")
    order = np.argsort(test.uid)
    resampled = statistics.resample([run], resamples=20)
    draws = np.concatenate(list(statistics.draw(test.group[order], 20, [0, zlib.crc32(b"d")])))
    for metric, samples in resampled.samples.items():
        for index, sample in enumerate(samples):
            rows = np.repeat(order, draws[index])
            expected = metrics.evaluate(run.task, test.y[rows], test.scores[rows]).get(metric, np.nan)
            np.testing.assert_allclose(sample, expected, atol=1e-9)


def test_a_representation_beside_itself_differs_by_exactly_nothing(cache, make_run, tasks):
    first = statistics.resample([make_run(cache, "d", "chroma", tasks["genre"], 0.5)])
    difference = statistics.compare(first, first).differences["accuracy"]
    assert (difference.interval.value, difference.interval.low, difference.interval.high) == (0, 0, 0)
    assert difference.p == pytest.approx(1)
    assert not difference.interval.excludes_zero


def test_pairing_finds_a_difference_that_two_intervals_hide(cache, make_run, tasks):
    better = make_run(cache, "d", "better", tasks["emotion"], 0.75, n=60)
    worse = make_run(cache, "d", "worse", tasks["emotion"], 0.65, n=60)
    comparison = statistics.compare(statistics.resample([better]), statistics.resample([worse]))
    found = comparison.differences["r2"]
    assert found.interval.excludes_zero
    assert found.p < 0.05
    assert found.interval.value == pytest.approx(better.metrics["test"]["r2"] - worse.metrics["test"]["r2"])


def test_only_common_items_are_compared_and_counted(cache, make_run, tasks):
    whole = make_run(cache, "d", "whole", tasks["genre"], 0.5)
    part = make_run(cache, "d", "part", tasks["genre"], 0.6, missing=7)
    comparison = statistics.compare(statistics.resample([whole]), statistics.resample([part]))
    assert (comparison.n, comparison.only_first, comparison.only_second) == (143, 7, 0)
    test, kept = whole.predictions("test"), part.predictions("test")
    expected = metrics.evaluate(whole.task, test.y[:143], test.scores[:143])["accuracy"]
    expected -= metrics.evaluate(whole.task, kept.y, kept.scores)["accuracy"]
    assert comparison.differences["accuracy"].interval.value == pytest.approx(expected)


def test_several_seeds_give_their_mean_and_their_spread(cache, make_run, tasks):
    runs = [make_run(cache, "d", "chroma", tasks["genre"], 0.5, seed=seed, protocol="jukemir") for seed in (0, 1, 2)]
    resampled = statistics.resample(runs)
    values = [run.metrics["test"]["accuracy"] for run in runs]
    assert resampled.intervals["accuracy"].value == pytest.approx(np.mean(values))
    assert resampled.spread("accuracy") == pytest.approx(np.std(values, ddof=1))
    low, high = statistics.intervals(runs[0])["accuracy"]
    assert low < values[0] < high


def test_runs_on_other_labels_cannot_be_compared(cache, make_run, tasks):
    first = statistics.resample([make_run(cache, "d", "chroma", tasks["genre"], 0.5, n=100)])
    second = statistics.resample([make_run(cache, "d", "mfcc", tasks["genre"], 0.5, n=120)])
    with pytest.raises(RequestError, match="different labels"):
        statistics.compare(first, second)


def test_one_group_has_no_interval(cache, make_run, tasks):
    run = make_run(cache, "d", "chroma", tasks["genre"], 0.5, n=20, per_group=50)
    assert statistics.intervals(run) == {}


def test_the_table_of_a_representation_has_intervals_for_test_alone(cache, make_run, tasks):
    make_run(cache, "d", "chroma", tasks["tags"], 0.5)
    score = statistics.score(cache, "d", "chroma")
    assert all((row["low"] is not None) == (row["split"] == "test") for row in score.rows)
    assert "roc_auc" in str(score)
    with pytest.raises(RequestError, match="no finished probe"):
        statistics.score(cache, "d", "mfcc")


@pytest.mark.slow
def test_intervals_hold_the_truth_about_as_often_as_they_say():
    """Artists differ: the chance that a song of an artist is right is drawn per artist, 0.6 on average."""
    random = np.random.default_rng(0)
    groups = [f"{index // 4:03d}" for index in range(160)]
    held = 0
    for trial in range(300):
        values = (random.random(160) < np.repeat(random.beta(6, 4, 40), 4)).astype(float)
        draws = np.concatenate(list(statistics.draw(groups, 1000, trial)))
        found = statistics.interval(values.mean(), (draws @ values) / draws.sum(1), 40)
        held += found.low <= 0.6 <= found.high
    assert 0.90 <= held / 300 <= 0.98
