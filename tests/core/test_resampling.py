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


def of_items(right, n, resamples=resampling.RESAMPLES):
    return interval_of_mean(np.repeat([1.0, 0.0], [right, n - right]), np.arange(n))


@pytest.mark.parametrize("n", [13, 20, 100])
def test_single_items_have_the_interval_of_jeffreys(n):
    """Brown, Cai and DasGupta 2001, by scipy's beta distribution; the bootstrap's variance is off by chance, by a few per cent."""
    for right in (0, 1, n // 2, n - 1, n):
        found = of_items(right, n)
        low, high = stats.beta.ppf([0.025, 0.975], right + 0.5, n - right + 0.5)
        expected = (low if right else 0, high if right < n else 1)
        assert (found.low, found.high) == pytest.approx(expected, abs=0.02 / n**0.5 if 0 < right < n else 1e-9)
        assert found.low <= found.value <= found.high


def test_thirteen_of_thirteen_are_no_certainty_and_groups_of_many_items_are_single_observations():
    alone = of_items(13, 13)
    grouped = interval_of_mean(np.ones(65), np.repeat(np.arange(13), 5))
    assert (alone.low, alone.high) == (grouped.low, grouped.high) == (pytest.approx(stats.beta.ppf(0.025, 13.5, 0.5)), 1)


def test_a_value_near_the_end_is_hardly_surer_than_one_at_it():
    """One item with a credit of 0.9 among twenty of 1: the interval is not that of a hundred."""
    nearly = interval_of_mean(np.repeat([1.0, 0.9], [19, 1]), np.arange(20))
    assert of_items(20, 20).low - 0.03 < nearly.low < of_items(20, 20).low + 0.03


def test_the_effective_number_is_that_of_surveys():
    """Variance of a ratio by linearisation, and n / (1 + (m - 1) ρ) of Kish for groups that are right or wrong as one."""
    random = np.random.default_rng(1)
    groups = np.repeat(np.arange(200), 5)
    values = (random.random(200) < 0.7).astype(float)[groups]
    found, rate = interval_of_mean(values, groups), values.mean()
    low, high = stats.beta.ppf([0.025, 0.975], 200 * rate + 0.5, 200 * (1 - rate) + 0.5)
    assert (found.low, found.high) == pytest.approx((low, high), abs=0.004)
    sizes = np.array([1] * 20 + [7] * 10)
    assert resampling.effective_groups(np.repeat(np.arange(30), sizes)) == pytest.approx(90**2 / (20 + 10 * 49))


@pytest.mark.parametrize("scale", ["fraction", "ranking", "r2", "median", "free"])
def test_every_interval_holds_its_value_within_the_ends_of_its_scale(scale):
    random = np.random.default_rng(2)
    for value in (0.0, 0.01, 0.5, 0.97, 1.0):
        for groups in (2, 3, 10, 1000):
            samples = np.clip(value + random.standard_normal(500) / groups, 0, 1)
            found = resampling.interval(value, samples, groups, scale=scale)
            if found.low is not None:
                assert found.low <= value <= found.high <= (np.inf if scale == "free" else 1)
                assert found.low >= 0 or scale in ("r2", "free")


def test_r2_of_two_groups_has_no_interval_but_other_metrics_have():
    samples = np.random.default_rng(0).normal(0.4, 0.1, 2000)
    for groups in (2, 2.9):
        assert resampling.interval(0.4, samples, groups, scale="r2").low is None
        assert resampling.interval(0.4, samples, groups).low < 0.4
    assert -50 < resampling.interval(0.4, samples, 3, scale="r2").low < 0.4


def test_r2_has_the_interval_of_a_lognormal_share_that_is_not_explained():
    unexplained = np.exp(np.log(0.3) + 0.1 * np.random.default_rng(3).standard_normal(200_000))
    found = resampling.interval(0.7, 1 - unexplained, 40, scale="r2")
    margin = 0.1 * (40 / 39) ** 0.5 * stats.t.ppf(0.975, 39)
    assert (found.low, found.high) == pytest.approx((1 - 0.3 * np.exp(margin), 1 - 0.3 * np.exp(-margin)), abs=1e-3)


def test_quantiles_are_corrected_for_bias_by_definition():
    samples, value = np.random.default_rng(3).gamma(2.0, size=5000), 1.5
    z0 = stats.norm.ppf((samples < value).mean())
    expected = [np.percentile(samples, 100 * stats.norm.cdf(2 * z0 + z)) for z in stats.norm.ppf([0.025, 0.975])]
    found = resampling.interval(value, samples, 10, scale="median")
    assert (found.low, found.high) == pytest.approx(expected)


@pytest.mark.parametrize(("first_only", "second_only", "n"), [(0, 0, 13), (5, 0, 20), (9, 2, 40), (30, 22, 200), (20, 0, 20)])
def test_paired_fractions_have_the_interval_of_agresti_and_min_with_half_as_many_added(first_only, second_only, n):
    values = np.repeat([1.0, -1.0, 0.0], [first_only, second_only, n - first_only - second_only])
    times = drawn(np.arange(n))
    found = resampling.difference(values.mean(), times @ values / n, n)
    b, c, total = first_only + 0.25, second_only + 0.25, n + 1  # a quarter of an observation to each of the four outcomes
    centre = (b - c) / total
    error = ((b + c - (b - c) ** 2 / total) ** 0.5) / total
    margin = stats.t.ppf(0.975, n - 1) * error
    assert (found.interval.low, found.interval.high) == pytest.approx((centre - margin, min(centre + margin, 1)), abs=0.03 * margin + 1e-9)
    assert found.p == pytest.approx(2 * stats.t.sf(abs(centre) / error, n - 1), rel=0.4, abs=1e-9)


@pytest.mark.parametrize("scale", ["fraction", "ranking", "r2", "free"])
def test_p_is_below_a_twentieth_where_the_interval_excludes_0_and_the_direction_only_changes_signs(scale):
    random = np.random.default_rng(9)
    for value in (-0.4, -0.1, 0.0, 0.19, 0.2, 0.21, 0.3):
        samples = value + 0.1 * random.standard_normal(4000)
        found = resampling.difference(value, samples, 50, scale=scale)
        assert (found.p < 0.05) == found.interval.excludes_zero
        assert found.p == pytest.approx(2 * stats.t.sf(abs(value) / 0.102, 49), rel=0.35, abs=0.03)
        back = resampling.difference(-value, -samples, 50, scale=scale)
        assert (back.p, back.interval.low, back.interval.high) == (found.p, -found.interval.high, -found.interval.low)


def test_p_is_finer_than_the_number_of_resamples():
    """Two thousand resamples could not tell below 0.001, which no correction for 120 pairs would leave significant."""
    values = np.repeat([1.0, 0.0], [60, 40])
    found = resampling.difference(0.6, drawn(np.arange(100)) @ values / 100, 100)
    assert 0 < found.p < 1e-12


def test_holm_is_that_of_its_definition_and_leaves_out_what_has_no_p():
    random = np.random.default_rng(4)
    for m in (1, 2, 7, 120):
        p = (random.random(m) ** 3).tolist()
        order = np.argsort(p)
        slow = [max(min(1.0, p[other] * (m - rank)) for rank, other in enumerate(order) if p[other] <= p[place]) for place in range(m)]
        assert resampling.holm(p) == pytest.approx(slow)
        assert resampling.holm([None, *p])[1:] == resampling.holm(p)
    assert resampling.holm([]) == []
    assert resampling.holm([None]) == [None]


def test_where_no_difference_exists_holm_claims_one_in_a_twentieth_of_cases():
    p = np.random.default_rng(5).random((4000, 20))
    assert np.mean([min(resampling.holm(row.tolist())) < 0.05 for row in p]) == pytest.approx(0.049, abs=0.01)


def test_few_groups_are_said():
    assert resampling.few_groups(10) is None
    assert resampling.few_groups(1) is None  # no interval at all
    assert "only 9 groups" in resampling.few_groups(9)
    assert "as good as 4.0" in resampling.few_groups(30, 4.0)


def paired_groups(random, trials, groups, items, rates, correlation):
    """Difference of two accuracies in every group, (trials, groups): latent difficulties of items, alike within a group and for both."""

    def difficulty():
        alike, own = random.standard_normal((trials, groups, 1)), random.standard_normal((trials, groups, items))
        return correlation**0.5 * alike + (1 - correlation) ** 0.5 * own

    shared = difficulty()
    first, second = (shared / 2**0.5 + difficulty() / 2**0.5 < limit for limit in stats.norm.ppf(rates))
    return (first.astype(float) - second).mean(2)


@pytest.mark.parametrize(("groups", "items"), [(10, 30), (30, 5), (30, 20)])
def test_differences_of_groups_are_found_nearly_as_often_as_by_a_t_test_of_groups(groups, items):
    """One item is added, not one group, which would hide a difference of ten points in 98 of 100 test sets of 10 × 30 items."""
    random = np.random.RandomState(7)
    lead = paired_groups(random, 300, groups, items, (0.8, 0.7), 0.1)
    times = drawn(np.arange(groups)) / groups
    found = [resampling.difference(of_one.mean(), times @ of_one, groups, items=groups * items).p < 0.05 for of_one in lead]
    expected = stats.ttest_1samp(lead, 0, axis=1).pvalue < 0.05
    assert np.mean(found) > 0.8 * expected.mean()
    equal = paired_groups(random, 1000, groups, items, (0.8, 0.8), 0.1)
    false = [resampling.difference(of_one.mean(), times @ of_one, groups, items=groups * items).p < 0.05 for of_one in equal]
    assert np.mean(false) < 0.065


def test_single_items_are_told_apart_as_by_mcnemar_s_test():
    random = np.random.RandomState(8)
    lead = paired_groups(random, 500, 100, 1, (0.8, 0.7), 0)
    times = drawn(np.arange(100)) / 100
    found = [resampling.difference(of_one.mean(), times @ of_one, 100).p < 0.05 for of_one in lead]
    wins, losses = (lead > 0).sum(1), (lead < 0).sum(1)
    fewer = np.minimum(wins, losses)
    mid_p = np.minimum(1, 2 * stats.binom.cdf(fewer, wins + losses, 0.5) - stats.binom.pmf(fewer, wins + losses, 0.5))
    assert np.mean(found) == pytest.approx(np.mean(mid_p < 0.05), abs=0.03)


def test_p_is_that_of_the_interval_where_the_correction_of_bias_changes_the_sign():
    samples = 0.05 + 0.01 * np.random.default_rng(6).standard_normal(2000)
    found = resampling.difference(0.01, samples, 50, scale="r2")
    assert found.interval.low < 0 < found.interval.high
    assert found.p == 1


def test_rankings_are_not_corrected_for_bias_and_their_variance_may_be_inflated():
    """The estimate of the bias of average precision varies more than the bias itself."""
    samples = 0.05 + 0.01 * np.random.default_rng(6).standard_normal(2000)
    found, wider = (resampling.difference(0.03, samples, 50, scale="ranking", units=400, inflation=factor) for factor in (1.0, 4.0))
    middle = (found.interval.low + found.interval.high) / 2
    assert middle == pytest.approx(0.03 * 400 / 401, rel=1e-9)
    assert wider.interval.high - wider.interval.low == pytest.approx(2 * (found.interval.high - found.interval.low), rel=0.05)
    assert wider.p > found.p


def test_resamples_of_few_positives_vary_too_little_by_what_is_said():
    """Of tags whose values are means of their positives: the variance of their mean, and that of its resamples."""
    positives, random = (3, 5, 12), np.random.default_rng(9)
    trials = [[random.standard_normal(m) for m in positives] for _ in range(4000)]
    variance = np.var([np.mean([of_tag.mean() for of_tag in trial]) for trial in trials])
    of_resamples = np.mean([sum(of_tag.var() / len(of_tag) for of_tag in trial) / len(positives) ** 2 for trial in trials])
    assert variance / of_resamples == pytest.approx(resampling.few_positives([*positives, 0]), rel=0.05)
    assert resampling.few_positives([]) == 1
    assert resampling.few_positives([1, 30]) < 2.1
