import numpy as np
import pytest
from scipy import stats

from jukemir_like.core import resampling


def drawn(groups, resamples=resampling.RESAMPLES, seed=0):
    return np.concatenate(list(resampling.resample_groups(groups, resamples, seed)))


def interval_of_mean(values, groups):
    times = drawn(groups)
    return resampling.interval(values.mean(), times @ values / times.sum(1), len(set(groups)))


def test_items_of_a_group_are_drawn_together_and_as_many_groups_as_there_are():
    groups = np.array(["b", "a", "c", "a", "b", "d", "a"])
    weights = drawn(groups, 600, 0)
    assert weights.shape == (600, 7)
    for name in "ab":
        own = weights[:, groups == name]
        assert (own == own[:, :1]).all()
    one_of_each = weights[:, [1, 0, 2, 5]]
    assert (one_of_each.sum(1) == 4).all()


def test_multiplicities_have_the_moments_of_the_multinomial():
    weights = drawn([f"{index}" for index in range(10)], 40_000, 3)
    assert weights.mean(0) == pytest.approx(1, abs=0.03)
    assert np.cov(weights.T) == pytest.approx(np.eye(10) - 0.1, abs=0.03)


def test_draws_depend_on_the_names_of_groups_and_not_on_the_order_of_items():
    groups = np.array(list("abcabcdd"))
    order = np.random.default_rng(0).permutation(8)
    straight, shuffled = (drawn(one, 300, 7) for one in (groups, groups[order]))
    assert (straight[:, order] == shuffled).all()


def test_the_width_is_that_of_the_normal_approximation():
    values = (np.random.default_rng(0).random(400) < 0.3).astype(float)
    found = interval_of_mean(values, np.arange(400))
    assert found.high - found.low == pytest.approx(2 * stats.norm.ppf(0.975) * values.std() / 20, rel=0.05)


def test_items_of_one_group_are_not_independent():
    values = np.repeat((np.random.default_rng(0).random(100) < 0.5).astype(float), 4)
    together, apart = interval_of_mean(values, np.repeat(np.arange(100), 4)), interval_of_mean(values, np.arange(400))
    assert (together.high - together.low) / (apart.high - apart.low) == pytest.approx(2, rel=0.15)  # a quarter of the independent items


def test_one_group_or_no_resample_gives_no_interval():
    one, none = resampling.interval(0.5, np.full(10, 0.5), 1), resampling.interval(0.5, np.empty(0), 30)
    assert (one.low, one.high) == (none.low, none.high) == (None, None)
