"""How well vectors predict labels, in seconds: ridge regression, cross-validated over groups of items.

Classes and tags are predicted as numbers, 1 where the item has them and 0 where not; the largest is the class. The strength of the penalty
is chosen within each training part, by its leave-one-out error. It is a measure to watch a training by; results to report come from
``jukemir-like probe``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

Array = NDArray[np.float64]

FOLDS = 5
STRENGTHS = np.geomspace(1e-4, 1e4, 17)
"""Of the penalty, relative to the number of features."""


def folds_of(groups: Sequence[str]) -> NDArray[np.int64]:
    """A fold for each item: items of one group have the same, and the groups are dealt out at random, always in the same way.

    >>> first, second, third = folds_of(["a", "b", "a"]).tolist()
    >>> first == third != second
    True
    """
    names = sorted(set(groups))
    fold = {names[place]: number % FOLDS for number, place in enumerate(np.random.default_rng(0).permutation(len(names)))}
    return np.array([fold[group] for group in groups], np.int64)


def predict(features: Array, targets: Array, folds: NDArray[np.int64]) -> Array:
    """Predictions for each item by the items of the other folds.

    Args:
        features: ``(items, features)``; standardised by the items that are trained on.
        targets: ``(items, targets)``.
        folds: ``(items,)``; two at least.

    Returns:
        ``(items, targets)``.
    """
    predictions = np.empty_like(targets)
    for fold in np.unique(folds):
        test = folds == fold
        predictions[test] = _fit_and_predict(features[~test], targets[~test], features[test])
    return predictions


def _fit_and_predict(features: Array, targets: Array, test: Array) -> Array:
    centre, scale = features.mean(0), features.std(0)
    scale[scale < 1e-9] = 1.0
    standard, of_test = ((part - centre) / scale / features.shape[1] ** 0.5 for part in (features, test))
    mean = targets.mean(0)
    centred = targets - mean
    # Items are fewer than features: everything is computed from their products.
    values, vectors = np.linalg.eigh(standard @ standard.T)
    values, projected = np.maximum(values, 0.0), vectors.T @ centred
    errors = []
    for strength in STRENGTHS:
        shrunk = values / (values + strength)
        residual = centred - vectors @ (shrunk[:, None] * projected)
        leverage = 1 / len(features) + np.square(vectors) @ shrunk
        errors.append(float(np.square(residual / np.maximum(1 - leverage, 1e-9)[:, None]).mean()))
    best = STRENGTHS[int(np.argmin(errors))]
    return np.asarray(of_test @ (standard.T @ (vectors @ (projected / (values + best)[:, None]))) + mean)


def score(features: Array, labels: Sequence[Any], kind: str, names: Sequence[str], groups: Sequence[str]) -> dict[str, float] | str:
    """The score of a task, by the part of its name that follows the task's: ``""``, and of classes ``" by chance"``; or why there is none.

    ========================  ============================================================================================
    kind                      score
    ========================  ============================================================================================
    multiclass, key           accuracy; by chance: of the most frequent class
    multilabel                area under the ROC curve, the mean over tags
    regression, tempo         R², the mean over targets
    ========================  ============================================================================================

    Args:
        features: ``(items, features)``.
        labels: of each item, as ``meta.json`` has them.
        kind: type of the task.
        names: of classes, tags or targets.
        groups: of each item.
    """
    if len(set(groups)) < 2 * FOLDS:
        return f"{len(set(groups))} groups of tracks have a label, {2 * FOLDS} are needed"
    is_class = kind in ("multiclass", "key")
    if is_class and len(set(labels)) < 2:
        return "all tracks have the same label"
    if is_class or kind == "multilabel":
        has = [{label} if is_class else set(label) for label in labels]
        targets = np.array([[float(name in own) for name in names] for own in has])
    else:
        targets = np.array([np.atleast_1d(np.asarray(label, np.float64)) for label in labels])
    predictions = predict(np.asarray(features, np.float64), targets, folds_of(groups))
    if is_class:
        right = predictions.argmax(1) == targets.argmax(1)
        return {"": float(right.mean()), " by chance": float(targets.mean(0).max())}
    if kind == "multilabel":
        usable = (targets.min(0) < 1) & (targets.max(0) > 0)
        if not usable.any():
            return "no tag is on some tracks and not on others"
        return {"": float(np.mean([_area(targets[:, tag], predictions[:, tag]) for tag in np.flatnonzero(usable)]))}
    spread = np.square(targets - targets.mean(0)).sum(0)
    if not (spread > 0).all():
        return "all tracks have the same label"
    return {"": float((1 - np.square(targets - predictions).sum(0) / spread).mean())}


def _area(has: Array, predicted: Array) -> float:
    """The share of pairs of an item with the tag and one without it in which the first has the higher prediction; equal ones count half."""
    positive = has > 0
    count = int(positive.sum())
    return float((rankdata(predicted)[positive].sum() - count * (count + 1) / 2) / (count * (len(has) - count)))
