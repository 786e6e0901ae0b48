"""Probes: how much of a label can be read off a representation by a simple model.

:func:`probe` fits them under one of two protocols and writes a run's folder for each (:mod:`jukemir_like.probes.results`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from jukemir_like.core.cache import Cache

if TYPE_CHECKING:
    from jukemir_like.probes.grid import Grid, RegularisationPath
    from jukemir_like.probes.results import Run

PROTOCOLS = ("linear", "jukemir")


def probe(
    cache: Cache,
    dataset: str,
    representation: str,
    *,
    tasks: Sequence[str] | None = None,
    protocol: str = "linear",
    seed: int = 0,
    workers: int = 1,
    settings: Grid | RegularisationPath | None = None,
    device: str | None = None,
) -> list[Run]:
    """Fits and tests a probe for each task of a dataset; what an earlier call finished on the same vectors and labels is kept.

    Args:
        cache: where vectors are, and where runs go.
        dataset: a processed dataset.
        representation: whose vectors; ``trivial`` stands for the baselines that need none.
        tasks: names; None for all that the dataset has.
        protocol: ``linear`` (L-BFGS or ridge regression over a path of strengths) or ``jukemir`` (Adam on a grid of 216 points).
        seed: of all draws; protocol ``linear`` has none.
        workers: processes. Results do not depend on their number.
        settings: of the protocol (:mod:`jukemir_like.probes.grid`); None: its defaults.
        device: ``cpu`` or ``cuda`` for ``jukemir``; None: a GPU where there is one.

    Returns:
        The runs, in the order of the tasks.

    Raises:
        RequestError: the request, the labels or the vectors do not allow it; the message says which. Where only some tasks cannot be
            probed, the others are finished first.
        StorageError: the runs cannot be written.
    """
    from jukemir_like.probes.running import run_tasks

    return run_tasks(cache, dataset, representation, tasks, protocol, seed, workers, settings, device)
