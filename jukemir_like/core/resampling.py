"""The bootstrap over groups: resamples, intervals, the p of a difference and its correction. Arrays in, figures out.

Groups (such as artists) are resampled with replacement, all items of one together: items of a group are not independent.

How an interval is made
-----------------------
A percentile bootstrap knows only what was observed: of 13 right of 13, all resamples are right, and the interval would be [100, 100].
Here the bootstrap says how much a value varies, and the interval is that of a distribution which respects the ends of the scale.

- *Fractions* (accuracy, MIREX score, R@k, macro F1). Let G be the number of groups, v the value and s² the variance of the resamples. If
  every group were one independent item, right or wrong, s² would be v (1 - v) / G. The ratio of the two is the design effect of surveys
  (Kish 1965), here with one half observation that is not seen added to both sides, so that it is never 0 / 0::

      design effect  d = (G² s² + ½) / (G v (1 - v) + ½)
      ends           2.5 % and 97.5 % quantiles of Beta(v G / d + ½, (1 - v) G / d + ½)

  This is Jeffreys' interval (Brown, Cai and DasGupta 2001, *Interval estimation for a binomial proportion*) of the effective number of
  observations G / d, which Korn and Graubard (1998) and Dean and Pagano (2015) use for proportions in clustered surveys. Single items
  have d = 1, so theirs is Jeffreys' own, at any number of right ones. Where nothing varies, each group counts as one observation,
  however many items it has: nothing can tell how alike they are.
- *Rankings* (ROC-AUC, average precision) likewise, from as many observations as there are groups with the rarer label, summed over tags;
  with a prior of ¼, Student's t (G - 1 degrees of freedom) and a correction of bias, 2 v less the mean of the resamples.
- *R²*: Student's t around the logarithm of 1 - R². Medians: bias-corrected percentiles (Efron 1987), which suffice for them.
- *Differences*: Student's t (G - 1) around the paired difference. Of fractions and rankings it is not corrected for bias: both values have
  nearly the same, and the estimate of it varies so much from test set to test set (that of average precision half as much again as the
  difference) that equal ones would differ in 12 of 100. To those of fractions and rankings one observation is added, a quarter of
  it to each of the four outcomes of a pair (both right, either, none), after Agresti and Min (2005, *Simple improved confidence intervals
  for comparing matched proportions*), who add two. So two that agree on everything differ by 0 plus or minus what so few groups cannot
  exclude; and p does not end at one over the resamples. Of groups of m items, one
  item is added, which counts as 1 / m of a group: a whole group more would hide what a t test of the groups' differences shows.

``python -m bench coverage`` measures how often these intervals hold the truth: docs/benchmarks.md has the table.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import special

RESAMPLES = 2000
CONFIDENCE = 0.95
SEED = 0
FEW_GROUPS = 10
"""With fewer groups, intervals are said to be rough."""

_BLOCK = 250  # resamples that are computed together: 40 MB of weights for 20,000 items

Array = NDArray[np.float64]

Scale = Literal["fraction", "ranking", "r2", "median", "free"]
"""What kind of number a value is: a fraction of items (or a mean of values from 0 to 1, or of F1), a mean of ROC-AUC or average precision,
an R², a median, or a number without ends, such as a mean of R² and accuracy."""

_PRIOR = 0.5  # observations that are not seen; chosen by the simulation of the bench among 0, ¼, ½ and 1
_RANKING_PRIOR = 0.25  # one item moves an area less than it moves an accuracy
_Z = float(special.ndtri((1 + CONFIDENCE) / 2))
_ENDS = [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2]
_ROUNDING = 1e-12
_LEAST_FOR_R2 = 3
"""Groups; of two, an interval of R² may end at minus a thousand million, because 12.7 standard errors of a logarithm are added."""


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
    """First minus second, of one metric.

    ``p`` is None where nothing can be told; 1 without an interval where an R² is the same in all resamples.
    """

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


def effective_groups(groups: Sequence[str] | np.ndarray) -> float:
    """How many groups of equal size are worth as much: (Σ n)² / Σ n², with n the number of items of each group (Kish 1965).

    >>> effective_groups(["a", "b", "c"]), effective_groups(["a", "a", "a", "b"])
    (3.0, 1.6)
    """
    sizes = np.unique(np.asarray(groups), return_counts=True)[1].astype(np.float64)
    return float(sizes.sum() ** 2 / (sizes @ sizes)) if len(sizes) else 0.0


def interval(value: float, samples: Array, groups: float, *, scale: Scale = "fraction", units: float | None = None) -> Interval:
    """The 95 % interval around ``value``.

    Args:
        value: of the observed data.
        samples: of the resamples, shape (resamples,); NaN where undefined.
        groups: number of groups that were resampled, or their :func:`effective_groups`. Of one (for R²: of fewer than three), or where more
            than half of the resamples are undefined, there is no interval.
        scale: what kind of number the value is, see :data:`Scale`.
        units: number of independent observations where it is not that of groups, as for rankings of several tags.

    All right is no certainty:

    >>> around = interval(1.0, np.ones(2000), groups=13)
    >>> round(around.low, 3), around.high
    (0.827, 1.0)
    >>> around = interval(0.5, 0.5 + 0.5 * np.array([-1.0, 1.0] * 1000) / np.sqrt(100), groups=100)
    >>> round(around.low, 3), round(around.high, 3)
    (0.403, 0.597)
    """
    defined, undefined = _defined(samples)
    if groups <= 1 or defined is None or not np.isfinite(value):
        return Interval(value, None, None, undefined)
    ends: tuple[float, float] | None
    if scale == "median":
        ends = _quantiles(value, defined)
    elif scale == "r2":
        ends = _log_student(value, defined, groups)
    elif scale == "free":
        ends = _student(value, defined, groups)
    else:
        ends = _beta(value, defined, groups, units or groups, ranking=scale == "ranking")
    if ends is None or not np.isfinite(ends).all():
        return Interval(value, None, None, undefined)
    return Interval(value, min(ends[0], value), max(ends[1], value), undefined)


def difference(
    value: float,
    samples: Array,
    groups: float,
    *,
    scale: Scale = "fraction",
    units: float | None = None,
    items: float | None = None,
    inflation: float = 1.0,
) -> Difference:
    """The 95 % interval around a difference, and its two-sided p, which is below 0.05 exactly where 0 lies outside the interval.

    Args:
        value: first minus second, on the observed data.
        samples, groups, units: as of :func:`interval`.
        scale: of the two values. Differences of fractions and rankings lie between -1 and 1.
        items: number of items, where it is not that of groups. Of rankings it does not matter.
        inflation: how many times larger the variance is than that of the resamples, see :func:`few_positives`.

    Two that agree everywhere need not agree on the next item:

    >>> alike = difference(0.0, np.zeros(2000), groups=13)
    >>> round(alike.interval.low, 3), round(alike.interval.high, 3), alike.p
    (-0.11, 0.11, 1.0)
    """
    defined, undefined = _defined(samples)
    if groups <= 1 or defined is None or not np.isfinite(value):
        return Difference(Interval(value, None, None, undefined), None)
    bounded = scale in ("fraction", "ranking")
    centre = value if bounded else 2 * value - float(defined.mean())
    variance = float(defined.var()) * inflation
    if bounded:
        number = units or groups
        added = min(1.0, groups / items) if items and scale == "fraction" else 1.0  # one item, in groups
        squares = number**2 * variance + number * centre**2 + 0.5 * added  # of the observations, and of a quarter each of 1 and -1
        centre *= number / (number + added)
        # Of single items as Agresti and Min; of large groups, where nearly nothing is added, as a t test of the groups, with G - 1.
        variance = (squares / (number + added) - centre**2) / (number - 1 + 2 * added)
    else:
        variance *= groups / (groups - 1)
    error = variance**0.5
    if not error:  # no resample differs, on a scale without ends: the same predictions, or nothing to tell from
        return Difference(Interval(value, None, None, undefined), None if value else 1.0)
    margin = error * _t(groups)
    p = float(2 * special.stdtr(groups - 1, -abs(centre) / error))
    if not np.isfinite(margin) or not np.isfinite(p):
        margin, p = np.inf, 1.0
    if value * centre <= 0:  # only the correction of bias changed the sign: the interval holds both, and so 0
        p = 1.0
    low, high = centre - margin, centre + margin
    if bounded:
        low, high = max(low, -1.0), min(high, 1.0)
    if not np.isfinite(low) or not np.isfinite(high):
        return Difference(Interval(value, None, None, undefined), None)
    return Difference(Interval(value, min(low, value), max(high, value), undefined), p)


def few_positives(positives: Sequence[float] | np.ndarray) -> float:
    """How many times larger the variance of a mean over tags is than that of its resamples, where a value hangs on the positives alone.

    The variance of resamples of m observations is too small by (m - 1) / m. Tags count by their variance, which is as 1 / m; of one
    positive, whose resamples do not vary at all, half an observation stands for m - 1.

    Args:
        positives: number of groups with each tag; tags without any do not count.

    >>> few_positives([3]), round(few_positives([3, 100]), 3)
    (1.5, 1.486)
    """
    m = np.asarray(positives, np.float64)
    m = m[m > 0]
    return float((1 / np.maximum(m - 1, 0.5)).sum() / (1 / m).sum()) if len(m) else 1.0


def holm(p: Sequence[float | None]) -> list[float | None]:
    """Corrects the p of many comparisons for their number (Holm, *A simple sequentially rejective multiple test procedure*, 1979).

    Args:
        p: one per comparison, 0 to 1. None where there is none: it does not count as a comparison.

    Returns:
        In the same order. Where the smallest of m is multiplied by m, the next by m - 1, and so on, none becomes smaller than one before
        it, and none exceeds 1. If none of the differences exists, one or more of these are below 0.05 in at most 5 % of cases.

    >>> holm([0.03, 0.01, None, 0.04])
    [0.06, 0.03, None, 0.06]
    """
    known = sorted((one, place) for place, one in enumerate(p) if one is not None)
    corrected: list[float | None] = [None] * len(p)
    largest = 0.0
    for before, (one, place) in enumerate(known):
        largest = max(largest, min(1.0, one * (len(known) - before)))
        corrected[place] = largest
    return corrected


def few_groups(groups: int, effective: float | None = None) -> str | None:
    """A line for the reader where intervals are of fewer than :data:`FEW_GROUPS` groups; None where there are enough.

    Args:
        groups: that were resampled.
        effective: their :func:`effective_groups`, where it may be less.

    >>> few_groups(7)
    'only 7 groups: with fewer than 10, read intervals as rough'
    """
    if groups < 2 or min(groups, groups if effective is None else effective) >= FEW_GROUPS:
        return None
    as_good_as = f" of very different sizes, as good as {effective:.1f}" if effective is not None and groups >= FEW_GROUPS else ""
    return f"only {groups} groups{as_good_as}: with fewer than {FEW_GROUPS}, read intervals as rough"


def _beta(value: float, samples: Array, groups: float, units: float, *, ranking: bool) -> tuple[float, float]:
    """Jeffreys' interval of as many independent right-or-wrong observations as would spread as the resamples do."""
    rate = min(max(value, 0.0), 1.0)
    prior = _RANKING_PRIOR if ranking else _PRIOR
    number = units * (units * rate * (1 - rate) + prior) / (units**2 * float(samples.var()) + prior)
    if ranking:
        number *= (_Z / _t(groups)) ** 2
        rate = min(max(2 * value - float(samples.mean()), 0.0), 1.0)
    low, high = special.betaincinv(number * rate + 0.5, number * (1 - rate) + 0.5, _ENDS)
    return (0.0 if value <= _ROUNDING else float(low)), (1.0 if value >= 1 - _ROUNDING else float(high))


