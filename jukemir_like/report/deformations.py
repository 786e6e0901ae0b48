"""What each representation loses where the test audio is deformed: the same probe, fitted on clean audio, on the same items.

A deformed dataset (:mod:`jukemir_like.deform`) is not a question of its own: it belongs to the question of the clean one. A difference is
paired: clean and deformed predictions of the same items, in the same resamples of their groups.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from jukemir_like.core.errors import RequestError
from jukemir_like.core.files import printable
from jukemir_like.core.resampling import Difference, Interval, difference
from jukemir_like.deform import labels, names
from jukemir_like.probes.fitting import TRIVIAL
from jukemir_like.probes.intervals import ResampledMetrics, resample_predictions, scale
from jukemir_like.probes.runs import Run
from jukemir_like.probes.tasks import Predictions
from jukemir_like.report import tables
from jukemir_like.report.deformation_plot import Change, changes_plot
from jukemir_like.report.formatting import decimal, percent
from jukemir_like.report.metric_names import metric_name
from jukemir_like.report.questions import Question, row_name
from jukemir_like.report.tables import Cell, Column, Row, Table

COLUMNS = (
    *("dataset", "deformation", "protocol", "task", "metric", "primary", "representation", "clean", "deformed"),
    *("difference", "low", "high", "p", "n", "groups"),
)
"""Of ``deformations.csv``; ``difference`` is deformed minus clean, ``low`` to ``high`` its interval."""

_TOLERANCE = 1e-2  # of their range, between validation scores of one probe that was fitted on two machines


@dataclass(frozen=True)
class Loss:
    """One metric of one representation, clean and deformed, on the items that both have. ``change`` is deformed minus clean."""

    clean: Interval
    deformed: Interval
    change: Difference
    n: int
    groups: int


@dataclass(frozen=True)
class Deformations:
    """What deformations do to the answers of one question.

    Args:
        question: of the clean dataset.
        losses: (deformation, representation) → metric → what is lost; the primary metric first.
        problems: why others cannot be compared, one line each.
    """

    question: Question
    losses: dict[tuple[str, str], dict[str, Loss]]
    problems: list[str] = field(default_factory=list)

    @property
    def names(self) -> list[str]:
        """Of the deformations, by kind and number."""
        return sorted({name for name, _ in self.losses}, key=_order)


def deformations(
    questions: Sequence[Question], runs: Sequence[Run], rows: Mapping[Path, Sequence[str]] | None = None
) -> list[Deformations]:
    """What the runs on deformed datasets say about the questions; questions without such runs are left out.

    Args:
        questions: of clean datasets.
        runs: on deformed datasets; those of the trivial baselines are left out.
        rows: folder of a run → names of its rows, as of :func:`jukemir_like.report.questions.questions`.
    """
    found = []
    for question in questions:
        of_pairs: dict[tuple[str, str], list[Run]] = {}
        for run in runs:
            origin = run.deformed
            if origin is None or run.representation == TRIVIAL:  # which does not hear the audio
                continue
            if (origin.dataset, run.procedure, run.task) == (question.dataset, question.protocol, question.task):
                for name in (rows or {}).get(run.folder, (row_name(run),)):
                    of_pairs.setdefault((origin.deformation, name), []).append(run)
        if of_pairs:
            found.append(_of_question(question, of_pairs))
    return found


def without_clean(questions: Sequence[Question], runs: Sequence[Run]) -> list[str]:
    """A line for each deformed dataset of which no clean result, of the same protocol and folds, is on the page."""
    shown = {question.dataset for question in questions}
    asked = {(question.dataset, question.protocol) for question in questions}
    lines: dict[tuple[str, str], str] = {}
    for run in runs:
        clean = None if run.deformed is None else run.deformed.dataset
        if clean is not None and clean not in shown:
            lines[clean, ""] = f"{run.dataset} has nothing to be compared with: run `jukemir-like probe {clean} REPRESENTATION`"
        elif clean is not None and (clean, run.procedure) not in asked:
            lines[clean, run.procedure] = f"{run.dataset} ({run.procedure}) has nothing to be compared with: probe {clean} so, too"
    return list(lines.values())


def _of_question(question: Question, of_pairs: Mapping[tuple[str, str], list[Run]]) -> Deformations:
    result = Deformations(question, {})
    ranked = list(question.answers)
    for (deformation, name), runs in sorted(of_pairs.items(), key=lambda pair: (_order(pair[0][0]), pair[0][1])):
        where = f"{name} on {question.dataset}~{deformation}"
        if name not in ranked:
            result.problems.append(f"{where}: there is no clean result of {name} to compare with, probe {question.dataset} too")
            continue
        try:
            result.losses[deformation, name] = _losses(question.answers[name], runs, where)
        except RequestError as error:
            result.problems.append(str(error))
    return result


def _losses(clean: ResampledMetrics, runs: Sequence[Run], where: str) -> dict[str, Loss]:
    """Metric → what is lost, with the seeds and on the items that both have.

    Raises:
        RequestError: the probes are not the same, or nothing is common to both.
    """
    by_seed = {run.seed: run for run in runs}
    pairs = [(run, by_seed[run.seed]) for run in clean.runs if run.seed in by_seed]
    if not pairs:
        raise RequestError(f"{where}: probed with other seeds than the clean audio, probe both with the same")
    common = []
    for of_clean, of_deformed in pairs:
        if not _is_same_probe(of_clean.predictions("valid"), of_deformed.predictions("valid")):
            raise RequestError(f"{where}: its probe is not that of the clean audio, which has changed since: probe both again")
        common.append(_common(of_clean.predictions("test"), of_deformed.predictions("test"), where))
    # The same seed and groups, so the same resamples: that makes the differences paired.
    first, second = zip(*common, strict=True)
    is_all_of_it = len(pairs) == len(clean.runs) and len(first[0].uid) == len(clean.uid)
    before = clean if is_all_of_it else resample_predictions(clean.task, clean.dataset, first, name=where)
    after = resample_predictions(clean.task, clean.dataset, second, name=where)
    losses = {}
    for metric, values in before.by_seed.items():
        if metric in after.by_seed:
            change = float(after.by_seed[metric].mean() - values.mean())
            samples, units = after.samples[metric] - before.samples[metric], before.units(metric)
            paired = difference(
                change,
                samples,
                before.effective_groups,
                scale=scale(metric),
                units=units,
                items=len(before.uid),
                inflation=before.inflation(metric),
            )
            losses[metric] = Loss(before.intervals[metric], after.intervals[metric], paired, len(before.uid), before.groups)
    return losses


def _is_same_probe(clean: Predictions, deformed: Predictions) -> bool:
    """Whether both predict the same of the validation items, whose audio is clean in both."""
    if not np.array_equal(clean.uid, deformed.uid) or clean.scores.shape != deformed.scores.shape:
        return False
    finite = clean.scores[np.isfinite(clean.scores)]
    tolerance = _TOLERANCE * float(np.ptp(finite)) if len(finite) else 0.0
    return np.allclose(clean.scores, deformed.scores, rtol=0, atol=tolerance)


def _common(clean: Predictions, deformed: Predictions, where: str) -> tuple[Predictions, Predictions]:
    """The predictions of the items that both have, in the same order; labels may differ, as they follow the deformation."""
    common, in_clean, in_deformed = np.intersect1d(clean.uid, deformed.uid, assume_unique=True, return_indices=True)
    if not len(common) or not np.array_equal(clean.group[in_clean], deformed.group[in_deformed]):
        raise RequestError(f"{where}: its items or groups are not those of the clean dataset, deform and probe again")
    first, second = clean.take(in_clean), deformed.take(in_deformed)
    if not np.array_equal(first.fold, second.fold):  # type: ignore[arg-type]  # None equals None
        raise RequestError(f"{where}: tested in other folds than the clean audio, probe both in the same")
    return first, second


def _order(name: str) -> tuple[int, float, str]:
    try:
        parsed = names.parse(name)
    except RequestError:  # of a newer version
        return len(names.KINDS), 0.0, name
    return list(names.KINDS).index(parsed.kind), parsed.value, name


# ---- as text, as a table, on the page ----


def table(found: Sequence[Deformations]) -> str:
    """All differences as CSV, with the columns :data:`COLUMNS`."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for one in found:
        question = one.question
        for (deformation, name), losses in one.losses.items():
            for metric, loss in losses.items():
                around = loss.change.interval
                is_primary = str(metric == question.metric).lower()
                writer.writerow(
                    [
                        *(question.dataset, deformation, question.protocol, question.task.name, metric, is_primary, name),
                        *(loss.clean.value, loss.deformed.value, around.value, around.low, around.high, loss.change.p, loss.n, loss.groups),
                    ]
                )
    return text.getvalue()


