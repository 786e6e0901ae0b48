"""The page: everything that the template needs, put into words and figures."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup

from jukemir_like import __version__
from jukemir_like.core.cache import Cache
from jukemir_like.core.files import printable
from jukemir_like.probes.results import Run
from jukemir_like.probes.statistics import CONFIDENCE, RESAMPLES, Interval
from jukemir_like.probes.trivial import NAME as TRIVIAL
from jukemir_like.report import audits, beside, plots, published, stages, standings, stems
from jukemir_like.report.left_out import LeftOut
from jukemir_like.report.standings import Average, Question

_METRICS = {
    "accuracy": "accuracy",
    "macro_f1": "macro F1",
    "roc_auc": "macro ROC-AUC",
    "average_precision": "macro average precision",
    "r2": "R²",
    "weighted_score": "MIREX weighted score",
}
_MOST_FAILED = 20
_MOST_CLASSES = 40  # a larger confusion matrix cannot be read


def render(cache: Cache, runs: Sequence[Run], asked: Sequence[Question], retrieval: Sequence[Mapping[str, Any]], left_out: LeftOut) -> str:
    """The page as HTML.

    Args:
        cache: where datasets and records are.
        runs: all that the page is about. asked: the same, by question.
        retrieval: sections, as :func:`jukemir_like.report.stems.retrieval` makes them.
        left_out: what the page is made without; gets what is damaged of the rest.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        finalize=_shown,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    names = standings.representations(asked)
    colours = {name: plots.GREY if name == TRIVIAL else plots.COLOURS[i % len(plots.COLOURS)] for i, name in enumerate(names)}
    ran = stages.stages(cache, runs)
    named = [run.dataset for run in runs] or [section["dataset"] for section in retrieval]  # stems alone have no labels to probe
    audited = audits.audits(cache, named, left_out)
    described = stages.describe(cache, named, left_out)
    trainings = stems.trainings(cache, left_out)
    return environment.get_template("page.html").render(
        version=__version__,
        trivial=TRIVIAL,
        confidence=f"{100 * CONFIDENCE:.0f}",
        resamples=f"{RESAMPLES:,}",
        datasets=described,
        headline=_headline(asked, names),
        questions=[_question(question, colours, number) for number, question in enumerate(asked)],
        published_source=published.SOURCE,
        audits=audited,
        retrieval=retrieval,
        trainings=trainings,
        stages=[_stage(stage) for stage in ran],
        failures=[failure for stage in ran for failure in _failures(stage)],
        left_out=left_out,
        runs=[_run(cache, run) for run in runs],
        seeds=sorted({run.seed for run in runs}),
        bytes_of_json=_compact,
    )


def _headline(asked: Sequence[Question], names: Sequence[str]) -> dict[str, Any]:
    """The table of primary metrics, and of averages where a dataset has several tasks."""
    columns = [
        {"dataset": question.dataset, "task": question.task.name, "protocol": question.protocol, "metric": _name(question.metric)}
        for question in asked
    ]
    means = standings.averages(asked)
    columns += [{"dataset": one.dataset, "task": "average", "protocol": one.protocol, "metric": "of tasks"} for one in means]
    of_four = beside.our_averages(asked)
    columns += [{"dataset": "the four datasets", "task": "average", "protocol": one.protocol, "metric": "of datasets"} for one in of_four]
    rows = []
    for name in names:
        cells = [_answer_cell(question, name, number) for number, question in enumerate(asked)]
        cells += [_average_cell(one, name) for one in (*means, *of_four)]
        rows.append({"name": name, "cells": cells, "trivial": name == TRIVIAL})
    return {"columns": columns, "rows": rows, "published": beside.headline(asked, len(means), len(of_four))}


def _answer_cell(question: Question, name: str, number: int) -> dict[str, Any] | None:
    if name not in question.answers:
        return None
    cell = _cell(question.interval(name))
    run = question.answers[name].runs[0]
    return {**cell, "best": question.best == name, "link": f"task-{number}", "title": f"run {_anchor(run)}"}


def _average_cell(average: Average, name: str) -> dict[str, Any] | None:
    found = average.by_representation.get(name)
    return None if found is None else {**_cell(found), "best": average.best == name}


def _cell(found: Interval) -> dict[str, Any]:
    return {"value": _percent(found.value), "ends": _ends(found), "best": False, "link": None, "title": ""}


