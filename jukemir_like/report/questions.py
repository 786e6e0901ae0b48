"""Runs grouped by question (dataset, task and protocol), with intervals and paired comparisons on the test items."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from jukemir_like.core.errors import RequestError
from jukemir_like.core.resampling import CONFIDENCE, Interval, Scale, difference, holm, interval
from jukemir_like.datasets import Task
from jukemir_like.probes.fitting import TRIVIAL
from jukemir_like.probes.intervals import Comparison, ResampledMetrics, compare, resample_runs, scale
from jukemir_like.probes.runs import Run
from jukemir_like.report.formatting import listed

AVERAGED = {
    "multiclass": ("accuracy",),
    "key": ("weighted_score",),
    "multilabel": ("roc_auc", "average_precision"),
    "regression": ("r2",),
    "tempo": ("accuracy1",),
}
"""Metrics whose mean is the value of a task in an average over tasks, as in Castellon et al. 2021."""


@dataclass(frozen=True)
class Question:
    """One task of one dataset under one protocol, with the results of every representation.

    Args:
        dataset, task, protocol: what was asked; where folds were tested, the protocol with these (:attr:`Run.procedure`).
        answers: representation → its runs with resampled metrics; best first, the trivial baseline last.
        comparisons: (better, worse) → paired difference; pairs that cannot be compared are missing.
        problems: why not, one line each.
    """

    dataset: str
    task: Task
    protocol: str
    answers: dict[str, ResampledMetrics]
    comparisons: dict[tuple[str, str], Comparison]
    problems: tuple[str, ...]

    @property
    def metric(self) -> str:
        """The primary metric."""
        return self.task.primary_metric

    def interval(self, representation: str) -> Interval:
        """The primary metric of one representation."""
        return self.answers[representation].intervals[self.metric]

    @property
    def few_groups(self) -> str | None:
        """A line for the reader where the test items of a representation are of fewer than ten groups."""
        return next((answer.few_groups for answer in self.answers.values() if answer.few_groups), None)

    @cached_property
    def corrected(self) -> dict[str, dict[tuple[str, str], float | None]]:
        """Metric → pair → p of the difference, corrected (Holm); None where the difference has no p.

        Corrected for the number of all pairs of representations; beside the baseline for the number of representations.
        """
        metrics = dict.fromkeys(metric for comparison in self.comparisons.values() for metric in comparison.differences)
        return {
            metric: _corrected({pair: one.differences[metric].p for pair, one in self.comparisons.items() if metric in one.differences})
            for metric in metrics
        }

    @property
    def best(self) -> str | None:
        """The representation with the highest value, if it is better than each other by the corrected p of all pairs; else None.

        Better on the items that both have: where vectors are missing, the highest value may come from having the easier items.
        """
        first = max(self.answers, key=lambda name: self.interval(name).value)
        others = [name for name in self.answers if name != first]
        return first if others and all(self.differ(first, one) and (self.lead(first, one) or 0) > 0 for one in others) else None

    def lead(self, first: str, second: str) -> float | None:
        """First minus second, on the items that both have, which may have another sign than the difference of their values on all items.

        None where they cannot be compared.
        """
        for pair, sign in (((first, second), 1), ((second, first), -1)):
            if pair in self.comparisons:
                return sign * self.comparisons[pair].differences[self.metric].interval.value
        return None

    def differ(self, first: str, second: str) -> bool | None:
        """Whether two representations differ clearly, by p corrected for all pairs; None where they cannot be compared."""
        pair = (first, second) if (first, second) in self.comparisons else (second, first)
        if pair not in self.comparisons:
            return None
        p = self.corrected[self.metric][pair]
        return p is not None and p < 1 - CONFIDENCE


@dataclass(frozen=True)
class Average:
    """The mean over the tasks of one dataset under one protocol, for the representations that have results for all of them.

    ``best`` is the one that is better than each other, by the p of paired differences, corrected for the number of all pairs (Holm); None
    if there is none. ``no_interval`` says, in words that follow "no interval: ", why representations have none; empty where all have one.
    """

    dataset: str
    protocol: str
    by_representation: dict[str, Interval]
    best: str | None
    no_interval: str = ""


def questions(runs: Sequence[Run], rows: Mapping[Path, Sequence[str]] | None = None) -> list[Question]:
    """Questions in order of dataset, protocol and the tasks' names; runs with other metrics are another question.

    Args:
        runs: of the page.
        rows: folder of a run → names of its rows, where they are others than :func:`row_name`; there may be none.

    Raises:
        RequestError: a run is damaged.
    """
    grouped: dict[tuple[Any, ...], dict[str, list[Run]]] = {}
    for run in runs:
        names = (rows or {}).get(run.folder, (row_name(run),))
        if not names:
            continue
        answers = grouped.setdefault((run.dataset, run.procedure, run.task.name, run.task.type, tuple(sorted(run.metrics["test"]))), {})
        for name in names:
            answers.setdefault(name, []).append(run)
    return [_question(answers) for _, answers in sorted(grouped.items())]


def row_name(run: Run) -> str:
    """The representation, and the options of its probe that differ from the protocol's defaults."""
    changed = {} if run.representation == TRIVIAL else run.record["configuration"]
    return f"{run.representation} {json.dumps(changed, sort_keys=True)}" if changed else run.representation


