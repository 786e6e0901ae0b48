"""The results page as HTML: fills the template with tables, plots and notes."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup

from jukemir_like.core.cache import Cache
from jukemir_like.core.files import printable
from jukemir_like.core.resampling import CONFIDENCE, RESAMPLES, Interval
from jukemir_like.core.version import __version__
from jukemir_like.downloads.summary import format_bytes
from jukemir_like.probes.fitting import MEANINGS, TRIVIAL
from jukemir_like.probes.layers import split
from jukemir_like.probes.runs import Run
from jukemir_like.report import datasets, lines, plots, published, svg
from jukemir_like.report import questions as asked
from jukemir_like.report import retrieval as stem_retrieval
from jukemir_like.report.costs import Facts, facts, seconds_per_hour
from jukemir_like.report.formatting import ends, percent
from jukemir_like.report.layers import Curve, collapsed
from jukemir_like.report.problems import Problems
from jukemir_like.report.questions import Average, Question

_METRICS = {
    "accuracy": "accuracy",
    "macro_f1": "macro F1",
    "roc_auc": "macro ROC-AUC",
    "average_precision": "macro average precision",
    "r2": "R²",
    "weighted_score": "MIREX weighted score",
    "accuracy1": "accuracy 1",
    "accuracy2": "accuracy 2",
}
_MOST_FAILED = 20
_MOST_CLASSES = 40  # larger confusion matrices are unreadable


def render(
    cache: Cache,
    runs: Sequence[Run],
    questions: Sequence[Question],
    curves: Mapping[int, Sequence[Curve]],
    retrieval: Sequence[Mapping[str, Any]],
    problems: Problems,
) -> str:
    """The page as HTML.

    Args:
        cache: holds datasets and records.
        runs: all runs of the page.
        questions: the same runs by question.
        curves: number of a question → scores of all layers of its representations.
        retrieval: sections, as :func:`jukemir_like.report.retrieval.retrieval` makes them.
        problems: shown on the page; damaged files of datasets and trainings are added to it.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        finalize=_printable,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    names = asked.representations(questions)
    colours = {name: svg.GREY if name == TRIVIAL else svg.COLOURS[i % len(svg.COLOURS)] for i, name in enumerate(names)}
    choices = [curve.choice for of_question in curves.values() for curve in of_question]
    stages = datasets.stage_timings(cache, runs, collapsed(choices))
    costs = _costs(cache, questions, curves)
    named = [run.dataset for run in runs] or [section["dataset"] for section in retrieval]  # stems alone have no labels to probe
    audits = datasets.audits(cache, named, problems)
    descriptions = datasets.describe(cache, named, problems)
    trainings = stem_retrieval.trainings(cache, problems)
    return environment.get_template("page.html").render(
        version=__version__,
        trivial=TRIVIAL,
        confidence=f"{100 * CONFIDENCE:.0f}",
        resamples=f"{RESAMPLES:,}",
        datasets=descriptions,
        headline=_headline(questions, names),
        questions=[_question(question, curves.get(number, ()), costs, colours, number) for number, question in enumerate(questions)],
        costs=[_cost_row(name, *costs[name]) for name in names if name != TRIVIAL],
        published_sources=published.sources(questions),
        audits=audits,
        retrieval=retrieval,
        trainings=trainings,
        stages=[_stage(stage) for stage in stages],
        failures=[failure for stage in stages for failure in _failures(stage)],
        problems=problems,
        runs=[_run(cache, run) for run in runs],
        seeds=sorted({run.seed for run in runs if run.draws}),
        bytes_of_json=_compact,
    )


def _headline(questions: Sequence[Question], names: Sequence[str]) -> dict[str, Any]:
    """The table of primary metrics, with averages for datasets with several tasks."""
    columns = [
        {"dataset": question.dataset, "task": question.task.name, "protocol": question.protocol, "metric": _name(question.metric)}
        for question in questions
    ]
    means = asked.averages(questions)
    columns += [{"dataset": one.dataset, "task": "average", "protocol": one.protocol, "metric": "of tasks"} for one in means]
    of_four = published.our_averages(questions)
    columns += [{"dataset": "the four datasets", "task": "average", "protocol": one.protocol, "metric": "of datasets"} for one in of_four]
    rows = []
    for name in names:
        cells = [_answer_cell(question, name, number) for number, question in enumerate(questions)]
        cells += [_average_cell(one, name) for one in (*means, *of_four)]
        taken_over = any(run.taken_over for question in questions if name in question.answers for run in question.answers[name].runs)
        rows.append({"name": name, "cells": cells, "trivial": name == TRIVIAL, "taken_over": taken_over})
    return {"columns": columns, "rows": rows, "published": published.headline(questions, len(means), len(of_four))}


def _answer_cell(question: Question, name: str, number: int) -> dict[str, Any] | None:
    if name not in question.answers:
        return None
    cell = _cell(question.interval(name))
    run = question.answers[name].runs[0]
    layer = split(run.representation)[1] if name != asked.row_name(run) else None
    return {**cell, "best": question.best == name, "link": f"task-{number}", "title": f"run {_anchor(run)}", "layer": layer}


