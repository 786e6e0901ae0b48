"""``metrics.csv``: one line a logged step; columns are named as the figures are, and empty where a step has no such figure."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path

from jukemir_like.core import csvfiles

NAME = "metrics.csv"
TIMINGS = frozenset({"seconds", "examples_per_second"})
"""Last parts of the names of columns that another run of the same settings has otherwise."""

Row = dict[str, float]


def read(folder: Path) -> list[Row]:
    """The lines of ``metrics.csv`` in ``folder``, empty cells left out; none where there is no such file.

    The last line of a run that was killed may be cut off; it is left out.

    Raises:
        DamagedFileError: it cannot be read, or another line is no line of figures.
    """
    try:
        rows = csvfiles.read(folder / NAME, {"step": _step}, "move it away; the log begins anew", others=_figure, growing=True)
    except FileNotFoundError:
        return []
    return [{column: value for column, value in row.items() if value is not None} for row in rows]


def _step(cell: str) -> float:
    step = csvfiles.number(cell)
    if step is None or step < 0:
        raise ValueError(f"{cell!r} is no number of steps")
    return step


def _figure(cell: str) -> float | None:
    """A figure; of a training that went astray it need not be finite."""
    return float(cell) if cell else None


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
