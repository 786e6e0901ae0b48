"""The results page as HTML: fills the template with tables, plots and notes."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup, escape

from jukemir_like.core.cache import Cache
from jukemir_like.core.files import printable
from jukemir_like.core.resampling import CONFIDENCE, RESAMPLES
from jukemir_like.core.version import __version__
from jukemir_like.downloads.summary import format_bytes
from jukemir_like.probes.fitting import TRIVIAL
from jukemir_like.probes.runs import Run
from jukemir_like.report import datasets, deformations, fit_facts, headline, latex, published, question_section, svg
from jukemir_like.report import questions as asked
from jukemir_like.report import retrieval as stem_retrieval
from jukemir_like.report.costs import Facts, facts, seconds_per_hour
from jukemir_like.report.deformations import Deformations
from jukemir_like.report.layers import Curve, collapsed
from jukemir_like.report.problems import Problems
from jukemir_like.report.questions import Question
from jukemir_like.report.run_names import anchor
from jukemir_like.report.tables import Cell, Column, Row, Table

_FOLDER = Path(__file__).parent
_MOST_FAILED = 20


def render(
    cache: Cache,
    runs: Sequence[Run],
    questions: Sequence[Question],
    curves: Mapping[int, Sequence[Curve]],
    retrieval: Sequence[Mapping[str, Any]],
    problems: Problems,
    deformed: Sequence[Deformations] = (),
) -> str:
    """The page as HTML.

    Args:
        cache: holds datasets and records.
        runs: all runs of the page.
        questions: the same runs by question.
        curves: number of a question → scores of all layers of its representations.
        retrieval: sections, as :func:`jukemir_like.report.retrieval.retrieval` makes them.
        problems: shown on the page; damaged files of datasets and trainings are added to it.
        deformed: what deformations do to the questions' answers.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    script = (_FOLDER / "page.js").read_text(encoding="utf-8")
    environment = Environment(
        loader=FileSystemLoader(_FOLDER),
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
    named = [run.dataset for run in runs if run.deformed is None] or [
        section["dataset"] for section in retrieval
    ]  # stems alone have no labels to probe
    audits = datasets.audits(cache, named, problems)
    descriptions = datasets.describe(cache, named, problems)
    trainings = stem_retrieval.trainings(cache, problems)
    return environment.get_template("page.html").render(
        version=__version__,
        trivial=TRIVIAL,
        confidence=f"{100 * CONFIDENCE:.0f}",
        resamples=f"{RESAMPLES:,}",
        datasets=descriptions,
        headline=headline.table(questions) if questions else None,
        of_headline=headline.conclusion(questions),
        questions=[
            question_section.section(question, curves.get(number, ()), costs, colours, number) for number, question in enumerate(questions)
        ],
        deformations=deformations.sections(deformed, colours),
        unpaired_deformations=deformations.without_clean(questions, [run for run in runs if run.deformed is not None]),
        costs=_cost_table(costs, names),
        published_sources=published.sources(questions),
        audits={name: {**audit, "table": _audit_table(name, audit)} for name, audit in audits.items()},
        retrieval=retrieval,
        trainings=trainings,
        stages=_stage_table(stages),
        failures=_failure_table(stages),
        problems=problems,
        runs=_run_table(cache, runs),
        seeds=sorted({run.seed for run in runs if run.draws}),
        bytes_of_json=_compact,
        copies=_copies,
        style=(_FOLDER / "page.css").read_text(encoding="utf-8"),
        script=script,
        script_digest=_digest(script),
    )


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


def _cost_table(costs: Mapping[str, tuple[Facts, float | None]], names: Sequence[str]) -> Table | None:
    columns = (
        *(Column("representation"), Column("seconds", ("per hour of audio",)), Column("numbers", ("of the net",))),
        *(Column("weights", ("size of the files",)), Column("licence", ("of the weights",), text=True, wrap=True)),
        Column("tried here", ("beside the original program",), text=True, wrap=True),
    )
    rows = [_cost_row(name, *costs[name]) for name in names if name != TRIVIAL]
    return Table("costs-table", "Representations and what they cost", columns, tuple(rows)) if rows else None


def _cost_row(name: str, known: Facts, seconds: float | None) -> Row:
    commercial = () if known.commercial else ("no commercial use",)
    return Row(
        (
            Cell(name),
            Cell("–" if seconds is None else f"{seconds:,.1f}"),
            Cell("–" if known.parameters is None else _count(known.parameters)),
            Cell("–" if known.size is None else format_bytes(known.size)),
            Cell(known.licence or "–", below=commercial),
            Cell(known.tried or "–"),
        )
    )


def _count(number: int) -> str:
    return f"{number / 1e6:,.1f} M" if number >= 1e6 else f"{number / 1e3:,.1f} k"


def _audit_table(name: str, audit: Mapping[str, Any]) -> Table:
    columns = (Column("check"), Column("found"), Column("details", text=True, wrap=True))
    rows = [Row((Cell(str(row["what"])), Cell(str(row["found"])), Cell(str(row["detail"])))) for row in audit["rows"]]
    return Table(f"{audit['anchor']}-table", f"Audit of {name}", columns, tuple(rows), named=False)


def _stage_table(stages: Sequence[datasets.StageTiming]) -> Table:
    columns = (
        *(Column("dataset"), Column("stage", text=True), Column("done"), Column("failed"), Column("audio")),
        *(Column("work"), Column("times real time")),
    )
    rows = []
    for stage in stages:
        speed = f"{stage.audio_seconds / stage.seconds:,.0f} ×" if stage.audio_seconds and stage.seconds else ""
        failed = f"{len(stage.failed):,}" if stage.failed else ""
        audio = f"{stage.audio_seconds / 3600:,.2f} h" if stage.audio_seconds else ""
        cells = (stage.dataset, stage.name, f"{stage.done:,}", failed, audio, f"{stage.seconds:,.1f} s", speed)
        rows.append(Row(tuple(map(Cell, cells))))
    return Table("stages", "Stages and computing time", columns, tuple(rows), named=False)


def _failure_table(stages: Sequence[datasets.StageTiming]) -> Table | None:
    rows = []
    for stage in stages:
        where = Cell(f"{stage.dataset}, {stage.name}")
        shown = sorted(stage.failed.items())[:_MOST_FAILED]
        rows += [Row((where, Cell(printable(name)), Cell(reason))) for name, reason in shown]
        if len(stage.failed) > len(shown):
            more = f"… and {len(stage.failed) - len(shown):,} more"
            rows.append(Row((where, Cell(more), Cell("see .records/ in the stage's folder"))))
    columns = (Column("where"), Column("file", text=True), Column("reason", text=True, wrap=True))
    return Table("failures", "Inputs that failed", columns, tuple(rows), named=False) if rows else None


def _run_table(cache: Cache, runs: Sequence[Run]) -> Table:
    """All runs; ``scripts/compare_caches.py`` knows the place of the seconds, which are not compared."""
    columns = (
        *(Column("run"), Column("selected on validation", text=True), Column("changed", text=True), Column("seconds")),
        *(Column("labels", text=True), Column("vectors", text=True), Column("representation", text=True), Column("versions", text=True)),
        *([Column("selection and fit", text=True, wrap=True)] if any(fit_facts.facts(run) for run in runs) else []),
    )
    rows = tuple(Row(_run_cells(cache, run, len(columns)), anchor=anchor(run)) for run in runs)
    return Table("runs", "All runs", columns, rows, named=False)


def _run_cells(cache: Cache, run: Run, number: int) -> tuple[Cell, ...]:
    record = run.record
    selected = [_compact(record["selected"])] if record["selected"] else []
    lineage = [str(record["lineage"].get(name) or "–")[:16] for name in ("meta", "vectors", "signature")]
    cells = (
        Cell(str(run.folder.relative_to(cache.root)), code=True),
        Cell(" ".join([*selected, record.get("aggregation") or ""]).strip(), code=True),
        Cell(_compact(record["configuration"]) if record["configuration"] else "", code=True),
        Cell(f"{record['seconds']:.1f}"),
        *(Cell(digest, code=True) for digest in lineage),
        Cell(", ".join(f"{name} {version}" for name, version in sorted(record["versions"].items()))),
        Cell(fit_facts.in_words(fit_facts.facts(run))),
    )
    return cells[:number]


def _printable(value: Any) -> Any:
    """Text from files with its unprintable characters escaped; markup is our own."""
    return value if not isinstance(value, str) or isinstance(value, Markup) or value.isprintable() else printable(value)


def _copies(table: Table) -> list[tuple[str, str, Markup]]:
    """What can be copied of a table: format, its anchor, text."""
    return [
        ("LaTeX", f"{table.anchor}-latex", escape(latex.tabular(table))),
        ("CSV", f"{table.anchor}-csv", escape(table.csv())),
    ]


def _digest(script: str) -> str:
    """By which the page's policy knows its own script, and allows no other."""
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


def _compact(value: Any) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=False)
