"""How far a metric would move with other tracks: the bootstrap over groups of queries.

Groups (artists where they are known, else tracks) are drawn with replacement, as many as there are, and all queries of a drawn group
come along: the four queries of one track share its mix and are not independent. The candidates stay as they are: the intervals say how
sure the figure is for this pool, and nothing about larger pools. Ends are the 2.5 % and 97.5 % quantiles over the draws.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

DRAWS = 1000
CONFIDENCE = 0.95
SEED = 0

_BLOCK = 100  # draws whose medians are found at once

Array = NDArray[np.float64]


def draw(groups: int, draws: int = DRAWS, seed: int = SEED) -> NDArray[np.int64]:
    """How often each group comes in each draw: ``(draws, groups)``, rows that sum to ``groups``."""
    drawn = np.random.default_rng(seed).integers(groups, size=(draws, groups))
    return np.stack([np.bincount(row, minlength=groups) for row in drawn]) if draws else np.zeros((0, groups), np.int64)


def number(names: Sequence[str]) -> NDArray[np.int64]:
    """The number of each name among the sorted different ones, so that draws do not depend on the order of tracks."""
    return np.unique(np.asarray(names, dtype=object), return_inverse=True)[1].astype(np.int64)


def interval(of_queries: Array, group: NDArray[np.int64], drawn: NDArray[np.int64], *, median: bool = False) -> tuple[float, float] | None:
    """The interval of the mean (or the median) of ``of_queries``; None where there are fewer than two groups, or no draws.

    Args:
        of_queries: ``(queries,)``.
        group: ``(queries,)``, the group of each.
        drawn: from :func:`draw`.
        median: of the median instead of the mean.
    """
    if len(np.unique(group)) < 2 or not len(drawn):
        return None
    counts = np.bincount(group, minlength=drawn.shape[1])
    drawn = drawn[(drawn @ counts) > 0]  # a draw may lack all queries of an instrument
    if median:
        order = np.argsort(of_queries, kind="stable")
        blocks = range(0, len(drawn), _BLOCK)
        samples = np.concatenate([_medians(of_queries[order], drawn[start : start + _BLOCK, group[order]]) for start in blocks])
    else:
        samples = (drawn @ np.bincount(group, of_queries, drawn.shape[1])) / (drawn @ counts)
    low, high = np.quantile(samples, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return float(low), float(high)


def _medians(ascending: Array, times: NDArray[np.int64]) -> Array:
    """Medians of ``ascending`` (n,) with value i repeated ``times[:, i]`` times; ``times`` is ``(draws, n)``."""
    upto = times.cumsum(1)
    total = upto[:, -1]
    lower, upper = ((upto < place[:, None]).sum(1) for place in ((total + 1) // 2, total // 2 + 1))
    return np.asarray((ascending[lower] + ascending[upper]) / 2)
