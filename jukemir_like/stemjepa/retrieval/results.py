"""The results of an evaluation: rows of the table ``retrieval.csv`` (:mod:`~.table`), a table as text, and a plot."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from jukemir_like.core.atomic import atomic_write
from jukemir_like.core.cache import Cache
from jukemir_like.core.version import __version__
from jukemir_like.stemjepa.retrieval import metrics
from jukemir_like.stemjepa.retrieval.evaluation import ALL, Evaluation, Score
from jukemir_like.stemjepa.retrieval.table import Row

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PLOT_NAME = "retrieval.png"
_FEW_CANDIDATES = 12  # up to here every number of candidates has a place of its own on the axis
_LEAST_RATIO = 2  # between the last two ticks of a logarithmic axis, so that their labels do not touch
_MOST_TICKS = 9
_MOST_INSTRUMENTS = 12  # with bars of their own
_MOST_CHARACTERS = 50  # of names of instruments side by side; more are slanted

# The palette of Okabe and Ito, whose colours people with the common colour blindnesses can tell apart.
_COLOURS = {"all": "#0072B2", "all-but-context": "#56B4E9", "same-instrument": "#D55E00", "segments": "#009E73"}
_STYLE: Any = {"font.family": "sans-serif", "font.sans-serif": ["DejaVu Sans"], "font.size": 9, "axes.linewidth": 0.6}


def folder(cache: Cache, dataset: str, weights: str) -> Path:
    """The folder in the cache for the results of weights on a dataset.

    Args:
        cache: which.
        dataset: its name.
        weights: their name, as :func:`jukemir_like.stemjepa.weights_names.name_of` gives it.

    >>> folder(Cache(Path("cache")), "musdb", "mine").as_posix()
    'cache/retrieval/musdb/mine'
    """
    return cache.root / "retrieval" / dataset / weights


def rows(evaluation: Evaluation, *, weights: str, digest: str, dataset: str) -> list[Row]:
    """A dictionary of :data:`.table.COLUMNS` for each score; None for empty cells."""
    before = {"weights": weights, "digest": digest, "dataset": dataset, "split": evaluation.split}
    after = {"seed": evaluation.seed, "version": __version__}
    scores = [{name: None if value != value else value for name, value in vars(score).items()} for score in evaluation.scores]  # NaN → None
    return [before | score | after for score in scores]


def text(evaluation: Evaluation) -> str:
    """The scores as text: one line per pool and instrument, in percent, and :func:`conclusion`."""
    from tabulate import tabulate

    header = ("pool", "instrument", "queries", "N", "R@1, % [95 % interval]", "chance", "R@5", "R@10", "median rank", "mean rank", "AUC")
    lines = []
    for first in range(0, len(evaluation.scores), len(metrics.METRICS)):
        by_metric = {score.metric: score for score in evaluation.scores[first : first + len(metrics.METRICS)]}
        top = by_metric["R@1"]
        names = (top.pool if top.instrument == ALL else "", top.instrument, top.n_queries, f"{top.n_candidates:.4g}")
        interval = "" if top.low is None or top.high is None else f" [{_percent(top.low)}, {_percent(top.high)}]"
        recalls = (_percent(by_metric[name].value) for name in ("R@5", "R@10"))
        ranks = (_percent(by_metric[name].value, 2) for name in ("median_normalised_rank", "mean_normalised_rank"))
        area = _percent(by_metric["recall_auc"].value)
        lines.append((*names, _percent(top.value) + interval, _percent(top.chance, 2), *recalls, *ranks, area))
    table = tabulate(lines, header, colalign=("left", "left", *["right"] * 9), disable_numparse=True)
    return f"{table}\n{conclusion(evaluation)}"


def conclusion(evaluation: Evaluation) -> str:
    """One line: how many times chance R@1 is within one instrument, on average over instruments and for the worst."""
    scores = [evaluation.score("same-instrument", instrument, "R@1") for instrument in evaluation.sources]
    with_queries = [score for score in scores if score.n_queries]
    if not with_queries:
        return f"{evaluation.tracks} tracks: none has two stems that are not silent"
    mean = sum(map(times_chance, with_queries)) / len(with_queries)
    worst = min(with_queries, key=times_chance)
    return (
        f"{evaluation.tracks} tracks; among stems of the same instrument R@1 is {mean:.1f} times chance on average over instruments, "
        f"{times_chance(worst):.1f} times for {worst.instrument}"
    )


def times_chance(score: Score) -> float:
    """Value over chance."""
    return score.value / score.chance


def _percent(value: float, decimals: int = 1) -> str:
    return "–" if math.isnan(value) else f"{100 * value:.{decimals}f}"


def write_plot(path: Path, evaluation: Evaluation, title: str) -> None:
    """Writes a PNG, completely or not at all: R@k over k in each pool, and R@1 of each instrument. Same evaluation, same bytes."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    with rc_context(_STYLE):
        figure = Figure(figsize=(10.5, 4.2), layout="constrained")
        curves, bars = figure.subplots(1, 2)
        _plot_recall(curves, evaluation)
        _plot_instruments(bars, evaluation)
        for axes in (curves, bars):
            axes.grid(axis="y", alpha=0.3, linewidth=0.6)
            axes.set_axisbelow(True)
            axes.spines[["top", "right"]].set_visible(False)
        figure.legend(*curves.get_legend_handles_labels(), loc="outside lower center", ncols=4, frameon=False)
        figure.suptitle(title, fontsize=10, fontweight="bold")
        with atomic_write(path) as temporary, open(temporary, "wb") as file:
            figure.savefig(file, format="png", dpi=150, metadata={"Software": None})