def _average_cell(average: Average, name: str) -> dict[str, Any] | None:
    found = average.by_representation.get(name)
    return None if found is None else {**_cell(found), "best": average.best == name}


def _cell(found: Interval) -> dict[str, Any]:
    return {"value": percent(found.value), "ends": ends(found.low, found.high), "best": False, "link": None, "title": "", "layer": None}


def _question(
    question: Question, curves: Sequence[Curve], costs: Mapping[str, tuple[Facts, float | None]], colours: dict[str, str], number: int
) -> dict[str, Any]:
    metrics = list(next(iter(question.answers.values())).by_seed)
    layer_of = {curve.row: curve.choice.layer for curve in curves}
    axis = f"{_name(question.metric)}, % (test)"
    bars = []
    for name, answer in question.answers.items():
        found = answer.intervals[question.metric]
        seeds = tuple(100 * float(value) for value in answer.by_seed[question.metric]) if answer.spread(question.metric) is not None else ()
        folds = tuple(100 * value for run in answer.runs for value in run.by_fold(question.metric))
        bars.append(replace(plots.Bar.from_fractions(name, found.value, found.low, found.high, colours[name]), seeds=seeds, folds=folds))
    rows = []
    for name, answer in question.answers.items():
        intervals = [answer.intervals[metric] for metric in metrics]
        values = [{"value": percent(found.value), "ends": ends(found.low, found.high)} for found in intervals]
        spread = answer.spread(question.metric)
        spread_shown = "" if spread is None else f"{100 * spread:.1f}"
        rows.append(
            {"name": name, "values": values, "n": answer.uid.size, "groups": answer.groups, "spread": spread_shown}
            | {
                "link": _anchor(answer.runs[0]),
                "layer": layer_of.get(name),
                "whose": MEANINGS.get(question.task.type) if name == TRIVIAL else None,
            }
        )
    return {
        "anchor": f"task-{number}",
        "dataset": question.dataset,
        "task": question.task.name,
        "protocol": question.protocol,
        "type": question.task.type,
        "metric": _name(question.metric),
        "metrics": [_name(metric) for metric in metrics],
        "several_seeds": any(answer.spread(question.metric) is not None for answer in question.answers.values()),
        "bars": plots.bars([*bars, *published.bars(question)], axis, f"bars-{number}"),
        "curves": lines.layer_curves([_curve(curve, colours) for curve in curves], axis, f"layers-{number}") if curves else "",
        "cost": lines.against_cost(_cost_points(question, costs, colours), axis, f"cost-{number}"),
        "rows": rows,
        "published": published.rows(question, metrics),
        "published_note": published.note(question),
        "comparisons": _comparisons(question),
        "confusions": _confusions(question, number),
        "notes": _notes(question),
        "problems": question.problems,
    }


def _curve(curve: Curve, colours: Mapping[str, str]) -> lines.LayerCurve:
    metric, layers = curve.choice.metric, list(curve.test)
    found = [answer.intervals[metric] for answer in curve.test.values()]
    ends = [(100 * one.low, 100 * one.high) if one.low is not None and one.high is not None else None for one in found]
    valid = [100 * curve.choice.valid[layer] for layer in layers]
    chosen = layers.index(curve.choice.layer)
    name = curve.row.replace(", chosen layer", "", 1)
    return lines.LayerCurve(name, layers, [100 * one.value for one in found], ends, valid, chosen, colours[curve.row])


def _costs(cache: Cache, questions: Sequence[Question], curves: Mapping[int, Sequence[Curve]]) -> dict[str, tuple[Facts, float | None]]:
    """Row → facts, and seconds of computing per hour of audio; of layers that were extracted together, of all of them."""
    folders: dict[str, set[tuple[str, str]]] = {}
    for number, question in enumerate(questions):
        of_layers = {curve.row: curve.test for curve in curves.get(number, ())}
        for row, answer in question.answers.items():
            together = of_layers.get(row, {"": answer}).values()
            folders.setdefault(row, set()).update((question.dataset, one.runs[0].representation) for one in together)
    return {
        row: (facts(cache, min(of_row)[1]), seconds_per_hour(cache, sorted(of_row))) for row, of_row in folders.items() if row != TRIVIAL
    }


def _cost_points(question: Question, costs: Mapping[str, tuple[Facts, float | None]], colours: Mapping[str, str]) -> list[lines.CostPoint]:
    points = []
    for name in question.answers:
        if name in costs:
            bar = plots.Bar.from_fractions(
                name, question.interval(name).value, question.interval(name).low, question.interval(name).high, ""
            )
            known, seconds = costs[name]
            points.append(lines.CostPoint(name, bar.value, bar.low, bar.high, seconds, known.parameters, colours[name]))
    return points


def _cost_row(name: str, known: Facts, seconds: float | None) -> dict[str, Any]:
    return {
        "name": name,
        "licence": known.licence,
        "commercial": known.commercial,
        "size": "" if known.size is None else format_bytes(known.size),
        "parameters": "" if known.parameters is None else _count(known.parameters),
        "tried": known.tried,
        "seconds": "" if seconds is None else f"{seconds:,.1f}",
    }


