"""A plot of an evaluation: how recall grows with the number of candidates looked at, and R@1 of each instrument."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from jukemir_like.core.atomic import atomic_write
from jukemir_like.stemjepa.retrieval import metrics
from jukemir_like.stemjepa.retrieval.evaluation import ALL, Evaluation

if TYPE_CHECKING:
    from matplotlib.axes import Axes

NAME = "retrieval.png"

# Okabe and Ito's palette, which the common colour blindnesses leave distinct.
_COLOURS = {"all": "#0072B2", "all-but-context": "#56B4E9", "same-instrument": "#D55E00", "segments": "#009E73"}
_SETTINGS: Any = {"font.family": "sans-serif", "font.sans-serif": ["DejaVu Sans"], "font.size": 9, "axes.linewidth": 0.6}


def write(path: Path, evaluation: Evaluation, title: str) -> None:
    """Writes a PNG, whole or not at all; same evaluation, same bytes."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    with rc_context(_SETTINGS):
        figure = Figure(figsize=(10.5, 4.2), layout="constrained")
        curves, bars = figure.subplots(1, 2)
        _recall_curves(curves, evaluation)
        _bars(bars, evaluation)
        for axes in (curves, bars):
            axes.grid(axis="y", alpha=0.3, linewidth=0.6)
            axes.set_axisbelow(True)
            axes.spines[["top", "right"]].set_visible(False)
        figure.legend(*curves.get_legend_handles_labels(), loc="outside lower center", ncols=4, frameon=False)
        figure.suptitle(title, fontsize=10, fontweight="bold")
        with atomic_write(path) as temporary, open(temporary, "wb") as file:
            figure.savefig(file, format="png", dpi=150, metadata={"Software": None})


def _recall_curves(axes: Axes, evaluation: Evaluation) -> None:
    """R@k over k, on a logarithmic axis; chance is dashed, in the pool's colour."""
    most = 1
    for standing in evaluation.standings:
        if not len(standing.ranks):
            continue
        size = int(standing.ranks.size.max())
        places = np.unique(np.geomspace(1, size, 100).round().astype(int))
        recalls = [100 * metrics.recall(standing.ranks, k).mean() for k in places]
        wide = 2.6 if standing.pool == "all" else 1.4  # to be seen below all-but-context, which may hardly differ
        axes.plot(places, recalls, color=_COLOURS[standing.pool], linewidth=wide, label=f"{standing.pool} (N = {size:,})")
        axes.plot(places, 100 * places / size, color=_COLOURS[standing.pool], linestyle=(0, (4, 3)), linewidth=0.8)
        most = max(most, size)
    axes.set_xscale("log")
    axes.set_xlim(1, most)
    axes.set_xlabel("k, candidates looked at (dashed: chance)")
    axes.set_ylabel("R@k, %")
    axes.set_ylim(0, 103)


def _bars(axes: Axes, evaluation: Evaluation) -> None:
    """R@1 of each instrument in each pool, with intervals and a line at chance."""
    pools = [standing.pool for standing in evaluation.standings]
    instruments = [ALL, *evaluation.sources]
    width = 0.8 / len(pools)
    for offset, pool in enumerate(pools):
        scores = [evaluation.score(pool, instrument, "R@1") for instrument in instruments]
        places = np.arange(len(instruments)) + (offset - (len(pools) - 1) / 2) * width
        axes.bar(places, [100 * np.nan_to_num(score.value) for score in scores], width * 0.92, color=_COLOURS[pool])
        for place, score in zip(places, scores, strict=True):
            if score.low is not None and score.high is not None:
                axes.plot([place, place], [100 * score.low, 100 * score.high], color="black", linewidth=1)
            if score.n_queries:
                axes.plot([place - width / 2, place + width / 2], [100 * score.chance] * 2, color="black", linewidth=0.8, linestyle=":")
    shown = [score for score in evaluation.scores if score.metric == "R@1" and score.n_queries]
    axes.set_ylim(0, min(103, 110 * max((max(score.value, score.high or 0, score.chance) for score in shown), default=1)))
    axes.set_xticks(range(len(instruments)), instruments)
    axes.tick_params(axis="x", length=0)
    axes.set_xlabel("instrument asked for (line: 95 % interval; dotted: chance)")
    axes.set_ylabel("R@1, %")
