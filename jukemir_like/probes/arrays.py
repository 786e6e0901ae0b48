"""Probes of arrays: what a notebook calls. :func:`probe` gives scores with intervals, :func:`compare` the difference of two; nothing is
written to disk.

The stage ``probe`` (:mod:`jukemir_like.probes.stage`) computes with the same functions: the same vectors, labels, splits, groups and
dataset name give the same values, predictions and intervals, to the bit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from jukemir_like.core.errors import RequestError
from jukemir_like.core.resampling import Difference, Interval
from jukemir_like.datasets import TaskType
from jukemir_like.probes import intervals, tempo
from jukemir_like.probes.fitting import FitOptions, fit, fit_baseline, one_thread
from jukemir_like.probes.inputs import read_inputs
from jukemir_like.probes.intervals import Comparison, ResampledMetrics, resample_predictions
from jukemir_like.probes.protocols import Settings, check_settings
from jukemir_like.probes.results import percent
from jukemir_like.probes.selection import FittedProbe

if TYPE_CHECKING:
    import pandas as pd  # type: ignore[import-untyped]

_ALIGNMENT = ("left", "right", "right")


class Bounds(NamedTuple):
    """The ends of an interval; fractions."""

    low: float
    high: float


@dataclass(frozen=True, eq=False, repr=False)
class ProbeResult:
    """What :func:`probe` computed. ``print`` shows it as a table, a notebook too.

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
        resampled: metrics in every resample, for :func:`compare`.
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
        items = f"{self.n['train']:,} train, {self.n['valid']:,} valid, {self.n['test']:,} test items ({self.groups:,} groups)"
        return f"{self.task_type}, protocol {self.protocol} ({chosen}): {items}"

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


def probe(
    X: Any,
    y: Any,
    *,
    split: Any = None,
    groups: Any = None,
    task_type: TaskType | None = None,
    protocol: str = "linear",
    seed: int = 0,
    label_names: Sequence[Any] | None = None,
    recordings: Any = None,
    uid: Any = None,
    shared_groups: bool = False,
    dataset: str = "",
    settings: Settings | None = None,
    workers: int = 1,
    device: str | None = None,
) -> ProbeResult:
    """How much of a label a simple model predicts from vectors: fitted on train, selected on validation, scored on test, with intervals.

    Args:
        X: (items, dimension) numbers: array, tensor or DataFrame. More than 1 GB (as float32) is read in chunks, a memory map from disk.
        y: one label per item: words or whole numbers (classes), names of keys, lists of tags, a boolean matrix (items, tags), numbers
            (items,) or (items, outputs), or the labels of a processed dataset. None, NaN and empty labels are missing: such items are
            left out and counted.
        split: ``train``, ``valid`` or ``test`` per item (or another usual word for these; missing: the item is left out). None:
            assigned with the seed, 70/15/15 %, by group and stratified by class.
        groups: what must stay together per item, such as the artist. The split is assigned by them, and intervals resample them. None:
            every item by itself.
        task_type: ``multiclass``, ``key``, ``multilabel``, ``regression`` or ``tempo`` (never guessed). None: what the labels look like
            (:mod:`jukemir_like.probes.labels`); a note says which.
        protocol: ``linear`` (seconds, no random numbers) or ``jukemir`` (grid of 216 points).
        seed: of the split that is assigned, and of protocol ``jukemir``.
        label_names: the classes, tags or outputs in the order of the columns of ``scores``. Classes that are numbers from 0 may be named.
        recordings: for items of a key task that are clips: the recording of each, which then is scored.
        uid: a name per item. Resampling sorts items and groups by name; None: their order.
        shared_groups: accept groups with items in several splits.
        dataset: name of the dataset; part of the seed of resampling.
        settings: of the protocol (:mod:`jukemir_like.probes.protocols`); None: its defaults.
        workers: processes of protocol ``jukemir``. Results do not depend on their number.
        device: ``cpu`` or ``cuda`` for protocol ``jukemir``; None: a GPU where there is one.

    Raises:
        RequestError: lengths differ, a number is not finite, labels do not fit together or are all the same, a split is empty or has an
            undefined metric, a group has items in two splits.

    >>> X = np.random.default_rng(0).normal(size=(200, 8))
    >>> result = probe(X, np.where(X[:, 0] > 0, "loud", "soft"))
    >>> result.metric, result.value > 0.8, result.n
    ('accuracy', True, {'train': 140, 'valid': 30, 'test': 30})
    >>> low, high = result.interval
    >>> low <= result.value <= high
    True
    """
    options = FitOptions(check_settings(protocol, settings), seed, workers, device)
    inputs = read_inputs(
        X,
        y,
        split=split,
        groups=groups,
        shared_groups=shared_groups,
        recordings=recordings,
        uid=uid,
        task_type=task_type,
        label_names=label_names,
        dataset=dataset,
        seed=seed,
    )
    data = inputs.data
    with one_thread():
        fitted = fit(data, options)
        resampled = resample_predictions(data.task, dataset, [fitted.predictions["test"]])
        baseline = resample_predictions(data.task, dataset, [fit_baseline(data).predictions["test"]])
    test = fitted.predictions["test"]
    y_true, y_pred = _labels(data.task.type, inputs.classes, fitted)
    return ProbeResult(
        task_type=data.task.type,
        metrics=resampled.intervals,
        baseline=baseline.intervals,
        classes=inputs.classes,
        n={name: len(of_split.y) for name, of_split in data.splits.items()},
        groups=resampled.groups,
        protocol=protocol,
        seed=seed,
        hyperparameters=fitted.hyperparameters,
        aggregation=fitted.aggregation,
        indices=np.array([inputs.positions[name] for name in test.uid.tolist()]),
        y_true=y_true,
        y_pred=y_pred,
        scores=test.scores,
        notes=inputs.notes,
        dataset=dataset,
        resampled=resampled,
    )


