"""A run in one picture and one table, from its ``metrics.csv``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tabulate import tabulate

from jukemir_like.core.atomic import atomic_write
from jukemir_like.stemjepa.training import table as figures

PICTURE = "training.png"
POOL = "valid/same-instrument"

Rows = list[figures.Row]


def write(folder: Path, sources: Sequence[str]) -> None:
    """Draws ``training.png``: losses, retrieval by stem with chance, collapse monitors, learning rate and gradient."""
    import matplotlib as mpl
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    rows = figures.read(folder)
    with mpl.rc_context({"font.size": 8, "axes.grid": True, "grid.alpha": 0.3, "legend.frameon": False}):
        figure = Figure(figsize=(11, 7), layout="constrained")
        FigureCanvasAgg(figure)
        panels = figure.subplots(2, 3)
        _losses(panels[0, 0], rows)
        _lines(panels[0, 1], rows, "loss by stem", {f"loss/{name}": name for name in sources})
        _retrieval(panels[0, 2], rows, sources)
        _lines(panels[1, 0], rows, "effective rank (RankMe)", {
            "effective_rank": "targets", "effective_rank_prediction": "predictions", "valid/effective_rank": "targets, held out",
        })  # fmt: skip
        _lines(panels[1, 1], rows, "spread and likeness", {
            "spread": "spread of targets", "valid/spread": "the same, held out", "teacher_student_cosine": "teacher · student",
        })  # fmt: skip
        _rates(panels[1, 2], rows)
        figure.suptitle(folder.name)
        with atomic_write(folder / PICTURE) as temporary:
            figure.savefig(temporary, dpi=120, format="png")


def table(folder: Path, sources: Sequence[str]) -> str:
    """How the run began and ended: what was logged first and last, and what was best where more is better."""
    rows = figures.read(folder)
    lines = []
    for column, name in {
        "loss": "loss",
        "valid/loss_predictive": "loss, held out: predictive",
        "valid/loss_contrastive": "loss, held out: contrastive",
        f"{POOL}/R@1": "R@1, same instrument",
        **{f"{POOL}/R@1/{source}": f"  {source}" for source in sources},
        f"{POOL}/R@1 by chance": "  by chance",
        "valid/all/R@1": "R@1, all stems",
        "valid/all/median_normalised_rank": "median normalised rank, all stems",
        "spread": "spread of targets",
        "effective_rank": "effective rank of targets",
        "teacher_student_cosine": "teacher · student",
        "examples_per_second": "examples a second",
    }.items():
        values = [row[column] for row in rows if column in row]
        if values:
            lines.append((name, values[0], values[-1]))
    steps = int(rows[-1]["step"]) if rows else 0
    seconds = max((row.get("seconds", 0.0) for row in rows), default=0.0)
    return f"{tabulate(lines, headers=['', 'first', 'last'], floatfmt='.4g')}\n{steps:,} steps in {seconds:,.0f} s"


def _lines(axes: Any, rows: Rows, title: str, columns: dict[str, str], **style: Any) -> None:
    for column, label in columns.items():
        points = [(row["step"], row[column]) for row in rows if column in row]
        if points:
            axes.plot(*zip(*points, strict=True), label=label, marker="." if len(points) < 30 else None, linewidth=1, **style)
    axes.set_title(title, fontsize=9)
    axes.set_xlabel("step")
    if axes.lines:
        axes.legend(fontsize=7)


def _losses(axes: Any, rows: Rows) -> None:
    _lines(axes, rows, "loss", {
        "loss_predictive": "predictive", "valid/loss_predictive": "predictive, held out",
        "loss_contrastive": "contrastive", "valid/loss_contrastive": "contrastive, held out",
    })  # fmt: skip


def _retrieval(axes: Any, rows: Rows, sources: Sequence[str]) -> None:
    _lines(axes, rows, "R@1 on held-out tracks, same instrument", {f"{POOL}/R@1/{name}": name for name in sources})
    chance = next((row[f"{POOL}/R@1 by chance"] for row in reversed(rows) if f"{POOL}/R@1 by chance" in row), None)
    if chance:
        axes.axhline(chance, color="black", linestyle=":", linewidth=1, label="chance")
        axes.set_yscale("symlog", linthresh=chance)
        axes.set_ylim(0, 1)
        axes.legend(fontsize=7)
    else:
        axes.text(0.5, 0.5, "no held-out tracks", ha="center", transform=axes.transAxes)


def _rates(axes: Any, rows: Rows) -> None:
    _lines(axes, rows, "learning rate and gradient", {"lr": "learning rate"}, color="tab:blue")
    beside = axes.twinx()
    beside.grid(visible=False)
    _lines(beside, rows, "learning rate and gradient", {"gradient_norm": "norm of the gradient"}, color="tab:orange", alpha=0.6)
    if axes.lines:
        axes.legend(fontsize=7, loc="upper left")
        axes.ticklabel_format(axis="y", scilimits=(0, 0))
    if beside.lines:
        beside.legend(fontsize=7, loc="upper right")
