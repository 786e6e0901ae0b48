"""The bootstrap over groups: draws, percentile intervals, and the p of a difference. Arrays in, figures out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 2000
CONFIDENCE = 0.95
SEED = 0

_BLOCK = 250  # resamples under way together: 40 MB of weights for 20,000 items

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


def draw(groups: Sequence[str] | np.ndarray, resamples: int, seed: int | Sequence[int]) -> Iterator[NDArray[np.int32]]:
    """Multiplicities of items in resamples of their groups: blocks of shape (resamples in the block, n), ``resamples`` rows in all.

    Args:
        groups: the group of every item, shape (n,). The draw depends on the sorted set of names, not on the order of items.
        resamples: how many.
        seed: what the draw starts from.
    """
    names, group = np.unique(np.asarray(groups), return_inverse=True)
    generator = np.random.default_rng(seed)
    for start in range(0, resamples, _BLOCK):
        rows = min(_BLOCK, resamples - start)
        drawn = generator.integers(len(names), size=(rows, len(names)))
        drawn += len(names) * np.arange(rows)[:, None]
        counts = np.bincount(drawn.ravel(), minlength=rows * len(names)).reshape(rows, len(names))
        yield counts.astype(np.int32)[:, group]


def interval(value: float, samples: Array, groups: int) -> Interval:
    """The bias-corrected percentile interval around ``value``.

    Args:
        value: of the observed data.
        samples: of the resamples, shape (resamples,); NaN where undefined.
        groups: number of groups that were drawn from.

    With F the distribution of ``samples`` and z0 = Φ⁻¹(F(value)), the ends are the quantiles Φ(2 z0 ± 1.96) of ``samples``
    (Efron 1987, *Better bootstrap confidence intervals*, without acceleration).
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
    found = interval(value, samples, groups)
    if found.low is None:
        return Difference(found, None)
    defined = _defined(samples)
    if not min((defined <= 0).sum(), (defined >= 0).sum()):
        return Difference(found, 2 / (len(defined) + 1))
    zero = _quantile_of(0.0, defined) - 2 * _quantile_of(value, defined)
    return Difference(found, 2 * _NORMAL.cdf(-abs(zero)))


def _quantile_of(value: float, samples: Array) -> float:
    """Φ⁻¹ of the share of ``samples`` below ``value``; equal ones count half, and at least one sample counts as on either side."""
    share = ((samples < value).mean() + (samples <= value).mean()) / 2
    least = 1 / (len(samples) + 1)
    return _NORMAL.inv_cdf(min(max(float(share), least), 1 - least))


def _defined(samples: Array) -> Array:
    return samples[~np.isnan(samples)]
