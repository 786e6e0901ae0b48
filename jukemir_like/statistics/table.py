"""The results table of one representation, with intervals."""

from __future__ import annotations

from dataclasses import dataclass

from jukemir_like.cache import Cache
from jukemir_like.errors import RequestError
from jukemir_like.probe import results
from jukemir_like.statistics.resampled import intervals


@dataclass(frozen=True)
class Score:
    """What :func:`score` wrote; as text, a table of the test metrics."""

    rows: list[results.Row]
    path: str

    def __str__(self) -> str:
        from tabulate import tabulate

        shown = [row for row in self.rows if row["split"] == "test"]
        cells = [
            (
                row["task"],
                row["protocol"],
                row["seed"],
                row["metric"],
                percent(row["value"], row["low"], row["high"]),
                row["n"],
                row["groups"],
            )
            for row in shown
        ]
        header = ("task", "protocol", "seed", "metric", "test, % [95 % interval]", "n", "groups")
        align = ("left", "left", "right", "left", "right", "right", "right")
        return tabulate(cells, header, colalign=align, disable_numparse=True) + f"\nwritten: {self.path}"


def percent(value: float, low: float | None, high: float | None) -> str:
    """E.g. ``56.5 [51.2, 61.0]``, from fractions."""
    shown = [f"{100 * number:.1f}".replace("-0.0", "0.0") for number in (value, low, high) if number is not None]
    return shown[0] if len(shown) < 3 else f"{shown[0]} [{shown[1]}, {shown[2]}]"


def score(cache: Cache, dataset: str, representation: str) -> Score:
    """Computes the intervals of all runs of one representation and writes them with the values into ``results.csv`` of its folder.

    Test metrics get intervals; validation metrics do not, since the validation items chose the point.

    Raises:
        RequestError: there is no run.
    """
    runs = results.find(cache, dataset, representation)
    folder = cache.probe(dataset, representation)
    if not runs:
        raise RequestError(f"no finished probe in {folder}: run `jukemir-like probe {dataset} {representation}`")
    table = []
    for run in runs:
        table += results.rows(run, {("test", metric): bounds for metric, bounds in intervals(run).items()})
    results.write(folder / results.TABLE, table)
    return Score(table, str(folder / results.TABLE))
