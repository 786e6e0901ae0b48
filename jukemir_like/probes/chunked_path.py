"""Protocol ``linear`` on rows that are on disk: the same sums as :mod:`jukemir_like.probes.linear`, a chunk of rows at a time.

No copy of the features is made, neither standardised nor rotated. With standardised features S and the basis V, the rotated ones are SV; so
logits are S(VW), and a gradient is Vᵀ(SᵀR): weights are rotated, which are few, and S is computed for a chunk when it is needed.

What differs is the order of sums, and where numbers are rounded to float32. Memory is that of a chunk, of its logits,
and of a few (dimension, dimension) matrices.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from jukemir_like.core.progress import report_progress
from jukemir_like.core.rows import Rows, as_rows
from jukemir_like.probes.linear import Array, Evaluation, Model, loss_of, principal_axes, standardisation


@dataclass(frozen=True)
class RotatedRows:
    """Train features in the coordinates in which models are fitted, without being computed.

    Args:
        rows: the features (n, dimension), with n ≥ dimension.
        mean, scale: of every feature (dimension,).
        basis: V (dimension, rank). variance: (rank,) of the rotated features.
    """

    rows: Rows
    mean: Array
    scale: Array
    basis: Array
    variance: Array

    @classmethod
    def fit(cls, rows: Rows) -> RotatedRows:
        """Standardisation and rotation of the train features."""
        from scipy.linalg.blas import dsyrk  # 0.2 s, as in losses.py

        mean, scale = standardisation(rows)
        gram = np.zeros((rows.shape[1], rows.shape[1]), order="F")
        for _, chunk in rows.chunks():
            standard = chunk - mean
            standard /= scale
            gram = dsyrk(1.0, standard.T, 1.0, gram, overwrite_c=True)  # adds SᵀS to the upper half, in place
            report_progress()
        basis, variance = principal_axes((np.triu(gram) + np.triu(gram, 1).T) / len(rows))
        return cls(rows, mean, scale, basis, variance)

    @property
    def shape(self) -> tuple[int, int]:
        return len(self.rows), self.basis.shape[1]

    def correlation(self, residual: Array) -> Array:
        """Product (rank, labels) of the rotated features and ``residual`` (n, labels)."""
        total = np.zeros((self.rows.shape[1], residual.shape[1]))
        for part, standard in self.standardised(self.rows):
            total += standard.T.astype(np.float64) @ residual[part]
        return np.asarray(self.basis.T @ total)

    def objective(self, onehot: NDArray[np.bool_], multinomial: bool) -> Evaluation:
        """Mean loss and gradient of logistic regression; see :meth:`jukemir_like.probes.linear.InMemory.objective`."""
        loss = loss_of(multinomial)

        def evaluate(parameters: Array) -> tuple[float, Array]:
            weights, bias = self._of_standardised(parameters[:-1]), parameters[-1].astype(np.float32)
            value, residuals, gradient = 0.0, np.zeros(len(bias)), np.zeros((self.rows.shape[1], len(bias)))
            for part, standard in self.standardised(self.rows):
                logits = standard @ weights + bias
                value += loss(onehot[part])(logits)  # overwrites the logits with their gradient
                gradient += standard.T @ logits
                residuals += logits.sum(0, dtype=np.float64)
                report_progress()
            return value / len(self.rows), np.concatenate([self.basis.T @ gradient, residuals[None]]) / len(self.rows)

        return evaluate

    def scorer(self, X: NDArray[np.float32] | Rows) -> Callable[[Model], NDArray[np.float32]]:
        """A function from models to their logits or values (m, labels) of other rows, which it reads each time."""
        return lambda model: self._scores(model, as_rows(X))

    def _scores(self, model: Model, rows: Rows) -> NDArray[np.float32]:
        scores, weights = np.empty((len(rows), len(model.bias)), np.float32), self._of_standardised(model.weights)
        for part, standard in self.standardised(rows):
            with np.errstate(over="ignore", invalid="ignore"):  # overflow is detected by the reader of the scores
                scores[part] = standard @ weights + model.bias
        return scores

    def standardised(self, rows: Rows) -> Iterator[tuple[slice, NDArray[np.float32]]]:
        """Chunks of ``rows``, standardised."""
        for part, chunk in rows.chunks():
            with np.errstate(over="ignore"):
                standard = chunk - self.mean
                standard /= self.scale
                chunk[:] = standard
            yield part, chunk

    def _of_standardised(self, weights: Array) -> NDArray[np.float32]:
        """Weights (dimension, labels) for standardised features, of those for rotated ones."""
        return np.asarray((self.basis @ weights).astype(np.float32))
