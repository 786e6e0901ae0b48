"""Plots of scores: bars with intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from jukemir_like.report.formatting import decimal
from jukemir_like.report.svg import GREY, INK, SETTINGS, short, svg_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_PUBLISHED_GAP = 0.6  # between our bars and published ones


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
