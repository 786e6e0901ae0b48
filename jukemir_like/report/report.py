"""The stage ``report``: reads all probes of a cache and writes ``report/index.html``, with the tables behind it.

``results.csv`` has the metrics of every run with intervals (:mod:`jukemir_like.probes.results` documents the columns); ``comparisons.csv``
every paired difference between two representations, fractions; ``deformations.csv``, where datasets were deformed, what each representation
loses. The columns of ``comparisons.csv``:

``dataset, protocol, task, metric, primary, first, second``
    names; ``protocol`` names folds too: ``linear, 5 folds``. ``primary``: ``true`` for the metric that ranks.
``difference, low, high, p``
    first minus second, its 95 % interval and its two-sided p, as if this were the only comparison; empty where there are none.
``p_corrected``
    p corrected (:func:`jukemir_like.core.resampling.holm`) for all pairs of representations of the same dataset, protocol, task and metric;
    beside the baseline, for all comparisons with it. Below 0.05 against all others, and better than each on the items that both have: bold
    on the page.
``n, groups, only_first, only_second``
    number of items that both have, of groups among them, and of items that only one has.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from jukemir_like.core.atomic import write_bytes
from jukemir_like.core.cache import Cache
from jukemir_like.core.errors import DONE, SOME_FAILED, RequestError
from jukemir_like.core.files import printable
from jukemir_like.core.resampling import CONFIDENCE
from jukemir_like.probes import results
from jukemir_like.probes.fitting import TRIVIAL
from jukemir_like.probes.intervals import resample_runs
from jukemir_like.probes.results import percent
from jukemir_like.probes.runs import RUN, find_runs, run_folders
from jukemir_like.report import deformations, layers, questions, retrieval
from jukemir_like.report.deformations import Deformations
from jukemir_like.report.page import render
from jukemir_like.report.problems import Problems, outdated
from jukemir_like.report.questions import Question

_REMEDY = "run `jukemir-like probe DATASET REPRESENTATION` first"
COMPARISON_COLUMNS = (
    *("dataset", "protocol", "task", "metric", "primary", "first", "second"),
    *("difference", "low", "high", "p", "p_corrected", "n", "groups", "only_first", "only_second"),
)


@dataclass(frozen=True)
class Report:
    """A written page; as text, the table of results for a terminal.

    Args:
        page: the file.
        questions: what it shows.
        problems: unfinished runs, damaged files and outdated scores.
        deformed: what deformations do to the questions' answers.
    """

    page: Path
    questions: list[Question]
    problems: Problems
    deformed: Sequence[Deformations] = ()

    @property
    def exit_code(self) -> int:
        """0, or 3 if damaged files were left out."""
        return SOME_FAILED if self.problems.damaged else DONE

    def __str__(self) -> str:
        table = [terminal_table(self.questions)] if self.questions else []
        table += [deformations.terminal_table(self.deformed)] if self.deformed else []
        return "\n".join([*table, *self.problems.lines(), f"written: {self.page}"])


def report(
    cache: Cache,
    datasets: Collection[str] | None = None,
    representations: Collection[str] | None = None,
    protocol: str | None = None,
    layers_shown: Collection[str] = (),
) -> Report:
    """Writes the page and its tables from the probes in ``cache``.

    Args:
        cache: holds the probes; the page goes to ``report/`` in it.
        datasets, representations: only these; None for all. The trivial baselines stay. A representation whose layers were probed together
            is named without its layer.
        protocol: only this; None for all.
        layers_shown: names of layers, such as ``stemjepa@layer=2``, that have rows of their own where validation has chosen one of all.

    Returns:
        The report; as text, the table of results. Damaged files are left out: the page and the text name them, and ``exit_code`` is 3.

    Raises:
        RequestError: there is no finished, undamaged probe and no evaluated retrieval.
        StorageError: the page cannot be written.
    """
    problems = Problems(cache.root)
    undamaged = find_runs(cache, on_damage=problems.add)
    stem_retrieval = retrieval.retrieval(cache, problems)
    _check_names("dataset", datasets, {run.dataset for run in undamaged}, problems)
    choices = layers.recorded(cache, undamaged, representations, problems)
    of_layers = {run.folder for choice in choices for of_layer in choice.runs.values() for run in of_layer}
    known_names = {run.representation for run in undamaged} | {choice.representation for choice in choices}
    _check_names("representation", representations, known_names, problems)
    runs = [
        run
        for run in undamaged
        if (datasets is None or run.dataset in datasets or (run.deformed is not None and run.deformed.dataset in datasets))
        and (representations is None or run.representation in (*representations, TRIVIAL) or run.folder in of_layers)
        and (protocol is None or run.protocol == protocol)
    ]
    if not runs and (datasets or representations or protocol or not stem_retrieval):
        where = cache.root / "probes"
        raise RequestError(f"no finished probe that fits in {where}: {_REMEDY}{_first_damaged(problems)}")
    clean, on_deformed = ([run for run in runs if (run.deformed is not None) == is_deformed] for is_deformed in (False, True))
    by_question = questions.questions(clean, layers.rows(clean, choices, layers_shown))
    deformed = deformations.deformations(by_question, on_deformed, layers.rows(on_deformed, choices, layers_shown))
    curves = {number: layers.curves(question, choices) for number, question in enumerate(by_question)}
    problems.unfinished = _unfinished(cache)
    problems.outdated = list(outdated(cache, runs))
    answers = [answer for question in by_question for answer in question.answers.values()]
    answers += [answer for of_question in curves.values() for curve in of_question for answer in curve.test.values()]
    known = {answer.runs[0].folder: answer.bounds for answer in answers if len(answer.runs) == 1}
    table = [row for run in runs for row in results.rows(run, known.get(run.folder) or resample_runs([run]).bounds)]
    table += [row for answer in answers for row in results.rows_of_seeds(answer)]
    results.write(cache.report / results.TABLE, table)
    write_bytes(cache.report / "comparisons.csv", _comparisons(by_question).encode(errors="backslashreplace"))
    if deformed:
        write_bytes(cache.report / "deformations.csv", deformations.table(deformed).encode(errors="backslashreplace"))
    page = cache.report / "index.html"
    write_bytes(page, render(cache, runs, by_question, curves, stem_retrieval, problems, deformed).encode(errors="backslashreplace"))
    return Report(page, by_question, problems, deformed)


def terminal_table(by_question: Sequence[Question]) -> str:
    """One row per representation, one column per task: percent with 95 % intervals, a star where one is better than all others.

    Below it: what the star means, and which columns are of few groups.
    """
    from tabulate import tabulate

    header = [""]
    for question in by_question:
        lines = (question.dataset, f"{question.task.name}, {question.protocol}", f"{question.metric}, %")
        header.append("\n".join(map(printable, lines)))
    rows = []
    for name in questions.representations(by_question):
        row = [printable(name)]
        for question in by_question:
            cell = "–"
            if name in question.answers:
                found = question.interval(name)
                cell = percent(found.value, found.low, found.high) + (" *" if question.best == name else "")
            row.append(cell)
        rows.append(row)
    table = tabulate(rows, header, colalign=("left", *("right" for _ in by_question)), disable_numparse=True)
    level = f"{1 - CONFIDENCE:.2g}"
    star = f"* better than every other row: p of each paired difference, corrected for all pairs of the column (Holm), is below {level}"
    return "\n".join([table, star, *map(printable, few_groups(by_question))])


def few_groups(by_question: Sequence[Question]) -> list[str]:
    """A line for every dataset and task whose test items are of fewer than ten groups."""
    lines = [f"{question.dataset}, {question.task.name}: {question.few_groups}" for question in by_question if question.few_groups]
    return list(dict.fromkeys(lines))


def _check_names(kind: str, wanted: Collection[str] | None, known: Collection[str], problems: Problems) -> None:
    unknown = next((name for name in wanted or () if name not in known), None)
    if unknown is not None:
        known_names = f"there are {', '.join(sorted(known))}" if known else "there is none at all"
        raise RequestError(f"no finished probe of {kind} {unknown!r} ({known_names}): {_REMEDY}{_first_damaged(problems)}")


def _first_damaged(problems: Problems) -> str:
    number = len(problems.damaged)
    return f"; damaged files: {number}, the first: {problems.damaged[0]}" if number else ""


def _unfinished(cache: Cache) -> list[str]:
    """Folders of unfinished runs, relative to the cache."""
    unfinished = []
    for folder in run_folders(cache):
        try:
            (folder / RUN).stat()
        except FileNotFoundError:
            unfinished.append(str(folder.relative_to(cache.root)))
        except OSError:  # reported with the damaged files
            continue
    return unfinished


def _comparisons(by_question: Sequence[Question]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COMPARISON_COLUMNS)
    for question in by_question:
        for (first, second), comparison in question.comparisons.items():
            for metric, difference in comparison.differences.items():
                found = difference.interval
                writer.writerow(
                    [
                        *(question.dataset, question.protocol, question.task.name, metric, str(metric == question.metric).lower()),
                        *(first, second, found.value, found.low, found.high, difference.p, question.corrected[metric][first, second]),
                        *(comparison.n, comparison.groups, comparison.only_first, comparison.only_second),
                    ]
                )
    return text.getvalue()
