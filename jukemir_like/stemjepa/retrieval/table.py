"""The table of retrieval scores, as a file and as text.

``retrieval.csv`` (:data:`COLUMNS`; CSV, UTF-8) has one row a pool × instrument × metric:

``weights, digest``
    the weights as they were asked for, and the SHA-256 of their file.
``dataset, split``
    what was evaluated; split is empty where there is none.
``pool``
    one of :data:`~.pools.POOLS`.
``instrument``
    the stem that is asked for; ``all``: the queries of all instruments together.
``metric``
    one of :data:`~.metrics.METRICS`.
``value, low, high, chance``
    fractions, not percent. ``low``, ``high``: the 95 % interval over groups of tracks, empty where there are fewer than two; ``chance``:
    of a random order.
``n_queries, n_candidates, groups``
    number of queries; of candidates of a query (the mean, where they differ); of groups that were drawn from.
``seed, version``
    of the interval's draws; of this package.
"""

from __future__ import annotations

import csv
import io
import math
from pathlib import Path
from typing import Any

from jukemir_like import __version__
from jukemir_like.core.atomic import write_bytes
from jukemir_like.core.cache import Cache
from jukemir_like.stemjepa.retrieval.evaluation import ALL, Evaluation, Score
from jukemir_like.stemjepa.retrieval.metrics import METRICS

NAME = "retrieval.csv"
COLUMNS = (
    *("weights", "digest", "dataset", "split", "pool", "instrument", "metric", "value", "low", "high", "chance"),
    *("n_queries", "n_candidates", "groups", "seed", "version"),
)

Row = dict[str, Any]


def rows(evaluation: Evaluation, *, weights: str, digest: str, dataset: str) -> list[Row]:
    """A dictionary of :data:`COLUMNS` for each score; None for what is not there."""
    names = {"weights": weights, "digest": digest, "dataset": dataset, "split": evaluation.split}
    made = {"seed": evaluation.seed, "version": __version__}
    scores = [{name: None if value != value else value for name, value in vars(score).items()} for score in evaluation.scores]
    return [names | score | made for score in scores]


def folder(cache: Cache, dataset: str, weights: Path) -> Path:
    """Where the cache keeps the table of a file of weights on a dataset."""
    return cache.root / "retrieval" / dataset / weights.stem


def write(path: Path, table: list[Row]) -> None:
    """Writes the rows, whole or not at all; numbers so that they are read back as they were."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(table)
    write_bytes(path, text.getvalue().encode())


def text(evaluation: Evaluation) -> str:
    """For people: a line a pool and instrument, in percent, and what it comes to."""
    from tabulate import tabulate

    header = ("pool", "instrument", "queries", "N", "R@1, % [95 % interval]", "chance", "R@5", "R@10", "median rank", "mean rank", "AUC")
    cells = []
    for first in range(0, len(evaluation.scores), len(METRICS)):
        by_metric = {score.metric: score for score in evaluation.scores[first : first + len(METRICS)]}
        top = by_metric["R@1"]
        shown = (top.pool if top.instrument == ALL else "", top.instrument, top.n_queries, f"{top.n_candidates:.4g}")
        interval = "" if top.low is None or top.high is None else f" [{_percent(top.low)}, {_percent(top.high)}]"
        recalls = (_percent(by_metric[name].value) for name in ("R@5", "R@10"))
        ranks = (_percent(by_metric[name].value, 2) for name in ("median_normalised_rank", "mean_normalised_rank"))
        area = _percent(by_metric["recall_auc"].value)
        cells.append((*shown, _percent(top.value) + interval, _percent(top.chance, 2), *recalls, *ranks, area))
    table = tabulate(cells, header, colalign=("left", "left", *["right"] * 9), disable_numparse=True)
    return f"{table}\n{closing(evaluation)}"


def closing(evaluation: Evaluation) -> str:
    """In one line: how many times chance R@1 is within one instrument, on average over instruments and for the worst."""
    of_instruments = [evaluation.score("same-instrument", instrument, "R@1") for instrument in evaluation.sources]
    known = [score for score in of_instruments if score.n_queries]
    if not known:
        return f"{evaluation.tracks} tracks: no stem could be asked for"
    mean = sum(map(times_chance, known)) / len(known)
    worst = min(known, key=times_chance)
    return (
        f"{evaluation.tracks} tracks; among stems of the same instrument R@1 is {mean:.1f} times chance on average over instruments, "
        f"{times_chance(worst):.1f} times for {worst.instrument}"
    )


def times_chance(score: Score) -> float:
    """Value over chance."""
    return score.value / score.chance


def _percent(value: float, decimals: int = 1) -> str:
    return "–" if math.isnan(value) else f"{100 * value:.{decimals}f}"
