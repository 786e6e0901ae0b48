"""Plots of scores against something: over the layers of a representation, and against what it costs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from jukemir_like.report.svg import GREY, INK, SETTINGS, short, svg_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_LABEL_POINTS = 11  # least distance of two names, in points
_CHARACTER_POINTS = 6
_MOST_SIDE_BY_SIDE = 8  # representations whose names have room in two panels side by side; of more, the panels are stacked
_MOST_TICKS = 8  # of a logarithmic axis
_MANY_LAYERS = 16  # from here on only every second or more is numbered


@dataclass(frozen=True)
class LayerCurve:
    """The scores of the layers of one representation, in percent.

    Args:
        label: its name.
        layers: names, from the lowest to the highest.
        test: one value per layer.
        ends: interval of each test value, or None.
        valid: the validation score of each.
        chosen: place of the layer that validation chose.
        colour: of the curve.
    """

    label: str
    layers: Sequence[str]
    test: Sequence[float]
    ends: Sequence[tuple[float, float] | None]
    valid: Sequence[float]
    chosen: int
    colour: str


@dataclass(frozen=True)
class CostPoint:
    """A representation's score in percent, its interval, and what it costs (None: not known)."""

    label: str
    value: float
    low: float | None
    high: float | None
    seconds: float | None
    parameters: int | None
    colour: str


def layer_curves(curves: Sequence[LayerCurve], metric: str, identifier: str) -> str:
    """Test scores over layers with their intervals as bands, validation scores as thin dashed lines, chosen layers as rings.

    Args:
        curves: at least one.
        metric: label of the axis, with its unit.
        identifier: makes the names inside the SVG unique in the page.
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    with rc_context(SETTINGS):
        figure = Figure(figsize=(8, 3.6), layout="constrained")
        axes = figure.add_subplot()
        names = _in_order({layer for curve in curves for layer in curve.layers}, curves)
        place_of = _places(names)
        for curve in curves:
            places = [place_of[layer] for layer in curve.layers]
            band = [(place, *ends) for place, ends in zip(places, curve.ends, strict=True) if ends is not None]
            at, low, high = ([one[part] for one in band] for part in range(3))
            axes.fill_between(at, low, high, color=curve.colour, alpha=0.18, linewidth=0)
            axes.plot(places, curve.valid, color=curve.colour, linewidth=0.8, linestyle=(0, (4, 3)))
            axes.plot(places, curve.test, color=curve.colour, linewidth=1.8, marker=".", markersize=5)
            chosen = places[curve.chosen]
            axes.plot([chosen, chosen], [curve.test[curve.chosen], curve.valid[curve.chosen]], color=curve.colour, linewidth=0.8, alpha=0.6)
            axes.plot(chosen, curve.test[curve.chosen], "o", markersize=9, markerfacecolor="none", markeredgecolor=INK, markeredgewidth=1.3)
        shown = names[:: -(-len(names) // _MANY_LAYERS)]
        axes.set_xticks([place_of[layer] for layer in shown], shown)
        axes.set_xlabel("layer")
        axes.set_ylabel(metric)
        values = [value for curve in curves for value in (*curve.test, *curve.valid)]
        _limit(axes, values, [end for curve in curves for pair in curve.ends if pair is not None for end in pair])
        ends = [(place_of[curve.layers[-1]], curve.test[-1], curve.label, curve.colour) for curve in curves]
        _label(axes, ends)
        _plain(axes)
        said = "; ".join(
            f"{curve.label}: {', '.join(f'{layer} {value:.1f}' for layer, value in zip(curve.layers, curve.test, strict=True))}, "
            f"chosen {curve.layers[curve.chosen]}"
            for curve in curves
        )
        return svg_text(figure, identifier, f"Curves over layers: {metric}. {said}")


def against_cost(points: Sequence[CostPoint], metric: str, identifier: str) -> str:
    """Scores against computing time and against numbers of the net, both logarithmic; empty where none differ in either.

    Args:
        points: those without a cost are left out of its panel.
        metric: label of the axis, with its unit.
        identifier: makes the names inside the SVG unique in the page.
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    panels = [
        ("seconds of computing per hour of audio", [(one, one.seconds) for one in points if one.seconds]),
        ("numbers of the net", [(one, float(one.parameters)) for one in points if one.parameters]),
    ]
    panels = [(axis, known) for axis, known in panels if len({cost for _, cost in known}) > 1]
    if not panels:
        return ""
    with rc_context(SETTINGS):
        stacked = len(points) > _MOST_SIDE_BY_SIDE
        rows, columns = (len(panels), 1) if stacked else (1, len(panels))
        figure = Figure(figsize=(8, (3.8 if stacked else 3.6) * rows), layout="constrained")
        first = None
        for number, (axis, known) in enumerate(panels):
            axes = figure.add_subplot(rows, columns, number + 1, sharey=first)
            first = first or axes
            for one, cost in known:
                if one.low is not None and one.high is not None:
                    axes.plot([cost, cost], [one.low, one.high], color=one.colour, linewidth=1.2, alpha=0.6)
                axes.plot(cost, one.value, "o", color=one.colour, markersize=6)
            _log_axis(axes, [cost for _, cost in known])
            axes.set_xlabel(axis)
            if number == 0 or stacked:
                axes.set_ylabel(metric)
            if number == 0:
                ends = [end for one in points for end in (one.low, one.high) if end is not None]
                _limit(axes, [one.value for one in points], ends)
            _label(axes, [(cost, one.value, one.label, one.colour) for one, cost in known])
            _plain(axes)
        said = "; ".join(f"{axis}: {', '.join(f'{one.label} {cost:.3g}' for one, cost in known)}" for axis, known in panels)
        return svg_text(figure, identifier, f"{metric} against cost. {said}")


