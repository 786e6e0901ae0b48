"""Published results beside ours, on the page: other rows, other bars, in no ranking, interval or comparison."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from jukemir_like.probes.baselines import TRIVIAL
from jukemir_like.report import plots, published, standings
from jukemir_like.report.published import SOURCE
from jukemir_like.report.standings import Average, Question


def our_averages(asked: Sequence[Question]) -> list[Average]:
    """Our own mean over the four datasets of the paper, for every protocol under which all four are there."""
    return standings.across(asked, published.DATASETS)


def headline(asked: Sequence[Question], averages_of_tasks: int, averages_of_datasets: int) -> list[dict[str, Any]]:
    """Rows below ours in the first table: a cell a question, none for averages that the paper does not have, then its ``Avg``."""
    made = []
    for name in published.representations():
        values = [_value(question, name, question.metric) for question in asked]
        values += [None] * averages_of_tasks + [published.average(name)] * averages_of_datasets
        if any(value is not None for value in values):
            made.append({"name": name, "source": _source(name), "cells": [_percent(value) for value in values]})
    return made


def rows(question: Question, metrics: Sequence[str]) -> list[dict[str, Any]]:
    """Rows below ours in a question's table, a cell a metric."""
    return [
        {"name": one.representation, "source": one.source, "cells": [_percent(one.values.get(metric)) for metric in metrics]}
        for one in published.of(question.dataset)
        if _fits(question)
    ]


def bars(question: Question) -> list[plots.Bar]:
    """Bars of the primary metric, best first, the trivial baseline last."""
    found = [
        plots.Bar(f"{one.representation}, published", 100 * one.values[question.metric], None, None, plots.PUBLISHED, published=True)
        for one in published.of(question.dataset)
        if _fits(question) and question.metric in one.values and one.representation != TRIVIAL
    ]
    return sorted(found, key=lambda bar: -bar.value)


def note(question: Question) -> str:
    """What to bear in mind when looking from our rows to the published ones; empty where there are none."""
    if published.is_another_protocol(question.dataset):
        base = question.dataset.partition("+")[0]
        return f"{question.dataset} asks another question than {base}: the results that were published on {base} do not stand beside these."
    if not _fits(question) or not published.of(question.dataset):
        return ""
    said = [f"Published by {SOURCE}, as printed there: not measured here, without intervals, in no ranking or comparison of this page."]
    if question.protocol != published.PROTOCOL:
        said.append(f"They were probed under the grid of protocol {published.PROTOCOL}, ours here under {question.protocol}.")
    if question.task.type == "regression":
        said.append("R² of both is the mean of the two that were published.")
    return " ".join(said)


def _fits(question: Question) -> bool:
    """Whether the question is that of the paper, and not one of a user's dataset with the same name."""
    return published.DATASETS.get(question.dataset) == question.task.type


def _value(question: Question, representation: str, metric: str) -> float | None:
    return published.value(question.dataset, representation, metric) if _fits(question) else None


def _source(representation: str) -> str:
    return next(one.source for dataset in published.DATASETS for one in published.of(dataset) if one.representation == representation)


def _percent(value: float | None) -> str:
    return "" if value is None else plots.figures(100 * value)