def _student(value: float, samples: Array, groups: float) -> tuple[float, float] | None:
    """Value, less the bias of the resamples, plus or minus t standard errors; None where no resample differs."""
    error = float(samples.std()) * (groups / (groups - 1)) ** 0.5
    centre = 2 * value - float(samples.mean())
    return (centre - _t(groups) * error, centre + _t(groups) * error) if error else None


def _log_student(value: float, samples: Array, groups: float) -> tuple[float, float] | None:
    """:func:`_student` of the logarithm of what is not explained, 1 - R²; None of so few groups that it would say nothing."""
    if value >= 1 or groups < _LEAST_FOR_R2:
        return None
    unexplained = np.log(np.maximum(1 - samples, np.finfo(np.float64).tiny))
    ends = _student(float(np.log(1 - value)), unexplained, groups)
    with np.errstate(over="ignore"):
        return None if ends is None else (1 - float(np.exp(ends[1])), 1 - float(np.exp(ends[0])))


def _quantiles(value: float, samples: Array) -> tuple[float, float]:
    """Quantiles of the resamples, corrected for bias: Φ(2 z0 ± 1.96), with z0 = Φ⁻¹ of the share of resamples below the value."""
    share = ((samples < value).mean() + (samples <= value).mean()) / 2  # equal ones count half
    least = 1 / (len(samples) + 1)
    bias = special.ndtri(min(max(float(share), least), 1 - least))
    low, high = np.quantile(samples, special.ndtr([2 * bias - _Z, 2 * bias + _Z]))
    return float(low), float(high)


def _t(groups: float) -> float:
    return float(special.stdtrit(groups - 1, (1 + CONFIDENCE) / 2))


def _defined(samples: Array) -> tuple[Array | None, int]:
    """The samples that are numbers, None if they are fewer than half; and how many are not."""
    missing = np.isnan(samples)
    undefined = int(missing.sum())
    if not len(samples) or undefined > len(samples) / 2:
        return None, undefined
    return (samples[~missing] if undefined else samples), undefined
