"""The loss of held-out items, by which protocol ``linear`` selects."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from jukemir_like.datasets import Task
from jukemir_like.probes.tempo import soft_labels

_SCALES = np.log([0.01, 20.0])


def mean_loss(task: Task, y: np.ndarray, scores: NDArray[np.float32]) -> float:
    """Mean loss of items that a probe was not fitted on; the smaller, the better. NaN where a score is not finite.

    - multiclass, key: cross-entropy of the true class, in nats. Items of a class that no train item has (its score is minus infinity) say
      nothing about a strength and are left out; 0 where all are.
    - tempo: cross-entropy of the soft label, in nats; of classes that no train item has part in, the others' shares are taken as all.
    - multilabel: binary cross-entropy, mean over items and tags, in nats.
    - regression: squared error, each output in units of its variance over these items, mean over items and outputs.

    Logits are multiplied by the one number, between 0.01 and 20, that gives the smallest loss ("temperature scaling", Guo et al. 2017,
    arXiv 1706.04599). Without it a strength with too sure a probe would lose to a stronger one that ranks worse: on few items, where the
    difference matters, what is selected would be too strong for the metrics, which do not depend on that number.

    Args:
        task: what is probed.
        y: labels, as in ``predictions.npz``.
        scores: logits or predicted numbers (n, labels).

    >>> genre = Task("genre", "multiclass", ("blues", "jazz"))
    >>> mean_loss(genre, np.array([0, 1]), np.float32([[0, 0], [0, 0]]))
    0.6931471805599453
    >>> y, scores = np.array([0, 1, 1]), np.float32([[1, 0], [0, 2], [1, 0]])
    >>> round(mean_loss(genre, y, scores), 4) == round(mean_loss(genre, y, 3 * scores), 4)
    True
    """
    scores = scores.astype(np.float64)
    if (np.isnan(scores) | np.isposinf(scores)).any():
        return np.nan
    if task.type == "regression":
        variance = y.var(0)
        return float((((scores - y) ** 2).mean(0) / np.where(variance > 0, variance, 1)).mean())
    if task.type == "multilabel":
        return _at_best_scale(lambda scale: _binary_cross_entropy(y, scale * scores))
    if task.type == "tempo":
        finite = np.isfinite(scores).all(0)
        shares = soft_labels(y, task.labels)[:, finite]
        known = shares.sum(1) > 0
        shares = shares[known] / shares[known].sum(1, keepdims=True)
        return _at_best_scale(lambda scale: _soft_cross_entropy(shares, scale * scores[np.ix_(known, finite)])) if known.any() else 0.0
    known = np.isfinite(scores[np.arange(len(y)), y])
    return _at_best_scale(lambda scale: _cross_entropy(y[known], scale * scores[known])) if known.any() else 0.0


def _at_best_scale(loss: Callable[[float], float]) -> float:
    """The smallest loss of scaled logits; it is convex in the scale."""
    from scipy.optimize import minimize_scalar  # takes 0.4 s, which each start of the workflow, and each job of a cluster, does without

    return float(minimize_scalar(lambda log: loss(float(np.exp(log))), bounds=_SCALES, method="bounded", options={"xatol": 1e-4}).fun)


def _cross_entropy(y: np.ndarray, logits: np.ndarray) -> float:
    largest = logits.max(1)
    total = np.log(np.exp(logits - largest[:, None]).sum(1)) + largest
    return float((total - logits[np.arange(len(y)), y]).mean())


def _soft_cross_entropy(shares: np.ndarray, logits: np.ndarray) -> float:
    largest = logits.max(1)
    total = np.log(np.exp(logits - largest[:, None]).sum(1)) + largest
    return float((total - (shares * logits).sum(1)).mean())


def _binary_cross_entropy(y: np.ndarray, logits: np.ndarray) -> float:
    return float((np.logaddexp(0, -np.abs(logits)) + np.maximum(logits, 0) - y * logits).mean())
