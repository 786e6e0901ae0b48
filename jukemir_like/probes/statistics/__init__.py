"""Intervals and paired comparisons of probes' test metrics, by bootstrap over groups.

What is drawn
-------------
- Groups (artists, tracks), with replacement, as many as there are: all items of a drawn group come along, and a group drawn twice counts
  twice. Songs of one artist are alike, and drawing songs one by one would give intervals that are too narrow.
- With several seeds, in each resample also the seeds, with replacement; every drawn seed is scored on the same drawn groups and the mean
  is taken. The interval so covers both which songs were in the test set and which seed the probe was given (two-way bootstrap of Owen,
  "The pigeonhole bootstrap", Ann. Appl. Stat. 2007: a little too wide rather than too narrow).
- The draws depend on :data:`SEED`, the dataset's name and the sorted names of the groups, on nothing else. So two representations meet
  the same resamples, which is what makes their comparison paired, and the same runs always give the same intervals.

What is reported
----------------
- 95 % intervals: quantiles over the resamples, bias-corrected (:func:`interval`). Plain percentiles are not enough here: a resample
  repeats items, which flatters average precision and lowers macro F1. On simulated test sets of 30 artists with 5 songs each, the plain
  interval held the true value of macro average precision in 72 % of 300 trials and of macro F1 in 71 %; the corrected one in 91 % and
  87 %. For accuracy, ROC-AUC and R² both held it in 90 to 95 %. So with few groups read "95 %" as "about nine in ten".
- A difference is that of the same metric in the same resample. Its two-sided p is that of the interval: below 0.05 where 0 lies outside.
- A resample in which the metric is undefined (no positive of any tag, a constant target) is left out and counted. There is no
  interval where fewer than half of the resamples remain, or where there are fewer than two groups.
"""

from jukemir_like.core.resampling import CONFIDENCE, RESAMPLES, SEED, Difference, Interval, difference, interval, resample_groups
from jukemir_like.probes.statistics.resampled import Comparison, Resampled, compare, intervals, resample
from jukemir_like.probes.statistics.table import Score, percent, score

__all__ = [
    "CONFIDENCE",
    "RESAMPLES",
    "SEED",
    "Comparison",
    "Difference",
    "Interval",
    "Resampled",
    "Score",
    "compare",
    "difference",
    "interval",
    "intervals",
    "percent",
    "resample",
    "resample_groups",
    "score",
]
