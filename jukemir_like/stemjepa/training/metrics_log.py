"""The log of a run: ``metrics.csv``, its picture and its summary; TensorBoard and Weights & Biases where they are asked for.

``metrics.csv`` has one row per logged step. Columns are named as the metrics are; a cell is empty where a step has no such metric. A run
that is resumed keeps the rows up to the step from which it is resumed, and replaces those after it.
"""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tabulate import tabulate

from jukemir_like.core import csvfiles
from jukemir_like.core.atomic import atomic_write, make_folder, storage_errors, write_bytes
from jukemir_like.core.errors import RequestError
from jukemir_like.stemjepa.settings import Training

FILE_NAME = "metrics.csv"
PICTURE_NAME = "training.png"
TIMINGS = frozenset({"seconds", "examples_per_second"})
"""Last parts of the names of columns that differ between two runs of the same settings."""

_WANDB_PROJECT = "stemjepa"
_POOL = "valid/same-instrument"
_MOST_STEMS = 12
_PROBE = "probe/"

Row = dict[str, float]


class MetricsLog:
    """Writes ``metrics.csv``.

    Args:
        folder: of the run.
        step: rows after this step are removed; 0: the log starts empty.
    """

    def __init__(self, folder: Path, step: int) -> None:
        self.path = folder / FILE_NAME
        self.rows = [row for row in read(folder) if row["step"] <= step] if step else []
        self.columns = list(dict.fromkeys(column for row in self.rows for column in row))
        self._rewrite()

    def write(self, metrics: Mapping[str, float], step: int) -> None:
        """Adds metrics of a step: to the step's row, where there is one (validation follows the log of its step), else as a new row.

        Raises:
            StorageError: the file cannot be written.
        """
        row = {"step": float(step), **metrics}
        is_same_step = bool(self.rows) and self.rows[-1]["step"] == row["step"]
        if is_same_step:
            self.rows[-1].update(row)
        else:
            self.rows.append(row)
        new = [column for column in row if column not in self.columns]
        self.columns += new
        if new or is_same_step:
            self._rewrite()
            return
        with storage_errors(self.path), open(self.path, "a", newline="", encoding="utf-8") as file:
            file.write(format_rows(self.columns, [row], header=False))

    def _rewrite(self) -> None:
        write_bytes(self.path, format_rows(self.columns or ["step"], self.rows).encode())


def read(folder: Path) -> list[Row]:
    """The rows of ``metrics.csv`` in ``folder``, without empty cells; no rows where the file is missing.

    The last row of a run that was killed may be cut off; it is left out.

    Raises:
        DamagedFileError: the file cannot be read, or another row does not consist of numbers.

    >>> import pathlib
    >>> MetricsLog(pathlib.Path(), step=0).write({"loss": 0.5}, step=1)
    >>> read(pathlib.Path())
    [{'step': 1.0, 'loss': 0.5}]
    """
    try:
        rows = csvfiles.read(folder / FILE_NAME, {"step": _step}, "move it away; a new log is started", others=_metric, growing=True)
    except FileNotFoundError:
        return []
    return [{column: value for column, value in row.items() if value is not None} for row in rows]


def format_rows(columns: Sequence[str], rows: Sequence[Row], *, header: bool = True) -> str:
    r"""Rows as they are written to the file: whole steps, metrics with six significant digits.

    >>> print(format_rows(["step", "loss"], [{"step": 1.0, "loss": 2 / 3}]).replace("\r", ""))
    step,loss
    1,0.666667
    <BLANKLINE>
    """
    lines = io.StringIO(newline="")
    writer = csv.DictWriter(lines, columns)
    if header:
        writer.writeheader()
    for row in rows:
        writer.writerow({column: f"{value:.0f}" if column == "step" else f"{value:.6g}" for column, value in row.items()})
    return lines.getvalue()


