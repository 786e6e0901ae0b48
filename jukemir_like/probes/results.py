"""``results.csv``: the table of runs, with one row per run × split × metric. :data:`COLUMNS`; CSV, UTF-8.

Where runs differ in nothing but their seed, and the protocol draws random numbers, one more row per metric on test has them together.

``dataset, task, representation, protocol``
    names.
``configuration, configuration_hash, selected``
    as in ``run.json`` (:mod:`jukemir_like.probes.runs`), JSON.
``folds, folds_seed``
    number of folds, empty for a run of splits; the seed that they were drawn with, empty for the dataset's own. Of folds, ``valid`` and
    ``test`` are the predictions of all of them.
``seed, seeds, split, metric``
    ``seed``: empty where several runs are together; ``seeds``: how many. ``metric``: as :func:`jukemir_like.probes.metrics.evaluate`
    names it. ``primary``: ``true`` for the metric that selects and ranks.
``value, low, high, spread``
    the value and its interval; fractions, not percent. Of several seeds: the mean, an interval over groups and seeds, and the standard
    deviation over seeds (n - 1 in the denominator), which is empty for one seed. Test metrics have an interval
    (:mod:`jukemir_like.probes.intervals`; empty where there is none). Validation metrics have none, since the validation items selected the
    probe.
``n, groups``
    number of scored items and of groups among them.
``seconds, versions, lineage``
    of the run; the last two JSON.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jukemir_like.core import atomic, csvfiles, jsonfiles
from jukemir_like.core.cache import Cache
from jukemir_like.core.errors import DONE, SOME_FAILED, DamagedFileError, RequestError
from jukemir_like.core.files import printable
from jukemir_like.probes.intervals import ResampledMetrics, resample_runs
from jukemir_like.probes.run_names import procedure_name
from jukemir_like.probes.runs import Run, find_runs
from jukemir_like.probes.tasks import SCORED_SPLITS

TABLE = "results.csv"
COLUMNS = (
    "dataset",
    "task",
    "representation",
    "protocol",
    "configuration",
    "configuration_hash",
    "selected",
    "seed",
    "seeds",
    "folds",
    "folds_seed",
    "split",
    "metric",
    "primary",
    "value",
    "low",
    "high",
    "spread",
    "n",
    "groups",
    "seconds",
    "versions",
    "lineage",
)

Row = dict[str, Any]

_JSON_COLUMNS = ("configuration", "selected", "versions", "lineage")
_ORDER = ("dataset", "task", "representation", "protocol", "folds", "folds_seed", "configuration_hash", "seed")


@dataclass(frozen=True)
class ResultsTable:
    """What :func:`tabulate_runs` wrote; as text, a table of the test metrics.

    Args:
        rows: of the table.
        path: of the file.
        damaged: why runs are not in it, one line each.
    """

    rows: list[Row]
    path: Path
    damaged: list[str] = field(default_factory=list)

    @property
    def exit_code(self) -> int:
        """0, or 3 where runs are damaged and left out."""
        return SOME_FAILED if self.damaged else DONE

    def __str__(self) -> str:
        from tabulate import tabulate

        shown = [row for row in self.rows if row["split"] == "test"]
        together = {_without_seed(row) for row in shown if row["seed"] is None}
        cells = [
            (
                printable(row["task"]),
                printable(procedure(row)),
                f"{row['seeds']} seeds" if row["seed"] is None else row["seed"],
                printable(row["metric"]),
                percent(row["value"], row["low"], row["high"]),
                *(["" if row["spread"] is None else percent(row["spread"], None, None)] if together else []),
                row["n"],
                row["groups"],
            )
            for row in shown
            if row["seed"] is None or _without_seed(row) not in together
        ]
        of_seeds = ["σ over seeds"] if together else []
        header = ("task", "protocol", "seed", "metric", "test, % [95 % interval]", *of_seeds, "n", "groups")
        align = ("left", "left", "right", "left", "right", *("right" for _ in of_seeds), "right", "right")
        left_out = [f"left out: {line}" for line in self.damaged]
        return "\n".join([tabulate(cells, header, colalign=align, disable_numparse=True), *left_out, f"written: {self.path}"])


def tabulate_runs(cache: Cache, dataset: str, representation: str) -> ResultsTable:
    """Writes ``results.csv`` of one representation from all its runs, with intervals. Damaged runs are left out and named.

    Raises:
        RequestError: there is no run, or all are damaged.
        StorageError: the table cannot be written.
    """
    damaged: list[DamagedFileError] = []
    runs = find_runs(cache, dataset, representation, on_damage=damaged.append)
    folder = cache.probe(dataset, representation)
    if not runs and damaged:
        raise damaged[0]
    if not runs:
        raise RequestError(f"no finished probe in {folder}: run `jukemir-like probe {dataset} {representation}`")
    table = [row for run in runs for row in rows(run, resample_runs([run]).bounds)]
    by_request: dict[tuple[str, ...], list[Run]] = {}
    for run in runs:
        by_request.setdefault((run.record["task"]["name"], run.procedure, run.record["configuration_hash"]), []).append(run)
    for of_seeds in by_request.values():
        if len(of_seeds) > 1 and of_seeds[0].draws:
            table += _rows_where_possible(of_seeds)
    table.sort(key=_order)
    write(folder / TABLE, table)
    return ResultsTable(table, folder / TABLE, [printable(str(error)) for error in damaged])


def rows(run: Run, bounds: Mapping[str, tuple[float, float]] | None = None) -> list[Row]:
    """The table's rows of one run.

    Args:
        run: a finished run.
        bounds: test metric → (low, high) of its interval, where known.
    """
    common = {name: run.record[name] for name in COLUMNS if name in run.record}
    common |= {"task": run.task.name, "folds": None if run.folds is None else len(run.folds), "folds_seed": run.folds_seed}
    table = []
    for split in SCORED_SPLITS:
        for metric, value in run.metrics[split].items():
            low, high = (bounds or {}).get(metric, (None, None)) if split == "test" else (None, None)
            row = {
                **common,
                "seeds": 1,
                "split": split,
                "metric": metric,
                "primary": metric == run.task.primary_metric,
                "value": value,
                "low": low,
                "high": high,
                "spread": None,
                "n": run.record["scored"][split],
                "groups": run.record["groups"][split],
            }
            table.append({name: row[name] for name in COLUMNS})
    return table


def rows_of_seeds(answer: ResampledMetrics) -> list[Row]:
    """The table's rows of several runs that differ in their seed only; none where there is one run, or nothing that the seed decides."""
    table = []
    for metric, interval in answer.intervals.items():
        spread = answer.spread(metric)
        if spread is not None:
            first = next(row for row in rows(answer.runs[0]) if (row["split"], row["metric"]) == ("test", metric))
            found = {"value": interval.value, "low": interval.low, "high": interval.high, "spread": spread}
            seconds = sum(run.record["seconds"] for run in answer.runs)
            table.append({**first, **found, "seed": None, "seeds": len(answer.runs), "selected": {}, "seconds": seconds})
    return table


