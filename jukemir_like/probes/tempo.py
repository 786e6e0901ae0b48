"""Tempo: the classes that a probe chooses among, what it is trained towards, and the two accuracies of tempo estimation.

A probe of tempo is a classifier over :data:`~jukemir_like.datasets.TEMPI`, as published systems are (Schreiber & Müller, ISMIR 2018; Böck,
Davies & Knees, ISMIR 2019): its estimate is the class with the largest score. A straight line to beats per minute cannot express that 60
and 120 sound alike. It is trained towards a *soft* label: neighbouring classes share the label, by a Gaussian over the logarithm of the
tempo with a standard deviation of :data:`WIDTH`. The width is the tolerance of the metrics: an estimate 4 % beside the tempo is as right as
the tempo itself, and with a few hundred tracks for 121 classes most classes have three tracks or fewer. Simulated features (443 train
tracks, 64 dimensions; ``bench/tempo.py``): 80 % accuracy1 with these labels, 62 % with one class per track, 13 % with ridge
regression on the logarithm.

Metrics, as Gouyon et al. (IEEE TASLP 2006) define them: ``accuracy1``, the share of estimates within 4 % of the tempo; ``accuracy2``, the
share within 4 % of the tempo or of 2, 3, 1/2 or 1/3 times it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

TOLERANCE = 0.04
"""Of the tempo: how far an estimate may be off."""
FACTORS = {"accuracy1": (1.0,), "accuracy2": (1.0, 2.0, 3.0, 1 / 2, 1 / 3)}
"""Metric → what the tempo is multiplied by; an estimate is right that is near one of the products."""
WIDTH = 0.04
"""Standard deviation of a soft label, in the natural logarithm of the tempo."""
_SMALLEST_SHARE = 0.01  # of the largest: classes further away have no part in the label


def tempi(labels: tuple[str, ...]) -> Array:
    """The classes of a task as numbers, beats per minute.

    >>> tempi(("60.00", "120.00")).tolist()
    [60.0, 120.0]
    """
    return np.array([float(label) for label in labels])


def estimates(scores: np.ndarray, labels: tuple[str, ...]) -> Array:
    """Beats per minute (n,) of scores (n, classes): the class with the largest score, the first of equals.

    >>> estimates(np.array([[0.1, 0.9], [0.5, 0.5]]), ("60.00", "120.00")).tolist()
    [120.0, 60.0]
    """
    return np.asarray(tempi(labels)[scores.argmax(1)])


def credit(y: np.ndarray, labels: tuple[str, ...], metric: str) -> Array:
    """1 where a class would be a right estimate, else 0: (n, classes).

    Args:
        y: tempi (n,), beats per minute.
        labels: of the task.
        metric: of :data:`FACTORS`.

    >>> credit(np.array([62.0]), ("60.00", "120.00"), "accuracy2").tolist()
    [[1.0, 1.0]]
    """
    classes, right = tempi(labels), np.zeros((len(y), len(labels)), bool)
    for factor in FACTORS[metric]:
        reference = factor * y[:, None]
        right |= np.abs(classes - reference) / reference <= TOLERANCE
    return right.astype(np.float64)


def is_right(y: np.ndarray, scores: np.ndarray, labels: tuple[str, ...], metric: str) -> Array:
    """1 where the estimate is right, else 0: (n,); its mean is the metric.

    >>> is_right(np.array([62.0, 62.0]), np.eye(2), ("60.00", "120.00"), "accuracy1").tolist()
    [1.0, 0.0]
    """
    return np.asarray(credit(y, labels, metric)[np.arange(len(y)), scores.argmax(1)])


def soft_labels(y: np.ndarray, labels: tuple[str, ...]) -> Array:
    """What a probe is trained towards: (n, classes), each row adds up to 1. A tempo beyond the classes is taken as the one at their end.

    >>> soft_labels(np.array([60.0]), ("55.00", "60.00", "120.00")).round(2).tolist()
    [[0.09, 0.91, 0.0]]
    """
    classes = np.log(tempi(labels))
    distance = (np.log(y).clip(classes.min(), classes.max())[:, None] - classes) / WIDTH
    share = np.exp(-(distance**2 - (distance**2).min(1, keepdims=True)) / 2)
    share[share < _SMALLEST_SHARE] = 0
    return np.asarray(share / share.sum(1, keepdims=True))
