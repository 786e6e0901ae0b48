"""Reads the runs, writes the page and the tables, and says so in a terminal."""

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
from jukemir_like.probes import results
from jukemir_like.probes.statistics import intervals, percent
from jukemir_like.probes.trivial import NAME as TRIVIAL
from jukemir_like.report import standings, stems
from jukemir_like.report.left_out import LeftOut
from jukemir_like.report.outdated import outdated
from jukemir_like.report.page import render
from jukemir_like.report.standings import Question

_REMEDY = "run `jukemir-like probe DATASET REPRESENTATION` first"
COMPARISON_COLUMNS = (
    *("dataset", "protocol", "task", "metric", "primary", "first", "second"),
    *("difference", "low", "high", "p", "n", "groups", "only_first", "only_second"),
)


@dataclass(frozen=True)
class Written:
    """What :func:`write` wrote, and what it left out; as text, a table for the terminal."""

    page: Path
    asked: list[Question]
    left_out: LeftOut

    @property
    def exit_code(self) -> int:
        """0, or 3 where files are damaged and left out."""
        return SOME_FAILED if self.left_out.damaged else DONE

    def __str__(self) -> str:
        table = [terminal_table(self.asked)] if self.asked else []
        return "\n".join([*table, *self.left_out.lines(), f"written: {self.page}"])


def write(cache: Cache, datasets: Collection[str] | None, representations: Collection[str] | None, protocol: str | None) -> Written:
    """See :func:`jukemir_like.report.report`."""
    left_out = LeftOut(cache.root)
    whole = results.find(cache, on_damage=left_out.note)
    retrieval = stems.retrieval(cache, left_out)
    _check_names("dataset", datasets, {run.dataset for run in whole}, left_out)
    _check_names("representation", representations, {run.representation for run in whole}, left_out)
    runs = [
        run
        for run in whole
        if (datasets is None or run.dataset in datasets)
        and (representations is None or run.representation in (*representations, TRIVIAL))
        and (protocol is None or run.protocol == protocol)
    ]
    if not runs and (datasets or representations or protocol or not retrieval):
        where = cache.root / "probes"
        raise RequestError(f"no finished probe that fits in {where}: {_REMEDY}{_first_damaged(left_out)}")
    asked = standings.questions(runs)
    left_out.unfinished = _unfinished(cache)
    left_out.outdated = list(outdated(cache, runs))
    known = {answer.runs[0].folder: answer.ends for one in asked for answer in one.answers.values() if len(answer.runs) == 1}
    ends = {run.folder: known.get(run.folder) or intervals(run) for run in runs}
    table = [row for run in runs for row in results.rows(run, {("test", metric): pair for metric, pair in ends[run.folder].items()})]
    results.write(cache.report / results.TABLE, table)
    write_bytes(cache.report / "comparisons.csv", _comparisons(asked).encode(errors="backslashreplace"))
    page = cache.report / "index.html"
    write_bytes(page, render(cache, runs, asked, retrieval, left_out).encode(errors="backslashreplace"))
    return Written(page, asked, left_out)


def terminal_table(asked: Sequence[Question]) -> str:
    """Representations down, tasks across, percent with 95 % intervals; a star where one is better than all others."""
    from tabulate import tabulate

    header = [""]
    for question in asked:
        lines = (question.dataset, f"{question.task.name}, {question.protocol}", f"{question.metric}, %")
        header.append("\n".join(map(printable, lines)))
    rows = []
    for name in standings.representations(asked):
        row = [printable(name)]
        for question in asked:
            cell = "–"
            if name in question.answers:
                found = question.interval(name)
                cell = percent(found.value, found.low, found.high) + (" *" if question.best == name else "")
            row.append(cell)
        rows.append(row)
    table = tabulate(rows, header, colalign=("left", *("right" for _ in asked)), disable_numparse=True)
    return f"{table}\n* better than every other row: the paired 95 % interval of each difference excludes 0"


def _check_names(kind: str, wanted: Collection[str] | None, known: Collection[str], left_out: LeftOut) -> None:
    unknown = next((name for name in wanted or () if name not in known), None)
    if unknown is not None:
        there = f"there are {', '.join(sorted(known))}" if known else "there is none at all"
        raise RequestError(f"no finished probe of {kind} {unknown!r} ({there}): {_REMEDY}{_first_damaged(left_out)}")


def _first_damaged(left_out: LeftOut) -> str:
    number = len(left_out.damaged)
    return f"; damaged files: {number}, the first: {left_out.damaged[0]}" if number else ""


def _unfinished(cache: Cache) -> list[str]:
    """Folders of runs that did not end, relative to the cache."""
    found = []
    for folder in results.folders(cache):
        try:
            (folder / results.RUN).stat()
        except FileNotFoundError:
            found.append(str(folder.relative_to(cache.root)))
        except OSError:  # is told with what is damaged
            continue
    return found


def _comparisons(asked: Sequence[Question]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COMPARISON_COLUMNS)
    for question in asked:
        for (first, second), comparison in question.comparisons.items():
            for metric, difference in comparison.differences.items():
                found = difference.interval
                writer.writerow(
                    [
                        *(question.dataset, question.protocol, question.task.name, metric, str(metric == question.metric).lower()),
                        *(first, second, found.value, found.low, found.high, difference.p),
                        *(comparison.n, comparison.groups, comparison.only_first, comparison.only_second),
                    ]
                )
    return text.getvalue()
