"""``retrieval.csv``, the table of the results of an evaluation, written and read here.

CSV in UTF-8 (:data:`COLUMNS`), one row per pool × instrument × metric:

``weights, digest``
    the name of the weights, and the SHA-256 of their file.
``dataset, split``
    what was evaluated; split is empty where all tracks were.
``pool``
    one of :data:`~.metrics.POOLS`.
``instrument``
    the instrument of the queries; ``all``: the queries of all instruments together.
``metric``
    one of :data:`~.metrics.METRICS`.
``value, low, high, chance``
    fractions, not percent. ``low``, ``high``: the 95 % interval over groups of tracks, empty where there are fewer than two; ``chance``:
    of a random order. :mod:`jukemir_like.core.resampling` says how intervals are made: R@k are fractions, mean ranks and areas are
    rankings between 1 / N and 1, the median has percentiles.
``n_queries, n_candidates, groups``
    number of queries; of candidates of a query (the mean, where they differ); of groups that were resampled.
``seed, version``
    of the interval's resamples; of this package.

This module imports neither NumPy nor torch, so that a report reads tables in milliseconds.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from jukemir_like.core import csvfiles
from jukemir_like.core.atomic import write_bytes

TABLE_NAME = "retrieval.csv"
COLUMNS = (
    *("weights", "digest", "dataset", "split", "pool", "instrument", "metric", "value", "low", "high", "chance"),
    *("n_queries", "n_candidates", "groups", "seed", "version"),
)

Row = dict[str, Any]


def write_table(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Writes rows of :data:`COLUMNS` as CSV, completely or not at all; numbers are written such that reading gives the same floats."""
    file = io.StringIO()
    writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_bytes(path, file.getvalue().encode())


def read_table(path: Path) -> list[Row]:
    """The scores in a table: ``pool, instrument, metric, value, low, high, chance, n_candidates, groups`` of each row.

    Other columns are not read. Numbers are floats, None for empty cells.

    Raises:
        FileNotFoundError: there is no such file.
        DamagedFileError: it is no such table, or a value is no fraction.
    """
    return csvfiles.read(path, _READERS, "run `jukemir-like evaluate-retrieval` again")


def _fraction(cell: str) -> float | None:
    value = csvfiles.number(cell)
    if value is not None and not 0 <= value <= 1:
        raise ValueError(f"{cell} is no fraction")
    return value


_READERS: dict[str, Callable[[str], Any]] = {
    **dict.fromkeys(("pool", "instrument", "metric"), str),
    **dict.fromkeys(("value", "low", "high", "chance"), _fraction),
    **dict.fromkeys(("n_candidates", "groups"), csvfiles.number),
}
