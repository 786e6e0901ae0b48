"""The bootstrap over groups: resamples, percentile intervals, and the p of a difference. Arrays in, figures out.

Groups (such as artists) are resampled with replacement, all items of one together: items of a group are not independent.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 2000
CONFIDENCE = 0.95
SEED = 0

_BLOCK = 250  # resamples that are computed together: 40 MB of weights for 20,000 items

Array = NDArray[np.float64]

_NORMAL = NormalDist()


@dataclass(frozen=True)
class Interval:
    """A value with its interval; fractions.

    Args:
        value: on the items as they are; with several seeds, the mean over seeds.
        low, high: None where there is no interval.
        undefined: number of resamples that were left out.
    """

    value: float
    low: float | None
    high: float | None
    undefined: int

    @property
    def excludes_zero(self) -> bool:
        return self.low is not None and self.high is not None and (self.low > 0 or self.high < 0)


@dataclass(frozen=True)
class Difference:
    """First minus second, of one metric. ``p`` is None where there is no interval."""

    interval: Interval
    p: float | None


def resample_groups(groups: Sequence[str] | np.ndarray, resamples: int, seed: int | Sequence[int]) -> Iterator[NDArray[np.int32]]:
    """How often each item is in each resample of the groups: blocks of shape (resamples in the block, n), ``resamples`` rows in all.

    Args:
        groups: the group of every item, shape (n,). The result depends on the sorted set of names, not on the order of items.
        resamples: how many.
        seed: of the random numbers.

    >>> next(resample_groups(["a", "a", "b"], resamples=3, seed=0))
    array([[0, 0, 2],
           [1, 1, 1],
           [2, 2, 0]], dtype=int32)
    """
    names, group = np.unique(np.asarray(groups), return_inverse=True)
    generator = np.random.default_rng(seed)
    for start in range(0, resamples, _BLOCK):
        rows = min(_BLOCK, resamples - start)
        chosen = generator.integers(len(names), size=(rows, len(names)))
        chosen += len(names) * np.arange(rows)[:, None]  # so that one call counts each row by itself
        counts = np.bincount(chosen.ravel(), minlength=rows * len(names)).reshape(rows, len(names))
        yield counts.astype(np.int32)[:, group]


def interval(value: float, samples: Array, groups: int) -> Interval:
    """The bias-corrected percentile interval around ``value``.

    Args:
        value: of the observed data.
        samples: of the resamples, shape (resamples,); NaN where undefined.
        groups: number of groups that were resampled. Of fewer than two, or where more than half of the resamples are undefined, there is
            no interval.

    With F the distribution of ``samples`` and z0 = Φ⁻¹(F(value)), the ends are the quantiles Φ(2 z0 ± 1.96) of ``samples``
    (Efron 1987, *Better bootstrap confidence intervals*, without acceleration).

    >>> around = interval(0.5, np.linspace(0, 1, 1001), groups=30)
    >>> round(around.low, 3), round(around.high, 3)
    (0.025, 0.975)
    """
    defined = _defined(samples)
    undefined = len(samples) - len(defined)
    if groups < 2 or not len(defined) or undefined > len(samples) / 2 or not np.isfinite(value):
        return Interval(value, None, None, undefined)
    bias = _quantile_of(value, defined)
    tail = _NORMAL.inv_cdf((1 + CONFIDENCE) / 2)
    low, high = np.quantile(defined, [_NORMAL.cdf(2 * bias - tail), _NORMAL.cdf(2 * bias + tail)])
    return Interval(value, float(low), float(high), undefined)


def difference(value: float, samples: Array, groups: int) -> Difference:
    """As :func:`interval`, of a difference; p is one minus the confidence at which the interval would end at 0.

    Where no resample reaches 0, p is the smallest that so many resamples can tell: 2 / (resamples + 1).
    """
    around = interval(value, samples, groups)
    if around.low is None:
        return Difference(around, None)
    defined = _defined(samples)
    if not min((defined <= 0).sum(), (defined >= 0).sum()):
        return Difference(around, 2 / (len(defined) + 1))
    # The end of the interval at confidence c is the quantile Φ(2 z0 ± z_c). It is 0 where z_c = ±(Φ⁻¹(F(0)) - 2 z0), and p = 1 - c.
    zero = _quantile_of(0.0, defined) - 2 * _quantile_of(value, defined)
    return Difference(around, 2 * _NORMAL.cdf(-abs(zero)))


def _quantile_of(value: float, samples: Array) -> float:
    """Φ⁻¹ of the share of ``samples`` below ``value``; equal ones count half, and at least one sample counts as on either side."""
    share = ((samples < value).mean() + (samples <= value).mean()) / 2
    least = 1 / (len(samples) + 1)
    return _NORMAL.inv_cdf(min(max(float(share), least), 1 - least))


def _defined(samples: Array) -> Array:
    return samples[~np.isnan(samples)]
