"""Plots of scores: bars with intervals, and confusion matrices."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from jukemir_like.datasets import KEYS
from jukemir_like.report.formatting import decimal
from jukemir_like.report.svg import COLOURS, GREY, INK, SETTINGS, short, svg_text

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.axes import Axes
    from matplotlib.colors import LinearSegmentedColormap

# By fifths, each minor key at the place of its relative major, so that common confusions lie near the diagonals.
_FIFTHS = [7 * step % 12 for step in range(12)]
_KEY_ORDER = [KEYS[tonic] for tonic in _FIFTHS] + [KEYS[12 + (tonic + 9) % 12] for tonic in _FIFTHS]
_PUBLISHED_GAP = 0.6  # between our bars and published ones
_MOST_NUMBERED = 12  # classes: in larger matrices numbers would be too small to read


@dataclass(frozen=True)
class Bar:
    """One bar: a value in percent, its interval, the values by seed if there are several, and those by fold, which are points behind it.

    ``published`` results of others are drawn below the rest, hollow and hatched, with their names in italics.
    """

    label: str
    value: float
    low: float | None
    high: float | None
    colour: str
    seeds: tuple[float, ...] = ()
    folds: tuple[float, ...] = ()
    published: bool = False

    @classmethod
    def from_fractions(cls, label: str, value: float, low: float | None, high: float | None, colour: str) -> Bar:
        """A bar of a value and its interval that are given as fractions."""
        return cls(label, 100 * value, None if low is None else 100 * low, None if high is None else 100 * high, colour)


def bars(rows: Sequence[Bar], axis: str, identifier: str) -> str:
    """Horizontal bars from top to bottom, with intervals and the value in figures.

    Args:
        rows: at least one; published ones last.
        axis: label of the axis, with its unit.
        identifier: makes the names inside the SVG unique in the page.
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    with rc_context(SETTINGS):
        places = [index + (_PUBLISHED_GAP if row.published else 0) for index, row in enumerate(rows)]
        figure = Figure(figsize=(8, 0.75 + 0.34 * (places[-1] + 1)), layout="constrained")
        axes = figure.add_subplot()
        for place, row in zip(places, rows, strict=True):
            _bar(axes, place, row)
            if row.folds:
                axes.plot(row.folds, [place - 0.19] * len(row.folds), "o", color=INK, alpha=0.35, markersize=4.5, markeredgewidth=0)
            end = max(row.value, 0.0)
            if row.low is not None and row.high is not None:
                axes.plot([row.low, row.high], [place, place], color=INK, linewidth=1.2, solid_capstyle="butt")
                axes.plot([row.low, row.high], [place, place], "|", color=INK, markersize=6, markeredgewidth=1.2)
                end = max(end, row.high)
            if len(row.seeds) > 1:
                axes.plot(row.seeds, [place + 0.31] * len(row.seeds), ".", color=INK, markersize=3.5)
            axes.annotate(decimal(row.value), (end, place), (6, 0), textcoords="offset points", va="center")
        axes.set_yticks(places, [short(row.label) for row in rows])
        for label, row in zip(axes.get_yticklabels(), rows, strict=True):
            label.set(style="italic" if row.published else "normal", color=row.colour if row.published else INK)
        axes.set_ylim(places[-1] + 0.6, -0.6)
        axes.margins(x=0.12)
        _limit_folds(axes, rows)
        axes.axvline(0, color=INK, linewidth=0.6)
        axes.set_xlabel(axis)
        axes.grid(axis="x", color=GREY, alpha=0.3, linewidth=0.6)
        axes.set_axisbelow(True)
        axes.spines[["top", "right", "left"]].set_visible(False)
        axes.tick_params(length=0)
        return svg_text(figure, identifier, f"Bar plot: {axis}. " + "; ".join(_said(row) for row in rows))


