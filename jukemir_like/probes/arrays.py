"""Probes of arrays: what a notebook calls. :func:`probe` gives scores with intervals, :func:`compare` the difference of two; nothing is
written to disk.

The stage ``probe`` (:mod:`jukemir_like.probes.stage`) computes with the same functions: the same vectors, labels, splits, groups and
dataset name give the same values, predictions and intervals, to the bit.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from jukemir_like.core.errors import RequestError
from jukemir_like.datasets import TaskType
from jukemir_like.probes import intervals, tempo
from jukemir_like.probes.array_results import Bounds as Bounds
from jukemir_like.probes.array_results import ProbeComparison as ProbeComparison
from jukemir_like.probes.array_results import ProbeResult as ProbeResult
from jukemir_like.probes.fitting import FitOptions, fit, fit_baseline, one_thread
from jukemir_like.probes.fold_fitting import fit_baseline_folds, fit_folds
from jukemir_like.probes.folds import FoldedData
from jukemir_like.probes.inputs import read_inputs
from jukemir_like.probes.intervals import Comparison, resample_predictions
from jukemir_like.probes.protocols import Settings, check_settings
from jukemir_like.probes.selection import FittedProbe


def probe(
    X: Any,
    y: Any,
    *,
    split: Any = None,
    folds: Any = None,
    folds_seed: int = 0,
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
        split: ``train``, ``valid`` or ``test`` per item (or another usual word for these; missing: the item is left out). Protocol
            ``linear`` can do without ``valid``. None: assigned with the seed, 70/15/15 %, by group and stratified by class.
        folds: instead of ``split``: how many folds to draw, by group and stratified by class; or the fold of each item (numbers or names;
            missing: the item is left out). Each fold is tested once by a probe of the others, and the result is that of all their
            predictions together (:mod:`jukemir_like.probes.fold_metrics`).
        folds_seed: of folds that are drawn.
        groups: what must stay together per item, such as the artist. Splits and folds are assigned by them, and intervals resample them.
            None: every item by itself.
        task_type: ``multiclass``, ``key``, ``multilabel``, ``regression`` or ``tempo`` (never guessed). None: what the labels look like
            (:mod:`jukemir_like.probes.labels`); a note says which.
        protocol: ``linear`` (seconds, no random numbers), ``jukemir`` (grid of 216 points) or ``lineareval`` (one linear layer by Adam).
        seed: of the split that is assigned, and of protocols ``jukemir`` and ``lineareval``; the latter has 42, 43 and 44, each in a call
            of its own.
        label_names: the classes, tags or outputs in the order of the columns of ``scores``. Classes that are numbers from 0 may be named.
        recordings: for items of a key task that are clips: the recording of each, which then is scored.
        uid: a name per item. Resampling sorts items and groups by name; None: their order.
        shared_groups: accept groups with items in several splits or folds.
        dataset: name of the dataset; part of the seed of resampling.
        settings: of the protocol (:mod:`jukemir_like.probes.protocols`); None: its defaults.
        workers: processes of protocol ``jukemir``. Results do not depend on their number.
        device: ``cpu`` or ``cuda`` for protocols ``jukemir`` and ``lineareval``; None: a GPU where there is one.

    Raises:
        RequestError: lengths differ, a number is not finite, labels do not fit together or are all the same, a split is empty or has an
            undefined metric, a group has items in two splits or folds, there are fewer groups than folds.

    >>> X = np.random.default_rng(0).normal(size=(200, 8))
    >>> result = probe(X, np.where(X[:, 0] > 0, "loud", "soft"))
    >>> result.metric, result.value > 0.8, result.n
    ('accuracy', True, {'train': 140, 'valid': 30, 'test': 30})
    >>> low, high = result.interval
    >>> low <= result.value <= high
    True
    >>> result = probe(X, np.where(X[:, 0] > 0, "loud", "soft"), folds=5)
    >>> len(result.scores), list(result.folds), min(result.folds.values()) > 0.8
    (200, ['1', '2', '3', '4', '5'], True)
    """
    options = FitOptions(check_settings(protocol, settings), seed, workers, device)
    inputs = read_inputs(
        X,
        y,
        split=split,
        folds=folds,
        folds_seed=folds_seed,
        groups=groups,
        shared_groups=shared_groups,
        recordings=recordings,
        uid=uid,
        task_type=task_type,
        label_names=label_names,
        dataset=dataset,
        seed=seed,
    )
    data, by_fold = inputs.data, {}
    if isinstance(data, FoldedData):
        of_folds = fit_folds(data, options)
        fitted, trivial, n = of_folds.pooled, fit_baseline_folds(data).pooled, of_folds.n
        by_fold = {one["name"]: one["metrics"]["test"][data.task.primary_metric] for one in of_folds.folds}
    else:
        fitted, trivial = fit(data, options), fit_baseline(data)
        n = {name: len(of_split.y) for name, of_split in data.splits.items()}
    with one_thread():
        resampled = resample_predictions(data.task, dataset, [fitted.predictions["test"]])
        baseline = resample_predictions(data.task, dataset, [trivial.predictions["test"]])
    test = fitted.predictions["test"]
    y_true, y_pred = _labels(data.task.type, inputs.classes, fitted)
    return ProbeResult(
        task_type=data.task.type,
        metrics=resampled.intervals,
        baseline=baseline.intervals,
        classes=inputs.classes,
        n=n,
        groups=resampled.groups,
        protocol=protocol,
        seed=seed,
        hyperparameters=fitted.hyperparameters,
        aggregation=fitted.aggregation,
        indices=np.array([inputs.positions[name] for name in test.uid.tolist()]),
        y_true=y_true,
        y_pred=y_pred,
        scores=test.scores,
        notes=tuple(dict.fromkeys([*inputs.notes, *data.notes, *fitted.notes, *([resampled.few_groups] if resampled.few_groups else [])])),
        dataset=dataset,
        resampled=resampled,
        folds=by_fold,
        fold=test.fold,
    )


def compare(first: ProbeResult, second: ProbeResult) -> ProbeComparison:
    """The difference of two probes on the same test items, paired: both are scored on the same resamples.

    Raises:
        RequestError: their test items, labels, groups or folds differ.

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
    if not np.array_equal(a.fold, b.fold):  # type: ignore[arg-type]  # None equals None
        raise RequestError("the items were tested in different folds, or in none, in the two results: probe both in the same folds")
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