def external_loggers(settings: Training, folder: Path, step: int) -> list[Any]:
    """Lightning's loggers for TensorBoard and Weights & Biases, as far as ``settings.logger`` names them.

    Args:
        settings: of the run.
        folder: of the run.
        step: from which the run is resumed; 0: it begins.

    Raises:
        RequestError: a package that a logger needs is not installed.
    """
    loggers: list[Any] = []
    for name in settings.logger:
        if name == "tensorboard":
            from lightning.pytorch.loggers import TensorBoardLogger

            with _missing_package_is_refused(name):
                purge_step = step + 1 if step else None
                loggers.append(TensorBoardLogger(make_folder(folder), name="tensorboard", version="", purge_step=purge_step))
        elif name == "wandb":
            from lightning.pytorch.loggers import WandbLogger

            with _missing_package_is_refused(name):
                # One run of Weights & Biases per folder, however often it is resumed.
                identifier = hashlib.sha256(str(folder.absolute()).encode()).hexdigest()[:16]
                loggers.append(
                    WandbLogger(name=folder.name, save_dir=make_folder(folder), project=_WANDB_PROJECT, id=identifier, resume="allow")
                )
                loggers[-1].log_hyperparams(settings.to_dict())
    return loggers


def write_picture(folder: Path, sources: Sequence[str]) -> None:
    """Plots ``metrics.csv`` into ``training.png``: losses, retrieval per stem and by chance, signs of collapse, learning rate, gradient.

    Args:
        folder: of the run.
        sources: names of the stems.
    """
    import matplotlib as mpl
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    rows = read(folder)
    sources = _shown(sources)
    with mpl.rc_context({"font.size": 8, "axes.grid": True, "grid.alpha": 0.3, "legend.frameon": False}):
        figure = Figure(figsize=(11, 7), layout="constrained")
        FigureCanvasAgg(figure)
        probed = [column for column in dict.fromkeys(column for row in rows for column in row) if is_probed(column)]
        panels = figure.subplots(2, 4 if probed else 3)
        _plot(panels[0, 0], rows, "loss", {
            "loss_predictive": "predictive", "valid/loss_predictive": "predictive, held out",
            "loss_contrastive": "contrastive", "valid/loss_contrastive": "contrastive, held out",
        })  # fmt: skip
        _plot(panels[0, 1], rows, "loss by stem", {f"loss/{name}": name for name in sources})
        _plot_retrieval(panels[0, 2], rows, sources)
        _plot(panels[1, 0], rows, "effective rank (RankMe)", {
            "effective_rank": "targets", "effective_rank_prediction": "predictions", "valid/effective_rank": "targets, held out",
        })  # fmt: skip
        _plot(panels[1, 1], rows, "spread and likeness", {
            "spread": "spread of targets", "valid/spread": "the same, held out", "teacher_student_cosine": "teacher · student",
        })  # fmt: skip
        _plot_learning_rate(panels[1, 2], rows)
        if probed:
            _plot_probes(panels[0, 3], rows, probed)
            panels[1, 3].axis("off")
        figure.suptitle(folder.name)
        with atomic_write(folder / PICTURE_NAME) as temporary:
            figure.savefig(temporary, dpi=120, format="png")


def summary(folder: Path, sources: Sequence[str]) -> str:
    """A table of the first and the last logged value of the main metrics, for the terminal."""
    rows = read(folder)
    sources = _shown(sources)
    lines = []
    probed = [column for row in rows[-1:] for column in row if is_probed(column)]
    for column, name in {
        "loss": "loss",
        "valid/loss_predictive": "loss, held out: predictive",
        "valid/loss_contrastive": "loss, held out: contrastive",
        f"{_POOL}/R@1": "R@1, same instrument",
        **{f"{_POOL}/R@1/{source}": f"  {source}" for source in sources},
        f"{_POOL}/R@1 by chance": "  by chance",
        "valid/all/R@1": "R@1, all stems",
        "valid/all/median_normalised_rank": "median normalised rank, all stems",
        **{column: f"probe, held out: {column.removeprefix(_PROBE)}" for column in probed},
        "spread": "spread of targets",
        "effective_rank": "effective rank of targets",
        "teacher_student_cosine": "teacher · student",
        "examples_per_second": "examples per second",
    }.items():
        values = [row[column] for row in rows if column in row]
        if values:
            lines.append((name, values[0], values[-1]))
    steps = int(rows[-1]["step"]) if rows else 0
    seconds = max((row.get("seconds", 0.0) for row in rows), default=0.0)
    return f"{tabulate(lines, headers=['', 'first', 'last'], floatfmt='.4g')}\n{steps:,} steps in {seconds:,.0f} s"


