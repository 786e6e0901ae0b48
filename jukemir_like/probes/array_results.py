"""What probes of arrays computed (:mod:`jukemir_like.probes.arrays`), and the difference of two, as values and as tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from jukemir_like.core.resampling import Difference, Interval
from jukemir_like.datasets import TaskType
from jukemir_like.probes.intervals import ResampledMetrics
from jukemir_like.probes.results import percent

if TYPE_CHECKING:
    import pandas as pd  # type: ignore[import-untyped]

_ALIGNMENT = ("left", "right", "right")


class Bounds(NamedTuple):
    """The ends of an interval; fractions."""

    low: float
    high: float


@dataclass(frozen=True, eq=False, repr=False)
class ProbeResult:
    """What :func:`~jukemir_like.probes.arrays.probe` computed. ``print`` shows it as a table, a notebook too.

    Args:
        task_type: multiclass, key, multilabel, regression or tempo.
        metrics: name → value on test with its 95 % interval; the primary metric first. Fractions, not percent.
        baseline: the same of the trivial baseline (:func:`jukemir_like.probes.fitting.fit_baseline`) on the same items.
        classes: the classes as they were given, the tags, or the names of the outputs; the order of the columns of ``scores``.
        n: split → number of items.
        groups: number of groups among the test items.
        protocol, seed: how it was fitted.
        hyperparameters: selected on validation: ``strength`` for protocol ``linear``, a point of the grid for ``jukemir``.
        aggregation: rule from clips to songs; None where items are scored.
        indices: (test items,) their positions in ``X``; of songs, those of their first clips.
        y_true: (test items,) classes, or (test items, columns) of truth values or numbers.
        y_pred: the predictions, of the same shape. Tags are predicted where their score is above 0.
        scores: float32 (test items, columns): logits, or predicted numbers. -inf for a class that no train item has.
        notes: everything that was guessed or left out, one line each.
        dataset: name; part of the seed of resampling.
        resampled: metrics in every resample, for :func:`~jukemir_like.probes.arrays.compare`.
        folds: fold → the primary metric on its items, None where it is undefined there; empty where there are no folds. With folds, every
            item is a test item, ``n["train"]`` is the number of train items of the fold that has the fewest, and ``hyperparameters``
            are those that all folds share.
        fold: (test items,) the fold of each; None where there are no folds.
    """

    task_type: TaskType
    metrics: dict[str, Interval]
    baseline: dict[str, Interval]
    classes: tuple[Any, ...]
    n: dict[str, int]
    groups: int
    protocol: str
    seed: int
    hyperparameters: dict[str, Any]
    aggregation: str | None
    indices: NDArray[np.int64]
    y_true: np.ndarray
    y_pred: np.ndarray
    scores: NDArray[np.float32]
    notes: tuple[str, ...]
    dataset: str
    resampled: ResampledMetrics = field(repr=False)
    folds: dict[str, float | None] = field(default_factory=dict)
    fold: NDArray[np.str_] | None = None

    @property
    def metric(self) -> str:
        """Name of the primary metric."""
        return next(iter(self.metrics))

    @property
    def value(self) -> float:
        """The primary metric on test."""
        return self.metrics[self.metric].value

    @property
    def interval(self) -> Bounds | None:
        """The 95 % interval (low, high) of :attr:`value`; None where there is none (fewer than two groups)."""
        return _bounds(self.metrics[self.metric])

    def table(self) -> str:
        """A table of all metrics with intervals and the baseline, followed by the notes."""
        from tabulate import tabulate

        table = tabulate(self._rows(), self._header(), colalign=_ALIGNMENT, disable_numparse=True)
        return "\n".join([self._title(), table, *(f"note: {note}" for note in self.notes)])

    def to_pandas(self) -> pd.DataFrame:
        """The predictions of the test items as a DataFrame: index in ``X``, true and predicted label (one column per tag or output)."""
        import pandas as pd

        if self.y_true.ndim == 1:
            columns = {"index": self.indices, "true": self.y_true, "predicted": self.y_pred}
        else:
            columns = {"index": self.indices}
            for i, name in enumerate(self.classes):
                columns |= {f"true {name}": self.y_true[:, i], f"predicted {name}": self.y_pred[:, i]}
        return pd.DataFrame(columns).set_index("index")

    def _title(self) -> str:
        chosen = ", ".join(f"{name} {value:g}" if isinstance(value, float) else f"{name} {value}" for name, value in self._selected())
        chosen = f" ({chosen})" if chosen else ""
        if self.folds:
            items = f"{len(self.folds)} folds of {self.n['test']:,} items ({self.groups:,} groups), each tested once"
        else:
            items = f"{self.n['train']:,} train, {self.n.get('valid', 0):,} valid, {self.n['test']:,} test items ({self.groups:,} groups)"
        return f"{self.task_type}, protocol {self.protocol}{chosen}: {items}"

    def _selected(self) -> list[tuple[str, Any]]:
        return [*self.hyperparameters.items(), *([("aggregation", self.aggregation)] if self.aggregation else [])]

    def _header(self) -> tuple[str, ...]:
        return ("metric", "test, % [95 % interval]", "trivial, %")

    def _rows(self) -> list[tuple[str, ...]]:
        return [(name, _percent(interval), _percent(self.baseline[name])) for name, interval in self.metrics.items()]

    def _repr_html_(self) -> str:
        return _html(self._title(), self._header(), self._rows(), self.notes)

    def __str__(self) -> str:
        return self.table()

    def __repr__(self) -> str:
        return f"ProbeResult({self.task_type}, {self.metric} {_percent(self.metrics[self.metric])} %, {len(self.indices):,} test items)"


@dataclass(frozen=True, eq=False, repr=False)
class ProbeComparison:
    """The paired difference of two probes, first minus second. ``print`` shows it as a table, a notebook too.

    Args:
        differences: metric → difference with its 95 % interval and two-sided p; the primary metric first. Fractions, not percent.
        n, groups: number of test items, and of groups among them.
    """

    differences: dict[str, Difference]
    n: int
    groups: int

    @property
    def metric(self) -> str:
        """Name of the primary metric."""
        return next(iter(self.differences))

    @property
    def value(self) -> float:
        """The difference of the primary metric."""
        return self.differences[self.metric].interval.value

    @property
    def interval(self) -> Bounds | None:
        """The 95 % interval (low, high) of :attr:`value`; None where there is none (fewer than two groups)."""
        return _bounds(self.differences[self.metric].interval)

    @property
    def p(self) -> float | None:
        """Two-sided p of the primary metric's difference; below 0.05 where the interval excludes 0. None where there is no interval."""
        return self.differences[self.metric].p

    def table(self) -> str:
        """A table of all metrics."""
        from tabulate import tabulate

        return f"{self._title()}\n{tabulate(self._rows(), self._header(), colalign=_ALIGNMENT, disable_numparse=True)}"

    def _title(self) -> str:
        return f"first minus second, paired on {self.n:,} test items ({self.groups:,} groups)"

    def _header(self) -> tuple[str, ...]:
        return ("metric", "difference, % [95 % interval]", "p")

    def _rows(self) -> list[tuple[str, ...]]:
        return [(name, _percent(one.interval), "" if one.p is None else f"{one.p:.2g}") for name, one in self.differences.items()]

    def _repr_html_(self) -> str:
        return _html(self._title(), self._header(), self._rows(), ())

    def __str__(self) -> str:
        return self.table()

    def __repr__(self) -> str:
        return f"ProbeComparison({self.metric} {_percent(self.differences[self.metric].interval)} %, {self.n:,} test items)"


def _bounds(interval: Interval) -> Bounds | None:
    return None if interval.low is None or interval.high is None else Bounds(interval.low, interval.high)


def _percent(interval: Interval) -> str:
    return percent(interval.value, interval.low, interval.high)


def _html(title: str, header: Sequence[str], rows: Sequence[Sequence[str]], notes: Sequence[str]) -> str:
    """A table for notebooks."""
    head = "".join(f"<th>{escape(cell)}</th>" for cell in header)
    body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    lines = "".join(f"<br>note: {escape(note)}" for note in notes)
    return f"<p>{escape(title)}{lines}</p><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
