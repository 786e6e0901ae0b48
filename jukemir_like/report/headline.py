"""The first table of the page: the primary metric of every question, with averages right behind the names."""

from __future__ import annotations

from collections.abc import Sequence

from jukemir_like.probes.fitting import TRIVIAL
from jukemir_like.probes.layers import split
from jukemir_like.report import conclusions, published, tables
from jukemir_like.report import questions as asked
from jukemir_like.report.conclusions import Conclusion
from jukemir_like.report.metric_names import metric_name
from jukemir_like.report.questions import Average, Question
from jukemir_like.report.run_names import anchor
from jukemir_like.report.tables import Cell, Column, Row, Table

MOST_PINNED = 3
"""Averages that stay in sight while the other columns are scrolled; more would leave no room for these on a laptop."""
_NONE = Cell("–")


def table(questions: Sequence[Question]) -> Table:
    """One row per representation, one column per question, and before these one per average.

    Args:
        questions: at least one.
    """
    means, of_four = asked.averages(questions), published.our_averages(questions)
    columns = [Column("average", ("of tasks", one.dataset, one.protocol)) for one in means]
    columns += [Column("average", ("of datasets", "the four datasets", one.protocol)) for one in of_four]
    averages = len(columns)
    columns += [Column(one.task.name, (metric_name(one.metric), one.dataset, one.protocol)) for one in questions]
    rows = []
    for name in asked.representations(questions):
        cells = [_average_cell(one, name) for one in (*means, *of_four)]
        cells += [_answer_cell(question, name, number) for number, question in enumerate(questions)]
        taken_over = any(run.taken_over for question in questions if name in question.answers for run in question.answers[name].runs)
        label = Cell(name, below=("vectors taken over",) if taken_over else ())
        rows.append(Row((label, *cells), "trivial" if name == TRIVIAL else ""))
    others = published.headline(questions, len(means), len(of_four))
    if others:
        rows.append(Row((Cell("published, not measured here"),), "caption"))
    for other in others:
        cells = [Cell(text) for text in (*other["cells"][len(questions) :], *other["cells"][: len(questions)])]
        rows.append(Row((Cell(other["name"], title=other["source"]), *cells), "published"))
    named = (Column("test, %"), *columns)
    return Table("results", "Primary metric of every task, test, in percent", named, tuple(rows), pinned=min(averages, MOST_PINNED))


def conclusion(questions: Sequence[Question]) -> Conclusion:
    """What the table says, and what not."""
    return conclusions.of_headline(questions, [*asked.averages(questions), *published.our_averages(questions)])


def _answer_cell(question: Question, name: str, number: int) -> Cell:
    if name not in question.answers:
        return _NONE
    run = question.answers[name].runs[0]
    layer = split(run.representation)[1] if name != asked.row_name(run) else None
    below = () if layer is None else (f"layer {layer}",)
    best = question.best == name
    return tables.score(question.interval(name), best=best, below=below, link=f"task-{number}", title=f"run {anchor(run)}")


def _average_cell(average: Average, name: str) -> Cell:
    found = average.by_representation.get(name)
    return _NONE if found is None else tables.score(found, best=average.best == name)