def _question(question: Question, colours: dict[str, str], number: int) -> dict[str, Any]:
    metrics = list(next(iter(question.answers.values())).by_seed)
    bars = []
    for name, answer in question.answers.items():
        found = answer.intervals[question.metric]
        low, high = (None if end is None else 100 * end for end in (found.low, found.high))
        seeds = tuple(100 * float(value) for value in answer.by_seed[question.metric])
        bars.append(plots.Bar(name, 100 * found.value, low, high, colours[name], seeds))
    rows = []
    for name, answer in question.answers.items():
        values = [{"value": _percent(answer.intervals[metric].value), "ends": _ends(answer.intervals[metric])} for metric in metrics]
        spread = answer.spread(question.metric)
        spread_shown = "" if spread is None else f"{100 * spread:.1f}"
        rows.append(
            {"name": name, "values": values, "n": answer.uid.size, "groups": answer.groups, "spread": spread_shown}
            | {"link": _anchor(answer.runs[0])}
        )
    return {
        "anchor": f"task-{number}",
        "dataset": question.dataset,
        "task": question.task.name,
        "protocol": question.protocol,
        "type": question.task.type,
        "metric": _name(question.metric),
        "metrics": [_name(metric) for metric in metrics],
        "several_seeds": any(len(answer.runs) > 1 for answer in question.answers.values()),
        "bars": plots.bars([*bars, *beside.bars(question)], f"{_name(question.metric)}, % (test)", f"bars-{number}"),
        "rows": rows,
        "published": beside.rows(question, metrics),
        "published_note": beside.note(question),
        "comparisons": _comparisons(question),
        "confusions": _confusions(question, number),
        "notes": _notes(question),
        "problems": question.problems,
    }


def _comparisons(question: Question) -> list[dict[str, Any]]:
    made = []
    for (first, second), comparison in question.comparisons.items():
        difference = comparison.differences[question.metric]
        found = difference.interval
        p = "–" if difference.p is None else "< 0.001" if difference.p < 0.001 else f"{difference.p:.3f}"
        value = f"{100 * found.value:+.1f}".replace("-", "−")
        made.append(
            {"first": first, "second": second, "value": value, "ends": _ends(found), "p": p, "n": comparison.n}
            | {"clear": found.excludes_zero}
        )
    return made


def _confusions(question: Question, number: int) -> list[str]:
    """Confusion matrices of class tasks, all seeds together, of each representation but the trivial one."""
    if question.task.type not in ("multiclass", "key") or len(question.task.labels) > _MOST_CLASSES:
        return []
    made = []
    for place, (name, answer) in enumerate(question.answers.items()):
        if name != TRIVIAL:
            tests = [run.predictions("test") for run in answer.runs]
            y, predicted = np.concatenate([test.y for test in tests]), np.concatenate([test.scores.argmax(1) for test in tests])
            made.append(plots.confusion_matrix(y, predicted, answer.runs[0].task.labels, name, f"confusion-{number}-{place}"))
    return made


def _notes(question: Question) -> list[str]:
    """What was left out, each line once."""
    notes: dict[str, None] = {}
    for name, answer in question.answers.items():
        found = answer.intervals[question.metric]
        if found.undefined:
            notes[
                f"{name}: {_name(question.metric)} is undefined in {found.undefined:,} of {RESAMPLES:,} resamples, which are left out"
            ] = None
        if found.low is None:
            notes[f"{name}: no interval, for there is but one group, or most resamples are undefined"] = None
        for run in answer.runs:
            notes |= dict.fromkeys(f"{line}" for line in run.record["notes"])
            undefined = (run.record["left_out"].get("undefined") or {}).get("test") or {}
            for metric, count in undefined.items():
                if count:
                    notes[
                        f"{_name(metric)}: {count} of {len(question.task.labels)} tags are left out, for test has no example of both kinds"
                    ] = None
    return list(notes)


def _stage(stage: stages.Stage) -> dict[str, Any]:
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


def _failures(stage: stages.Stage) -> list[dict[str, str]]:
    shown = sorted(stage.failed.items())[:_MOST_FAILED]
    made = [{"where": f"{stage.dataset}, {stage.name}", "input": printable(name), "reason": reason} for name, reason in shown]
    if len(stage.failed) > len(shown):
        more = f"… and {len(stage.failed) - len(shown):,} more"
        made.append({"where": f"{stage.dataset}, {stage.name}", "input": more, "reason": "see .records/ in the stage's folder"})
    return made


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


def _shown(value: Any) -> Any:
    """Text of any file, such that it can be shown; what is marked as safe is our own."""
    return value if not isinstance(value, str) or isinstance(value, Markup) or value.isprintable() else printable(value)


def _anchor(run: Run) -> str:
    return "/".join(run.folder.parts[-4:])


def _name(metric: str) -> str:
    known = _METRICS.get(metric)
    return known or metric.replace("r2_", "R² of ", 1)


def _percent(value: float) -> str:
    return "–" if np.isnan(value) else plots.figures(100 * value)


def _ends(found: Interval) -> str:
    return "" if found.low is None or found.high is None else f"{_percent(found.low)} – {_percent(found.high)}"


def _compact(value: Any) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=False)
