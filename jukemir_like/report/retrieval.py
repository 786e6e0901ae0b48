"""Stem retrieval on the page: its tables in the cache, and the picture of every finished training."""

from __future__ import annotations

import base64
import os
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path
from typing import Any

from jukemir_like.core import files
from jukemir_like.core.cache import Cache
from jukemir_like.core.resampling import Interval, few_groups
from jukemir_like.report import conclusions, formatting, plots, svg, tables
from jukemir_like.report.problems import Problems
from jukemir_like.report.tables import Cell, Column, Table
from jukemir_like.stemjepa.retrieval.table import TABLE_NAME, Row, read_table
from jukemir_like.stemjepa.training.metrics_log import PICTURE_NAME

POOLS = {
    "same-instrument": "stems of the missing instrument, of all tracks",
    "all": "all stems of all tracks",
    "all-but-context": "all stems but those in the query's mix",
    "segments": "all chunks of all stems",
}
"""Pool → its candidates, in the order of the page."""

_MOST_INSTRUMENTS = 16  # columns of a table
_PNG = b"\x89PNG\r\n\x1a\n"


def retrieval(cache: Cache, problems: Problems, weights: Collection[str] | None = None) -> list[dict[str, Any]]:
    """One section per dataset with evaluated retrieval: a plot and a table of R@1 within an instrument, and all pools.

    Args:
        cache: holds ``retrieval/<dataset>/<weights>/retrieval.csv``.
        problems: damaged tables are added to it.
        weights: only these; None for all.
    """
    tables_by_dataset: dict[str, dict[str, list[Row]]] = {}
    for path in _present(cache.root / "retrieval", "*/*", TABLE_NAME):
        dataset, name = path.parts[-3:-1]
        if weights is None or name in weights:
            with problems.collecting(), suppress(FileNotFoundError):
                tables_by_dataset.setdefault(dataset, {})[name] = read_table(path)
    return [_section(dataset, tables, number) for number, (dataset, tables) in enumerate(tables_by_dataset.items())]


def trainings(cache: Cache, problems: Problems) -> list[dict[str, str]]:
    """Name and picture, as a data URL, of every finished training in the cache; damaged pictures are added to ``problems``."""
    pictures = []
    for path in _present(cache.root / "checkpoints", "*", PICTURE_NAME):
        with problems.collecting(), suppress(FileNotFoundError):
            pictures.append({"name": path.parent.name, "picture": _data_url(path)})
    return pictures


def _present(folder: Path, pattern: str, name: str) -> list[Path]:
    """Paths called ``name`` in the folders that match ``pattern``, of any type."""
    return [below / name for below in sorted(folder.glob(pattern)) if os.path.lexists(below / name)]


def _section(dataset: str, rows_by_weights: dict[str, list[Row]], number: int) -> dict[str, Any]:
    one = next(iter(rows_by_weights.values()))
    instruments = list(dict.fromkeys(row["instrument"] for row in one))
    if len(instruments) > _MOST_INSTRUMENTS:  # of tracks with stems of their own: all, and their kinds
        instruments = [name for name in instruments if name == "all" or name.startswith("all: ")]
    ranked = sorted(rows_by_weights, key=lambda name: -_value(rows_by_weights[name], "same-instrument", "all", "R@1"))
    within = {name: _row(rows_by_weights[name], "same-instrument", "all", "R@1") for name in ranked}
    known = {name: row for name, row in within.items() if row is not None}
    bars = [
        plots.Bar.from_fractions(name, row["value"] or 0, row["low"], row["high"], svg.COLOURS[place % len(svg.COLOURS)])
        for place, (name, row) in enumerate(known.items())
    ]
    return {
        "dataset": dataset,
        "bars": plots.bars(bars, "R@1, % (same instrument)", f"retrieval-{number}") if bars else "",
        "table": _within_instruments(dataset, {name: rows_by_weights[name] for name in ranked}, instruments, number),
        "pools": _pools(dataset, {name: rows_by_weights[name] for name in ranked}, number),
        "conclusion": conclusions.of_retrieval(known),
        "n": next((_number(row) for row in one if row["pool"] == "same-instrument"), ""),
        "few_groups": few_groups(max((int(row["groups"] or 0) for row in one), default=0)),
    }


def _within_instruments(dataset: str, rows_by_weights: dict[str, list[Row]], instruments: list[str], number: int) -> Table:
    columns = (Column("R@1, %", ("same instrument",)), *map(Column, instruments))
    rows = []
    for name, of_one in rows_by_weights.items():
        cells = [_cell(_row(of_one, "same-instrument", instrument, "R@1"), with_chance=True) for instrument in instruments]
        rows.append(tables.Row((Cell(name), *cells)))
    title = f"R@1 among stems of the same instrument, {dataset}, in percent"
    return Table(f"retrieval-within-{number}", title, columns, tuple(rows))


def _pools(dataset: str, rows_by_weights: dict[str, list[Row]], number: int) -> Table:
    metrics = {"R@1": "R@1, %", "R@5": "R@5, %", "R@10": "R@10, %", "median_normalised_rank": "median normalised rank, %"}
    columns = (Column("weights"), Column("candidates", text=True), Column("N"), *map(Column, metrics.values()))
    rows = []
    for name, of_one in rows_by_weights.items():
        for pool, holds in POOLS.items():
            scores = [_row(of_one, pool, "all", metric) for metric in metrics]
            if scores[0] is not None:
                rows.append(tables.Row((Cell(name), Cell(holds), Cell(_number(scores[0])), *map(_cell, scores))))
    return Table(f"retrieval-pools-{number}", f"Stem retrieval in all pools, {dataset}", columns, tuple(rows), named=False)


def _row(table: list[Row], pool: str, instrument: str, metric: str) -> Row | None:
    keys = (pool, instrument, metric)
    return next((row for row in table if (row["pool"], row["instrument"], row["metric"]) == keys), None)


def _value(table: list[Row], pool: str, instrument: str, metric: str) -> float:
    row = _row(table, pool, instrument, metric)
    return (row["value"] if row else None) or 0.0


def _cell(row: Row | None, with_chance: bool = False) -> Cell:
    if row is None or row["value"] is None:
        return Cell("–")
    below = (f"chance {formatting.times(100 * row['chance'])}",) if with_chance and row["chance"] is not None else ()
    return tables.score(Interval(row["value"], row["low"], row["high"], 0), below=below)


def _number(row: Row) -> str:
    """The mean number of candidates per query."""
    return f"{row['n_candidates'] or 0:,.0f}"


def _data_url(path: Path) -> str:
    with files.damage_errors(path, "delete it, or train again"):
        data = files.read_regular(path)
        if not data.startswith(_PNG):
            raise ValueError("is no PNG")
    return f"data:image/png;base64,{base64.b64encode(data).decode()}"