def is_probed(column: str) -> bool:
    """Whether a column holds the score of a probe, or that by chance.

    >>> is_probed("probe/key"), is_probed("probe/seconds")
    (True, False)
    """
    return column.startswith(_PROBE) and column.removeprefix(_PROBE) not in TIMINGS


def _step(cell: str) -> float:
    step = csvfiles.number(cell)
    if step is None or step < 0:
        raise ValueError(f"{cell!r} is not a number of steps")
    return step


def _metric(cell: str) -> float | None:
    """A metric; of a run that diverged it need not be finite."""
    return float(cell) if cell else None


@contextmanager
def _missing_package_is_refused(name: str) -> Iterator[None]:
    try:
        yield
    except ImportError as error:
        raise RequestError(f"logger={name} needs the package {name}: pip install {name}, or choose logger=csv") from error


def _plot(axes: Any, rows: Sequence[Row], title: str, columns: Mapping[str, str], **style: Any) -> None:
    """One line per column, over steps; columns that were not logged are left out."""
    for column, label in columns.items():
        points = [(row["step"], row[column]) for row in rows if column in row]
        if points:
            axes.plot(*zip(*points, strict=True), label=label, marker="." if len(points) < 30 else None, linewidth=1, **style)
    axes.set_title(title, fontsize=9)
    axes.set_xlabel("step")
    if axes.lines:
        axes.legend(fontsize=7)


def _shown(sources: Sequence[str]) -> Sequence[str]:
    """The stems that have a line of their own: none of many, which tracks with stems of their own have."""
    return sources if len(sources) <= _MOST_STEMS else ()


def _plot_retrieval(axes: Any, rows: Sequence[Row], sources: Sequence[str]) -> None:
    _plot(
        axes,
        rows,
        "R@1 on held-out tracks, same instrument",
        {f"{_POOL}/R@1/{name}": name for name in sources} or {f"{_POOL}/R@1": "all stems"},
    )
    chance = next((row[f"{_POOL}/R@1 by chance"] for row in reversed(rows) if f"{_POOL}/R@1 by chance" in row), None)
    if chance:
        axes.axhline(chance, color="black", linestyle=":", linewidth=1, label="chance")
        axes.set_yscale("symlog", linthresh=chance)
        axes.set_ylim(0, 1)
        axes.legend(fontsize=7)
    else:
        axes.text(0.5, 0.5, "no held-out tracks", ha="center", transform=axes.transAxes)


def _plot_probes(axes: Any, rows: Sequence[Row], columns: Sequence[str]) -> None:
    """A line per task, and a dotted one in its colour for chance."""
    chance = " by chance"
    _plot(
        axes, rows, "labels of held-out tracks, probed", {name: name.removeprefix(_PROBE) for name in columns if not name.endswith(chance)}
    )
    for line in list(axes.lines):
        values = [row[column] for row in rows if (column := f"{_PROBE}{line.get_label()}{chance}") in row]
        if values:
            axes.axhline(values[-1], color=line.get_color(), linestyle=":", linewidth=1)


def _plot_learning_rate(axes: Any, rows: Sequence[Row]) -> None:
    _plot(axes, rows, "learning rate and gradient", {"lr": "learning rate"}, color="tab:blue")
    right_axes = axes.twinx()
    right_axes.grid(visible=False)
    _plot(right_axes, rows, "learning rate and gradient", {"gradient_norm": "norm of the gradient"}, color="tab:orange", alpha=0.6)
    if axes.lines:
        axes.legend(fontsize=7, loc="upper left")
        axes.ticklabel_format(axis="y", scilimits=(0, 0))
    if right_axes.lines:
        right_axes.legend(fontsize=7, loc="upper right")