def _count(number: int) -> str:
    return f"{number / 1e6:,.1f} M" if number >= 1e6 else f"{number / 1e3:,.1f} k"


def _comparisons(question: Question) -> list[dict[str, Any]]:
    entries = []
    for (first, second), comparison in question.comparisons.items():
        difference = comparison.differences[question.metric]
        found = difference.interval
        p = "–" if difference.p is None else "< 0.001" if difference.p < 0.001 else f"{difference.p:.3f}"
        value = f"{100 * found.value:+.1f}".replace("-", "−")
        entries.append(
            {"first": first, "second": second, "value": value, "ends": ends(found.low, found.high), "p": p, "n": comparison.n}
            | {"clear": found.excludes_zero}
        )
    return entries


def _confusions(question: Question, number: int) -> list[str]:
    """Confusion matrices of tasks with classes, over all seeds, for each representation but the trivial one."""
    if question.task.type not in ("multiclass", "key") or len(question.task.labels) > _MOST_CLASSES:
        return []
    entries = []
    for place, (name, answer) in enumerate(question.answers.items()):
        if name != TRIVIAL:
            tests = [run.predictions("test") for run in answer.runs]
            y, predicted = np.concatenate([test.y for test in tests]), np.concatenate([test.scores.argmax(1) for test in tests])
            entries.append(plots.confusion_matrix(y, predicted, answer.runs[0].task.labels, name, f"confusion-{number}-{place}"))
    return entries


def _notes(question: Question) -> list[str]:
    """What was left out of the metrics, each line once."""
    notes: dict[str, None] = {}
    if folds := next((run.folds for answer in question.answers.values() for run in answer.runs if run.folds), None):
        notes[f"each of the {len(folds)} folds is tested once; values are of all predictions together, points are single folds"] = None
    for name, answer in question.answers.items():
        found = answer.intervals[question.metric]
        if found.undefined:
            notes[
                f"{name}: {_name(question.metric)} is undefined in {found.undefined:,} of {RESAMPLES:,} resamples, which are left out"
            ] = None
        if found.low is None:
            notes[f"{name}: no interval, because there is only one group or most resamples are undefined"] = None
        for run in answer.runs:
            if run.taken_over:
                notes[f"{name}: {run.taken_over}"] = None
            notes |= dict.fromkeys(f"{line}" for line in run.record["notes"])
            undefined = (run.record["left_out"].get("undefined") or {}).get("test") or {}
            for metric, count in undefined.items():
                if count:
                    notes[
                        f"{_name(metric)}: {count} of {len(question.task.labels)} tags are left out, test lacks positives or negatives"
                    ] = None
    return list(notes)


def _stage(stage: datasets.StageTiming) -> dict[str, Any]:
    speed = f"{stage.audio_seconds / stage.seconds:,.0f} ×" if stage.audio_seconds and stage.seconds else ""
    return {
        "dataset": stage.dataset,
        "name": stage.name,
        "done": f"{stage.done:,}",
        "failed": f"{len(stage.failed):,}" if stage.failed else "",
        "audio": f"{stage.audio_seconds / 3600:,.2f} h" if stage.audio_seconds else "",
        "seconds": f"{stage.seconds:,.1f} s",
        "speed": speed,
    }


def _failures(stage: datasets.StageTiming) -> list[dict[str, str]]:
    shown = sorted(stage.failed.items())[:_MOST_FAILED]
    entries = [{"where": f"{stage.dataset}, {stage.name}", "input": printable(name), "reason": reason} for name, reason in shown]
    if len(stage.failed) > len(shown):
        more = f"… and {len(stage.failed) - len(shown):,} more"
        entries.append({"where": f"{stage.dataset}, {stage.name}", "input": more, "reason": "see .records/ in the stage's folder"})
    return entries


def _run(cache: Cache, run: Run) -> dict[str, Any]:
    record = run.record
    return {
        "anchor": _anchor(run),
        "folder": str(run.folder.relative_to(cache.root)),
        "selected": _compact(record["selected"]) if record["selected"] else "",
        "aggregation": record.get("aggregation") or "",
        "configuration": _compact(record["configuration"]) if record["configuration"] else "",
        "seconds": f"{record['seconds']:.1f}",
        "lineage": {name: str(record["lineage"].get(name) or "–")[:16] for name in ("meta", "vectors", "signature")},
        "versions": ", ".join(f"{name} {version}" for name, version in sorted(record["versions"].items())),
    }


def _printable(value: Any) -> Any:
    """Text from files with its unprintable characters escaped; markup is our own."""
    return value if not isinstance(value, str) or isinstance(value, Markup) or value.isprintable() else printable(value)


def _anchor(run: Run) -> str:
    return "/".join(run.folder.parts[-4:])


def _name(metric: str) -> str:
    known = _METRICS.get(metric)
    return known or metric.replace("r2_", "R² of ", 1)


def _compact(value: Any) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=False)