def representations(questions: Collection[Question]) -> list[str]:
    """All row names, sorted, the trivial baseline last."""
    return sorted({name for question in questions for name in question.answers}, key=lambda name: (name == TRIVIAL, name))


def averages(questions: Sequence[Question]) -> list[Average]:
    """The mean over tasks, for every dataset and protocol with at least two of them."""
    means = []
    for dataset, protocol in dict.fromkeys((question.dataset, question.protocol) for question in questions):
        together = [question for question in questions if (question.dataset, question.protocol) == (dataset, protocol)]
        if len(together) > 1:
            names = [name for name in representations(together) if all(name in question.answers for question in together)]
            means.append(_average(dataset, protocol, together, names))
    return means


def averages_over_datasets(questions: Sequence[Question], datasets: Collection[str]) -> list[Average]:
    """The mean over ``datasets``, for every protocol under which each has one question and a representation has results for all.

    Their test items are different, so they are resampled independently.
    """
    means = []
    for protocol in dict.fromkeys(question.protocol for question in questions):
        together = [question for question in questions if question.protocol == protocol and question.dataset in datasets]
        names = [name for name in representations(together) if all(name in question.answers for question in together)]
        if sorted(question.dataset for question in together) == sorted(datasets) and names:
            means.append(_mean(", ".join(datasets), protocol, together, names))
    return means


def _question(answers: dict[str, list[Run]]) -> Question:
    run = next(iter(answers.values()))[0]
    problems: list[str] = []
    resampled = {name: _resample(of_one, problems) for name, of_one in answers.items()}
    metric = run.task.primary_metric
    order = sorted(resampled, key=lambda name: (name == TRIVIAL, -resampled[name].intervals[metric].value, name))
    comparisons = {}
    for first, second in combinations(order, 2):
        try:
            comparisons[first, second] = compare(resampled[first], resampled[second])
        except RequestError as error:
            problems.append(str(error))
    return Question(run.dataset, run.task, run.procedure, {name: resampled[name] for name in order}, comparisons, tuple(problems))


def _resample(runs: Sequence[Run], problems: list[str]) -> ResampledMetrics:
    """All seeds together; only the first, with a line in ``problems``, if they did not score the same items."""
    try:
        return resample_runs(runs)
    except RequestError as error:
        if len(runs) == 1:
            raise
        problems.append(f"{error}; until then only seed {runs[0].seed} is shown")
        return resample_runs(runs[:1])


