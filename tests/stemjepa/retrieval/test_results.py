"""The plot of an evaluation: ticks are whole numbers of candidates, and their labels do not lie on each other."""

import itertools

import numpy as np
import pytest
from matplotlib import rc_context
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from jukemir_like.core.stems import STEMS
from jukemir_like.stemjepa.retrieval import evaluation, results
from jukemir_like.stemjepa.retrieval.embedding import Embedded, Embeddings


def evaluate(tracks, stems=STEMS):
    """Tracks whose stems' vectors are alike but for noise."""
    random = np.random.default_rng(0)
    candidates = random.standard_normal((tracks, len(stems), 8)).astype(np.float32)
    queries = candidates + random.standard_normal(candidates.shape).astype(np.float32)
    there = np.ones(candidates.shape[:2], bool)
    return evaluation.evaluate(Embedded(Embeddings(queries, candidates, there, there, np.arange(tracks)), None), stems)


def labels(figure, axis):
    """(text, box in pixels) of the labels that are drawn."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    shown = [label for label in axis.get_ticklabels(which="both") if label.get_text() and label.get_visible()]
    return [(label.get_text(), label.get_window_extent(canvas.get_renderer())) for label in shown]


def drawn(made):
    with rc_context(results._STYLE):
        figure = Figure(figsize=(10.5, 4.2), layout="constrained")
        curves, bars = figure.subplots(1, 2)
        results._plot_recall(curves, made)
        results._plot_instruments(bars, made)
        return labels(figure, curves.xaxis), labels(figure, bars.xaxis)


@pytest.mark.parametrize("tracks", [2, 3, 7, 77])
def test_ticks_are_numbers_of_candidates_and_do_not_overlap(tracks):
    candidates, instruments = drawn(evaluate(tracks))
    most = tracks * len(STEMS)
    numbers = [int(text.replace(",", "")) for text, _ in candidates]
    assert numbers == sorted(set(numbers))
    assert numbers[0] == 1
    assert numbers[-1] == most
    assert 4 <= len(numbers) <= 12
    assert [text for text, _ in instruments] == ["all", *STEMS]
    for of_axis in (candidates, instruments):
        assert not any(one.overlaps(other) for (_, one), (_, other) in itertools.combinations(of_axis, 2))


@pytest.mark.parametrize("most", [1, 2, 12, 13, 19, 99, 1000, 25_000, 3_000_000])
def test_ticks_of_any_number_of_candidates(most):
    ticks = results.candidate_ticks(most)
    assert ticks[0] == 1
    assert ticks[-1] == most
    assert ticks == sorted(set(ticks))
    assert len(ticks) <= 12
    if most > 12:
        assert all(b >= 2 * a for a, b in itertools.pairwise(ticks))


def test_names_of_many_instruments_are_slanted_so_that_they_can_be_read():
    stems = tuple(f"instrument {index}" for index in range(9))
    _, instruments = drawn(evaluate(5, stems))
    corners = [box.x1 for _, box in instruments]
    assert min(np.diff(corners)) > 12  # pixels between the ends of two slanted names
    straight = max(len(text) for text, _ in instruments)
    assert all(box.y0 < box.y1 - 10 for text, box in instruments if len(text) == straight)
