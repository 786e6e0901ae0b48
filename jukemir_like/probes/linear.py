"""Protocol ``linear``: logistic or ridge regression over a path of regularisation strengths, deterministic, in seconds.

For features standardised on train and a strength λ it minimises

    mean loss(Wᵀx + b, y) + λ/2 · ‖W‖²

with cross-entropy (classes, keys), binary cross-entropy (each tag by itself) or half the squared error (values); b is free. So λ is 1/(C·n)
of scikit-learn's LogisticRegression, and alpha/n of its Ridge. The strength that scores best on validation is taken, the stronger of
equals.

How: with XᵀX = n V S² Vᵀ, features are rotated by V, and by no more of V than X has rank (exact, as the penalty does not see rotations).
There ridge regression is a division, for all strengths at once; and for L-BFGS the curvature is nearly diagonal and known beforehand
(s² times the label's variance, plus λ), so that dividing by its root leaves a round problem: 20 to 40 looks at the data instead of
hundreds. All strengths look together, in one wide product.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from jukemir_like.core.progress import report_progress
from jukemir_like.probes.grid import RegularisationPath
from jukemir_like.probes.lbfgs import minimise

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Rotation:
    """Standardisation and rotation, fitted on train.

    Args:
        mean: of the features (dimension,). scale: their standard deviation, 1 where constant. basis: V, (dimension, rank).
        variance: S², (rank,), of the rotated features.
    """

    mean: Array
    scale: Array
    basis: Array
    variance: Array

    @classmethod
    def fit(cls, X: NDArray[np.float32]) -> tuple[Rotation, NDArray[np.float32]]:
        """The rotation of train features (n, dimension), and the rotated features (n, rank)."""
        mean, scale = standardisation(X)
        standard = (X - mean) / scale
        n, dimension = X.shape
        tall = n >= dimension
        gram = (standard.T @ standard if tall else standard @ standard.T) / n
        values, vectors = np.linalg.eigh(gram)
        kept = values > max(values[-1], 0) * 1e-10
        values, vectors = values[kept][::-1], vectors[:, kept][:, ::-1]
        basis = vectors if tall else standard.T @ (vectors / np.sqrt(n * values))
        return cls(mean, scale, basis, values), (standard @ basis).astype(np.float32)

    def __call__(self, X: NDArray[np.float32]) -> NDArray[np.float32]:
        """Rotated features (n, rank) of features (n, dimension)."""
        with np.errstate(over="ignore"):
            return (((X - self.mean) / self.scale) @ self.basis).astype(np.float32)


@dataclass(frozen=True)
class Model:
    """Weights on rotated features: ``weights`` (rank, labels), ``bias`` (labels)."""

    weights: Array
    bias: Array

    def scores(self, Z: NDArray[np.float32]) -> NDArray[np.float32]:
        """Logits or values (n, labels) of rotated features (n, rank)."""
        with np.errstate(over="ignore", invalid="ignore"):  # whoever reads the scores looks for overflow
            return (Z @ self.weights.astype(np.float32) + self.bias).astype(np.float32)


def standardisation(X: NDArray[np.float32]) -> tuple[Array, Array]:
    """Mean and standard deviation of every feature (population); the latter 1 where a feature is constant but for rounding."""
    mean = X.mean(0, dtype=np.float64)
    scale = X.std(0, dtype=np.float64)
    scale[scale <= 10 * np.finfo(np.float32).eps * np.abs(mean)] = 1.0
    return mean, np.where(scale > 0, scale, 1.0)


def fit_path(
    kind: str, Z: NDArray[np.float32], variance: Array, y: np.ndarray, labels: int, path: RegularisationPath
) -> dict[float, Model]:
    """Models for all strengths, the strongest first.

    Args:
        kind: type of the task.
        Z: rotated train features (n, rank), of ``variance`` (rank,).
        y: labels of train, as in ``predictions.npz``.
        labels: number of outputs.
        path: settings.
    """
    strengths = sorted(set(path.strengths), reverse=True)
    if kind == "regression":
        return _ridge(Z, variance, y, strengths)
    multinomial = kind != "multilabel"
    onehot = y[:, None] == np.arange(labels) if multinomial else y
    rate = onehot.mean(0)
    # A label that train has never, or a tag that it has always, tells nothing about features: its score is a constant.
    fitted = rate > 0 if multinomial else (rate > 0) & (rate < 1)
    constant = np.full(labels, -np.inf) if multinomial else np.log((rate * len(y) + 0.5) / ((1 - rate) * len(y) + 0.5))
    columns = np.flatnonzero(fitted)
    found = _logistic(Z, variance, onehot[:, columns], multinomial, strengths, path) if len(columns) else {}
    models = {}
    for strength in strengths:
        weights, bias = np.zeros((Z.shape[1], labels)), constant.copy()
        if len(columns):
            weights[:, columns], bias[columns] = found[strength].weights, found[strength].bias
        models[strength] = Model(weights, bias)
    return models


def _ridge(Z: NDArray[np.float32], variance: Array, y: Array, strengths: list[float]) -> dict[float, Model]:
    bias = y.mean(0)
    correlation = Z.T.astype(np.float64) @ (y - bias) / len(y)
    return {strength: Model(correlation / (variance + strength)[:, None], bias) for strength in strengths}


def _logistic(
    Z: NDArray[np.float32], variance: Array, onehot: NDArray[np.bool_], multinomial: bool, strengths: list[float], path: RegularisationPath
) -> dict[float, Model]:
    """All strengths together. Parameters of one: (rank + 1, labels), the bias last, times the root of the expected curvature."""
    rank, labels = Z.shape[1], onehot.shape[1]
    rate = onehot.mean(0)
    spread = rate * (1 - rate) if labels > 1 or not multinomial else np.ones(1)
    curvature = np.append(variance, 1.0)[:, None] * spread
    roots = {strength: np.sqrt(curvature + strength * (np.arange(rank + 1) < rank)[:, None]) for strength in strengths}
    start = np.zeros((rank + 1, labels))
    start[-1] = np.log(rate) if multinomial else np.log(rate / (1 - rate))
    talks = {strength: minimise((start * roots[strength]).ravel(), path.tolerance, path.max_iterations) for strength in strengths}
    asked = {strength: next(talk) for strength, talk in talks.items()}
    found: dict[float, Model] = {}
    loss = _LOSSES[multinomial](onehot)
    while asked:
        report_progress()
        parameters = {strength: point.reshape(rank + 1, labels) / roots[strength] for strength, point in asked.items()}
        for strength, (value, gradient) in _look(Z, parameters, loss).items():
            weights = parameters[strength][:-1]
            gradient[:-1] += strength * weights
            try:
                answer = (value + strength / 2 * float(np.vdot(weights, weights)), (gradient / roots[strength]).ravel())
                asked[strength] = talks[strength].send(answer)
            except StopIteration as finished:
                best = finished.value.reshape(rank + 1, labels) / roots[strength]
                found[strength] = Model(best[:-1], best[-1])
                del asked[strength]
    return found


Loss = Callable[[NDArray[np.float32]], NDArray[np.float64]]


def _look(Z: NDArray[np.float32], parameters: dict[float, Array], loss: Loss) -> dict[float, tuple[float, Array]]:
    """Mean loss and its gradient (rank + 1, labels) for every strength, from two wide products."""
    n, labels = len(Z), next(iter(parameters.values())).shape[1]
    wide = np.concatenate([value[:-1] for value in parameters.values()], axis=1, dtype=np.float32, casting="same_kind")
    bias = np.concatenate([value[-1] for value in parameters.values()], dtype=np.float32, casting="same_kind")
    logits = (Z @ wide + bias).reshape(n, len(parameters), labels)
    values = loss(logits) / n  # and turns the logits into their gradient
    residual = logits.reshape(n, -1)
    gradient = np.concatenate([Z.T @ residual, residual.sum(0, dtype=np.float64)[None]]) / n
    parts = gradient.reshape(-1, len(parameters), labels)
    return {strength: (float(values[i]), parts[:, i].copy()) for i, strength in enumerate(parameters)}


def _cross_entropy(onehot: NDArray[np.bool_]) -> Loss:
    target = onehot.astype(np.float32)[:, None]
    index = onehot.argmax(1)[:, None, None]

    def loss(logits: NDArray[np.float32]) -> NDArray[np.float64]:
        logits -= logits.max(2, keepdims=True)
        at_label = np.take_along_axis(logits, index, 2)[..., 0]
        np.exp(logits, out=logits)
        total = logits.sum(2, keepdims=True)
        values = np.log(total[..., 0]) - at_label
        logits /= total
        logits -= target
        return np.asarray(values.sum(0, dtype=np.float64))

    return loss


def _binary_cross_entropy(onehot: NDArray[np.bool_]) -> Loss:
    target = onehot.astype(np.float32)[:, None]

    def loss(logits: NDArray[np.float32]) -> NDArray[np.float64]:
        # log(1 + eˣ) - yx, and sigmoid(x) - y, without overflow for large |x|
        small = np.exp(-np.abs(logits))
        values = np.log1p(small) + np.maximum(logits, 0) - target * logits
        np.copyto(logits, np.where(logits >= 0, 1, small) / (1 + small) - target)
        return np.asarray(values.sum((0, 2), dtype=np.float64))

    return loss


_LOSSES: dict[bool, Callable[[NDArray[np.bool_]], Loss]] = {True: _cross_entropy, False: _binary_cross_entropy}
