"""``metrics.csv``: one line a logged step; columns are named as the figures are, and empty where a step has no such figure."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path

NAME = "metrics.csv"
TIMINGS = frozenset({"seconds", "examples_per_second"})
"""Last parts of the names of columns that another run of the same settings has otherwise."""

Row = dict[str, float]


def read(folder: Path) -> list[Row]:
    """The lines of ``metrics.csv`` in ``folder``, empty cells left out; none where there is no such file."""
    try:
        with open(folder / NAME, newline="", encoding="utf-8") as file:
            lines = list(csv.DictReader(file))
    except FileNotFoundError:
        return []
    rows = []
    for line in lines:
        try:
            rows.append({column: float(value) for column, value in line.items() if value})
        except (TypeError, ValueError):  # the torn last line of a killed run
            continue
    return [row for row in rows if "step" in row]


def text(columns: Sequence[str], rows: Sequence[Row], *, header: bool = True) -> str:
    """Lines of the table, as they stand in the file."""
    written = io.StringIO(newline="")
    writer = csv.DictWriter(written, columns)
    if header:
        writer.writeheader()
    writer.writerows(_printed(row) for row in rows)
    return written.getvalue()


def _printed(row: Mapping[str, float]) -> dict[str, str]:
    return {column: f"{value:.0f}" if column == "step" else f"{value:.6g}" for column, value in row.items()}
