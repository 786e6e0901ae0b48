"""What Stem-JEPA knows of stems: the retrieval tables in the cache, and the picture of every training that made its weights."""

from __future__ import annotations

import base64
import csv
from collections.abc import Collection
from pathlib import Path
from typing import Any

from jukemir_like.cache import Cache
from jukemir_like.report import plots

POOLS = {
    "same-instrument": "the asked instrument of all tracks",
    "all": "all stems of all tracks",
    "all-but-context": "all but those that the query heard",
    "segments": "all chunks of all stems",
}
"""Pool → what it holds; in the order in which the page shows them."""

Row = dict[str, str]


def retrieval(cache: Cache, weights: Collection[str] | None = None) -> list[dict[str, Any]]:
    """A section for every dataset on which retrieval was evaluated: a plot and a table of R@1 within one instrument, and all pools.

    Args:
        cache: holds ``retrieval/<dataset>/<weights>/retrieval.csv``.
        weights: only these; None for all.
    """
    found: dict[str, dict[str, list[Row]]] = {}
    for path in sorted((cache.root / "retrieval").glob("*/*/retrieval.csv")):
        dataset, name = path.parts[-3:-1]
        if weights is None or name in weights:
            with open(path, newline="", encoding="utf-8") as file:
                found.setdefault(dataset, {})[name] = list(csv.DictReader(file))
    return [_section(dataset, tables, number) for number, (dataset, tables) in enumerate(found.items())]


def trainings(cache: Cache) -> list[dict[str, str]]:
    """Every training in the cache that has ended: its name and its picture, as a data URL."""
    pictures = sorted((cache.root / "checkpoints").glob("*/training.png"))
    return [{"name": path.parent.name, "picture": _data_url(path)} for path in pictures]


def _section(dataset: str, tables: dict[str, list[Row]], number: int) -> dict[str, Any]:
    one = next(iter(tables.values()))
    instruments = list(dict.fromkeys(row["instrument"] for row in one))
    ranked = sorted(tables, key=lambda name: -_value(tables[name], "same-instrument", "all", "R@1"))
    bars, rows, pools = [], [], []
    for place, name in enumerate(ranked):
        top = _row(tables[name], "same-instrument", "all", "R@1")
        if top is not None:
            low, high = (100 * float(top[end]) if top[end] else None for end in ("low", "high"))
            bars.append(plots.Bar(name, 100 * float(top["value"] or 0), low, high, plots.COLOURS[place % len(plots.COLOURS)]))
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
    }


def _row(table: list[Row], pool: str, instrument: str, metric: str) -> Row | None:
    keys = (pool, instrument, metric)
    return next((row for row in table if (row["pool"], row["instrument"], row["metric"]) == keys), None)


def _value(table: list[Row], pool: str, instrument: str, metric: str) -> float:
    row = _row(table, pool, instrument, metric)
    return float(row["value"]) if row and row["value"] else 0.0


def _cell(row: Row | None) -> dict[str, str]:
    if row is None or not row["value"]:
        return {"value": "–", "ends": "", "chance": ""}
    low, high = (plots.figures(100 * float(row[end])) if row[end] else "" for end in ("low", "high"))
    chance = f"chance {100 * float(row['chance']):.2g}" if row["chance"] else ""
    return {"value": plots.figures(100 * float(row["value"])), "ends": f"{low} – {high}" if low else "", "chance": chance}


def _number(row: Row) -> str:
    """How many candidates a query has, on average."""
    return f"{float(row['n_candidates'] or 0):,.0f}"


def _data_url(path: Path) -> str:
    return f"data:image/png;base64,{base64.b64encode(path.read_bytes()).decode()}"
