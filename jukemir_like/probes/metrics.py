"""Metrics of the four kinds of task, each for a split as it is or for many resamples of it at once.

Conventions
-----------
- ``y`` and ``scores`` are those of ``predictions.npz``: one row a scored unit, one column a label; fractions, not percent.
- ``weights`` are multiplicities: a metric with weights equals the metric on rows repeated that often. Shape (n,) gives one value,
  (resamples, n) gives one a resample; None is all ones.
- A class is predicted by the largest score, the first of equals. Equal scores of a tag are one threshold, as in scikit-learn.
- What is undefined is NaN: ROC-AUC of a tag without a positive or without a negative, average precision of a tag without a positive,
  R² of a constant target. Macro values leave such tags out; :func:`undefined` counts them. A resample may make more of them.

Metrics
-------
- multiclass: ``accuracy``; ``macro_f1``, the mean over the classes that occur in labels or predictions
- multilabel: ``roc_auc`` and ``average_precision``, means over tags
- regression: ``r2``, the mean over targets, and ``r2_<label>`` of each (only ``r2`` where there is but one)
- key: ``weighted_score``, as MIREX rates key finding, and ``accuracy``
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from jukemir_like.core.errors import RequestError
from jukemir_like.datasets import KEYS, Task
from jukemir_like.probes.ranking import rank_tags

Array = NDArray[np.float64]


def validate(task: Task, y: np.ndarray, scores: np.ndarray, weights: np.ndarray | None = None) -> None:
    """Checks that shapes and types fit the task; a ValueError says what does not (a bug in the caller, not the user's error)."""
    classes = task.type in ("multiclass", "key")
    shape = (len(y),) if classes else (len(y), len(task.labels))
    if y.shape != shape or (classes and y.dtype.kind not in "iu") or (task.type == "multilabel" and y.dtype != bool):
        raise ValueError(f"labels of a {task.type} task cannot be {y.dtype} of shape {y.shape}")
    if scores.shape != (len(y), len(task.labels)):
        raise ValueError(f"scores have shape {scores.shape}, not {(len(y), len(task.labels))}")
    if np.isnan(scores).any():
        raise ValueError("a score is not a number")
    if weights is not None and (weights.ndim not in (1, 2) or weights.shape[-1] != len(y)):
        raise ValueError(f"weights have shape {weights.shape} for {len(y)} rows")


def accuracy(y: np.ndarray, scores: np.ndarray, weights: np.ndarray | None = None) -> Array:
    """Fraction of rows whose largest score is at the label. ``y`` (n,) int, ``scores`` (n, classes); 0 to 1."""
    return _mean((scores.argmax(1) == y).astype(np.float64), weights)


def macro_f1(y: np.ndarray, scores: np.ndarray, weights: np.ndarray | None = None) -> Array:
    """Mean F1 over the classes that occur in labels or predictions. ``y`` (n,) int, ``scores`` (n, classes); 0 to 1."""
    w = _weights(weights, len(y))
    classes = np.arange(scores.shape[1])
    labelled, predicted = y[:, None] == classes, scores.argmax(1)[:, None] == classes
    hits, sizes = w @ (labelled & predicted), w @ labelled + w @ predicted
    with np.errstate(invalid="ignore"):
        return _mean_of_defined(2 * hits / sizes)


def key_table(labels: tuple[str, ...] = KEYS) -> Array:
    """MIREX credit of every estimate for every reference: ``table[reference, estimate]``, for the keys ``labels``.

    ==== =============================================================================
    1    the same key
    .5   same mode, the estimate a perfect fifth above the reference
    .3   relative: C major and A minor
    .2   parallel: C major and C minor
    0    anything else
    ==== =============================================================================

    The rule of mir_eval 0.8.2 (Raffel et al., ISMIR 2014); later versions may also credit a fifth below.

    Raises:
        RequestError: a label is none of :data:`jukemir_like.datasets.KEYS`.
    """
    table = np.zeros((24, 24))
    for reference in range(24):
        tonic, minor = reference % 12, reference // 12
        table[reference, 12 * (1 - minor) + tonic] = 0.2
        table[reference, 12 * (1 - minor) + (tonic + (3 if minor else 9)) % 12] = 0.3
        table[reference, 12 * minor + (tonic + 7) % 12] = 0.5
        table[reference, reference] = 1.0
    unknown = [label for label in labels if label not in KEYS]
    if unknown:
        raise RequestError(f"{unknown[0]!r} is no key: keys are named {KEYS[0]!r}, {KEYS[1]!r}, … {KEYS[-1]!r}")
    index = [KEYS.index(label) for label in labels]
    return table[np.ix_(index, index)]


def weighted_score(y: np.ndarray, scores: np.ndarray, weights: np.ndarray | None = None, labels: tuple[str, ...] = KEYS) -> Array:
    """Mean MIREX credit (:func:`key_table`) of the key with the largest score. ``y`` (n,) int, ``scores`` (n, keys); 0 to 1."""
    return _mean(key_table(labels)[y, scores.argmax(1)], weights)


def roc_auc(y: np.ndarray, scores: np.ndarray, weights: np.ndarray | None = None) -> Array:
    """Area under the ROC curve, the mean over tags with both a positive and a negative. ``y`` (n, tags) bool; 0 to 1."""
    return _mean_of_defined(rank_tags(y, scores, weights)[0])


def average_precision(y: np.ndarray, scores: np.ndarray, weights: np.ndarray | None = None) -> Array:
    """Average precision (no interpolation), the mean over tags with a positive. ``y`` (n, tags) bool; 0 to 1."""
    return _mean_of_defined(rank_tags(y, scores, weights)[1])


def r2_each(y: np.ndarray, values: np.ndarray, weights: np.ndarray | None = None) -> Array:
    """Coefficient of determination of every target. ``y`` and ``values`` (n, targets); result (…, targets), at most 1."""
    w = _weights(weights, len(y))
    # Centred first, so that Σw(y - ȳ)² = Σwy² - (Σwy)²/Σw loses no digits.
    y = y.astype(np.float64)
    centred = y - y.mean(0)
    residual = w @ (y - values) ** 2
    with np.errstate(invalid="ignore", divide="ignore"):
        total = w @ centred**2 - (w @ centred) ** 2 / w.sum(-1)[..., None]
        constant = total <= 1e-12 * np.maximum(y.var(0), np.finfo(np.float64).tiny) * w.sum(-1)[..., None]
        return np.where(constant, np.nan, 1 - residual / total)


def r2(y: np.ndarray, values: np.ndarray, weights: np.ndarray | None = None) -> Array:
    """Coefficient of determination, the mean over targets (NaN where that of one is). ``y`` and ``values`` (n, targets)."""
    return np.asarray(r2_each(y, values, weights).mean(-1))


def primary(task: Task, y: np.ndarray, scores: np.ndarray) -> float:
    """The task's primary metric alone: what selects."""
    if task.type == "multilabel":
        return float(roc_auc(y, scores))
    return next(iter(evaluate(task, y, scores).values()))


def evaluate(task: Task, y: np.ndarray, scores: np.ndarray, weights: np.ndarray | None = None) -> dict[str, float]:
    """All metrics of a task by name, the primary one first.

    Args:
        task: what ``y`` answers.
        y: labels, as in ``predictions.npz``.
        scores: float of shape (n, labels).
        weights: multiplicities of shape (n,); None for all ones.
    """
    return {name: float(value) for name, value in evaluate_resamples(task, y, scores, weights).items()}


def evaluate_resamples(task: Task, y: np.ndarray, scores: np.ndarray, weights: np.ndarray | None = None) -> dict[str, Array]:
    """As :func:`evaluate`, for ``weights`` of shape (resamples, n): values of shape (resamples,)."""
    validate(task, y, scores, weights)
    if task.type == "multiclass":
        return {"accuracy": accuracy(y, scores, weights), "macro_f1": macro_f1(y, scores, weights)}
    if task.type == "key":
        return {"weighted_score": weighted_score(y, scores, weights, task.labels), "accuracy": accuracy(y, scores, weights)}
    if task.type == "multilabel":
        auc, precision = rank_tags(y, scores, weights)
        return {"roc_auc": _mean_of_defined(auc), "average_precision": _mean_of_defined(precision)}
    each = r2_each(y, scores, weights)
    named = {f"r2_{label}": each[..., i] for i, label in enumerate(task.labels)} if len(task.labels) > 1 else {}
    return {"r2": np.asarray(each.mean(-1)), **named}


def undefined(task: Task, y: np.ndarray) -> dict[str, int]:
    """How many tags each macro metric leaves out on labels ``y``; empty for other tasks than multilabel."""
    if task.type != "multilabel":
        return {}
    positive, negative = y.any(0), (~y).any(0)
    return {"roc_auc": int((~(positive & negative)).sum()), "average_precision": int((~positive).sum())}


def _weights(weights: np.ndarray | None, n: int) -> Array:
    return np.ones(n) if weights is None else np.asarray(weights, np.float64)


def _mean(values: Array, weights: np.ndarray | None) -> Array:
    w = _weights(weights, len(values))
    return np.asarray(w @ values / w.sum(-1))


def _mean_of_defined(values: Array) -> Array:
    """Mean over the last axis without NaNs; NaN where nothing else is there."""
    known = ~np.isnan(values)
    with np.errstate(invalid="ignore"):
        return np.asarray(np.where(known, values, 0).sum(-1) / known.sum(-1))
