"""Confusion matrices: counts are scikit-learn's, squares lie where the counts are, labels can be read."""

import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from sklearn.metrics import confusion_matrix

from jukemir_like.datasets import KEYS
from jukemir_like.report import confusions
from jukemir_like.report.confusions import Confusions


def squares(svg):
    """(row, column) → opacity, of all squares."""
    paths = re.findall(r'<path opacity="([\d.]+)" d="([^"]*)"', svg)
    return {(int(y), int(x)): float(opacity) for opacity, path in paths for x, y in re.findall(r"M(\d+) (\d+)h1v1h-1z", path)}


@pytest.mark.parametrize("size", [2, 10, 24, 50])
def test_every_count_is_a_square_that_is_as_dark_as_its_share(size):
    random = np.random.default_rng(size)
    y, predicted = random.integers(size, size=(2, 300))
    labels = [f"class {index}" for index in range(size)]
    expected = confusion_matrix(y, predicted, labels=range(size))
    found = Confusions.of(y, predicted, labels)
    np.testing.assert_array_equal(found.counts, expected)
    drawn = squares(confusions.svg(found, "mfcc"))
    assert set(drawn) == set(zip(*np.nonzero(expected), strict=True))
    shares = expected / expected.sum(1, keepdims=True).clip(1)
    assert all(shares[place] <= shade + 1e-6 and shade - shares[place] <= 0.05 + 1e-6 for place, shade in drawn.items())


def test_numbers_are_shares_of_the_true_class():
    svg = confusions.svg(Confusions.of(np.array([0, 0, 0, 0, 1]), np.array([0, 0, 0, 1, 1]), ["a", "b"]), "x")
    assert re.findall(r">(\d+)</text>", svg) == ["75", "25", "100"]
    assert "80.0 percent on the diagonal" in svg


@pytest.mark.parametrize("labels", [[f"genre {i}" for i in range(10)], list(KEYS), [f"a class of a long name {i}" for i in range(50)]])
def test_labels_do_not_touch_and_lie_inside_the_drawing(labels):
    y = np.arange(len(labels))
    svg = confusions.svg(Confusions.of(y, y, labels), "x")
    root = ET.fromstring(svg)
    width, font = float(root.get("width")), float(root.get("font-size"))
    assert font >= 9  # pixels
    assert width < 700
    rows = [text for text in root.iter("text") if text.get("text-anchor") == "end" and text.get("x")]
    assert len(rows) == len(labels)
    assert min(np.diff([float(text.get("y")) for text in rows])) >= font
    assert all(float(text.get("x")) - 0.62 * font * len(text.text) >= 0 for text in rows)


def test_keys_are_in_the_order_of_fifths_and_short():
    y = np.arange(24)
    svg = confusions.svg(Confusions.of(y, y, KEYS), "x")
    names = re.findall(r'x="[\d.]+" y="[\d.]+" text-anchor="end">([^<]*)</text>', svg)
    assert names[:3] == ["C", "G", "D"]
    assert names[12:14] == ["Am", "Em"]
    assert set(squares(svg)) == {(index, index) for index in range(24)}


def test_any_name_stays_text():
    svg = confusions.svg(Confusions.of(np.array([0]), np.array([0]), ["<b>&", "x"]), '"><script>')
    assert "".join(ET.fromstring(svg).itertext()).count("<b>&") == 2
    assert "<script" not in svg


def test_the_most_frequent_errors_come_first_and_those_on_the_diagonal_are_none():
    y, predicted = np.array([0, 0, 0, 1, 1, 2]), np.array([1, 1, 0, 2, 1, 2])
    assert Confusions.of(y, predicted, ["a", "b", "c"]).most_frequent() == [("a", "b", pytest.approx(2 / 3)), ("b", "c", 0.5)]
    assert Confusions.of(y, y, ["a", "b", "c"]).most_frequent() == []
