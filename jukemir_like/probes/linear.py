"""Protocol ``linear``: logistic or ridge regression over a path of regularisation strengths; deterministic, in seconds.

For features standardised on train and a strength λ it minimises

    mean loss(Wᵀx + b, y) + λ/2 · ‖W‖²

with cross-entropy (classes, keys, tempi), binary cross-entropy (each tag by itself) or half the squared error (values); b is not
penalised. So λ is 1/(C·n) of scikit-learn's LogisticRegression, and alpha/n of its Ridge.

Method: with XᵀX = n V S² Vᵀ, features are rotated by V, restricted to the rank of X. This is exact, since a rotation does not change
the penalty. In these coordinates ridge regression is a division. For L-BFGS the curvature is nearly diagonal and known beforehand (s²
times the label's variance, plus λ); dividing by its root gives a well-conditioned problem. A path is followed from the strongest to the
weakest strength, which needs most passes over the data: each begins where the change from the last but one to the last leads to.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from jukemir_like.core.progress import report_progress
from jukemir_like.core.rows import Rows, as_array
from jukemir_like.probes.lbfgs import minimise
from jukemir_like.probes.protocols import RegularisationPath

Array = NDArray[np.float64]
Loss = Callable[[NDArray[np.float32]], float]
"""Logits (n, labels) → summed loss; the logits are overwritten with the gradient of the loss."""
Evaluation = Callable[[Array], tuple[float, Array]]
"""Parameters, weights (rank + 1, labels) with the bias last → mean loss and its gradient, of the same shape."""


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
    def fit(cls, X: NDArray[np.float32], basis: Array | None = None) -> tuple[Rotation, NDArray[np.float32]]:
        """The rotation of train features (n, dimension), and the rotated features (n, rank).

        Args:
            X: train features.
            basis: (dimension, dimension), of a similar set of items: rotation by it is as exact, if its axes are not quite the principal
                ones, and needs no decomposition. None, or one of lower rank: their own.
        """
        mean, scale = standardisation(X)
        standard = (X - mean) / scale
        n, dimension = X.shape
        if basis is not None and basis.shape == (dimension, dimension):
            Z = np.asarray(standard.astype(np.float32) @ basis.astype(np.float32))
            return cls(mean, scale, basis, np.einsum("ij,ij->j", Z, Z, dtype=np.float64) / n), Z
        tall = n >= dimension
        gram = (standard.T @ standard if tall else standard @ standard.T) / n
        vectors, values = principal_axes(gram)
        basis = vectors if tall else standard.T @ (vectors / np.sqrt(n * values))
        return cls(mean, scale, basis, values), standard.astype(np.float32) @ basis.astype(np.float32)

    def __call__(self, X: NDArray[np.float32]) -> NDArray[np.float32]:
        """Rotated features (n, rank) of features (n, dimension)."""
        with np.errstate(over="ignore"):
            return np.asarray(((X - self.mean) / self.scale).astype(np.float32) @ self.basis.astype(np.float32))


@dataclass(frozen=True)
class Model:
    """Weights on rotated features: ``weights`` (rank, labels), ``bias`` (labels)."""

    weights: Array
    bias: Array

    def scores(self, Z: NDArray[np.float32]) -> NDArray[np.float32]:
        """Logits or values (n, labels) of rotated features (n, rank)."""
        with np.errstate(over="ignore", invalid="ignore"):  # overflow is detected by the reader of the scores
            return (Z @ self.weights.astype(np.float32) + self.bias).astype(np.float32)


def mean_model(models: Sequence[Model]) -> Model | None:
    """Means of the weights and biases of models in the same coordinates; None of no models.

    The mean of a label's is over the models that fitted it: with few items some trials lack a class, whose bias then is minus infinity.
    """
    if not models:
        return None
    weights, bias = (np.stack([getattr(model, name) for model in models]) for name in ("weights", "bias"))
    fitted = np.isfinite(bias)
    share = fitted / np.maximum(fitted.sum(0), 1)
    mean = (share * np.where(fitted, bias, 0)).sum(0)
    return Model((share[:, None] * weights).sum(0), np.where(fitted.any(0), mean, -np.inf))


class Features(Protocol):
    """Rotated train features, wherever they are: what fitting needs of them."""

    @property
    def shape(self) -> tuple[int, int]:
        """(n, rank)."""

    @property
    def variance(self) -> Array:
        """Of each rotated feature, (rank,)."""

    def correlation(self, residual: Array) -> Array:
        """Product (rank, labels) of the features and ``residual`` (n, labels)."""

    def objective(self, onehot: NDArray[np.bool_], multinomial: bool) -> Evaluation:
        """Mean loss, without penalty, of logistic regression on labels ``onehot`` (n, labels): classes or tags."""


@dataclass(frozen=True)
class InMemory:
    """Rotated train features in memory.

    Args:
        Z: (n, rank).
        rotation: that gave them.
    """

    Z: NDArray[np.float32]
    rotation: Rotation

    @classmethod
    def fit(cls, X: NDArray[np.float32], basis: Array | None = None) -> InMemory:
        """Of train features (n, dimension); ``basis`` as for :meth:`Rotation.fit`."""
        rotation, Z = Rotation.fit(X, basis)
        return cls(Z, rotation)

    @property
    def basis(self) -> Array:
        """V, (dimension, rank)."""
        return self.rotation.basis

    @property
    def variance(self) -> Array:
        """Of each rotated feature, (rank,)."""
        return self.rotation.variance

    @property
    def shape(self) -> tuple[int, int]:
        return self.Z.shape[0], self.Z.shape[1]

    def correlation(self, residual: Array) -> Array:
        return np.asarray(self.Z.T.astype(np.float64) @ residual)

    def objective(self, onehot: NDArray[np.bool_], multinomial: bool) -> Evaluation:
        loss = loss_of(multinomial)(onehot)
        return lambda parameters: _loss_and_gradient(self.Z, parameters, loss)

    def scorer(self, X: NDArray[np.float32] | Rows) -> Callable[[Model], NDArray[np.float32]]:
        """A function from models to their logits or values (m, labels) of other features (m, dimension)."""
        Z = self.rotation(as_array(X))
        return lambda model: model.scores(Z)


def principal_axes(gram: Array) -> tuple[Array, Array]:
    """Eigenvectors (k, rank) of a symmetric matrix (k, k) and their values, the largest first; those of 0, up to rounding, are left out."""
    values, vectors = np.linalg.eigh(gram)
    kept = values > max(values[-1], 0) * 1e-10
    return vectors[:, kept][:, ::-1], values[kept][::-1]


def standardisation(X: NDArray[np.float32] | Rows) -> tuple[Array, Array]:
    """Mean and population standard deviation of every feature; the latter is 1 where a feature is constant up to rounding.

    >>> [values.tolist() for values in standardisation(np.float32([[0, 5], [2, 5]]))]
    [[1.0, 5.0], [1.0, 1.0]]
    """
    if isinstance(X, Rows):
        mean, scale = _moments(X)
    else:
        mean, scale = X.mean(0, dtype=np.float64), X.std(0, dtype=np.float64)
    scale[scale <= 10 * np.finfo(np.float32).eps * np.abs(mean)] = 1.0
    return mean, np.where(scale > 0, scale, 1.0)


def _moments(rows: Rows) -> tuple[Array, Array]:
    """Mean and population standard deviation, from two passes over the rows."""
    mean = sum((chunk.sum(0, dtype=np.float64) for _, chunk in rows.chunks()), np.zeros(rows.shape[1])) / len(rows)
    squares = sum((((chunk - mean) ** 2).sum(0) for _, chunk in rows.chunks()), np.zeros(rows.shape[1]))
    return mean, np.sqrt(squares / len(rows))


def fit_path(
    kind: str, features: Features, y: np.ndarray, labels: int, path: RegularisationPath, near: Model | None = None
) -> Iterator[tuple[float, Model]]:
    """Strength and model, from the strongest to the weakest; each is fitted when it is asked for, so the caller may stop early.

    Args:
        kind: type of the task.
        features: rotated train features.
        y: labels of train, as in ``predictions.npz``; of tempo, the shares of the classes.
        labels: number of outputs.
        path: settings.
        near: a model in the same coordinates that should be close to the first one: where fitting begins.
    """
    strengths = sorted(set(path.strengths), reverse=True)
    if kind == "regression":
        yield from _ridge(features, y, strengths)
        return
    multinomial = kind != "multilabel"
    onehot = y[:, None] == np.arange(labels) if y.ndim == 1 else y
    rate = onehot.mean(0)
    # A label that no train item has, or a tag that all have, has nothing to do with the features: its score is a constant.
    fitted = rate > 0 if multinomial else (rate > 0) & (rate < 1)
    constant = np.full(labels, -np.inf) if multinomial else np.log((rate * len(y) + 0.5) / ((1 - rate) * len(y) + 0.5))
    columns = np.flatnonzero(fitted)
    problem = _Logistic(features, onehot[:, columns], multinomial, path) if len(columns) else None
    start = _parameters(near, columns, problem.no_weights) if problem else np.empty(0)
    last: Array | None = None  # parameters, and how they changed from the last but one strength
    change: Array | None = None
    for strength in strengths:
        weights, bias = np.zeros((features.shape[1], labels)), constant.copy()
        if problem:
            parameters = problem.solve(strength, start if last is None else last if change is None else last + change)
            change = None if last is None else parameters - last
            last = parameters
            weights[:, columns], bias[columns] = parameters[:-1], parameters[-1]
        yield strength, Model(weights, bias)


def _parameters(model: Model | None, columns: NDArray[np.int64], otherwise: Array) -> Array:
    """Those of some labels; others where there is no model, or one of those labels was constant in it."""
    if model is None:
        return otherwise
    parameters = np.vstack([model.weights[:, columns], model.bias[columns]])
    return parameters if np.isfinite(parameters).all() else otherwise


def _ridge(features: Features, y: Array, strengths: list[float]) -> Iterator[tuple[float, Model]]:
    bias = y.mean(0)
    correlation = features.correlation(y - bias) / len(y)
    return ((strength, Model(correlation / (features.variance + strength)[:, None], bias)) for strength in strengths)


class _Logistic:
    """Logistic regression of labels ``onehot`` (n, labels) on rotated features.

    Parameters are (rank + 1, labels), the bias last; they are optimised times the root of the expected curvature.
    """

    def __init__(self, features: Features, onehot: NDArray[np.bool_], multinomial: bool, path: RegularisationPath):
        self._path = path
        rate = onehot.mean(0)
        spread = rate * (1 - rate) if onehot.shape[1] > 1 or not multinomial else np.ones(1)
        self._curvature = np.append(features.variance, 1.0)[:, None] * spread
        self._evaluate = features.objective(onehot, multinomial)
        self.no_weights = np.zeros_like(self._curvature)
        self.no_weights[-1] = np.log(rate) if multinomial else np.log(rate / (1 - rate))

    def solve(self, strength: float, start: Array) -> Array:
        """The parameters that minimise mean loss and penalty."""
        root = self._curvature.copy()
        root[:-1] += strength
        np.sqrt(root, out=root)
        solver = minimise((start * root).ravel(), self._path.tolerance, self._path.max_iterations)
        point = next(solver)
        while True:
            report_progress()
            parameters = point.reshape(root.shape) / root
            value, gradient = self._evaluate(parameters)
            weights = parameters[:-1]
            gradient[:-1] += strength * weights
            try:
                point = solver.send((value + strength / 2 * float(np.vdot(weights, weights)), (gradient / root).ravel()))
            except StopIteration as finished:
                return np.asarray(finished.value.reshape(root.shape) / root)


def _loss_and_gradient(Z: NDArray[np.float32], parameters: Array, loss: Loss) -> tuple[float, Array]:
    """Mean loss and its gradient (rank + 1, labels)."""
    single = parameters.astype(np.float32)
    logits = Z @ single[:-1] + single[-1]
    value = loss(logits)  # overwrites the logits with their gradient
    return value / len(Z), np.concatenate([Z.T @ logits, logits.sum(0, dtype=np.float64)[None]]) / len(Z)


def _cross_entropy(onehot: NDArray[np.bool_]) -> Loss:
    target = onehot.astype(np.float32)
    index = onehot.argmax(1)[:, None] if onehot.dtype == bool else None  # None: classes share a label

    def loss(logits: NDArray[np.float32]) -> float:
        logits -= logits.max(1, keepdims=True)
        at_label = np.einsum("nl,nl->n", logits, target) if index is None else np.take_along_axis(logits, index, 1)[:, 0]
        np.exp(logits, out=logits)
        total = logits.sum(1, keepdims=True)
        values = np.log(total[:, 0]) - at_label
        logits /= total
        logits -= target
        return float(values.sum(dtype=np.float64))

    return loss


def _binary_cross_entropy(onehot: NDArray[np.bool_]) -> Loss:
    target = onehot.astype(np.float32)

    def loss(logits: NDArray[np.float32]) -> float:
        # log(1 + eˣ) - yx, and sigmoid(x) - y, without overflow for large |x|
        small = np.exp(-np.abs(logits))
        values = np.log1p(small) + np.maximum(logits, 0) - target * logits
        np.copyto(logits, np.where(logits >= 0, 1, small) / (1 + small) - target)
        return float(values.sum(dtype=np.float64))

    return loss


def loss_of(multinomial: bool) -> Callable[[NDArray[np.bool_]], Loss]:
    """What makes the loss of labels (n, labels): cross-entropy over classes, or binary cross-entropy of each tag."""
    return _cross_entropy if multinomial else _binary_cross_entropy
