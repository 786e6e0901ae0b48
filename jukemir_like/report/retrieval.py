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
from jukemir_like.core.resampling import few_groups
from jukemir_like.report import plots, svg
from jukemir_like.report.formatting import ends, percent
from jukemir_like.report.problems import Problems
from jukemir_like.stemjepa.retrieval.table import TABLE_NAME, Row, read_table
from jukemir_like.stemjepa.training.metrics_log import PICTURE_NAME

POOLS = {
    "same-instrument": "stems of the missing instrument, of all tracks",
    "all": "all stems of all tracks",
    "all-but-context": "all stems but those in the query's mix",
    "segments": "all chunks of all stems",
}
"""Pool → its candidates, in the order of the page."""

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


def _section(dataset: str, tables: dict[str, list[Row]], number: int) -> dict[str, Any]:
    one = next(iter(tables.values()))
    instruments = list(dict.fromkeys(row["instrument"] for row in one))
    ranked = sorted(tables, key=lambda name: -_value(tables[name], "same-instrument", "all", "R@1"))
    bars, rows, pools = [], [], []
    for place, name in enumerate(ranked):
        top = _row(tables[name], "same-instrument", "all", "R@1")
        if top is not None:
            colour = svg.COLOURS[place % len(svg.COLOURS)]
            bars.append(plots.Bar.from_fractions(name, top["value"] or 0, top["low"], top["high"], colour))
        rows.append({"name": name, "cells": [_cell(_row(tables[name], "same-instrument", one, "R@1")) for one in instruments]})
        for pool, holds in POOLS.items():
            scores = [_row(tables[name], pool, "all", metric) for metric in ("R@1", "R@5", "R@10", "median_normalised_rank")]
            if scores[0] is not None:
                pools.append({"name": name, "pool": pool, "holds": holds, "n": _number(scores[0]), "cells": list(map(_cell, scores))})
    return {
        "dataset": dataset,
        "instruments": instruments,
        "bars": plots.bars(bars, "R@1, % (same instrument)", f"retrieval-{number}") if bars else "",
        "rows": rows,
        "pools": pools,
        "n": next((_number(row) for row in one if row["pool"] == "same-instrument"), ""),
        "few_groups": few_groups(max((int(row["groups"] or 0) for row in one), default=0)),
    }


def _row(table: list[Row], pool: str, instrument: str, metric: str) -> Row | None:
    keys = (pool, instrument, metric)
    return next((row for row in table if (row["pool"], row["instrument"], row["metric"]) == keys), None)


def _value(table: list[Row], pool: str, instrument: str, metric: str) -> float:
    row = _row(table, pool, instrument, metric)
    return (row["value"] if row else None) or 0.0


def _cell(row: Row | None) -> dict[str, str]:
    if row is None or row["value"] is None:
        return {"value": "–", "ends": "", "chance": ""}
    chance = "" if row["chance"] is None else f"chance {100 * row['chance']:.2g}"
    return {"value": percent(row["value"]), "ends": ends(row["low"], row["high"]), "chance": chance}


def _number(row: Row) -> str:
    """The mean number of candidates per query."""
    return f"{row['n_candidates'] or 0:,.0f}"


def _data_url(path: Path) -> str:
    with files.damage_errors(path, "delete it, or train again"):
        data = files.read_regular(path)
        if not data.startswith(_PNG):
            raise ValueError("is no PNG")
    return f"data:image/png;base64,{base64.b64encode(data).decode()}"