def terminal_table(found: Sequence[Deformations]) -> str:
    """One row per deformation and representation, one column per question: the change of the primary metric in points."""
    from tabulate import tabulate

    pairs = sorted({pair for one in found for pair in one.losses}, key=lambda pair: (_order(pair[0]), pair[1]))
    header = ["deformed", "", *("\n".join(map(printable, (_title(one), f"{one.question.metric}, points"))) for one in found)]
    rows = []
    for deformation, name in pairs:
        cells = []
        for one in found:
            losses = one.losses.get((deformation, name))
            around = losses[one.question.metric].change.interval if losses else None
            shown = f" [{percent(around.low)}, {percent(around.high)}]" if around and around.low is not None else ""
            cells.append("–" if around is None else points(around.value) + shown)
        rows.append([deformation, printable(name), *cells])
    return tabulate(rows, header, colalign=("left", "left", *("right" for _ in found)), disable_numparse=True)


def sections(found: Sequence[Deformations], colours: Mapping[str, str]) -> list[dict[str, Any]]:
    """What the template ``deformations.html`` needs of each question."""
    return [_section(one, colours, number) for number, one in enumerate(found)]


def points(fraction: float) -> str:
    """A difference in percentage points, with its sign.

    >>> points(-0.123), points(0.0)
    ('−12.3', '+0.0')
    """
    shown = decimal(100 * fraction)
    return shown if shown.startswith("−") else f"+{shown}"


