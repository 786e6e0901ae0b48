"""The section of one question: bars, scores, layers, costs, differences and confusion matrices, each with what can be concluded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from jukemir_like.core.resampling import CONFIDENCE, RESAMPLES
from jukemir_like.probes.fitting import MEANINGS, TRIVIAL
from jukemir_like.report import conclusions, confusions, fit_facts, lines, plots, published, tables
from jukemir_like.report.confusions import Confusions
from jukemir_like.report.costs import Facts
from jukemir_like.report.formatting import percent
from jukemir_like.report.layers import Curve
from jukemir_like.report.metric_names import metric_name
from jukemir_like.report.questions import Question
from jukemir_like.report.run_names import anchor
from jukemir_like.report.tables import Cell, Column, Row, Table

_MATRICES_SHOWN = 2  # the others are folded
_MOST_PAIRS = 6  # a longer table of differences is folded


def section(
    question: Question, curves: Sequence[Curve], costs: Mapping[str, tuple[Facts, float | None]], colours: Mapping[str, str], number: int
) -> dict[str, Any]:
    """What the template shows of a question.

    Args:
        question: with at least one result.
        curves: over layers; may be empty.
        costs: row → what is known of its net, and seconds of computing per hour of audio.
        colours: row → colour.
        number: of the question on the page.
    """
    metrics = list(next(iter(question.answers.values())).by_seed)
    axis = f"{metric_name(question.metric)}, % (test)"
    points = _cost_points(question, costs, colours)
    drawn = _confusions(question)
    others = published.bars(question)
    runs = {name: answer.runs for name, answer in question.answers.items() if name != TRIVIAL}
    return {
        "anchor": f"task-{number}",
        "dataset": question.dataset,
        "task": question.task.name,
        "protocol": question.protocol,
        "type": question.task.type,
        "metric": metric_name(question.metric),
        "bars": plots.bars([*_bars(question, colours), *others], axis, f"bars-{number}"),
        "table": _scores(question, metrics, curves, number),
        "conclusion": conclusions.of_scores(question, bool(others)),
        "fit": fit_facts.lines(runs),
        "at_an_end": fit_facts.at_an_end(runs),
        "curves": lines.layer_curves([_curve(curve, colours) for curve in curves], axis, f"layers-{number}") if curves else "",
        "of_layers": conclusions.of_layers(curves),
        "cost": lines.against_cost(points, axis, f"cost-{number}"),
        "of_cost": conclusions.of_cost(question, points),
        "published_note": published.note(question),
        "comparisons": _comparisons(question, number),
        "comparisons_open": len(question.comparisons) <= _MOST_PAIRS,
        "of_comparisons": conclusions.of_differences(question),
        "confusions": drawn[:_MATRICES_SHOWN],
        "more_confusions": drawn[_MATRICES_SHOWN:],
        "too_many_classes": question.task.type == "multiclass" and len(question.task.labels) > confusions.MOST_CLASSES,
        "notes": _notes(question),
        "problems": question.problems,
    }


def _bars(question: Question, colours: Mapping[str, str]) -> list[plots.Bar]:
    bars = []
    for name, answer in question.answers.items():
        found = answer.intervals[question.metric]
        bar = plots.Bar.from_fractions(name, found.value, found.low, found.high, colours[name])
        seeds = tuple(100 * float(value) for value in answer.by_seed[question.metric]) if answer.spread(question.metric) is not None else ()
        folds = tuple(100 * value for run in answer.runs for value in run.by_fold(question.metric))
        bars.append(replace(bar, seeds=seeds, folds=folds))
    return bars


def _scores(question: Question, metrics: Sequence[str], curves: Sequence[Curve], number: int) -> Table:
    """All metrics of all rows, with numbers of items and groups, and the spread over seeds where there are several."""
    layer_of = {curve.row: curve.choice.layer for curve in curves}
    several_seeds = any(answer.spread(question.metric) is not None for answer in question.answers.values())
    counts = (Column("n"), Column("groups"), *([Column("σ over seeds")] if several_seeds else []))
    columns = (Column("test, %"), *(Column(metric_name(metric)) for metric in metrics), *counts)
    rows = []
    for name, answer in question.answers.items():
        whose = (MEANINGS[question.task.type],) if name == TRIVIAL and question.task.type in MEANINGS else ()
        label = Cell(f"{name}: {layer_of[name]}" if name in layer_of else name, below=whose, link=anchor(answer.runs[0]))
        scores = [tables.score(answer.intervals[metric], best=metric == question.metric and name == question.best) for metric in metrics]
        cells = [label, *scores, Cell(str(answer.uid.size)), Cell(str(answer.groups))]
        if several_seeds:
            spread = answer.spread(question.metric)
            cells.append(Cell("" if spread is None else percent(spread)))
        rows.append(Row(tuple(cells), "trivial" if name == TRIVIAL else ""))
    others = published.rows(question, metrics)
    if others:
        rows.append(Row((Cell("published, not measured here"),), "caption"))
    for other in others:
        label = Cell(other["name"], below=(other["source"],))
        rows.append(Row((label, *map(Cell, other["cells"]), *(Cell() for _ in counts)), "published"))
    title = f"Scores of {question.task.name} of {question.dataset}, protocol {question.protocol}"
    return Table(f"scores-{number}", title, columns, tuple(rows))


def _curve(curve: Curve, colours: Mapping[str, str]) -> lines.LayerCurve:
    metric, layers = curve.choice.metric, list(curve.test)
    found = [answer.intervals[metric] for answer in curve.test.values()]
    around = [(100 * one.low, 100 * one.high) if one.low is not None and one.high is not None else None for one in found]
    valid = [100 * curve.choice.valid[layer] for layer in layers]
    chosen = layers.index(curve.choice.layer)
    name = curve.row.replace(", chosen layer", "", 1)
    return lines.LayerCurve(name, layers, [100 * one.value for one in found], around, valid, chosen, colours[curve.row])


def _cost_points(question: Question, costs: Mapping[str, tuple[Facts, float | None]], colours: Mapping[str, str]) -> list[lines.CostPoint]:
    points = []
    for name in question.answers:
        if name in costs:
            found = question.interval(name)
            bar = plots.Bar.from_fractions(name, found.value, found.low, found.high, "")
            known, seconds = costs[name]
            points.append(lines.CostPoint(name, bar.value, bar.low, bar.high, seconds, known.parameters, colours[name]))
    return points


def _comparisons(question: Question, number: int) -> Table | None:
    """Every pair; bold where p, corrected for all of them, is small."""
    if not question.comparisons:
        return None
    columns = (
        Column("first"),
        Column("second", text=True),
        Column("first − second, points"),
        Column("p"),
        Column("p, corrected"),
        Column("common n"),
    )
    rows = []
    for (first, second), comparison in question.comparisons.items():
        difference = comparison.differences[question.metric]
        found = difference.interval
        corrected = question.corrected[question.metric][first, second]
        value = f"{100 * found.value:+.1f}".replace("-", "−")
        p = Cell(_p(difference.p)), Cell(_p(corrected))
        cells = (Cell(first), Cell(second), replace(tables.score(found), text=value), *p, Cell(f"{comparison.n:,}"))
        rows.append(Row(cells, best=corrected is not None and corrected < 1 - CONFIDENCE))
    title = (
        f"Paired differences in {metric_name(question.metric)}, {question.task.name} of {question.dataset}, protocol {question.protocol}"
    )
    return Table(f"differences-{number}", title, columns, tuple(rows), named=False)


def _p(p: float | None) -> str:
    """Three decimals; what is below the level, and so bold, is not rounded up to it.

    >>> _p(0.0496), _p(0.0504), _p(1e-9), _p(None)
    ('< 0.05', '0.050', '< 0.001', '–')
    """
    level = 1 - CONFIDENCE
    if p is None:
        return "–"
    return "< 0.001" if p < 0.001 else f"< {level:.2g}" if p < level and f"{p:.3f}" == f"{level:.3f}" else f"{p:.3f}"


def _confusions(question: Question) -> list[dict[str, str]]:
    """Confusion matrices of tasks with classes, over all seeds, for each representation but the trivial one, the best first."""
    if question.task.type not in ("multiclass", "key") or len(question.task.labels) > confusions.MOST_CLASSES:
        return []
    entries = []
    for name, answer in question.answers.items():
        if name != TRIVIAL:
            tests = [run.predictions("test") for run in answer.runs]
            y, predicted = np.concatenate([test.y for test in tests]), np.concatenate([test.scores.argmax(1) for test in tests])
            found = Confusions.of(y, predicted, answer.runs[0].task.labels)
            says = conclusions.of_confusions(found, question.task.type == "key", len(tests))
            entries.append({"name": name, "svg": confusions.svg(found, name), "says": says})
    return entries


def _notes(question: Question) -> list[str]:
    """What was left out of the metrics, each line once."""
    notes: dict[str, None] = {}
    if folds := next((run.folds for answer in question.answers.values() for run in answer.runs if run.folds), None):
        notes[f"each of the {len(folds)} folds is tested once; values are of all predictions together, points are single folds"] = None
    for name, answer in question.answers.items():
        found = answer.intervals[question.metric]
        if found.undefined:
            undefined_in = f"{metric_name(question.metric)} is undefined in {found.undefined:,} of {RESAMPLES:,} resamples"
            notes[f"{name}: {undefined_in}, which are left out"] = None
        if found.low is None:
            notes[f"{name}: no interval, because there are too few groups, most resamples are undefined, or no resample differs"] = None
        for run in answer.runs:
            if run.taken_over:
                notes[f"{name}: {run.taken_over}"] = None
            notes |= dict.fromkeys(f"{line}" for line in run.record["notes"])
            undefined = (run.record["left_out"].get("undefined") or {}).get("test") or {}
            for metric, count in undefined.items():
                if count:
                    of_tags = f"{count} of {len(question.task.labels)} tags are left out"
                    notes[f"{metric_name(metric)}: {of_tags}, test lacks positives or negatives"] = None
    return list(notes)