def compare(first: ProbeResult, second: ProbeResult) -> ProbeComparison:
    """The difference of two probes on the same test items, paired: both are scored on the same resamples.

    Raises:
        RequestError: their test items, labels or groups differ.

    >>> X = np.random.default_rng(0).normal(size=(200, 8))
    >>> y = np.where(X[:, 0] > 0, "loud", "soft")
    >>> difference = compare(probe(X, y), probe(X[:, 1:], y))
    >>> difference.value > 0.2, difference.p < 0.05
    (True, True)
    """
    a, b = first.resampled, second.resampled
    if first.task_type != second.task_type or a.task.labels != b.task.labels:
        raise RequestError("the results are of different tasks: probe the same labels, with the same task_type and label_names")
    if first.dataset != second.dataset:
        raise RequestError(f"the results are of different datasets, {first.dataset!r} and {second.dataset!r}")
    if not np.array_equal(a.uid, b.uid):
        common = len(np.intersect1d(a.uid, b.uid))
        raise RequestError(
            f"the results are of different test items ({len(a.uid):,} and {len(b.uid):,}, {common:,} in common): probe the same split"
        )
    for name in ("y", "group"):
        if not np.array_equal(getattr(a, name), getattr(b, name)):
            raise RequestError(f"the test items have different {'labels' if name == 'y' else 'groups'} in the two results")
    with one_thread():
        comparison: Comparison = intervals.compare(a, b)
    return ProbeComparison(comparison.differences, comparison.n, comparison.groups)


def _labels(task_type: TaskType, classes: tuple[Any, ...], fitted: FittedProbe) -> tuple[np.ndarray, np.ndarray]:
    """True and predicted labels of the test items, as they were given."""
    test = fitted.predictions["test"]
    if task_type == "multilabel":
        return test.y, test.scores > 0
    if task_type == "regression":
        return test.y, test.scores
    if task_type == "tempo":
        return test.y, tempo.estimates(test.scores, tuple(map(str, classes)))
    names = np.array(classes) if len({type(name) for name in classes}) == 1 else np.array(classes, object)
    return names[test.y], names[test.scores.argmax(1)]


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