def _rows_where_possible(runs: Sequence[Run]) -> list[Row]:
    """:func:`rows_of_seeds`; none where the runs scored different items, because not all were probed again."""
    try:
        return rows_of_seeds(resample_runs(runs))
    except RequestError:
        return []


def _without_seed(row: Row) -> tuple[str, ...]:
    return row["task"], procedure(row), row["configuration_hash"]


def _order(row: Row) -> list[Any]:
    """By :data:`_ORDER`: runs of splits before those of folds, several seeds together after the last."""
    missing_first = {"seed": False, "folds": True, "folds_seed": True}
    return [((row[name] is None) ^ missing_first[name], row[name] or 0) if name in missing_first else row[name] for name in _ORDER]


def write(path: Path, table: Iterable[Row]) -> None:
    """Writes rows as CSV, atomically, sorted by dataset, task, representation, protocol, folds, configuration and seed.

    Raises:
        StorageError: ``path`` cannot be written.
    """
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    for row in sorted(table, key=_order):
        writer.writerow({name: _cell(name, row[name]) for name in COLUMNS})
    atomic.write_bytes(path, text.getvalue().encode(errors="backslashreplace"))


def read(paths: Sequence[Path]) -> list[Row]:
    """Rows of tables that :func:`write` wrote, with their types.

    Raises:
        RequestError: a file is missing or is no such table.
    """
    table: list[Row] = []
    for path in paths:
        try:
            table += csvfiles.read(path, _READERS, "run `jukemir-like probe` or `jukemir-like report` again")
        except FileNotFoundError as error:
            raise RequestError(f"cannot read results {path}: there is no such file") from error
    return table


def procedure(row: Row) -> str:
    """The protocol of a row, with its folds: as :attr:`jukemir_like.probes.runs.Run.procedure`.

    >>> procedure({"protocol": "linear", "folds": 5, "folds_seed": 1})
    'linear, 5 drawn folds (seed 1)'
    """
    return procedure_name(row["protocol"], row["folds"], row["folds_seed"])


def percent(value: float, low: float | None, high: float | None) -> str:
    """A value with its interval, from fractions.

    >>> percent(0.565, 0.512, 0.61), percent(0.565, None, None)
    ('56.5 [51.2, 61.0]', '56.5')
    """
    numbers = [f"{100 * number:.1f}".replace("-0.0", "0.0") for number in (value, low, high) if number is not None]
    return numbers[0] if len(numbers) < 3 else f"{numbers[0]} [{numbers[1]}, {numbers[2]}]"


def _cell(name: str, value: Any) -> Any:
    if name in _JSON_COLUMNS:
        return json.dumps(value, sort_keys=True)
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else value


def _json(cell: str) -> Any:
    value = jsonfiles.parse(cell.encode(errors="surrogatepass"))
    jsonfiles.check(value, {str: object})
    return value


def _boolean(cell: str) -> bool:
    if cell not in ("true", "false"):
        raise ValueError(f"{cell!r} is neither true nor false")
    return cell == "true"


_READERS: dict[str, Callable[[str], Any]] = {
    **dict.fromkeys(COLUMNS, str),
    **dict.fromkeys(_JSON_COLUMNS, _json),
    **dict.fromkeys(("seed", "seeds", "folds", "folds_seed", "n", "groups"), csvfiles.whole_number),
    **dict.fromkeys(("value", "low", "high", "spread", "seconds"), csvfiles.number),
    "primary": _boolean,
}
