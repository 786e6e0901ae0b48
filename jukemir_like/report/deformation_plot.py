"""The plot of what deformations change: a point with its interval for each deformation and representation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from jukemir_like.report.svg import GREY, INK, SETTINGS, short, svg_text

_ROW_INCHES = 0.16  # of one representation
_GAP = 1.2  # between deformations, in such rows
_WIDEST = 4.0  # intervals that reach further than so many times the largest change run out of the plot


@dataclass(frozen=True)
class Change:
    """A change in percentage points with its interval (None: there is none), of one representation under one deformation."""

    deformation: str
    representation: str
    value: float
    low: float | None
    high: float | None
    colour: str

    @classmethod
    def from_fractions(
        cls, deformation: str, representation: str, value: float, low: float | None, high: float | None, colour: str
    ) -> Change:
        """A change whose numbers are given as fractions."""
        return cls(
            deformation, representation, 100 * value, None if low is None else 100 * low, None if high is None else 100 * high, colour
        )


def changes_plot(changes: Sequence[Change], axis: str, identifier: str) -> str:
    """Points from top to bottom, grouped by deformation; left of the line at 0 is what is lost.

    Args:
        changes: at least one, in the order of the plot.
        axis: label of the axis, with its unit.
        identifier: makes the names inside the SVG unique in the page.
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    deformations = list(dict.fromkeys(change.deformation for change in changes))
    representations = list(dict.fromkeys(change.representation for change in changes))
    step = len(representations) + _GAP
    height = 1.0 + _ROW_INCHES * step * len(deformations)
    with rc_context(SETTINGS):
        figure = Figure(figsize=(8, height), layout="constrained")
        axes = figure.add_subplot()
        for change in changes:
            place = step * deformations.index(change.deformation) + representations.index(change.representation)
            if change.low is not None and change.high is not None:
                axes.plot([change.low, change.high], [place, place], color=change.colour, linewidth=1.2)
            axes.plot(change.value, place, "o", color=change.colour, markersize=5)
        middle = (len(representations) - 1) / 2
        axes.set_yticks([step * index + middle for index in range(len(deformations))], [short(name) for name in deformations])
        for index in range(1, len(deformations)):
            axes.axhline(step * index - (1 + _GAP) / 2, color=GREY, alpha=0.25, linewidth=0.6)
        axes.set_ylim(step * len(deformations) - _GAP / 2 - 0.5, -0.5 - _GAP / 2)
        reach = _WIDEST * max(1.0, *(abs(change.value) for change in changes))
        known = [end for change in changes for end in (change.value, change.low, change.high) if end is not None]
        low, high = max(min(0.0, *known), -reach), min(max(0.0, *known), reach)
        room = 0.05 * max(high - low, 1.0)
        axes.set_xlim(low - room, high + room)
        axes.axvline(0, color=INK, linewidth=0.8)
        axes.set_xlabel(axis)
        axes.grid(axis="x", color=GREY, alpha=0.3, linewidth=0.6)
        axes.set_axisbelow(True)
        axes.spines[["top", "right", "left"]].set_visible(False)
        axes.tick_params(length=0)
        colours = {change.representation: change.colour for change in changes}
        handles = [
            Line2D([], [], color=colours[name], marker="o", markersize=5, linewidth=1.2, label=short(name)) for name in representations
        ]
        figure.legend(handles=handles, loc="outside upper left", ncols=4, frameon=False)
        said = "; ".join(f"{change.deformation}, {change.representation} {change.value:+.1f}" for change in changes)
        return svg_text(figure, identifier, f"{axis}. {said}")
