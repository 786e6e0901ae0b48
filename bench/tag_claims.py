"""How often two representations that know the same of tags are said to differ: test sets simulated with equal ones.

The two share the labels and a part of the noise of their scores (what makes an item hard for both), so that their difference is paired.
"""

from __future__ import annotations

import numpy as np

from jukemir_like.core.resampling import Array
from jukemir_like.datasets import Task
from jukemir_like.probes.intervals import compare, resample_predictions
from jukemir_like.probes.tasks import Predictions

TRIALS = 1000
RESAMPLES = 500
TAGS = Task("tags", "multilabel", tuple(f"tag {index}" for index in range(8)))
SHARES = np.linspace(0.5, 0.1, len(TAGS.labels))  # of positives: 3 to 15 of 30 items
SETS = {"30 items": (30, 1), "100 items": (100, 1)}


def equal_pair(groups: int, items: int, quality: float, shared: float, random: np.random.Generator) -> tuple[Predictions, Predictions]:
    """Predictions of two equal representations on the same items.

    Args:
        groups, items: of the test set; items in each group, of whose noise 30 % of the variance is the group's.
        quality: by how many standard deviations of the noise scores of positives are higher.
        shared: of the variance of the noise, what is the same for the two, 0 to 1.
        random: of all numbers.
    """
    group = np.repeat(np.arange(groups), items)
    alike = 0.3 if items > 1 else 0.0

    def noise() -> Array:
        of_groups, own = random.standard_normal((groups, len(SHARES)))[group], random.standard_normal((len(group), len(SHARES)))
        return np.asarray(alike**0.5 * of_groups + (1 - alike) ** 0.5 * own)

    y = random.random((len(group), len(SHARES))) < SHARES
    y[0] |= ~y.any(0)  # each tag has a positive
    known = quality * y + shared**0.5 * noise()
    uid, names = np.char.zfill(np.arange(len(group)).astype(str), 7), np.char.zfill(group.astype(str), 6)
    first, second = (Predictions(uid, names, y, (known + (1 - shared) ** 0.5 * noise()).astype(np.float32)) for _ in range(2))
    return first, second


def false_claims(groups: int, items: int, quality: float, shared: float, trials: int) -> dict[str, float]:
    """Metric → share of trials in which two equal representations differ by p below 0.05."""
    claimed = {"roc_auc": 0, "average_precision": 0}
    for trial in range(trials):
        pair = equal_pair(groups, items, quality, shared, np.random.default_rng([5, groups, items, trial]))
        found = compare(*(resample_predictions(TAGS, str(trial), [one], resamples=RESAMPLES) for one in pair))
        for metric in claimed:
            claimed[metric] += (found.differences[metric].p or 0.0) < 0.05
    return {metric: count / trials for metric, count in claimed.items()}


def table(trials: int = TRIALS) -> list[str]:
    """Rows: how well tags are known, and how alike the two are; columns: test sets."""
    lines = ["| scores | shared | " + " | ".join(f"{name}, ROC-AUC | average precision" for name in SETS) + " |"]
    lines.append("|---|---|" + "---|" * (2 * len(SETS)))
    for quality, shared in ((1.0, 0.0), (1.0, 0.5), (1.0, 0.8), (2.0, 0.5)):
        found = [false_claims(groups, items, quality, shared, trials) for groups, items in SETS.values()]
        cells = [f"{100 * one['roc_auc']:.1f} | {100 * one['average_precision']:.1f}" for one in found]
        lines.append(f"| of positives {quality:g} σ higher | {shared:g} | {' | '.join(cells)} |")
    return lines
