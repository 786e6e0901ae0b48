"""What Stem-JEPA knows of stems: the retrieval tables in the cache, and the picture of every training that made its weights."""

from __future__ import annotations

import base64
import os
from collections.abc import Callable, Collection
from contextlib import suppress
from pathlib import Path
from typing import Any

from jukemir_like.core import csvfiles, files
from jukemir_like.core.cache import Cache
from jukemir_like.report import plots
from jukemir_like.report.left_out import LeftOut

POOLS = {
    "same-instrument": "the asked instrument of all tracks",
    "all": "all stems of all tracks",
    "all-but-context": "all but those that the query heard",
    "segments": "all chunks of all stems",
}
"""Pool → what it holds; in the order in which the page shows them."""

_PNG = b"\x89PNG\r\n\x1a\n"

Row = csvfiles.Row


def retrieval(cache: Cache, left_out: LeftOut, weights: Collection[str] | None = None) -> list[dict[str, Any]]:
    """A section for every dataset on which retrieval was evaluated: a plot and a table of R@1 within one instrument, and all pools.

    Args:
        cache: holds ``retrieval/<dataset>/<weights>/retrieval.csv``.
        left_out: gets the tables that are damaged.
        weights: only these; None for all.
    """
    found: dict[str, dict[str, list[Row]]] = {}
    for path in _present(cache.root / "retrieval", "*/*", "retrieval.csv"):
        dataset, name = path.parts[-3:-1]
        if weights is None or name in weights:
            with left_out.noting(), suppress(FileNotFoundError):
                table = csvfiles.read(path, _COLUMNS, "run `jukemir-like evaluate-retrieval` again")
                found.setdefault(dataset, {})[name] = table
    return [_section(dataset, tables, number) for number, (dataset, tables) in enumerate(found.items())]


def trainings(cache: Cache, left_out: LeftOut) -> list[dict[str, str]]:
    """Every training in the cache that has ended: its name and its picture, as a data URL; damaged ones join ``left_out``."""
    found = []
    for path in _present(cache.root / "checkpoints", "*", "training.png"):
        with left_out.noting(), suppress(FileNotFoundError):
            found.append({"name": path.parent.name, "picture": _data_url(path)})
    return found


def _present(folder: Path, pattern: str, name: str) -> list[Path]:
    """Files called ``name`` in the folders of the pattern, whatever they are."""
    return [below / name for below in sorted(folder.glob(pattern)) if os.path.lexists(below / name)]


def _fraction(cell: str) -> float | None:
    value = csvfiles.number(cell)
    if value is not None and not 0 <= value <= 1:
        raise ValueError(f"{cell} is no fraction")
    return value


_COLUMNS: dict[str, Callable[[str], Any]] = {
    **dict.fromkeys(("pool", "instrument", "metric"), str),
    **dict.fromkeys(("value", "low", "high", "chance"), _fraction),
    "n_candidates": csvfiles.number,
}


def _section(dataset: str, tables: dict[str, list[Row]], number: int) -> dict[str, Any]:
    one = next(iter(tables.values()))
    instruments = list(dict.fromkeys(row["instrument"] for row in one))
    ranked = sorted(tables, key=lambda name: -_value(tables[name], "same-instrument", "all", "R@1"))
    bars, rows, pools = [], [], []
    for place, name in enumerate(ranked):
        top = _row(tables[name], "same-instrument", "all", "R@1")
        if top is not None:
            low, high = (None if top[end] is None else 100 * top[end] for end in ("low", "high"))
            bars.append(plots.Bar(name, 100 * (top["value"] or 0), low, high, plots.COLOURS[place % len(plots.COLOURS)]))
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
    return (row["value"] if row else None) or 0.0


def _cell(row: Row | None) -> dict[str, str]:
    if row is None or row["value"] is None:
        return {"value": "–", "ends": "", "chance": ""}
    low, high = ("" if row[end] is None else plots.figures(100 * row[end]) for end in ("low", "high"))
    chance = "" if row["chance"] is None else f"chance {100 * row['chance']:.2g}"
    return {"value": plots.figures(100 * row["value"]), "ends": f"{low} – {high}" if low and high else "", "chance": chance}


def _number(row: Row) -> str:
    """How many candidates a query has, on average."""
    return f"{row['n_candidates'] or 0:,.0f}"


def _data_url(path: Path) -> str:
    with files.damage_errors(path, "delete it, or train again"):
        data = files.read_regular(path)
        if not data.startswith(_PNG):
            raise ValueError("is no PNG")
    return f"data:image/png;base64,{base64.b64encode(data).decode()}"
