"""Published results, as they stand in the paper: to be shown beside our own, never mixed with them.

``published.csv`` holds the table of Castellon, Donahue and Liang, "Codified audio language modeling learns useful representations for music
information retrieval" (ISMIR 2021, arXiv 2107.05677), and the trivial baselines on the same test items. All were probed under the grid of
protocol ``jukemir``, and on these very datasets: a dataset with options is another one, and has no published results here.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from jukemir_like.probes.baselines import TRIVIAL

SOURCE = "Castellon et al. 2021"
PROTOCOL = "jukemir"
DATASETS = {"gtzan_ff": "multiclass", "giantsteps_clips": "key", "magnatagatune": "multilabel", "emomusic": "regression"}
"""The four datasets of the paper, each with the type of its task."""

_ALL = "all"  # what the table calls them together


@dataclass(frozen=True)
class Published:
    """The results of one representation on one dataset.

    Args:
        representation: its name in the paper.
        source: who says so.
        values: metric → value, a fraction. ``r2`` is not in the paper; it is the mean of arousal and valence there.
    """

    representation: str
    source: str
    values: Mapping[str, float]


@cache
def of(dataset: str) -> tuple[Published, ...]:
    """What was published on ``dataset``, in the order of the paper, the trivial baseline last; nothing on one with options."""
    values: dict[tuple[str, str], dict[str, float]] = {}
    with open(Path(__file__).with_name("published.csv"), newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            if row["dataset"] == dataset:
                values.setdefault((row["representation"], row["source"]), {})[row["metric"]] = float(row["percent"]) / 100
    for named in values.values():
        each = [value for metric, value in named.items() if metric.startswith("r2_")]
        named |= {"r2": sum(each) / len(each)} if each else {}
    return tuple(Published(name, source, named) for (name, source), named in values.items())


def representations() -> list[str]:
    """All that results were published of, in the order of the paper, the trivial baseline last."""
    names = dict.fromkeys(one.representation for dataset in DATASETS for one in of(dataset))
    return sorted(names, key=lambda name: name == TRIVIAL)


def value(dataset: str, representation: str, metric: str) -> float | None:
    """One published value, a fraction; None where there is none."""
    return next((one.values.get(metric) for one in of(dataset) if one.representation == representation), None)


def average(representation: str) -> float | None:
    """``Avg`` of the paper as printed there: the mean over its four datasets, where tags count with the mean of their two metrics."""
    return value(_ALL, representation, "average")


def is_another_protocol(dataset: str) -> bool:
    """Whether ``dataset`` is one of the paper's, but with options, so that its scores do not stand beside published ones."""
    base, plus, _ = dataset.partition("+")
    return bool(plus) and base in DATASETS
