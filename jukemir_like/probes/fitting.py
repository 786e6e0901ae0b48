"""One probe: fitted under a protocol on train, selected on validation, tested. Arrays in, predictions and metrics out; nothing on disk.

The stage (:mod:`jukemir_like.probes.stage`) and the library (:mod:`jukemir_like.probes.arrays`) both call :func:`fit`.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from jukemir_like.core.progress import Progress
from jukemir_like.probes import metrics
from jukemir_like.probes.baselines import baseline_scores
from jukemir_like.probes.protocols import Grid, RegularisationPath, Settings
from jukemir_like.probes.selection import Candidate, Selection, UnfinishedRun, predict
from jukemir_like.probes.tasks import SCORED_SPLITS, Predictions, ProbeData


@dataclass(frozen=True)
class FitOptions:
    """How probes are fitted.

    Args:
        settings: of the protocol; their type decides which one.
        seed: of all random numbers; protocol ``linear`` has none.
        workers: processes of protocol ``jukemir``. Results do not depend on their number.
        device: ``cpu`` or ``cuda`` for protocol ``jukemir``; None: a GPU where there is one.
    """

    settings: Settings = field(default_factory=RegularisationPath)
    seed: int = 0
    workers: int = 1
    device: str | None = None


@dataclass(frozen=True)
class FittedProbe:
    """The selected probe of one task.

    Args:
        hyperparameters: the point (jukemir), ``{"strength"}`` (linear) or ``{}`` (baseline).
        aggregation: rule from clips to songs; None where items are scored.
        candidates: everything that was fitted, with its value on validation.
        predictions: of valid and test.
        metrics: split → name → value; the primary metric first.
    """

    hyperparameters: dict[str, Any]
    aggregation: str | None
    candidates: list[dict[str, Any]]
    predictions: dict[str, Predictions]
    metrics: dict[str, dict[str, float]]


def fit(data: ProbeData, options: FitOptions, name: str = "probe", unfinished: UnfinishedRun | None = None) -> FittedProbe:
    """Fits the candidates of a protocol and tests the best.

    Args:
        data: of one task.
        options: protocol and how to compute it.
        name: of the work, for the progress bar.
        unfinished: where protocol ``jukemir`` stores what is finished, and finds what an interrupted call has finished; None: nowhere.

    Raises:
        RequestError: scores are not finite, there is no such device, or a worker died.
        StorageError: ``unfinished`` cannot be written.
    """
    with one_thread():
        selection = Selection(data)
        if isinstance(options.settings, Grid):
            _fit_grid(selection, options.settings, options, name, unfinished)
        else:
            _fit_path(selection, options.settings, name)
        return _tested(selection)


def fit_baseline(data: ProbeData) -> FittedProbe:
    """The trivial baseline of a task (:mod:`jukemir_like.probes.baselines`) in the place of a probe."""
    with one_thread():
        selection = Selection(data)
        selection.consider(Candidate(0, {}, baseline_scores(data), {}))
        return _tested(selection)


@contextmanager
def one_thread() -> Iterator[None]:
    """Linear algebra on one thread: the same bits whatever the machine and its load."""
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    with threadpool_limits(limits=1):
        yield


def _fit_path(selection: Selection, settings: RegularisationPath, name: str) -> None:
    """Considers a probe of every strength."""
    from jukemir_like.probes.linear import Rotation, fit_path

    data = selection.data
    with Progress(len(set(settings.strengths)), name, "probe") as bar:
        rotation, Z = Rotation.fit(data.train.X)
        rotated = {split: rotation(data.splits[split].X) for split in SCORED_SPLITS}
        models = fit_path(data.task.type, Z, rotation.variance, data.train.y, len(data.task.labels), settings)
        for strength, model in models.items():
            scores = {split: model.scores(rotated[split]) for split in SCORED_SPLITS}
            selection.consider(Candidate(-strength, {"strength": strength}, scores, {}))
            bar.update()


def _fit_grid(selection: Selection, settings: Grid, options: FitOptions, name: str, unfinished: UnfinishedRun | None) -> None:
    """Considers all points of the grid; those that an interrupted call has finished are not trained again."""
    from jukemir_like.probes.search import choose_device, search

    device = choose_device(options.device)
    started = time.perf_counter()
    points = settings.points()
    finished = unfinished.read(selection, points, device) if unfinished else set()
    with Progress(len(points), name, "probe", initial=len(finished)) as bar:
        for side_by_side in search(selection.data, settings, options.seed, options.workers, device, finished=finished):
            new = [trained for trained in side_by_side if trained.point not in finished]
            for trained in new:
                details = {"step": trained.step, "steps": trained.steps}
                selection.consider(Candidate(trained.point, trained.point.to_json(), trained.scores, details))
            if unfinished:
                unfinished.write(selection, time.perf_counter() - started)
            bar.update(len(new))


def _tested(selection: Selection) -> FittedProbe:
    """The best candidate, tested."""
    data, selected = selection.data, selection.selected()
    rule, predictions = predict(data, selected.scores)
    values = {split: metrics.evaluate(data.task, predictions[split].y, predictions[split].scores) for split in SCORED_SPLITS}
    return FittedProbe(selected.hyperparameters, rule, selection.candidates(), predictions, values)
