"""L-BFGS as a conversation: it asks for values and gradients, somebody else computes them.

Many problems that share their data (a regularisation path) can so be minimised together: each is a conversation of its own, and the
points that all of them ask about go through the data in one wide product. See Nocedal & Wright, *Numerical Optimization*, ch. 7.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Generator

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]

_MEMORY = 10
_SUFFICIENT = 1e-4  # of the decrease that the slope promises (Armijo)
_SHORTEST_STEP = 1e-6


def minimise(start: Vector, tolerance: float, max_iterations: int) -> Generator[Vector, tuple[float, Vector], Vector]:
    """Minimises a smooth, strictly convex function of a vector.

    Yields points, wants ``(value, gradient)`` sent for each, returns the minimiser. Converged where a step promises to lower the value by
    less than ``tolerance``. Steps only need to lower the value enough: of a strictly convex function any step gives usable curvature.
    """
    point = start
    value, gradient = yield point
    memory: deque[tuple[Vector, Vector, float]] = deque(maxlen=_MEMORY)
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
            # The minimum of the parabola through what is known, within reason.
            step *= min(0.5, max(0.1, -slope * step / (2 * (trial_value - value - slope * step))))
            if step < _SHORTEST_STEP:  # rounding errors are all that is left
                return point
        change, difference = trial - point, trial_gradient - gradient
        if (curvature := float(change @ difference)) > 0:
            memory.append((change, difference, curvature))
        point, value, gradient = trial, trial_value, trial_gradient
    return point


def _times_inverse_hessian(gradient: Vector, memory: deque[tuple[Vector, Vector, float]]) -> Vector:
    """The two-loop recursion."""
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
