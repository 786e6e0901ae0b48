"""Curves over layers and scores against cost: points lie where their values say, and what cannot be shown is left out."""

import re

import numpy as np
import pytest

from jukemir_like.report import lines


def curve(label="net", layers=5, colour="#112233"):
    test = [40.0, 50.0, 70.0, 60.0, 55.0][:layers]
    ends = [(value - 5, value + 5) for value in test]
    return lines.LayerCurve(label, [str(layer) for layer in range(layers)], test, ends, [value + 2 for value in test], 2, colour)


def paths(svg, colour, width):
    """Points of the lines of one colour and width."""
    found = re.findall(
        rf'<path d="([^"]*)" [^>]*style="fill: none; [^"]*stroke: {colour}; (?:stroke-opacity: [\d.]+; )?stroke-width: {width}[;"]', svg
    )
    return [np.array([list(map(float, point)) for point in re.findall(r"[ML] ([\d.-]+) ([\d.-]+)", path)]) for path in found]


def test_the_curve_is_a_line_in_the_values_and_the_ring_is_on_the_chosen_layer():
    drawn = curve()
    svg = lines.layer_curves([drawn], "accuracy, % (test)", "a")
    (points,) = paths(svg, drawn.colour, "1.8")
    np.testing.assert_allclose(np.diff(points[:, 0]), points[1, 0] - points[0, 0], atol=1e-3)
    slope = np.polyfit(drawn.test, points[:, 1], 1)
    assert slope[0] < 0  # up
    np.testing.assert_allclose(np.polyval(slope, drawn.test), points[:, 1], atol=0.01)
    validation = next(path for path in paths(svg, drawn.colour, "0.8") if len(path) == 5)
    np.testing.assert_allclose(np.polyval(slope, drawn.valid), validation[:, 1], atol=0.01)
    (ring,) = re.findall(
        r'<use xlink:href="#a-[^"]*" x="([\d.]+)" y="([\d.]+)" style="fill-opacity: 0; stroke: currentColor; stroke-width: 1.3', svg
    )
    np.testing.assert_allclose(list(map(float, ring)), points[2], atol=0.01)


def test_encoders_of_other_depths_share_the_axis():
    svg = lines.layer_curves([curve("deep", colour="#112233"), curve("flat", 3, "#445566")], "accuracy, % (test)", "a")
    (deep,), (flat,) = paths(svg, "#112233", "1.8"), paths(svg, "#445566", "1.8")
    np.testing.assert_allclose(deep[:3, 0], flat[:, 0], atol=1e-3)
    assert "deep: 0 40.0, 1 50.0, 2 70.0, 3 60.0, 4 55.0, chosen 2; flat: 0 40.0, 1 50.0, 2 70.0, chosen 2" in svg


def test_the_labels_of_some_layers_stand_below_their_points():
    some = lines.LayerCurve("net", ["3", "7", "11"], [40.0, 50.0, 60.0], [None] * 3, [40.0, 50.0, 60.0], 1, "#112233")
    svg = lines.layer_curves([some], "accuracy, % (test)", "a")
    (points,) = paths(svg, "#112233", "1.8")
    labels = {text: float(x) for x, text in re.findall(r'<text style="[^"]*" x="([\d.]+)" [^>]*>(\d+)</text>', svg)}
    np.testing.assert_allclose([labels[layer] for layer in some.layers], points[:, 0], atol=0.01)


def test_an_interval_that_is_much_wider_than_the_curve_does_not_flatten_it():
    drawn = curve()
    wide = lines.LayerCurve(drawn.label, drawn.layers, drawn.test, [(-5000.0, 90.0)] * 5, drawn.valid, 2, drawn.colour)
    (points,) = paths(lines.layer_curves([wide], "R², % (test)", "a"), drawn.colour, "1.8")
    assert np.ptp(points[:, 1]) > 60  # of 259 points


def point(label, seconds, parameters, value=50.0):
    return lines.CostPoint(label, value, value - 5, value + 5, seconds, parameters, "#112233")


def test_costs_are_on_logarithmic_axes():
    costs = (3.0, 30.0, 300.0)
    svg = lines.against_cost([point(f"r{cost:.0f}", cost, None, cost / 5) for cost in costs], "accuracy, % (test)", "c")
    places = sorted({path[0, 0] for path in paths(svg, "#112233", "1.2")})
    assert places[1] - places[0] == pytest.approx(places[2] - places[1], abs=0.01)
    assert "numbers of the net" not in svg


def test_a_panel_needs_two_that_differ():
    assert lines.against_cost([point("a", 3.0, 10), point("b", 3.0, None)], "accuracy", "c") == ""
    assert "numbers of the net" in lines.against_cost([point("a", 3.0, 10), point("b", 3.0, 20)], "accuracy", "c")


def test_the_same_figures_are_the_same_bytes():
    assert lines.layer_curves([curve()], "accuracy", "a") == lines.layer_curves([curve()], "accuracy", "a")
    points = [point("a", 3.0, 10), point("b", 4.0, 20)]
    assert lines.against_cost(points, "accuracy", "c") == lines.against_cost(points, "accuracy", "c")


def test_names_do_not_lie_on_each_other():
    points = [point("one", 3.0, 10), point("two", 3.1, 20), point("three", 3.2, 30)]
    svg = lines.against_cost(points, "accuracy, % (test)", "c")
    heights = [float(y) for y in re.findall(r'<text style="[^"]*fill: #112233[^"]*" [^>]*?translate\([\d.]+ ([\d.]+)\)', svg)] or [
        float(y) for y in re.findall(r'<text style="[^"]*fill: #112233[^"]*" x="[\d.]+" y="([\d.]+)"', svg)
    ]
    assert len(heights) == 6
    first = sorted(heights[:3])
    assert min(np.diff(first)) > 10


def test_panels_of_many_are_stacked_so_that_names_have_room():
    def panels(number):
        points = [point(f"r{index}", 3.0 + index, 10 + index) for index in range(number)]
        svg = lines.against_cost(points, "accuracy, % (test)", "c")
        return {path[0, 0] for path in paths(svg, "#112233", "1.2")}, svg.count(">accuracy, % (test)<")

    few, labelled_once = panels(2)
    many, labelled_twice = panels(12)
    assert len(few) == 4  # each point stands in both panels, at other places
    assert min(few) < 200 < max(few)
    assert (labelled_once, labelled_twice) == (1, 2)
    assert len(many) <= 24