def _average(dataset: str, protocol: str, together: Sequence[Question], names: Sequence[str]) -> Average:
    """Resamples depend only on the dataset and its groups: tasks with the same groups are resampled over the same songs."""
    answers = [question.answers[name] for question in together for name in names]
    if not answers or any(set(answer.group) != set(answers[0].group) for answer in answers[1:]):
        values = {name: np.mean([_averaged(question.task, question.answers[name])[0] for question in together]) for name in names}
        without = {name: Interval(float(value), None, None, 0) for name, value in values.items()}
        return Average(dataset, protocol, without, None, "its tasks have different groups" if answers else "")
    return _mean(dataset, protocol, together, names)


def _mean(dataset: str, protocol: str, together: Sequence[Question], names: Sequence[str]) -> Average:
    """The mean over questions in every resample. Representations share the resamples of a question, so differences are paired."""
    parts = {name: [_averaged(question.task, question.answers[name]) for question in together] for name in names}
    values = {name: float(np.mean([value for value, _ in of_one])) for name, of_one in parts.items()}
    every = [question.answers[name] for question in together for name in names]
    groups = min(answer.effective_groups for answer in every)
    samples = {name: np.mean([sample for _, sample in of_one], axis=0) for name, of_one in parts.items()}
    of_mean = _scale_of_mean(together)
    intervals = {name: interval(value, samples[name], groups, scale=of_mean) for name, value in values.items()}
    lacking = {name: [question for question in together if _lacks_interval(question, name)] for name in names}
    if any(lacking.values()):  # of a mean with a value that can be anything, nothing can be said either
        intervals = {name: Interval(one.value, None, None, one.undefined) if lacking[name] else one for name, one in intervals.items()}
        columns = dict.fromkeys(f"{question.task.name} of {question.dataset}" for of_one in lacking.values() for question in of_one)
        rows = [name for name in names if lacking[name]]
        return Average(dataset, protocol, intervals, None, f"there is none in {listed(list(columns))}, for {listed(rows)}")
    if any(len({frozenset(question.answers[name].uid) for name in names}) > 1 for question in together):  # missing vectors: nothing to pair
        return Average(dataset, protocol, intervals, None)
    items = groups * min(len(answer.uid) / answer.effective_groups for answer in every)
    p = {
        (a, b): difference(values[a] - values[b], samples[a] - samples[b], groups, scale=of_mean, items=items).p
        for a, b in combinations(names, 2)
    }
    return Average(dataset, protocol, intervals, _best(values, _corrected(p)))


def _lacks_interval(question: Question, name: str) -> bool:
    """Whether a value that a representation's average is made of has no interval."""
    return any(question.answers[name].intervals[metric].low is None for metric in AVERAGED[question.task.type])


def _scale_of_mean(together: Sequence[Question]) -> Scale:
    """That of the metrics if all are of one scale, ``ranking`` for fractions and rankings, else none."""
    scales = {scale(metric) for question in together for metric in AVERAGED[question.task.type]}
    if scales <= {"fraction", "ranking"}:
        return "ranking" if "ranking" in scales else "fraction"
    return "r2" if scales == {"r2"} else "free"


def _corrected(p: Mapping[tuple[str, str], float | None]) -> dict[tuple[str, str], float | None]:
    """Corrected in two families, which answer two questions: pairs of representations, and each representation beside the baseline."""
    corrected = dict(p)
    for beside_baseline in (False, True):
        family = [pair for pair in p if (TRIVIAL in pair) is beside_baseline]
        corrected |= dict(zip(family, holm([p[pair] for pair in family]), strict=True))
    return corrected


def _best(values: Mapping[str, float], corrected: Mapping[tuple[str, str], float | None]) -> str | None:
    """The name with the largest value if p of its difference to each other is small; None if one is not, or there is no other."""
    if len(values) < 2:
        return None
    first = max(values, key=lambda name: values[name])
    own = [p for pair, p in corrected.items() if first in pair]
    return first if len(own) == len(values) - 1 and all(p is not None and p < 1 - CONFIDENCE for p in own) else None


def _averaged(task: Task, answer: ResampledMetrics) -> tuple[float, Any]:
    metrics = AVERAGED[task.type]
    value = float(np.mean([answer.by_seed[metric].mean() for metric in metrics]))
    return value, np.mean([answer.samples[metric] for metric in metrics], axis=0)
