"""Metrics of predictions that several probes have made, one for each fold: what may be put together, and what may not.

- Accuracy, F1 and the MIREX score compare the scores of one item with each other, R² a predicted number with the true one. All items are
  put together, as if one probe had predicted them. So accuracy is the mean over folds weighted by their items; R² is that of all items,
  which exists for folds of one item too.
- ROC-AUC and average precision rank items by their scores, and scores of different probes are on different scales. Where the folds are
  balanced the ranking of all items is even wrong on purpose: a probe tested on the fold with few positives has seen many, and gives larger
  scores; a constant probe then has an AUC below 0.5. So an item is ranked among those of its own fold only. AUC is the fraction of
  pairs (positive, negative) of one fold that are in order: the mean over folds, weighted by their pairs. Average precision is the mean
  over positives of the precision at their rank within their fold: the mean over folds, weighted by their positives. Folds in which a
  tag has no positive (or, for AUC, no negative) have no weight.

Forman and Scholz (SIGKDD Explorations 12(1), 2010) compare the ways: F1 of all counts together, AUC as a mean over folds, are those that
they recommend. Average precision in small folds is larger by chance alone, so it is comparable within one number of folds only.
"""

from __future__ import annotations

import numpy as np

from jukemir_like.datasets import Task
from jukemir_like.probes import metrics
from jukemir_like.probes.metrics import Array
from jukemir_like.probes.tasks import Predictions


def evaluate_predictions(task: Task, predictions: Predictions, weights: np.ndarray | None = None) -> dict[str, Array]:
    """All metrics of a task by name, the primary one first; of folds, as the description of the module says.

    Args:
        task: what is probed.
        predictions: of n items.
        weights: multiplicities of shape (n,) or (resamples, n); None for all ones.

    Returns:
        Values of shape () or (resamples,).
    """
    y, scores, fold = predictions.y, predictions.scores, predictions.fold
    if fold is None or task.type != "multilabel":
        return metrics.evaluate_resamples(task, y, scores, weights)
    metrics.validate(task, y, scores, weights)
    auc, precision = rank_within_folds(y, scores, fold, weights)
    return {"roc_auc": _mean_of_defined(auc), "average_precision": _mean_of_defined(precision)}


def rank_within_folds(y: np.ndarray, scores: np.ndarray, fold: np.ndarray, weights: np.ndarray | None = None) -> tuple[Array, Array]:
    """ROC-AUC and average precision of every tag, in which an item is ranked among those of its own fold.

    Args:
        y: bool of shape (n, tags).
        scores: float of shape (n, tags), not NaN.
        fold: of every item, (n,).
        weights: multiplicities of shape (n,) or (resamples, n); None for all ones.

    Returns:
        Each of shape (tags,) or (resamples, tags). NaN where no fold has a positive (both), or none has a positive and a negative (AUC).

    >>> y, scores = np.array([[True], [False], [True], [False]]), np.array([[2.0], [1.0], [0.5], [0.0]])
    >>> rank_within_folds(y, scores, np.array(["1", "1", "2", "2"]))[0].item()  # 0.5 < 1.0, but in another fold
    1.0
    """
    shape = (y.shape[1],) if weights is None or weights.ndim == 1 else (len(weights), y.shape[1])
    in_order, pairs, found, all_positives = np.zeros((4, *shape))
    for name in np.unique(fold):
        rows = np.flatnonzero(fold == name)
        w = np.ones(len(rows)) if weights is None else np.asarray(weights[..., rows], np.float64)
        auc, precision = metrics.rank_tags(y[rows], scores[rows], w)
        positives, negatives = w @ y[rows], w @ ~y[rows]
        in_order += np.where(positives * negatives > 0, auc * positives * negatives, 0)
        found += np.where(positives > 0, precision * positives, 0)
        pairs += positives * negatives
        all_positives += positives
    with np.errstate(invalid="ignore", divide="ignore"):
        return in_order / pairs, found / all_positives


def count_undefined(task: Task, y: np.ndarray, fold: np.ndarray) -> dict[str, int]:
    """How many tags each macro metric leaves out, as :func:`jukemir_like.probes.metrics.count_undefined`, within folds."""
    if task.type != "multilabel":
        return {}
    has_pairs = np.zeros(y.shape[1], bool)
    for name in np.unique(fold):
        of_fold = y[fold == name]
        has_pairs |= of_fold.any(0) & (~of_fold).any(0)
    return {"roc_auc": int((~has_pairs).sum()), "average_precision": int((~y.any(0)).sum())}


def _mean_of_defined(values: Array) -> Array:
    known = ~np.isnan(values)
    with np.errstate(invalid="ignore"):
        return np.asarray(np.where(known, values, 0).sum(-1) / known.sum(-1))
