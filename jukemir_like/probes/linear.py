"""Protocol ``linear``: logistic or ridge regression over a path of regularisation strengths; deterministic, in seconds.

For features standardised on train and a strength λ it minimises

    mean loss(Wᵀx + b, y) + λ/2 · ‖W‖²

with cross-entropy (classes, keys, tempi), binary cross-entropy (each tag by itself) or half the squared error (values); b is not
penalised. So λ is 1/(C·n) of scikit-learn's LogisticRegression, and alpha/n of its Ridge. The strength that scores best on validation
is taken, the stronger of equals.

Method: with XᵀX = n V S² Vᵀ, features are rotated by V, restricted to the rank of X. This is exact, since a rotation does not change
the penalty. In these coordinates ridge regression is a division, for all strengths at once. For L-BFGS the curvature is nearly diagonal
and known beforehand (s² times the label's variance, plus λ); dividing by its root gives a well-conditioned problem that needs 20 to 40
passes over the data instead of hundreds. All strengths share each pass, in one wide matrix product.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from jukemir_like.core.progress import report_progress
from jukemir_like.core.rows import Rows
from jukemir_like.probes.protocols import RegularisationPath

Array = NDArray[np.float64]
Loss = Callable[[NDArray[np.float32]], Array]
"""Logits (n, strengths, labels) → summed loss (strengths,); the logits are overwritten with the gradient of the loss."""
Parameters = dict[float, Array]
"""Strength → weights (rank + 1, labels), the bias last."""
Evaluation = Callable[[Parameters], dict[float, tuple[float, Array]]]
"""Parameters → mean loss and its gradient, of the same shape, for every strength."""

_MEMORY = 10  # pairs of changes that L-BFGS keeps
_SUFFICIENT = 1e-4  # of the decrease that the slope promises (Armijo)
_SHORTEST_STEP = 1e-6


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
        vectors, values = principal_axes(gram)
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
        with np.errstate(over="ignore", invalid="ignore"):  # overflow is detected by the reader of the scores
            return (Z @ self.weights.astype(np.float32) + self.bias).astype(np.float32)


class Features(Protocol):
    """Rotated train features, wherever they are: what fitting needs of them."""

    @property
    def shape(self) -> tuple[int, int]:
        """(n, rank)."""

    def correlation(self, residual: Array) -> Array:
        """Product (rank, labels) of the features and ``residual`` (n, labels)."""

    def objective(self, onehot: NDArray[np.bool_], multinomial: bool) -> Evaluation:
        """Mean loss, without penalty, of logistic regression on labels ``onehot`` (n, labels): classes or tags."""


@dataclass(frozen=True)
class InMemory:
    """Rotated train features (n, rank) in memory."""

    Z: NDArray[np.float32]

    @property
    def shape(self) -> tuple[int, int]:
        return self.Z.shape[0], self.Z.shape[1]

    def correlation(self, residual: Array) -> Array:
        return np.asarray(self.Z.T.astype(np.float64) @ residual)

    def objective(self, onehot: NDArray[np.bool_], multinomial: bool) -> Evaluation:
        loss = loss_of(multinomial)(onehot)
        return lambda parameters: _loss_and_gradient(self.Z, parameters, loss)


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
    kind: str, Z: NDArray[np.float32] | Features, variance: Array, y: np.ndarray, labels: int, path: RegularisationPath
) -> dict[float, Model]:
    """Models for all strengths, the strongest first.

    Args:
        kind: type of the task.
        Z: rotated train features (n, rank), in memory or elsewhere, of ``variance`` (rank,).
        y: labels of train, as in ``predictions.npz``; of tempo, the shares of the classes.
        labels: number of outputs.
        path: settings.
    """
    strengths = sorted(set(path.strengths), reverse=True)
    Z = InMemory(Z) if isinstance(Z, np.ndarray) else Z
    if kind == "regression":
        return _ridge(Z, variance, y, strengths)
    multinomial = kind != "multilabel"
    onehot = y[:, None] == np.arange(labels) if y.ndim == 1 else y
    rate = onehot.mean(0)
    # A label that no train item has, or a tag that all have, has nothing to do with the features: its score is a constant.
    fitted = rate > 0 if multinomial else (rate > 0) & (rate < 1)
    constant = np.full(labels, -np.inf) if multinomial else np.log((rate * len(y) + 0.5) / ((1 - rate) * len(y) + 0.5))
    columns = np.flatnonzero(fitted)
    by_strength = _logistic(Z, variance, onehot[:, columns], multinomial, strengths, path) if len(columns) else {}
    models = {}
    for strength in strengths:
        weights, bias = np.zeros((Z.shape[1], labels)), constant.copy()
        if len(columns):
            weights[:, columns], bias[columns] = by_strength[strength].weights, by_strength[strength].bias
        models[strength] = Model(weights, bias)
    return models


def _ridge(Z: Features, variance: Array, y: Array, strengths: list[float]) -> dict[float, Model]:
    bias = y.mean(0)
    correlation = Z.correlation(y - bias) / len(y)
    return {strength: Model(correlation / (variance + strength)[:, None], bias) for strength in strengths}


def _logistic(
    Z: Features, variance: Array, onehot: NDArray[np.bool_], multinomial: bool, strengths: list[float], path: RegularisationPath
) -> dict[float, Model]:
    """Logistic regression for all strengths together.

    The parameters of a strength are (rank + 1, labels), the bias last, times the root of the expected curvature.
    """
    rank, labels = Z.shape[1], onehot.shape[1]
    rate = onehot.mean(0)
    spread = rate * (1 - rate) if labels > 1 or not multinomial else np.ones(1)
    curvature = np.append(variance, 1.0)[:, None] * spread
    roots = {strength: np.sqrt(curvature + strength * (np.arange(rank + 1) < rank)[:, None]) for strength in strengths}
    start = np.zeros((rank + 1, labels))
    start[-1] = np.log(rate) if multinomial else np.log(rate / (1 - rate))
    solvers = {strength: minimise((start * roots[strength]).ravel(), path.tolerance, path.max_iterations) for strength in strengths}
    pending = {strength: next(solver) for strength, solver in solvers.items()}  # the points where values and gradients are wanted
    models: dict[float, Model] = {}
    evaluate = Z.objective(onehot, multinomial)
    while pending:
        report_progress()
        parameters = {strength: point.reshape(rank + 1, labels) / roots[strength] for strength, point in pending.items()}
        for strength, (value, gradient) in evaluate(parameters).items():
            weights = parameters[strength][:-1]
            gradient[:-1] += strength * weights
            try:
                evaluation = (value + strength / 2 * float(np.vdot(weights, weights)), (gradient / roots[strength]).ravel())
                pending[strength] = solvers[strength].send(evaluation)
            except StopIteration as finished:
                best = finished.value.reshape(rank + 1, labels) / roots[strength]
                models[strength] = Model(best[:-1], best[-1])
                del pending[strength]
    return models


def _loss_and_gradient(Z: NDArray[np.float32], parameters: dict[float, Array], loss: Loss) -> dict[float, tuple[float, Array]]:
    """Mean loss and its gradient (rank + 1, labels) for every strength, from two wide products."""
    n, labels = len(Z), next(iter(parameters.values())).shape[1]
    wide = np.concatenate([value[:-1] for value in parameters.values()], axis=1, dtype=np.float32, casting="same_kind")
    bias = np.concatenate([value[-1] for value in parameters.values()], dtype=np.float32, casting="same_kind")
    logits = (Z @ wide + bias).reshape(n, len(parameters), labels)
    values = loss(logits) / n  # overwrites the logits with their gradient
    residual = logits.reshape(n, -1)
    gradient = np.concatenate([Z.T @ residual, residual.sum(0, dtype=np.float64)[None]]) / n
    parts = gradient.reshape(-1, len(parameters), labels)
    return {strength: (float(values[i]), parts[:, i].copy()) for i, strength in enumerate(parameters)}


def _cross_entropy(onehot: NDArray[np.bool_]) -> Loss:
    target = onehot.astype(np.float32)[:, None]
    index = onehot.argmax(1)[:, None, None] if onehot.dtype == bool else None  # None: classes share a label

    def loss(logits: NDArray[np.float32]) -> Array:
        logits -= logits.max(2, keepdims=True)
        at_label = np.einsum("nsl,nol->ns", logits, target) if index is None else np.take_along_axis(logits, index, 2)[..., 0]
        np.exp(logits, out=logits)
        total = logits.sum(2, keepdims=True)
        values = np.log(total[..., 0]) - at_label
        logits /= total
        logits -= target
        return np.asarray(values.sum(0, dtype=np.float64))

    return loss


def _binary_cross_entropy(onehot: NDArray[np.bool_]) -> Loss:
    target = onehot.astype(np.float32)[:, None]

    def loss(logits: NDArray[np.float32]) -> Array:
        # log(1 + eˣ) - yx, and sigmoid(x) - y, without overflow for large |x|
        small = np.exp(-np.abs(logits))
        values = np.log1p(small) + np.maximum(logits, 0) - target * logits
        np.copyto(logits, np.where(logits >= 0, 1, small) / (1 + small) - target)
        return np.asarray(values.sum((0, 2), dtype=np.float64))

    return loss


def loss_of(multinomial: bool) -> Callable[[NDArray[np.bool_]], Loss]:
    """What makes the loss of labels (n, labels): cross-entropy over classes, or binary cross-entropy of each tag."""
    return _cross_entropy if multinomial else _binary_cross_entropy


def minimise(start: Array, tolerance: float, max_iterations: int) -> Generator[Array, tuple[float, Array], Array]:
    """Minimises a smooth, strictly convex function of a vector by L-BFGS in reverse communication.

    The generator yields the points where it needs the function, expects ``(value, gradient)`` to be sent for each, and returns the
    minimiser. So the caller can evaluate many problems that share their data (a regularisation path) in one pass over it.
    See Nocedal & Wright, *Numerical Optimization*, ch. 7.

    Args:
        start: first point.
        tolerance: converged when a step promises to lower the value by less.
        max_iterations: accepted steps at most.

    >>> solver = minimise(np.array([3.0]), 1e-12, 100)
    >>> point = next(solver)
    >>> try:
    ...     while True:
    ...         point = solver.send((float((point[0] - 1) ** 2), 2 * (point - 1)))
    ... except StopIteration as finished:
    ...     print(finished.value.round(6).tolist())
    [1.0]
    """
    point = start
    value, gradient = yield point
    memory: deque[tuple[Array, Array, float]] = deque(maxlen=_MEMORY)
    for _ in range(max_iterations):
        direction = -_times_inverse_hessian(gradient, memory)
        slope = float(gradient @ direction)
        if -slope < 2 * tolerance:  # a Newton step gains half the slope
            break
        step = 1.0 if memory else min(1.0, 1.0 / float(np.linalg.norm(gradient)))
        while True:
            trial = point + step * direction
            trial_value, trial_gradient = yield trial
            if trial_value <= value + _SUFFICIENT * step * slope:
                break
            # The minimum of the parabola through the known values and the slope; the step shrinks by a factor of 2 to 10.
            step *= min(0.5, max(0.1, -slope * step / (2 * (trial_value - value - slope * step))))
            if step < _SHORTEST_STEP:  # the differences left are rounding errors
                return point
        # A sufficient decrease is enough, without a condition on the slope: any step on a strictly convex function gives usable curvature.
        change, difference = trial - point, trial_gradient - gradient
        if (curvature := float(change @ difference)) > 0:
            memory.append((change, difference, curvature))
        point, value, gradient = trial, trial_value, trial_gradient
    return point


def _times_inverse_hessian(gradient: Array, memory: deque[tuple[Array, Array, float]]) -> Array:
    """The two-loop recursion: the product of the approximate inverse Hessian and the gradient."""
    result, shares = gradient.copy(), []
    for change, difference, curvature in reversed(memory):
        share = float(change @ result) / curvature
        shares.append(share)
        result -= share * difference
    if memory:
        _, difference, curvature = memory[-1]
        result *= curvature / float(difference @ difference)
    for (change, difference, curvature), share in zip(memory, reversed(shares), strict=True):
        result += (share - float(difference @ result) / curvature) * change
    return result