def _in_order(layers: set[str], curves: Sequence[LayerCurve]) -> list[str]:
    """Numbers in ascending order, then words as the curves have them."""
    words = [layer for curve in curves for layer in curve.layers if not layer.isdecimal()]
    return [*sorted((layer for layer in layers if layer.isdecimal()), key=int), *dict.fromkeys(words)]


def _places(layers: Sequence[str]) -> dict[str, int]:
    """Where each layer stands on the axis: numbers at their value, words one after another behind the largest.

    >>> _places(["3", "7", "final"])
    {'3': 3, '7': 7, 'final': 8}
    """
    places: dict[str, int] = {}
    for layer in layers:
        places[layer] = int(layer) if layer.isdecimal() else max(places.values(), default=-1) + 1
    return places


def _limit(axes: Axes, values: Sequence[float], ends: Sequence[float]) -> None:
    """An axis that shows all values; intervals that are much wider, as of R² on few items, run out of it."""
    low, high = min(values), max(values)
    room = max(high - low, 1.0)
    axes.set_ylim(max(min([low, *ends]), low - room) - 0.06 * room, min(max([high, *ends]), high + room) + 0.06 * room)


def _log_axis(axes: Axes, costs: Sequence[float]) -> None:
    """A logarithmic axis with room for names on the right, and numbers at 1, 2 and 5, or where that are too many at powers of ten."""
    low, high = min(costs), max(costs)
    left, right = low / 1.6, high * min(max(6.0, (high / low) ** 0.5), 60.0)
    steps = [factor * 10.0**power for power in range(-3, 13) for factor in (1, 2, 5) if left <= factor * 10.0**power <= right]
    if len(steps) > _MOST_TICKS:
        steps = [step for step in steps if f"{step:e}".startswith("1.")]
    axes.set_xscale("log")
    axes.set_xlim(left, right)
    axes.set_xticks(steps, [_number(step) for step in steps])
    axes.set_xticks([], minor=True)


def _number(value: float) -> str:
    for size, unit in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if value >= size:
            return f"{value / size:g}{unit}"
    return f"{value:g}"


def _label(axes: Axes, ends: Sequence[tuple[float, float, str, str]]) -> None:
    """Names to the right of their points, moved up where they would lie on each other."""
    axes.figure.canvas.draw()
    places = axes.transData.transform([(x, y) for x, y, _, _ in ends]) * 72 / axes.figure.dpi  # in points
    written: list[tuple[float, float, float]] = []
    for index in sorted(range(len(ends)), key=lambda index: float(places[index][1])):
        x, y, label, colour = ends[index]
        left, height = map(float, places[index])
        right = left + _CHARACTER_POINTS * len(short(label))
        at = height
        for from_, to, other in sorted(written, key=lambda one: one[2]):
            if from_ < right and left < to and abs(other - at) < _LABEL_POINTS:
                at = other + _LABEL_POINTS
        written.append((left, right, at))
        shift = (8, at - height)
        axes.annotate(short(label), (x, y), shift, textcoords="offset points", va="center", color=colour, annotation_clip=False)


def _plain(axes: Axes) -> None:
    axes.grid(color=GREY, alpha=0.3, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(which="both", length=0)
