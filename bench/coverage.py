"""How often intervals hold the truth, and how often "best" is claimed where nothing is better: test sets simulated from known truth.

What "95 %" can mean: of n right-or-wrong items only n + 1 numbers of right ones can come out, so no interval holds every rate in exactly
95 % of test sets. The tables show the coverage at several rates, and on average over rates from 50 to 100 %, all as likely. At a rate of
100 % all items of all test sets are right; an interval either holds 100 % always, or never.

Compared with each method is the one before: quantiles of the resamples, corrected for bias.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations, product

import numpy as np
from scipy.stats import binom, norm

from bench import tag_claims
from jukemir_like.core.resampling import RESAMPLES, Array, Scale, difference, effective_groups, holm, interval, resample_groups
from jukemir_like.datasets import Task
from jukemir_like.probes import metrics
from jukemir_like.probes.intervals import resample_predictions
from jukemir_like.probes.tasks import Predictions

TRIALS = 1000
METRIC_TRIALS = 300
RATES = (0.5, 0.8, 0.95, 0.98, 1.0)
SIZES = {
    "1 item": lambda groups: np.ones(groups, int),
    "5 items": lambda groups: np.full(groups, 5),
    "1 to 20 items": lambda groups: uneven(groups),
}
SETS = {"20 items": (20, 1), "100 items": (100, 1), "30 groups of 5": (30, 5)}
GENRE = Task("genre", "multiclass", ("a", "b", "c", "d", "e"))
TAGS = Task("tags", "multilabel", tuple(f"tag {index}" for index in range(8)))
EMOTION = Task("emotion", "regression", ("arousal", "valence"))
EQUAL = 10
METHODS: dict[Scale, str] = {"fraction": "now", "median": "before"}


def uneven(groups: int) -> np.ndarray:
    """Sizes of groups from 1 to 20, as many small ones as large ones by ratio."""
    return np.maximum(1, np.geomspace(1, 20, groups).round().astype(int))


def right_by_group(sizes: np.ndarray, rate: float | Array, correlation: float, trials: int, random: np.random.Generator) -> Array:
    """How many items of each group are right, (trials, groups). ``correlation``: of two items of a group (intraclass, beta-binomial)."""
    share = np.broadcast_to(np.reshape(rate, (-1, 1)), (trials, len(sizes)))
    if correlation:
        spread = (1 - correlation) / correlation
        share = np.where(share < 1, random.beta(np.maximum(share * spread, 1e-9), np.maximum((1 - share) * spread, 1e-9)), 1)
    return random.binomial(sizes, share).astype(np.float64)


def hits(right: Array, sizes: np.ndarray, rate: float | Array, scale: Scale, seed: int = 0) -> tuple[float, float]:
    """Share of trials whose interval of the accuracy holds the rate, and the mean width of the intervals."""
    times = np.concatenate(list(resample_groups(np.arange(len(sizes)), RESAMPLES, seed))).astype(np.float64)
    samples = (right @ times.T) / (times @ sizes)
    groups = effective_groups(np.repeat(np.arange(len(sizes)), sizes))
    found = [interval(float(value), of_one, groups, scale=scale) for value, of_one in zip(right.sum(1) / sizes.sum(), samples, strict=True)]
    low, high = np.array([one.low for one in found], float), np.array([one.high for one in found], float)
    return float(np.mean((low <= rate) & (rate <= high))), float(np.mean(high - low))


def items_table() -> list[str]:
    """Accuracy of single items, by number and rate; exact, as the sum over all numbers of right items."""
    lines = ["| items | method | " + " | ".join(f"{100 * rate:.0f} %" for rate in RATES) + " | average over rates | width at 95 % |"]
    lines.append("|---|---|" + "---|" * (len(RATES) + 2))
    rates = np.append(RATES, np.linspace(0.5, 1, 1001)[:-1])
    for n in (13, 20, 100, 1000):
        for method, name in METHODS.items():
            held, width = exact_hits(n, rates, method)
            shown = [f"{100 * share:.1f}" for share in held[: len(RATES)]]
            average = held[len(RATES) :].mean()
            lines.append(f"| {n:,} | {name} | {' | '.join(shown)} | **{100 * average:.1f}** | {100 * width[RATES.index(0.95)]:.1f} |")
    return lines


def exact_hits(n: int, rates: Array, scale: Scale) -> tuple[Array, Array]:
    """Probability that the interval of n single items holds each rate, and the expected width of the interval at it."""
    times = np.concatenate(list(resample_groups(np.arange(n), RESAMPLES, 0)))
    samples = np.hstack([np.zeros((RESAMPLES, 1)), times.cumsum(1) / n])  # of 0, 1, … n right items
    found = [interval(right / n, samples[:, right], n, scale=scale) for right in range(n + 1)]
    low, high = np.array([one.low for one in found], float), np.array([one.high for one in found], float)
    probability = binom.pmf(np.arange(n + 1), n, np.reshape(rates, (-1, 1)))
    holds = (low <= np.reshape(rates, (-1, 1))) & (np.reshape(rates, (-1, 1)) <= high)
    return np.asarray((probability * holds).sum(1)), np.asarray(probability @ (high - low))


def groups_table(trials: int = TRIALS) -> list[str]:
    """Accuracy of grouped items: the least and the average coverage over rates, by groups, sizes and correlation."""
    correlations = (0.0, 0.2, 0.5)
    lines = ["| groups | of | " + " | ".join(f"correlation {one:g}, now | before" for one in correlations) + " |"]
    lines.append("|---|---|" + "---|" * (2 * len(correlations)))
    for groups in (5, 10, 20, 30, 100):
        for name in ("5 items", "1 to 20 items"):
            sizes, cells = SIZES[name](groups), []
            for correlation in correlations:
                for method in ("fraction", "median"):
                    random = np.random.default_rng([1, groups])
                    found = [
                        hits(right_by_group(sizes, rate, correlation, trials, random), sizes, rate, method)[0] for rate in (0.5, 0.8, 0.95)
                    ]
                    cells.append(f"{100 * np.mean(found):.1f} ({100 * min(found):.1f})")
            lines.append(f"| {groups} | {name} | {' | '.join(cells)} |")
    return lines


def paired_hits(sizes: np.ndarray, rates: tuple[float, float], shared: float, trials: int, correlation: float = 0.0) -> dict[str, float]:
    """Share of trials whose interval of the difference of two accuracies holds the true one, by :data:`METHODS`.

    Args:
        sizes: items of each group.
        rates: of the two, how many of all items they get right.
        shared: correlation of the difficulty of an item for the two, 0 to 1.
        trials: simulated test sets.
        correlation: of the difficulty of two items of a group.
    """
    random = np.random.default_rng([4, len(sizes)])
    times = np.concatenate(list(resample_groups(np.arange(len(sizes)), RESAMPLES, 0))).astype(np.float64)
    group = np.repeat(np.arange(len(sizes)), sizes)
    groups, limits, truth = effective_groups(group), norm.ppf(rates), rates[0] - rates[1]
    first = np.concatenate([[0], np.cumsum(sizes)[:-1]])

    def difficulty(columns: int) -> Array:
        alike, own = random.standard_normal((len(sizes), columns))[group], random.standard_normal((len(group), columns))
        return np.asarray(correlation**0.5 * alike + (1 - correlation) ** 0.5 * own)

    held = dict.fromkeys(METHODS.values(), 0)
    for _ in range(trials):
        right = shared**0.5 * difficulty(1) + (1 - shared) ** 0.5 * difficulty(2) < limits
        lead = np.add.reduceat(right[:, 0].astype(float) - right[:, 1], first)
        value, samples = lead.sum() / sizes.sum(), times @ lead / (times @ sizes)
        for around, name in (
            (difference(value, samples, groups, items=len(group)).interval, "now"),
            (interval(value, samples, groups, scale="median"), "before"),
        ):
            held[name] += around.low is not None and around.high is not None and around.low <= truth <= around.high
    return {name: count / trials for name, count in held.items()}


def pairs_table(trials: int = TRIALS) -> list[str]:
    """Differences of two accuracies, of single items and of groups."""
    sets = {
        "20 items": (np.ones(20, int), 0.0),
        "100 items": (np.ones(100, int), 0.0),
        "1,000 items": (np.ones(1000, int), 0.0),
        "10 groups of 5": (np.full(10, 5), 0.3),
        "30 groups of 1 to 20": (uneven(30), 0.3),
    }
    lines = [
        "| accuracies | shared | " + " | ".join(f"{name}, now | before" for name in sets) + " |",
        "|---|---|" + "---|" * (2 * len(sets)),
    ]
    for rates, shared in product(((0.5, 0.5), (0.95, 0.95), (0.9, 0.7), (0.98, 0.95)), (0.3, 0.8)):
        found = [paired_hits(sizes, rates, shared, trials, correlation) for sizes, correlation in sets.values()]
        cells = [f"{100 * one['now']:.1f} | {100 * one['before']:.1f}" for one in found]
        lines.append(f"| {100 * rates[0]:.0f} and {100 * rates[1]:.0f} % | {shared:g} | {' | '.join(cells)} |")
    return lines


def metric_samples(task: Task, groups: int, items: int, quality: float, random: np.random.Generator) -> Predictions:
    """Scores of simulated items; those of a group are alike (30 % of the variance of the noise)."""
    group = np.repeat(np.arange(groups), items)
    share = 0.3 if items > 1 else 0.0

    def noise(columns: int) -> Array:
        alike, own = random.standard_normal((groups, columns))[group], random.standard_normal((len(group), columns))
        return np.asarray(share**0.5 * alike + (1 - share) ** 0.5 * own)

    if task is GENRE:
        y = random.choice(5, len(group), p=[0.4, 0.3, 0.15, 0.1, 0.05])
        scores = quality * np.eye(5)[y] + noise(5)
    elif task is TAGS:
        y = random.random((len(group), 8)) < np.linspace(0.5, 0.1, 8)
        scores = quality * y + noise(8)
    else:
        y = noise(2)
        scores = y + 0.7 * noise(2) / quality
    names = np.char.zfill(group.astype(str), 6)
    return Predictions(np.char.zfill(np.arange(len(group)).astype(str), 7), names, y, scores.astype(np.float32))


def metric_coverage(task: Task, groups: int, items: int, quality: float, trials: int) -> Iterator[tuple[str, float, float, float]]:
    """Metric, its truth (of 100,000 items), and the share of trials whose interval holds it, now and before."""
    large = metric_samples(task, 100_000 // items, items, quality, np.random.default_rng(0))
    truth = metrics.evaluate(task, large.y, large.scores)
    held: dict[str, list[tuple[bool, bool]]] = {metric: [] for metric in truth if not metric.startswith("r2_")}
    for trial in range(trials):
        found = resample_predictions(
            task, str(trial), [metric_samples(task, groups, items, quality, np.random.default_rng([2, trial]))], resamples=500
        )
        for metric, shares in held.items():
            value = float(found.by_seed[metric][0])
            before = interval(value, found.samples[metric], found.groups, scale="median")
            both = (found.intervals[metric], before)
            shares.append(tuple(one.low is not None and one.low <= truth[metric] <= one.high for one in both))
    for metric, shares in held.items():
        now, before = np.mean(shares, axis=0)
        yield metric, truth[metric], now, before


def metrics_table(trials: int = METRIC_TRIALS) -> list[str]:
    """The other metrics, on three kinds of test set."""
    names = list(SETS)
    lines = ["| metric | truth | " + " | ".join(f"{name}, now | before" for name in names) + " |", "|---|---|" + "---|" * (2 * len(names))]
    for task in (GENRE, TAGS, EMOTION):
        for quality in (1.0, 3.0)[: 1 if task is EMOTION else 2]:  # an R² of .5 and of .95 are the same but for scale
            columns = [list(metric_coverage(task, groups, items, quality, trials)) for groups, items in SETS.values()]
            for of_metric in zip(*columns, strict=True):
                cells = [f"{100 * now:.1f} | {100 * before:.1f}" for _, _, now, before in of_metric]
                lines.append(f"| {of_metric[0][0]} | {100 * of_metric[0][1]:.1f} | {' | '.join(cells)} |")
    return lines


def claims(n: int, rates: Sequence[float], shared: float, trials: int, seed: int = 0) -> dict[str, float]:
    """How often one of several representations is said to be best, and how often a pair to differ, on n single items.

    Args:
        n: items of the test set.
        rates: of each representation, how many of all items it gets right.
        shared: correlation of the difficulty of an item for two representations, 0 to 1.
        trials: simulated test sets.
        seed: of the simulation.

    Returns:
        ``best``: share of trials with a best one by the corrected p; ``uncorrected``: by intervals that exclude 0, as before;
        ``any pair``: share of trials with a corrected p below 0.05.
    """
    random = np.random.default_rng([3, n, seed])
    times = np.concatenate(list(resample_groups(np.arange(n), RESAMPLES, seed))).astype(np.float64)
    limits = norm.ppf(rates)
    counts = dict.fromkeys(("best", "uncorrected", "any pair"), 0)
    for _ in range(trials):
        hard = shared**0.5 * random.standard_normal((n, 1)) + (1 - shared) ** 0.5 * random.standard_normal((n, len(rates)))
        right = (hard < limits).astype(np.float64)
        values, samples = right.mean(0), times @ right / n
        pairs = list(combinations(range(len(rates)), 2))
        found = [difference(values[a] - values[b], samples[:, a] - samples[:, b], n) for a, b in pairs]
        corrected = holm([one.p for one in found])
        first = int(values.argmax())
        own = [place for place, pair in enumerate(pairs) if first in pair]
        counts["best"] += all((corrected[place] or 0) < 0.05 for place in own)
        counts["uncorrected"] += all(
            interval(found[place].interval.value, samples[:, a] - samples[:, b], n, scale="median").excludes_zero
            for place, (a, b) in enumerate(pairs)
            if first in (a, b)
        )
        counts["any pair"] += any((p or 0) < 0.05 for p in corrected)
    return {name: count / trials for name, count in counts.items()}


def claims_table(trials: int = TRIALS) -> list[str]:
    """Claims among ten equal representations, and where one is better."""
    lines = ["| representations | items | best, % | best as before, % | a pair differs, % |", "|---|---|---|---|---|"]
    for number, n, shared in product((2, EQUAL), (20, 100, 1000), (0.3, 0.8)):
        equal = claims(n, [0.7] * number, shared, trials)
        kind = f"{number} equal ones, 70 %, difficulty shared {shared:g}"
        lines.append(
            f"| {kind} | {n:,} | **{100 * equal['best']:.1f}** | {100 * equal['uncorrected']:.1f} | {100 * equal['any pair']:.1f} |"
        )
    for n in (100, 1000):
        for better in (0.75, 0.8, 0.9):
            found = claims(n, [better, *[0.7] * (EQUAL - 1)], 0.8, trials // 4)
            kind = f"one of {100 * better:.0f} %, {EQUAL - 1} of 70 %, shared 0.8"
            lines.append(
                f"| {kind} | {n:,} | {100 * found['best']:.1f} | {100 * found['uncorrected']:.1f} | {100 * found['any pair']:.1f} |"
            )
    return lines


def section() -> str:
    """Markdown."""
    return "\n".join(
        [
            "## Intervals and comparisons",
            "",
            "Share of test sets, in %, whose 95 % interval holds the truth. *Now*: `core/resampling.py`; *before*: bias-corrected "
            "quantiles of the same resamples.",
            "",
            "### Accuracy of single items",
            "",
            "By the true rate of right items; exact, as the sum over all numbers of right ones. So few numbers can come out that no "
            "interval holds every rate in exactly 95 % of test sets: of 20 items at a rate of 95 %, an interval that holds the rate from "
            "18 right ones on does so in 92.5 %, one from 17 on in 98.4 %, and there is none between. What can be promised is the average, "
            "here over rates from 50 to 100 %. Where the truth is 100 %, all items are right.",
            "",
            *items_table(),
            "",
            "### Accuracy of groups",
            "",
            f"{TRIALS:,} simulated test sets per rate (± 1.4). Average over the rates 50, 80 and 95 %, in brackets the least of "
            "the three. Correlation: of being right, between two items of a group.",
            "",
            *groups_table(),
            "",
            "### Other metrics",
            "",
            f"{METRIC_TRIALS} test sets per cell (± 2.5). Five classes of 40 to 5 % of the items; eight tags of 50 to 10 %; two outputs. "
            "Of 20 items, a class or a tag often has one or none: the metric of so few is off the truth by more than any interval knows.",
            "",
            *metrics_table(),
            "",
            "### Paired differences",
            "",
            f"Of the accuracies of two representations, {TRIALS:,} test sets per cell (± 1.4). *Shared*: correlation of an item's "
            "difficulty for the two; that of two items of a group is 0.3.",
            "",
            *pairs_table(),
            "",
            "### Claims",
            "",
            "How often one representation is said to be the best (bold on the page) and how often any pair is said to differ (p corrected "
            "by Holm below 0.05).",
            "",
            *claims_table(),
            "",
            "### Claims about tags",
            "",
            f"How often two equal representations are said to differ (p below 0.05), of {tag_claims.TRIALS} test sets per cell (± 0.7). "
            "Eight tags of 50 to 10 % of the items: of 30 items, 15 to 3 positives. *Shared*: of the variance of the scores' noise, what "
            "is the same for the two.",
            "",
            *tag_claims.table(),
            "",
        ]
    )


if __name__ == "__main__":
    print(section())
