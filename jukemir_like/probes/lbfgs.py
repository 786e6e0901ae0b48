"""L-BFGS in reverse communication: the caller evaluates the function, so that many problems can share a pass over their data.

See Nocedal & Wright, *Numerical Optimization*, ch. 7.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Generator

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

_MEMORY = 10  # pairs of changes that are kept
_SUFFICIENT = 1e-4  # of the decrease that the slope promises (Armijo)
_SHORTEST_STEP = 1e-6


def minimise(start: Array, tolerance: float, max_iterations: int) -> Generator[Array, tuple[float, Array], Array]:
    """Minimises a smooth, strictly convex function of a vector by L-BFGS in reverse communication.

    The generator yields the points where it needs the function, expects ``(value, gradient)`` to be sent for each, and returns the
    minimiser. So the caller can evaluate many problems that share their data (a regularisation path) in one pass over it.

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
