"""Runs of a probe, resampled: the metrics of one representation in every resample, and what two representations differ by."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from jukemir_like.core.errors import RequestError
from jukemir_like.core.resampling import RESAMPLES, SEED, Array, Difference, Interval, difference, interval, resample_groups
from jukemir_like.probes import metrics
from jukemir_like.probes.results import Predictions, Run


@dataclass(frozen=True)
class Resampled:
    """One representation's predictions for one task, of one or several seeds, with its metrics in every resample.

    Args:
        runs: one a seed, sorted by seed.
        split: which split of them.
        uid, group, y: of the scored units, sorted by uid; as in ``predictions.npz``.
        by_seed: metric → value of each run, shape (seeds,); the primary metric first.
        samples: metric → value in each resample, shape (resamples,); NaN where undefined.
        seed: of the draws.
    """

    runs: tuple[Run, ...]
    split: str
    uid: np.ndarray
    group: np.ndarray
    y: np.ndarray
    by_seed: dict[str, Array]
    samples: dict[str, Array]
    seed: int

    @cached_property
    def groups(self) -> int:
        """Number of groups among the scored units."""
        return len(np.unique(self.group))

    @cached_property
    def intervals(self) -> dict[str, Interval]:
        """Metric → mean over seeds with its interval."""
        return {metric: interval(float(values.mean()), self.samples[metric], self.groups) for metric, values in self.by_seed.items()}

    @property
    def ends(self) -> dict[str, tuple[float, float]]:
        """Metric → (low, high); metrics without an interval are left out."""
        found = self.intervals.items()
        return {metric: (one.low, one.high) for metric, one in found if one.low is not None and one.high is not None}

    def spread(self, metric: str) -> float | None:
        """Standard deviation over seeds (n - 1 in the denominator); None for one seed."""
        values = self.by_seed[metric]
        return float(values.std(ddof=1)) if len(values) > 1 else None


@dataclass(frozen=True)
class Comparison:
    """Two representations on the items that both have.

    Args:
        differences: by metric, the primary one first.
        n, groups: number of common scored units, and of groups among them.
        only_first, only_second: scored units that the other lacks.
    """

    differences: dict[str, Difference]
    n: int
    groups: int
    only_first: int
    only_second: int


def resample(
    runs: Sequence[Run], *, split: str = "test", uids: np.ndarray | None = None, resamples: int = RESAMPLES, seed: int = SEED
) -> Resampled:
    """Scores runs that differ in nothing but their seed, on all scored units of ``split`` and on ``resamples`` resamples of them.

    Args:
        runs: at least one; of the same dataset, task, representation and protocol.
        split: ``test`` or ``valid``.
        uids: only these scored units; None for all.
        resamples: how many.
        seed: of the draws.

    Raises:
        RequestError: the runs scored different items, there are none, or their predictions cannot be read.
    """
    runs = sorted(runs, key=lambda run: run.seed)
    scored = [_sorted(run.predictions(split), uids) for run in runs]
    _check_same_items(runs, scored, split)
    task, first = runs[0].task, scored[0]
    observed = [metrics.evaluate_resamples(task, one.y, one.scores) for one in scored]
    blocks = [
        [metrics.evaluate_resamples(task, one.y, one.scores, weights) for one in scored]
        for weights in resample_groups(first.group, resamples, [seed, zlib.crc32(runs[0].dataset.encode(errors="surrogateescape"))])
    ]
    of_seeds = _draw_seeds(len(runs), resamples, seed)
    samples = {}
    for metric in observed[0]:
        values = np.concatenate([[one[metric] for one in block] for block in blocks], axis=1)  # (seeds, resamples)
        samples[metric] = values[of_seeds, np.arange(resamples)].mean(0)
    by_seed = {metric: np.array([float(one[metric]) for one in observed]) for metric in observed[0]}
    return Resampled(tuple(runs), split, first.uid, first.group, first.y, by_seed, samples, seed)


def compare(first: Resampled, second: Resampled) -> Comparison:
    """The paired difference of every metric, first minus second, on the scored units that both have.

    Raises:
        RequestError: no common units, or their labels or groups differ (the dataset was made again between the runs).
    """
    common, in_first, in_second = np.intersect1d(first.uid, second.uid, assume_unique=True, return_indices=True)
    names = f"{first.runs[0].folder} and {second.runs[0].folder}"
    if not len(common):
        raise RequestError(f"{names} have no scored item in common: probe both again")
    same = (np.array_equal(getattr(first, name)[in_first], getattr(second, name)[in_second]) for name in ("y", "group"))
    if first.runs[0].task != second.runs[0].task or not all(same):
        raise RequestError(f"{names} were scored against different labels or groups: probe both again")
    a, b = _restricted(first, common), _restricted(second, common)
    differences = {
        metric: difference(float(a.by_seed[metric].mean() - b.by_seed[metric].mean()), a.samples[metric] - b.samples[metric], a.groups)
        for metric in a.by_seed
        if metric in b.by_seed
    }
    return Comparison(differences, len(common), a.groups, len(first.uid) - len(common), len(second.uid) - len(common))


def intervals(run: Run, *, split: str = "test", resamples: int = RESAMPLES, seed: int = SEED) -> dict[str, tuple[float, float]]:
    """Metric → (low, high) of one run; metrics without an interval are left out."""
    return resample([run], split=split, resamples=resamples, seed=seed).ends


def _restricted(whole: Resampled, uids: np.ndarray) -> Resampled:
    """The same runs on fewer scored units, with as many resamples from the same seed."""
    if len(whole.uid) == len(uids):
        return whole
    resamples = len(next(iter(whole.samples.values())))
    return resample(whole.runs, split=whole.split, uids=uids, resamples=resamples, seed=whole.seed)


def _check_same_items(runs: Sequence[Run], scored: Sequence[Predictions], split: str) -> None:
    first = scored[0]
    if not len(first.uid):
        raise RequestError(f"{runs[0].folder} has no {split} items to score: probe again")
    for run, other in zip(runs, scored, strict=True):
        same_task = run.task == runs[0].task
        if not same_task or not all(np.array_equal(getattr(first, name), getattr(other, name)) for name in ("uid", "group", "y")):
            raise RequestError(f"{runs[0].folder} and {run.folder} scored different items: probe all seeds again")


def _sorted(predictions: Predictions, uids: np.ndarray | None) -> Predictions:
    """By uid, and only ``uids`` where given."""
    order = np.argsort(predictions.uid, kind="stable")
    if uids is not None:
        order = order[np.isin(predictions.uid[order], uids)]
    return Predictions(predictions.uid[order], predictions.group[order], predictions.y[order], predictions.scores[order])


def _draw_seeds(seeds: int, resamples: int, seed: int) -> NDArray[np.int64]:
    """Which runs a resample takes: shape (seeds, resamples). From a stream of its own, so that the groups drawn do not depend on it."""
    return np.random.default_rng([seed, 1, 1]).integers(seeds, size=(seeds, resamples))
