"""The results table of one representation, with intervals."""

from __future__ import annotations

from dataclasses import dataclass, field

from jukemir_like.core.cache import Cache
from jukemir_like.core.errors import DONE, SOME_FAILED, DamagedFileError, RequestError
from jukemir_like.core.files import printable
from jukemir_like.probes import results
from jukemir_like.probes.statistics.resampled import intervals


@dataclass(frozen=True)
class Score:
    """What :func:`score` wrote; as text, a table of the test metrics. ``damaged``: why runs are not in it, a line each."""

    rows: list[results.Row]
    path: str
    damaged: list[str] = field(default_factory=list)

    @property
    def exit_code(self) -> int:
        """0, or 3 where runs are damaged and left out."""
        return SOME_FAILED if self.damaged else DONE

    def __str__(self) -> str:
        from tabulate import tabulate

        shown = [row for row in self.rows if row["split"] == "test"]
        cells = [
            (
                printable(row["task"]),
                printable(row["protocol"]),
                row["seed"],
                printable(row["metric"]),
                percent(row["value"], row["low"], row["high"]),
                row["n"],
                row["groups"],
            )
            for row in shown
        ]
        header = ("task", "protocol", "seed", "metric", "test, % [95 % interval]", "n", "groups")
        align = ("left", "left", "right", "left", "right", "right", "right")
        left_out = [f"left out: {line}" for line in self.damaged]
        return "\n".join([tabulate(cells, header, colalign=align, disable_numparse=True), *left_out, f"written: {self.path}"])


def percent(value: float, low: float | None, high: float | None) -> str:
    """E.g. ``56.5 [51.2, 61.0]``, from fractions."""
    shown = [f"{100 * number:.1f}".replace("-0.0", "0.0") for number in (value, low, high) if number is not None]
    return shown[0] if len(shown) < 3 else f"{shown[0]} [{shown[1]}, {shown[2]}]"


def score(cache: Cache, dataset: str, representation: str) -> Score:
    """Computes the intervals of all runs of one representation and writes them with the values into ``results.csv`` of its folder.

    Test metrics get intervals; validation metrics do not, since the validation items chose the point. Damaged runs are left out and named.

    Raises:
        RequestError: there is no run, or none that is whole.
    """
    damaged: list[DamagedFileError] = []
    runs = results.find(cache, dataset, representation, on_damage=damaged.append)
    folder = cache.probe(dataset, representation)
    if not runs and damaged:
        raise damaged[0]
    if not runs:
        raise RequestError(f"no finished probe in {folder}: run `jukemir-like probe {dataset} {representation}`")
    table = []
    for run in runs:
        table += results.rows(run, {("test", metric): bounds for metric, bounds in intervals(run).items()})
    results.write(folder / results.TABLE, table)
    return Score(table, str(folder / results.TABLE), [printable(str(error)) for error in damaged])
