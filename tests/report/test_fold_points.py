"""Folds as points behind the bars."""

import re

from jukemir_like.report.plots import Bar, bars


def points(svg):
    """Where the points of folds are drawn, from the left."""
    return [float(x) for x in re.findall(r'<use [^>]*x="([-\d.]+)"[^>]*fill-opacity: 0.35', svg)]


def test_each_fold_is_a_point_and_is_said():
    svg = bars([Bar("a", 50.0, 40.0, 60.0, "#000000", folds=(45.0, 50.0, 55.0)), Bar("b", 30.0, None, None, "#000000")], "accuracy, %", "x")
    assert "a 50.0 (folds: 45.0, 50.0, 55.0); b 30.0" in svg
    assert len(points(svg)) == 3
    assert points(svg) == sorted(points(svg))


def test_a_fold_far_below_does_not_squeeze_the_bars():
    def bar_ends(folds):
        svg = bars([Bar("a", 50.0, 40.0, 60.0, "#000000", folds=folds)], "R², %", "x")
        return points(svg)[0]

    assert bar_ends((50.0, -20.0)) > 200  # of 576 points across: where the value 50 is
    assert bar_ends((50.0, -5000.0)) > 200
