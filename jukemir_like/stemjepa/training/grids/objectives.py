"""Compares objectives: the paper's alone, a contrastive first phase, both all the time. ``dora grid objectives`` trains them.

The stems are those of ``configs/data/my_data.yaml``, the recipe is ``reproduce``.
"""

from __future__ import annotations

from typing import Any

import treetable  # type: ignore[import-untyped]
from dora.explore import Explorer, Launcher


class Retrieval(Explorer):  # type: ignore[misc]
    """Shows loss, retrieval and effective rank of each run."""

    COLUMNS = (
        ("step", "step", ".0f"),
        ("loss", "loss", ".3f"),
        ("valid/same-instrument/R@1", "R@1", ".3f"),
        ("effective_rank", "rank", ".1f"),
    )

    def get_grid_metrics(self) -> list[Any]:
        return [treetable.leaf(name, form) for _, name, form in self.COLUMNS]

    def process_history(self, history: list[dict[str, float]]) -> dict[str, float]:
        latest: dict[str, float] = {}
        for line in history:
            latest |= line
        return {name: latest[column] for column, name, _ in self.COLUMNS if column in latest}


@Retrieval
def explorer(launcher: Launcher) -> None:
    """The three runs."""
    launcher.bind_(data="my_data", recipe="reproduce")  # type: ignore[no-untyped-call]
    launcher({"objective.contrastive_steps": 0, "objective.contrastive_weight": 0.0})
    launcher()
    launcher({"objective.contrastive_steps": 0, "objective.contrastive_weight": 1.0})
