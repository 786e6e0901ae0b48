"""Ridge regression without one group at a time, in closed form: what generalised cross-validation sums up, for groups.

With the hat matrix H of all items (predictions are Hy), the residuals of a group G predicted by a fit without it are (I - H_GG)⁻¹ times its
residuals in the fit with it; for single items this is the PRESS statistic (Allen 1974). So one decomposition serves all strengths and
groups. Standardisation, which uses no labels, is that of all items, and the penalty of the sum of losses stays the same without a group.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from jukemir_like.probes.linear import Array, principal_axes, standardisation


def leave_groups_out(
    X: NDArray[np.float32], y: Array, groups: NDArray[np.str_], strengths: Sequence[float]
) -> Iterator[tuple[float, NDArray[np.float32]]]:
    """Strength and predictions (n, outputs) of each item by a fit without its group.

    Args:
        X: features (n, dimension).
        y: targets (n, outputs).
        groups: of the items (n,), at least two.
        strengths: λ for the mean of half the squared errors.

    >>> X, y = np.float32([[0], [1], [2], [4]]), np.array([[0.0], [1.0], [2.0], [4.0]])
    >>> ((_, predicted),) = leave_groups_out(X, y, np.array(list("abcd")), [1e-9])
    >>> predicted.round(4).ravel().tolist()
    [0.0, 1.0, 2.0, 4.0]
    """
    n = len(X)
    mean, scale = standardisation(X)
    standard = (X - mean) / scale
    axes, variance = principal_axes((standard.T @ standard if n >= X.shape[1] else standard @ standard.T) / n)
    left = standard @ axes / np.sqrt(n * variance) if n >= X.shape[1] else axes
    centred = y - y.mean(0)
    members = [np.flatnonzero(groups == group) for group in np.unique(groups)]
    for strength in strengths:
        shrinkage = variance / (variance + strength)
        residual = centred - left @ (shrinkage[:, None] * (left.T @ centred))
        predicted = np.empty_like(centred)
        for rows in members:
            of_group = left[rows]
            kept = np.eye(len(rows)) - 1 / n - (of_group * shrinkage) @ of_group.T
            predicted[rows] = y[rows] - np.linalg.solve(kept, residual[rows])
        yield strength, predicted.astype(np.float32)
