"""What the figures and tables of the page say, and what they do not: sentences made from the same results that are shown.

A sentence claims a difference only where :meth:`Question.differ` does; everything else is "cannot be told apart", which is not "the same".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from jukemir_like.probes.fitting import TRIVIAL
from jukemir_like.probes.metrics import mirex_table
from jukemir_like.report.confusions import Confusions
from jukemir_like.report.formatting import MOST_NAMES, decimal, listed, times
from jukemir_like.report.layers import Curve
from jukemir_like.report.lines import CostPoint
from jukemir_like.report.questions import Average, Question
from jukemir_like.stemjepa.retrieval.table import Row

_MANY_PAIRS = 10
_MIREX = {0.5: "a fifth above", 0.3: "relative", 0.2: "parallel"}


@dataclass(frozen=True)
class Conclusion:
    """What can be concluded, and what cannot; either may be empty."""

    says: str
    does_not: str = ""

    def __bool__(self) -> bool:
        return bool(self.says or self.does_not)


def of_scores(question: Question, published: bool = False) -> Conclusion:
    """Under the scores of a question: who leads, who cannot be told apart from the first, who is no better than the baseline.

    Args:
        question: with at least one result.
        published: whether results of others stand beside ours.
    """
    names = [name for name in question.answers if name != TRIVIAL]
    if not names:
        return Conclusion("Only the baseline was probed.")
    says = [*_leaders(question, names), *_beside_baseline(question, names)]
    does_not = []
    if question.answers[names[0]].groups == 1:
        does_not.append("Only 1 group in the test set: there are no intervals, and nothing tells a difference from chance.")
    elif question.few_groups:
        does_not.append(f"{question.few_groups[0].upper()}{question.few_groups[1:]}.")
    if len(names) > 1:
        does_not.append("Whether two rows differ is in their paired difference, not in whether their intervals overlap.")
    if len(question.comparisons) > _MANY_PAIRS:
        does_not.append(
            f"Claims are corrected for all {len(question.comparisons)} pairs of rows: among fewer rows, more can be told apart."
        )
    if published:
        does_not.append("Published results have other probes, clips or splits: a few points more or less than ours mean nothing.")
    return Conclusion(" ".join(says), " ".join(does_not))


def _leaders(question: Question, names: Sequence[str]) -> list[str]:
    best = question.best
    if best is not None:
        below = {name: question.lead(best, name) or 0.0 for name in question.answers if name != best}
        closest = min(below, key=lambda name: below[name])
        return [f"{best} is better than every other row; the closest, {closest}, is {decimal(100 * below[closest])} points below."]
    first = max([names[0], *question.answers], key=lambda name: question.interval(name).value)
    compared = [name for name in question.answers if name != first and question.differ(first, name) is not None]
    tied = [name for name in compared if not question.differ(first, name)]
    above = [name for name in compared if question.differ(first, name) and (question.lead(first, name) or 0) < 0]
    if len(question.answers) == 1:
        return []
    if not compared:
        return [f"{first} has the highest value, but no other row can be compared with it."]
    if above:
        return [f"{first} has the highest value, but on the items that both have, {listed(above)} {_are(above)} better."]
    if not tied:
        return [f"{first} is better than every row that it can be compared with."]
    in_order = [name for name in question.answers if name in (first, *tied)]
    if TRIVIAL in tied:
        return [f"The highest value, that of {first}, cannot be told apart from the baseline."]
    alike = all(question.differ(*pair) is False for pair in combinations(in_order, 2))
    if alike and in_order == list(question.answers)[: len(in_order)]:
        number = f"The first {len(in_order)}" if len(in_order) > 2 else "The first two"
        return [f"{number} cannot be told apart: {listed(in_order)}."]
    return [f"{first} has the highest value, but cannot be told apart from {listed([name for name in in_order if name != first])}."]


def _beside_baseline(question: Question, names: Sequence[str]) -> list[str]:
    if TRIVIAL not in question.answers:
        return []
    compared = [name for name in names if question.differ(name, TRIVIAL) is not None]
    below = [name for name in compared if not _is_above_baseline(question, name)]
    if not compared or (question.best is not None and len(question.answers) == 2):  # said already
        return []
    if not below:
        return ["Every row is better than the baseline."] if len(compared) > 1 else [f"{compared[0]} is better than the baseline."]
    if len(below) == len(compared):
        return ["No row is clearly better than the baseline."]
    return [f"Not clearly better than the baseline: {listed(below)}."]


def _is_above_baseline(question: Question, name: str) -> bool:
    return bool(question.differ(name, TRIVIAL)) and (question.lead(name, TRIVIAL) or 0) > 0


def of_headline(questions: Sequence[Question], means: Sequence[Average]) -> Conclusion:
    """Under the first table: who is clearly best in how many columns."""
    columns = [*(one.best for one in questions), *(one.best for one in means)]
    without = "".join(
        f" The average over {one.dataset}, protocol {one.protocol}, has no interval: {one.no_interval}." for one in means if one.no_interval
    )
    if not _names(questions):
        return Conclusion("", "The baseline alone: probe a representation to compare with it." + without)
    if not any(sum(name != TRIVIAL for name in one.answers) > 1 for one in questions):
        return Conclusion("", "One representation alone: compare it with the baseline only." + without)
    wins: dict[str, int] = {}
    for best in columns:
        if best is not None:
            wins[best] = wins.get(best, 0) + 1
    ranked = sorted(wins, key=lambda name: (-wins[name], name))
    says = f"Clearly best: {listed([f'{name} in {_columns(wins[name])}' for name in ranked])}." if ranked else ""
    open_ = len(columns) - sum(wins.values())
    if open_:
        rest = "the other column" if open_ == 1 else f"the other {open_} columns"
        where = f"{says} In {rest} no" if ranked else "In no column a" if len(columns) > 1 else "No"
        says = f"{where} row is clearly better than every other."
    incomplete = [name for name in _names(questions) if any(name not in one.answers for one in questions)]
    does_not = "Values of different columns are different metrics on different data: compare within a column."
    if means and incomplete:
        does_not += f" An average is missing where a task is: {listed(incomplete)}."
    return Conclusion(says, does_not + without)


def _names(questions: Sequence[Question]) -> list[str]:
    return sorted({name for question in questions for name in question.answers if name != TRIVIAL})


def _columns(number: int) -> str:
    return "1 column" if number == 1 else f"{number} columns"


def of_differences(question: Question) -> Conclusion:
    """Under the table of paired differences."""
    pairs = [pair for pair in question.comparisons if TRIVIAL not in pair]
    if not pairs:
        return Conclusion("")
    clear = sum(bool(question.differ(*pair)) for pair in pairs)
    says = f"{clear} of {len(pairs)} pairs of representations differ clearly." if len(pairs) > 1 else ""
    return Conclusion(
        says, "A pair that does not differ clearly is not shown to be equal: its interval holds the differences that remain possible."
    )


def of_layers(curves: Sequence[Curve]) -> Conclusion:
    """Under the curves over layers: whether another layer than the chosen one has a higher test score, and how uncertain that is."""
    says = []
    for curve in curves:
        metric, chosen = curve.choice.metric, curve.choice.layer
        values = {layer: answer.intervals[metric].value for layer, answer in curve.test.items()}
        best = max(values, key=lambda layer: values[layer])
        name = curve.row.replace(", chosen layer", "", 1)
        gap = 100 * (values[best] - values[chosen])
        if decimal(gap) == "0.0":
            says.append(f"{name}: the chosen layer {chosen} is also the best on test.")
            continue
        low, high = curve.test[chosen].intervals[metric].low, curve.test[chosen].intervals[metric].high
        within = low is not None and high is not None and low <= values[best] <= high
        uncertain = ", inside the interval of the chosen one" if within else ""
        says.append(f"{name}: validation chose layer {chosen}; on test, layer {best} is {decimal(gap)} points higher{uncertain}.")
    return Conclusion(
        " ".join(says), "The best of all test scores is too good to be quoted: only the chosen layer is compared with other rows."
    )


def of_cost(question: Question, points: Sequence[CostPoint]) -> Conclusion:
    """Under scores against cost: the cheapest that cannot be told apart from the best; nothing where all take the same time."""
    timed = {point.label: point.seconds for point in points if point.seconds}
    if len(set(timed.values())) < 2:
        return Conclusion("")
    does_not = "Seconds are those of the machines on which the vectors were extracted; a GPU and a processor cannot be compared."
    first = next(name for name in question.answers if name != TRIVIAL)
    if first not in timed:
        return Conclusion("", does_not)
    unknown = any(name != first and question.differ(first, name) is None for name in timed)
    good = [first, *(name for name in question.answers if name in timed and name != first and question.differ(first, name) is False)]
    cheapest = min(good, key=lambda name: timed[name])
    if cheapest != first:
        factor = times(timed[first] / timed[cheapest])
        says = f"{cheapest} cannot be told apart from {first}, which has the highest score, and takes {factor} times less."
    elif len(good) > 1:
        says = f"{first} has the highest score; {listed(good[1:])} cannot be told apart from it, but {_are(good[1:])} not faster."
    elif not unknown:
        says = f"No faster representation reaches the score of {first}."
    else:
        says = ""
    return Conclusion(says, does_not)


def _are(names: Sequence[str]) -> str:
    return "is" if len(names) == 1 else "are"


def of_confusions(found: Confusions, key: bool, seeds: int = 1) -> str:
    """Under a confusion matrix: what is confused most often; of keys, how many errors are musically close."""
    wrong = int(found.counts.sum() - found.counts.trace())
    if not wrong:
        return "No errors."
    frequent = "; ".join(f"{true} as {other} ({100 * share:.0f} %)" for true, other, share in found.most_frequent())
    says = f"Most often: {frequent}."
    of_seeds = f" of {seeds} seeds together" if seeds > 1 else ""
    if key:
        credit = mirex_table(found.labels)
        near = {word: int(found.counts[np.isclose(credit, value)].sum()) for value, word in _MIREX.items()}
        says += f" Of {wrong} errors{of_seeds}, {', '.join(f'{number} {word}' for word, number in near.items())}."
    return says


def of_retrieval(rows: Mapping[str, Row]) -> Conclusion:
    """Under retrieval within an instrument.

    Args:
        rows: name of weights → R@1 over all instruments.
    """
    says = []
    for name, row in rows.items():
        value, low, chance = row["value"], row["low"], row["chance"]
        if value is None or not chance:
            continue
        ratio = f"{times(value / chance)} times"
        if chance >= 1:
            says.append(f"{name} had one candidate per query, so there was nothing to find.")
        elif low is None:
            says.append(f"{name} found the stem {ratio} as often as chance, which may itself be chance: there is no interval.")
        elif low <= chance:
            says.append(f"{name} is not clearly better than chance ({ratio} as often).")
        else:
            says.append(f"{name} finds the stem {ratio} as often as chance.")
    more = [f"{len(says) - MOST_NAMES} more are in the table."] if len(says) > MOST_NAMES else []
    return Conclusion(
        " ".join([*says[:MOST_NAMES], *more]), "R@1 falls with the number of candidates N: compare results of the same N only."
    )