def _plot_recall(axes: Axes, evaluation: Evaluation) -> None:
    """R@k over k, on a logarithmic axis; chance is dashed, in the pool's colour."""
    most = 1
    for pool_ranks in evaluation.pool_ranks:
        pool, ranks = pool_ranks.pool, pool_ranks.ranks
        if not len(ranks):
            continue
        size = int(ranks.size.max())
        ks = np.unique(np.geomspace(1, size, 100).round().astype(int))
        marker = "." if size <= _FEW_CANDIDATES else ""
        recalls = [100 * metrics.recall(ranks, k).mean() for k in ks]
        width = 2.6 if pool == "all" else 1.4  # visible below all-but-context, which may hardly differ
        axes.plot(ks, recalls, color=_COLOURS[pool], linewidth=width, marker=marker, label=f"{pool} (N = {size:,})")
        axes.plot(ks, 100 * ks / size, color=_COLOURS[pool], linestyle=(0, (4, 3)), linewidth=0.8)
        most = max(most, size)
    _candidates_axis(axes, most)
    axes.set_xlabel("k, candidates looked at (dashed: chance)")
    axes.set_ylabel("R@k, %")
    axes.set_ylim(0, 103)


def _candidates_axis(axes: Axes, most: int) -> None:
    """Ticks at whole numbers of candidates: all of a few, else 1, 2, 5, 10, …, which are logarithmic, and the largest."""
    if most > _FEW_CANDIDATES:
        axes.set_xscale("log")
    axes.set_xlim((1, most) if most > 1 else (0.5, 1.5))
    ticks = candidate_ticks(most)
    axes.set_xticks(ticks, [f"{tick:,}" for tick in ticks])
    axes.set_xticks([], minor=True)


def candidate_ticks(most: int) -> list[int]:
    """Numbers of candidates that the axis names.

    >>> candidate_ticks(3), candidate_ticks(77)
    ([1, 2, 3], [1, 2, 5, 10, 20, 77])
    """
    if most <= _FEW_CANDIDATES:
        return list(range(1, most + 1))
    steps = [factor * 10**power for power in range(len(str(most))) for factor in (1, 2, 5) if factor * 10**power * _LEAST_RATIO <= most]
    if len(steps) > _MOST_TICKS:
        steps = [step for step in steps if str(step).startswith("1")]
    return [*steps, most]


def _plot_instruments(axes: Axes, evaluation: Evaluation) -> None:
    """R@1 of each instrument in each pool as bars, with intervals and a line at chance."""
    pools = [pool_ranks.pool for pool_ranks in evaluation.pool_ranks]
    instruments = [ALL, *evaluation.kinds]
    instruments += evaluation.sources if len(evaluation.sources) <= _MOST_INSTRUMENTS else ()
    width = 0.8 / len(pools)
    for offset, pool in enumerate(pools):
        scores = [evaluation.score(pool, instrument, "R@1") for instrument in instruments]
        positions = np.arange(len(instruments)) + (offset - (len(pools) - 1) / 2) * width
        axes.bar(positions, [100 * np.nan_to_num(score.value) for score in scores], width * 0.92, color=_COLOURS[pool])
        for x, score in zip(positions, scores, strict=True):
            if score.low is not None and score.high is not None:
                axes.plot([x, x], [100 * score.low, 100 * score.high], color="black", linewidth=1)
            if score.n_queries:
                axes.plot([x - width / 2, x + width / 2], [100 * score.chance] * 2, color="black", linewidth=0.8, linestyle=":")
    scores = [score for score in evaluation.scores if score.metric == "R@1" and score.n_queries]
    axes.set_ylim(0, min(103, 110 * max((max(score.value, score.high or 0, score.chance) for score in scores), default=1)))
    crowded = sum(map(len, instruments)) > _MOST_CHARACTERS
    axes.set_xticks(range(len(instruments)), instruments, rotation=30 if crowded else 0, ha="right" if crowded else "center")
    axes.tick_params(axis="x", length=0)
    axes.set_xlabel("instrument asked for (line: 95 % interval; dotted: chance)")
    axes.set_ylabel("R@1, %")