def _said(row: Bar) -> str:
    """A bar in words."""
    folds = f" (folds: {', '.join(f'{value:.1f}' for value in row.folds)})" if row.folds else ""
    return f"{row.label} {row.value:.1f}{folds}"


def _limit_folds(axes: Axes, rows: Sequence[Bar]) -> None:
    """Folds far below all bars, as R² of few items can be, run out of the plot; otherwise they would squeeze it."""
    ends = [end for row in rows for end in (row.value, row.low, row.high, 0.0) if end is not None]
    folds = [value for row in rows for value in row.folds]
    room = max(max(ends) - min(ends), 1.0) / 4
    if min(folds, default=0.0) < min(ends) - room:
        axes.set_xlim(min(ends) - room, max([*ends, *folds]) + room / 2)


def _bar(axes: Axes, place: float, row: Bar) -> None:
    """The bar itself: filled, or hollow and hatched for published results."""
    if row.published:
        axes.barh(place, row.value, height=0.62, facecolor="none", edgecolor=row.colour, hatch="////", linewidth=0.8)
    else:
        axes.barh(place, row.value, height=0.62, color=row.colour)


def confusion_matrix(y: np.ndarray, predicted: np.ndarray, labels: Sequence[str], title: str, identifier: str) -> str:
    """A confusion matrix: one row per true class, in shares of the row; rows of absent classes are empty.

    Args:
        y, predicted: indices into ``labels``, shape (n,).
        labels: class names; keys are put in the order of fifths, others keep theirs.
        title: above the plot.
        identifier: makes the names inside the SVG unique in the page.
    """
    import numpy as np
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    keys = set(labels) <= set(KEYS)
    order = sorted(range(len(labels)), key=lambda index: _KEY_ORDER.index(labels[index])) if keys else list(range(len(labels)))
    place = np.argsort(order)
    counts = np.zeros((len(labels), len(labels)))
    np.add.at(counts, (place[y], place[predicted]), 1)
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    names = [_short_key(labels[index]) if keys else short(labels[index], 14) for index in order]
    with rc_context({**SETTINGS, "font.size": 8 if len(labels) <= _MOST_NUMBERED else 6.5}):
        figure = Figure(figsize=(4.4, 4.5), layout="constrained")
        axes = figure.add_subplot()
        axes.imshow(shares, cmap=_blues(), vmin=0, vmax=1, interpolation="none")
        if len(labels) <= _MOST_NUMBERED:
            for row, column in zip(*np.nonzero(counts), strict=True):
                share = shares[row, column]
                axes.text(column, row, f"{100 * share:.0f}", ha="center", va="center", color="white" if share > 0.8 else INK)
        axes.set_xticks(range(len(names)), names, rotation=90)
        axes.set_yticks(range(len(names)), names)
        axes.set_xticks(np.arange(len(names) + 1) - 0.5, minor=True)
        axes.set_yticks(np.arange(len(names) + 1) - 0.5, minor=True)
        axes.grid(which="minor", color=GREY, alpha=0.35, linewidth=0.4)
        axes.tick_params(which="both", length=0)
        axes.set_title(short(title, 40), fontsize=10, fontweight="bold")
        axes.set_xlabel("predicted")
        axes.set_ylabel("true")
        right = np.trace(counts) / max(1.0, counts.sum())
        return svg_text(figure, identifier, f"Confusion matrix of {title}: {100 * right:.1f} percent on the diagonal")


@cache
def _blues() -> LinearSegmentedColormap:
    """From transparent to blue: zero shows the page's background."""
    from matplotlib.colors import LinearSegmentedColormap

    red, green, blue = (int(COLOURS[0][place : place + 2], 16) / 255 for place in (1, 3, 5))
    return LinearSegmentedColormap.from_list("share", [(red, green, blue, 0), (red, green, blue, 1)])


def _short_key(name: str) -> str:
    tonic, _, mode = name.partition(" ")
    return tonic + ("m" if mode == "minor" else "")
