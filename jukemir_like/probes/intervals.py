"""Intervals and paired comparisons of probes' test metrics, by bootstrap over groups.

What is resampled
-----------------
- Groups (artists, tracks), with replacement, as many as there are: all items of a sampled group are taken, and a group sampled twice counts
  twice. Songs of one artist are alike, and resampling songs one by one would give intervals that are too narrow.
- With several seeds, in each resample also the seeds, with replacement; every sampled seed is scored on the same sampled groups and the
  mean is taken. The interval so covers both which songs were in the test set and which seed the probe was given (two-way bootstrap of Owen,
  "The pigeonhole bootstrap", Ann. Appl. Stat. 2007: a little too wide rather than too narrow).
- Resamples depend on :data:`~jukemir_like.core.resampling.SEED`, the dataset's name and the sorted names of the groups, on nothing else. So
  two representations get the same resamples, which makes their comparison paired, and the same runs always give the same intervals.

What is reported
----------------
- 95 % intervals whose width comes from the resamples and whose shape from the scale of the metric (:mod:`jukemir_like.core.resampling` says
  how): fractions such as accuracy near 100 % have room below and none above, and 13 of 13 right is [82.7, 100], not [100, 100].
- How often they hold the truth is simulated by ``python -m bench coverage`` (docs/benchmarks.md). In short: accuracy of single items
  95 % on average over rates, at any number of items; of groups of alike items 95 % and more on average, rather too wide than too narrow.
  ROC-AUC and R² 93 % and more. Macro F1 and average precision of 20 items 83 to 94 %: classes and tags of which there are one or two items
  are missing from the test set, or are scored by their one positive, and no interval knows that.
- A difference is that of the same metric in the same resample, so what both find hard cancels out. Its two-sided p is that of the
  interval: below 0.05 where 0 lies outside. It is of one comparison; :func:`~jukemir_like.core.resampling.holm` corrects many.
- A resample in which the metric is undefined (no positive of any tag, a constant target) is left out and counted. There is no
  interval where fewer than half of the resamples remain, or where there are fewer than two groups.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from jukemir_like.core.errors import RequestError
from jukemir_like.core.resampling import (
    RESAMPLES,
    SEED,
    Array,
    Difference,
    Interval,
    Scale,
    difference,
    effective_groups,
    few_groups,
    few_positives,
    interval,
    resample_groups,
)
from jukemir_like.datasets import Task
from jukemir_like.probes.fold_metrics import evaluate_predictions
from jukemir_like.probes.runs import Run
from jukemir_like.probes.tasks import Predictions


@dataclass(frozen=True)
class ResampledMetrics:
    """The metrics of one representation on one task, of one or several seeds, in every resample.

    Args:
        task: what is probed.
        dataset: its name is part of the seed of resampling.
        predictions: one per seed, all of the same scored items, sorted by uid.
        by_seed: metric → value of each seed, shape (seeds,); the primary metric first.
        samples: metric → value in each resample, shape (resamples,); NaN where undefined.
        seed: of resampling.
        name: of the predictions, for messages.
        runs: that the predictions were read from, sorted by seed; empty where they were not.
    """

    task: Task
    dataset: str
    predictions: tuple[Predictions, ...]
    by_seed: dict[str, Array]
    samples: dict[str, Array]
    seed: int
    name: str
    runs: tuple[Run, ...] = ()

    @property
    def uid(self) -> np.ndarray:
        """Of the scored items, sorted."""
        return self.predictions[0].uid

    @property
    def group(self) -> np.ndarray:
        """Of the scored items."""
        return self.predictions[0].group

    @property
    def y(self) -> np.ndarray:
        """Labels of the scored items, as in ``predictions.npz``."""
        return self.predictions[0].y

    @property
    def fold(self) -> np.ndarray | None:
        """Whose probe scored each item; None where one probe scored all."""
        return self.predictions[0].fold

    @cached_property
    def groups(self) -> int:
        """Number of groups among the scored items."""
        return len(np.unique(self.group))

    @cached_property
    def effective_groups(self) -> float:
        """How many groups of equal size would be worth as much."""
        return effective_groups(self.group)

    @property
    def few_groups(self) -> str | None:
        """A line for the reader if the scored items are of fewer than ten groups."""
        return few_groups(self.groups, self.effective_groups)

    def units(self, metric: str) -> float | None:
        """Of a ranking: how many groups have the rarer label of a tag (positive or negative), summed over tags. Of other metrics None."""
        return self._rare if scale(metric) == "ranking" else None

    def inflation(self, metric: str) -> float:
        """Of the variance of a difference: average precision hangs on the positives of each tag, of which there may be few."""
        return few_positives(self._of_labels[0]) if metric == "average_precision" else 1.0

    @cached_property
    def _rare(self) -> float | None:
        return float(np.minimum(*self._of_labels).sum()) or None

    @cached_property
    def _of_labels(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """How many groups have a positive, and a negative, of each tag."""
        order = np.argsort(self.group)
        _, first, size = np.unique(self.group[order], return_index=True, return_counts=True)
        positives = np.add.reduceat(self.y[order], first, axis=0, dtype=np.int64)  # (groups, tags)
        return (positives > 0).sum(0), (positives < size[:, None]).sum(0)

    @cached_property
    def intervals(self) -> dict[str, Interval]:
        """Metric → mean over seeds with its interval."""
        return {
            metric: interval(
                float(values.mean()), self.samples[metric], self.effective_groups, scale=scale(metric), units=self.units(metric)
            )
            for metric, values in self.by_seed.items()
        }

    @property
    def bounds(self) -> dict[str, tuple[float, float]]:
        """Metric → (low, high); metrics without an interval are left out."""
        return {metric: (one.low, one.high) for metric, one in self.intervals.items() if one.low is not None and one.high is not None}

    def spread(self, metric: str) -> float | None:
        """Standard deviation over seeds (n - 1 in the denominator); None for one seed, and where the seed decides nothing."""
        values = self.by_seed[metric]
        return float(values.std(ddof=1)) if len(values) > 1 and all(run.draws for run in self.runs) else None


@dataclass(frozen=True)
class Comparison:
    """Two representations on the items that both have.

    Args:
        differences: by metric, the primary one first.
        n, groups: number of common scored items, and of groups among them.
        only_first, only_second: number of scored items that the other lacks.
    """

    differences: dict[str, Difference]
    n: int
    groups: int
    only_first: int
    only_second: int


def scale(metric: str) -> Scale:
    """What kind of number a metric of :mod:`~jukemir_like.probes.metrics` is, which decides about its interval.

    >>> scale("accuracy"), scale("roc_auc"), scale("r2_arousal")
    ('fraction', 'ranking', 'r2')
    """
    if metric in ("roc_auc", "average_precision"):
        return "ranking"
    return "r2" if metric == "r2" or metric.startswith("r2_") else "fraction"


def resample_predictions(
    task: Task, dataset: str, predictions: Sequence[Predictions], *, name: str = "", resamples: int = RESAMPLES, seed: int = SEED
) -> ResampledMetrics:
    """Scores predictions on all their items, and on resamples of their groups.

    Args:
        task: what is probed.
        dataset: name; part of the seed.
        predictions: at least one; several are those of probes that differ only in their seed.
        name: of the predictions, for messages.
        resamples: how many.
        seed: of resampling.

    Raises:
        RequestError: there are no items, or the predictions are not of the same items.
    """
    if not len(predictions[0].uid):
        raise RequestError(f"{name} has no items to score: probe again")
    sorted_predictions = [_sorted_by_uid(one) for one in predictions]
    first = sorted_predictions[0]
    for other in sorted_predictions[1:]:
        if not all(np.array_equal(getattr(first, array), getattr(other, array)) for array in ("uid", "group", "y", "fold")):
            raise RequestError(f"{name}: the seeds scored different items: probe all seeds again")
    observed = [evaluate_predictions(task, one) for one in sorted_predictions]
    blocks = [
        [evaluate_predictions(task, one, weights) for one in sorted_predictions]
        for weights in resample_groups(first.group, resamples, [seed, zlib.crc32(dataset.encode(errors="surrogateescape"))])
    ]
    sampled_seeds = _sample_seeds(len(predictions), resamples, seed)
    samples = {}
    for metric in observed[0]:
        values = np.concatenate([[one[metric] for one in block] for block in blocks], axis=1)  # (seeds, resamples)
        samples[metric] = values[sampled_seeds, np.arange(resamples)].mean(0)
    by_seed = {metric: np.array([float(one[metric]) for one in observed]) for metric in observed[0]}
    return ResampledMetrics(task, dataset, tuple(sorted_predictions), by_seed, samples, seed, name)


def resample_runs(runs: Sequence[Run], *, split: str = "test", resamples: int = RESAMPLES, seed: int = SEED) -> ResampledMetrics:
    """:func:`resample_predictions` for runs that differ in nothing but their seed.

    Args:
        runs: at least one; of the same dataset, task, representation and protocol.
        split: ``test`` or ``valid``.
        resamples: how many.
        seed: of resampling.

    Raises:
        RequestError: the runs scored different items, there are none, or their predictions cannot be read.
    """
    runs = sorted(runs, key=lambda run: run.seed)
    first = runs[0]
    for run in runs[1:]:
        if run.task != first.task:
            raise RequestError(f"{first.folder} and {run.folder} scored different items: probe all seeds again")
    predictions = [run.predictions(split) for run in runs]
    resampled = resample_predictions(first.task, first.dataset, predictions, name=str(first.folder), resamples=resamples, seed=seed)
    return replace(resampled, runs=tuple(runs))


def compare(first: ResampledMetrics, second: ResampledMetrics) -> Comparison:
    """The paired difference of every metric, first minus second, on the scored items that both have.

    Raises:
        RequestError: no common items, or their labels or groups differ (the dataset was processed again between the runs).
    """
    common, in_first, in_second = np.intersect1d(first.uid, second.uid, assume_unique=True, return_indices=True)
    names = f"{first.name} and {second.name}"
    if not len(common):
        raise RequestError(f"{names} have no scored item in common: probe both again")
    same = (np.array_equal(getattr(first, array)[in_first], getattr(second, array)[in_second]) for array in ("y", "group"))
    if first.task != second.task or not all(same):
        raise RequestError(f"{names} were scored against different labels or groups: probe both again")
    folds = [None if one.fold is None else one.fold[rows] for one, rows in ((first, in_first), (second, in_second))]
    if not np.array_equal(*folds):  # type: ignore[arg-type]  # None equals None
        raise RequestError(f"{names} were tested in different folds, which are not paired: probe both in the same folds")
    a, b = _restrict(first, in_first), _restrict(second, in_second)
    differences = {
        metric: difference(
            float(a.by_seed[metric].mean() - b.by_seed[metric].mean()),
            a.samples[metric] - b.samples[metric],
            a.effective_groups,
            scale=scale(metric),
            units=a.units(metric),
            items=len(common),
            inflation=a.inflation(metric),
        )
        for metric in a.by_seed
        if metric in b.by_seed
    }
    return Comparison(differences, len(common), a.groups, len(first.uid) - len(common), len(second.uid) - len(common))


def _restrict(resampled: ResampledMetrics, rows: NDArray[np.int64]) -> ResampledMetrics:
    """The same predictions on fewer items, with as many resamples from the same seed."""
    if len(resampled.uid) == len(rows):
        return resampled
    predictions = [one.take(rows) for one in resampled.predictions]
    resamples = len(next(iter(resampled.samples.values())))
    return resample_predictions(
        resampled.task, resampled.dataset, predictions, name=resampled.name, resamples=resamples, seed=resampled.seed
    )


def _sorted_by_uid(predictions: Predictions) -> Predictions:
    return predictions.take(np.argsort(predictions.uid, kind="stable"))


def _sample_seeds(seeds: int, resamples: int, seed: int) -> NDArray[np.int64]:
    """Which seeds a resample takes: shape (seeds, resamples). From a stream of its own, so that the sampled groups do not depend on it."""
    return np.random.default_rng([seed, 1, 1]).integers(seeds, size=(seeds, resamples))
