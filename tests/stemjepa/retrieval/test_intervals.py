import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from jukemir_like.stemjepa.retrieval import intervals


def test_draws_are_multiplicities_of_the_seed():
    drawn = intervals.draw(7, draws=50, seed=3)
    assert drawn.shape == (50, 7)
    assert (drawn.sum(1) == 7).all()
    assert np.array_equal(drawn, intervals.draw(7, draws=50, seed=3))
    assert not np.array_equal(drawn, intervals.draw(7, draws=50, seed=4))


@settings(max_examples=40)
@given(st.integers(0, 10**6), st.booleans())
def test_an_interval_is_that_of_repeated_queries(seed, median):
    random = np.random.default_rng(seed)
    group = random.integers(0, 6, 25)
    values = random.random(25).round(1)
    drawn = intervals.draw(6, draws=101, seed=seed)
    slow = []
    for times in drawn:
        repeated = np.concatenate([np.repeat(values[group == number], times[number]) for number in range(6)])
        if len(repeated):
            slow.append(np.median(repeated) if median else np.mean(repeated))
    found = intervals.interval(values, group, drawn, median=median)
    assert found == pytest.approx(tuple(np.quantile(slow, [0.025, 0.975])))


def test_the_width_is_that_of_the_normal_approximation():
    values = (np.random.default_rng(0).random(400) < 0.3).astype(float)
    low, high = intervals.interval(values, np.arange(400), intervals.draw(400, draws=4000))
    assert high - low == pytest.approx(2 * stats.norm.ppf(0.975) * values.std() / 20, rel=0.05)


def test_queries_of_one_track_are_drawn_together():
    values = np.repeat((np.random.default_rng(0).random(100) < 0.5).astype(float), 4)
    together = intervals.interval(values, np.repeat(np.arange(100), 4), intervals.draw(100))
    apart = intervals.interval(values, np.arange(400), intervals.draw(400))
    assert (together[1] - together[0]) / (apart[1] - apart[0]) == pytest.approx(2, rel=0.15)  # a quarter of the independent queries


def test_names_are_numbered_whatever_their_order():
    assert list(intervals.number(["b", "a", "b", "c"])) == [1, 0, 1, 2]


def test_one_group_or_no_draw_gives_no_interval():
    assert intervals.interval(np.ones(3), np.zeros(3, int), intervals.draw(1)) is None
    assert intervals.interval(np.ones(3), np.arange(3), intervals.draw(3, draws=0)) is None


def test_a_draw_without_any_query_of_the_instrument_is_left_out():
    found = intervals.interval(np.array([0.0, 1.0]), np.array([0, 1]), intervals.draw(30, draws=500))
    assert found == (0, 1)
