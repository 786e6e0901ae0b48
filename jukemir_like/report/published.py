"""Published results, as printed or as a secondary source has them: shown beside ours, never part of a ranking, interval or comparison.

``published.csv`` holds, each with its source and protocol:

- the table of Castellon, Donahue and Liang, "Codified audio language modeling learns useful representations for music information
  retrieval" (ISMIR 2021, arXiv 2107.05677, "the paper" below), probed under the grid of protocol ``jukemir``, and the trivial baselines on
  the same test items;
- results of frozen encoders under the protocol of MARBLE (Yuan et al., arXiv 2306.10548), from the table of Zhu et al., "MuQ" (2025, arXiv
  2501.01108); probes, clips and splits may be others than the paper's;
- those of Stem-JEPA with its conditioned MLP predictor (Riou et al., ISMIR 2024, arXiv 2408.02514), from a secondary source: nobody has
  compared these figures with the paper's own table, and the page says so wherever they stand. The program that was published with the paper
  evaluates as protocol ``lineareval`` does; its text names a hidden layer of 512 units besides. GiantSteps there: whole excerpts, not
  clips.

The trivial baselines are computed from the published labels of test; ours, of :mod:`jukemir_like.probes.fitting`, from those of train.

A dataset with options is another one and has no published results here.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from jukemir_like.probes.fitting import TRIVIAL
from jukemir_like.report import plots, svg
from jukemir_like.report.formatting import listed, percent
from jukemir_like.report.questions import Average, Question, averages_over_datasets

PROTOCOL = "jukemir"
"""Protocol of the paper."""

_SECONDARY = "from a secondary source"  # in the source of what was not read where it was published
_WHERE = {
    "Castellon et al. 2021": "arXiv 2107.05677",
    "Zhu et al. 2025": "arXiv 2501.01108",
    f"Riou et al. 2024, {_SECONDARY}": "arXiv 2408.02514, with which the figures were not compared",
}
_PROBED = {
    "jukemir": "under the grid of protocol jukemir",
    "MARBLE": "under the protocol of MARBLE (arXiv 2306.10548), whose probes, clips and splits may be others",
    "EVAR": "under the linear evaluation of EVAR (as protocol lineareval; the paper also speaks of a hidden layer of 512 units), on clips "
    "and splits that may be others",
}
DATASETS = {"gtzan_ff": "multiclass", "giantsteps_clips": "key", "magnatagatune": "multilabel", "emomusic": "regression"}
"""The four datasets of the paper, each with the type of its task."""

_ALL = "all"  # dataset column of the paper's average


@dataclass(frozen=True)
class Published:
    """The results of one representation on one dataset.

    Args:
        representation: its name in the paper.
        source: where it was published.
        protocol: under which it was probed; empty for the trivial baseline.
        values: metric → value, a fraction. ``r2`` was not published; it is the mean of the arousal and valence that were.
    """

    representation: str
    source: str
    protocol: str
    values: Mapping[str, float]


@cache
def of(dataset: str) -> tuple[Published, ...]:
    """Results on ``dataset`` in the order of the paper, later ones behind, the trivial baseline last; empty for a dataset with options."""
    values: dict[tuple[str, str, str], dict[str, float]] = {}
    with open(Path(__file__).with_name("published.csv"), newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            if row["dataset"] == dataset:
                values.setdefault((row["representation"], row["source"], row["protocol"]), {})[row["metric"]] = float(row["percent"]) / 100
    for named in values.values():
        each = [value for metric, value in named.items() if metric.startswith("r2_")]
        named |= {"r2": sum(each) / len(each)} if each else {}
    return tuple(Published(*of_one, named) for of_one, named in values.items())


def representations() -> list[str]:
    """All representations with published results, in the order of the paper, the trivial baseline last."""
    names = dict.fromkeys(one.representation for dataset in DATASETS for one in of(dataset))
    return sorted(names, key=lambda name: name == TRIVIAL)


def value(dataset: str, representation: str, metric: str) -> float | None:
    """One published value, a fraction; None if there is none.

    >>> value("gtzan_ff", "jukebox", "accuracy")
    0.797
    """
    return next((one.values.get(metric) for one in of(dataset) if one.representation == representation), None)


def average(representation: str) -> float | None:
    """The paper's ``Avg`` as printed: the mean over its four datasets, tags with the mean of their two metrics."""
    return value(_ALL, representation, "average")