def _section(one: Deformations, colours: Mapping[str, str], number: int) -> dict[str, Any]:
    question = one.question
    names_shown = [name for name in question.answers if any(name == column for _, column in one.losses)]
    metric = metric_name(question.metric)
    clean = {name: losses[question.metric].clean for (_, name), losses in reversed(one.losses.items())}
    rows = [Row((Cell("clean"), *(tables.score(clean[name]) for name in names_shown)))]
    changes = []
    for deformation in one.names:
        cells = [Cell(deformation, title=_effect(deformation))]
        for name in names_shown:
            loss = one.losses.get((deformation, name), {}).get(question.metric)
            if loss is None:
                cells.append(Cell("–"))
                continue
            around = loss.change.interval
            shown = tables.score(around, best=around.excludes_zero, below=(percent(loss.deformed.value),))
            cells.append(replace(shown, text=points(around.value)))
            changes.append(Change.from_fractions(deformation, name, around.value, around.low, around.high, colours[name]))
        rows.append(Row(tuple(cells)))
    losses = [losses[question.metric] for losses in one.losses.values()]
    columns = (Column(f"{metric}, %"), *map(Column, names_shown))
    return {
        "anchor": f"deformations-{number}",
        "task": question.task.name,
        "dataset": question.dataset,
        "protocol": question.protocol,
        "table": Table(f"deformed-{number}", f"What deformed audio costs: {_title(one)}", columns, tuple(rows)),
        "effects": [(deformation, _effect(deformation)) for deformation in one.names],
        "n": sorted({loss.n for loss in losses}),
        "groups": sorted({loss.groups for loss in losses}),
        "plot": changes_plot(changes, f"change in {metric}, points", f"deformations-{number}") if changes else "",
        "remarks": _remarks(one),
        "problems": one.problems,
    }


def _title(one: Deformations) -> str:
    return f"{one.question.task.name}, {one.question.dataset}, {one.question.protocol}"


def _effect(deformation: str) -> str:
    try:
        return names.parse(deformation).effect
    except RequestError:
        return ""


def _remarks(one: Deformations) -> list[str]:
    remarks: list[str] = []
    for name in one.names:
        try:
            parsed = names.parse(name)
        except RequestError:
            continue
        remarks += [f"{parsed.name}: {line}" for line in labels.remarks([one.question.task], parsed)]
    return remarks
