"""How often intervals hold the truth and claims are false: the simulation of the bench, with few trials."""

import numpy as np
import pytest

from bench import coverage, tag_claims


@pytest.mark.parametrize("n", [20, 100, 1000])
def test_intervals_of_accuracy_hold_the_rate_in_95_percent_on_average_over_rates(n):
    random = np.random.default_rng(n)
    rates, sizes = random.uniform(0.5, 1, 1000), np.ones(n, int)
    held, _ = coverage.hits(coverage.right_by_group(sizes, rates, 0, 1000, random), sizes, rates, "fraction")
    assert 0.93 <= held <= 0.97
    exact, _ = coverage.exact_hits(n, np.append([0.95, 1.0], np.linspace(0.5, 1, 501)[:-1]), "fraction")
    assert exact[2:].mean() == pytest.approx(0.95, abs=0.01)
    assert 0.92 <= exact[0] <= 0.99
    assert exact[1] == 1


@pytest.mark.parametrize("correlation", [0.0, 0.2, 0.5])
@pytest.mark.parametrize("sizes", [np.full(10, 5), np.full(30, 5), coverage.uneven(30)], ids=["10 of 5", "30 of 5", "30 of 1 to 20"])
def test_intervals_of_groups_are_not_too_narrow(sizes, correlation):
    for rate in (0.5, 0.8, 0.95):
        random = np.random.default_rng(0)
        held, _ = coverage.hits(coverage.right_by_group(sizes, rate, correlation, 500, random), sizes, rate, "fraction")
        assert held >= 0.92


def test_among_equals_none_is_said_to_be_best_and_few_pairs_to_differ():
    for n in (20, 100):
        found = coverage.claims(n, [0.7] * coverage.EQUAL, 0.5, trials=60)
        assert found["best"] < 0.05
        assert found["any pair"] < 0.1


def test_what_is_clearly_better_is_found():
    assert coverage.claims(200, [0.9, 0.7, 0.7, 0.7], 0.8, trials=40)["best"] > 0.8


def test_two_equals_are_told_apart_in_a_twentieth_of_cases():
    found = coverage.claims(200, [0.8, 0.8], 0.5, trials=600)
    assert 0.02 < found["any pair"] < 0.08
    assert found["any pair"] == found["best"]


@pytest.mark.parametrize(("rates", "shared"), [((0.5, 0.5), 0.3), ((0.9, 0.7), 0.8), ((0.98, 0.95), 0.8)])
def test_intervals_of_paired_differences_are_not_too_narrow(rates, shared):
    for sizes, correlation in ((np.ones(20, int), 0), (np.ones(100, int), 0), (np.full(10, 5), 0.3)):
        assert coverage.paired_hits(sizes, rates, shared, 400, correlation)["now"] >= 0.92


@pytest.mark.parametrize(
    ("groups", "shared", "trials"),
    [(30, 0.0, 200), (30, 0.5, 200), *(pytest.param(100, shared, 1000, marks=pytest.mark.slow) for shared in (0.0, 0.5))],
)
def test_two_that_know_the_same_of_tags_are_said_to_differ_in_a_twentieth_of_cases(groups, shared, trials):
    """Also of 30 items, with 3 to 15 positives of each tag: with a correction of bias it was 12 of 100, of average precision."""
    claimed = tag_claims.false_claims(groups, 1, 1.0, shared, trials)
    assert max(claimed.values()) <= 0.06