def is_another_protocol(dataset: str) -> bool:
    """Whether ``dataset`` is one of the paper's with options, so that its scores cannot be compared with published ones."""
    base, plus, _ = dataset.partition("+")
    return bool(plus) and base in DATASETS


def our_averages(questions: Sequence[Question]) -> list[Average]:
    """Our own mean over the four datasets of the paper, for every protocol with results on all four."""
    return averages_over_datasets(questions, DATASETS)


def headline(questions: Sequence[Question], averages_of_tasks: int, averages_of_datasets: int) -> list[dict[str, Any]]:
    """Rows of the first table: one cell per question, empty ones for averages that the paper does not have, then its ``Avg``."""
    table = []
    for name in representations():
        values = [_value(question, name, question.metric) for question in questions]
        values += [None] * averages_of_tasks + [average(name)] * averages_of_datasets
        if any(value is not None for value in values):
            table.append({"name": name, "source": _source(name), "cells": [percent(value, missing="") for value in values]})
    return table


def rows(question: Question, metrics: Sequence[str]) -> list[dict[str, Any]]:
    """Rows of a question's table, one cell per metric."""
    return [
        {
            "name": one.representation,
            "source": _described(one),
            "cells": [percent(one.values.get(metric), missing="") for metric in metrics],
        }
        for one in of(question.dataset)
        if _fits(question)
    ]


def bars(question: Question) -> list[plots.Bar]:
    """Bars of the primary metric, best first, the trivial baseline last."""
    published = [
        plots.Bar(_label(one), 100 * one.values[question.metric], None, None, svg.PUBLISHED, published=True)
        for one in of(question.dataset)
        if _fits(question) and question.metric in one.values and one.representation != TRIVIAL
    ]
    return sorted(published, key=lambda bar: -bar.value)


def note(question: Question) -> str:
    """How published rows differ from ours; empty if there are none."""
    if is_another_protocol(question.dataset):
        base = question.dataset.partition("+")[0]
        return f"{question.dataset} is another task than {base}: results that were published on {base} cannot be compared with these."
    if not _fits(question) or not of(question.dataset):
        return ""
    sentences = ["Published results are not measured here, without intervals, in no ranking or comparison of this page."]
    for source, protocol in dict.fromkeys((one.source, one.protocol) for one in of(question.dataset) if one.protocol):
        names = ", ".join(one.representation for one in of(question.dataset) if one.source == source)
        sentences.append(f"{names}: {source} ({_WHERE[source]}), {_PROBED[protocol]}.")
    if question.protocol != PROTOCOL:
        sentences.append(f"Ours: protocol {question.protocol}.")
    if question.task.type == "regression":
        sentences.append("Published R² of both outputs is the mean of the two published ones.")
    return " ".join(sentences)


def sources(questions: Sequence[Question]) -> str:
    """The sources of the published results on the page, with where to find them; empty if there are none."""
    named = dict.fromkeys(one.source for question in questions if _fits(question) for one in of(question.dataset) if one.protocol)
    return listed([f"{source} ({_WHERE[source]})" for source in named])


def _label(one: Published) -> str:
    """Under a bar; the paper's protocol is ours too, another one is named."""
    how = _SECONDARY if _SECONDARY in one.source else "published"
    return f"{one.representation}, {how}" + (f", {one.protocol}" if one.protocol != PROTOCOL else "")


def _described(one: Published) -> str:
    return f"{one.source}, {one.protocol}" if one.protocol else one.source


def _fits(question: Question) -> bool:
    """Whether this is the paper's question, not that of a user's dataset with the same name."""
    return DATASETS.get(question.dataset) == question.task.type


def _value(question: Question, representation: str, metric: str) -> float | None:
    return value(question.dataset, representation, metric) if _fits(question) else None


def _source(representation: str) -> str:
    return next(_described(one) for dataset in DATASETS for one in of(dataset) if one.representation == representation)
