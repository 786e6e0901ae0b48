"""The loss of held-out items, by which protocol ``linear`` selects."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from jukemir_like.datasets import Task


def mean_loss(task: Task, y: np.ndarray, scores: NDArray[np.float32]) -> float:
    """Mean loss of items that a probe was not fitted on; the smaller, the better. NaN where a score is not finite.

    - multiclass, key: cross-entropy of the true class, in nats. Items of a class that no train item has (its score is minus infinity) say
      nothing about a strength and are left out; 0 where all are.
    - multilabel: binary cross-entropy, mean over items and tags, in nats.
    - regression: squared error, each output in units of its variance over these items, mean over items and outputs.

    Args:
        task: what is probed.
        y: labels, as in ``predictions.npz``.
        scores: logits or predicted numbers (n, labels).

    >>> mean_loss(Task("genre", "multiclass", ("blues", "jazz")), np.array([0, 1]), np.float32([[0, 0], [0, 0]]))
    0.6931471805599453
    """
    scores = scores.astype(np.float64)
    if (np.isnan(scores) | np.isposinf(scores)).any():
        return np.nan
    if task.type == "regression":
        variance = y.var(0)
        return float((((scores - y) ** 2).mean(0) / np.where(variance > 0, variance, 1)).mean())
    if task.type == "multilabel":
        return float((np.logaddexp(0, -np.abs(scores)) + np.maximum(scores, 0) - y * scores).mean())
    of_label = scores[np.arange(len(y)), y]
    known = np.isfinite(of_label)
    if not known.any():
        return 0.0
    largest = scores[known].max(1)
    return float((np.log(np.exp(scores[known] - largest[:, None]).sum(1)) + largest - of_label[known]).mean())
