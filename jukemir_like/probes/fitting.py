"""One probe: fitted under a protocol on train, selected on validation, tested. Arrays in, predictions and metrics out; nothing on disk.

The stage (:mod:`jukemir_like.probes.stage`) and the library (:mod:`jukemir_like.probes.arrays`) both call :func:`fit`, and
:func:`fit_baseline` for the trivial baselines: what can be predicted without the audio, which every representation has to beat.

========== ============================ ======================================================
task       baseline                     scores of every item
========== ============================ ======================================================
multiclass ``majority``                 how frequent each class is in train
key        ``constant``                 mean MIREX credit on train of always answering each key
multilabel ``prior``                    how frequent each tag is in train (AUC .5)
regression ``mean``                     mean of each output in train (R² of 0 at best)
========== ============================ ======================================================
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jukemir_like.core.errors import RequestError
from jukemir_like.core.progress import Progress
from jukemir_like.core.rows import Rows, as_array, as_rows
from jukemir_like.datasets import Task
from jukemir_like.probes import metrics
from jukemir_like.probes.metrics import RULES, mirex_table
from jukemir_like.probes.protocols import Grid, RegularisationPath, Settings
from jukemir_like.probes.tasks import SCORED_SPLITS, Predictions, ProbeData, Scores, Split
from jukemir_like.probes.unfinished import FinishedPoint, UnfinishedRun

TRIVIAL = "trivial"
"""The name that selects the baselines in the place of a representation."""
BASELINES = {"multiclass": "majority", "key": "constant", "multilabel": "prior", "regression": "mean"}


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
    """The trivial baseline of a task in the place of a probe."""
    with one_thread():
        selection = Selection(data)
        selection.consider(Candidate(0, {}, baseline_scores(data), {}))
        return _tested(selection)


@contextmanager
def one_thread() -> Iterator[None]:
    """Linear algebra on one thread: the same bits on any machine, under any load."""
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    with threadpool_limits(limits=1):
        yield


def _fit_path(selection: Selection, settings: RegularisationPath, name: str) -> None:
    """Considers a probe of every strength."""
    with Progress(len(set(settings.strengths)), name, "probe") as bar:
        for strength, scores in _scores_by_strength(selection.data, settings):
            selection.consider(Candidate(-strength, {"strength": strength}, scores, {}))
            bar.update()


def _scores_by_strength(data: ProbeData, settings: RegularisationPath) -> Iterator[tuple[float, Scores]]:
    """Strength and scores, the strongest first."""
    from jukemir_like.probes.chunked_path import RotatedRows
    from jukemir_like.probes.linear import Rotation, fit_path

    X = {name: split.X for name, split in data.splits.items()}
    task, labels, y = data.task.type, len(data.task.labels), data.train.y
    train = X["train"]
    if isinstance(train, Rows) and len(train) >= train.shape[1]:
        rotated_rows = RotatedRows.fit(train)
        models = fit_path(task, rotated_rows, rotated_rows.variance, y, labels, settings)
        by_split = {split: rotated_rows.scores(models, as_rows(X[split])) for split in SCORED_SPLITS}
        yield from ((strength, {split: by_split[split][strength] for split in SCORED_SPLITS}) for strength in models)
    else:  # rows that are fewer than the dimension are not many
        rotation, Z = Rotation.fit(as_array(train))
        rotated = {split: rotation(as_array(X[split])) for split in SCORED_SPLITS}
        models = fit_path(task, Z, rotation.variance, y, labels, settings)
        yield from ((strength, {split: model.scores(rotated[split]) for split in SCORED_SPLITS}) for strength, model in models.items())


def _fit_grid(selection: Selection, settings: Grid, options: FitOptions, name: str, unfinished: UnfinishedRun | None) -> None:
    """Considers all points of the grid; those that an interrupted call has finished are not trained again."""
    from jukemir_like.probes.search import choose_device, search

    device = choose_device(options.device)
    started = time.perf_counter()
    points = settings.points()
    finished = unfinished.read(points, device, selection.restore) if unfinished else set()
    with Progress(len(points), name, "probe", initial=len(finished)) as bar:
        for side_by_side in search(selection.data, settings, options.seed, options.workers, device, finished=finished):
            new = [trained for trained in side_by_side if trained.point not in finished]
            for trained in new:
                details = {"step": trained.step, "steps": trained.steps}
                selection.consider(Candidate(trained.point, trained.point.to_json(), trained.scores, details))
            if unfinished:
                best = selection.best.scores if selection.best is not None else {}
                unfinished.write(selection.candidates(), best, time.perf_counter() - started)
            bar.update(len(new))


def _tested(selection: Selection) -> FittedProbe:
    """The best candidate, tested."""
    data, selected = selection.data, selection.selected()
    rule, predictions = predict(data, selected.scores)
    values = {split: metrics.evaluate(data.task, predictions[split].y, predictions[split].scores) for split in SCORED_SPLITS}
    return FittedProbe(selected.hyperparameters, rule, selection.candidates(), predictions, values)


@dataclass(frozen=True)
class Candidate:
    """A fitted probe.

    Args:
        order: breaks ties; the smallest wins.
        hyperparameters: ``selected`` in ``run.json``.
        scores: split → (n, labels) of items, for valid and test.
        details: more about how it was fitted, for the list of candidates.
    """

    order: Any
    hyperparameters: dict[str, Any]
    scores: Scores
    details: dict[str, Any]

    def to_json(self, value: float) -> dict[str, Any]:
        """The candidate in ``run.json``, with its value of the primary metric on validation."""
        return {**self.hyperparameters, "value": None if np.isnan(value) else value, **self.details}


class Selection:
    """Takes candidates one by one, in any order, and keeps the best.

    Args:
        data: task and splits.

    Attributes:
        best: the best candidate so far. value: its primary metric on validation.
    """

    def __init__(self, data: ProbeData):
        self.data = data
        self.best: Candidate | None = None
        self.value = -np.inf
        self._considered: list[tuple[Any, dict[str, Any]]] = []

    def consider(self, candidate: Candidate) -> None:
        """Takes a candidate into account; one with scores that are not finite cannot win."""
        value, _ = validation_value(self.data.task, self.data.splits["valid"], candidate.scores["valid"])
        self._considered.append((candidate.order, candidate.to_json(value)))
        # NaN is neither larger nor equal
        if value > self.value or (value == self.value and self.best and candidate.order < self.best.order):
            self.best, self.value = candidate, value

    def restore(self, finished: Sequence[FinishedPoint], scores: Scores) -> None:
        """Takes points that an earlier call finished into account; ``scores`` are those of the best of them.

        Raises:
            ValueError: they are not: another value than the best follows from them.
        """
        candidates = [(Candidate(one.point, one.point.to_json(), {}, one.details), one.value) for one in finished]
        finite = [(value, candidate) for candidate, value in candidates if not np.isnan(value)]
        if finite:
            value = max(value for value, _ in finite)
            best = min((candidate for other, candidate in finite if other == value), key=lambda candidate: candidate.order)
            self._check(scores)
            if validation_value(self.data.task, self.data.splits["valid"], scores["valid"])[0] != value:
                raise ValueError("the scores are not those of the best candidate")
            self.best, self.value = replace(best, scores=scores), value
        self._considered = [(candidate.order, candidate.to_json(value)) for candidate, value in candidates]

    def _check(self, scores: Scores) -> None:
        for split in SCORED_SPLITS:
            expected = len(self.data.splits[split].y), len(self.data.task.labels)
            if scores[split].shape != expected or scores[split].dtype != np.float32:
                raise ValueError(f"scores of {split} are {scores[split].dtype} of {scores[split].shape}, not float32 of {expected}")

    def candidates(self) -> list[dict[str, Any]]:
        """All that were considered, in order, with their value of the primary metric on validation."""
        return [description for _, description in sorted(self._considered, key=lambda pair: pair[0])]

    def selected(self) -> Candidate:
        """The best candidate.

        Raises:
            RequestError: no candidate has finite scores.
        """
        if self.best is None:
            raise RequestError(
                f"no probe for {self.data.task.name} gave finite scores: are the vectors' numbers too large? Standardise them and try again"
            )
        return self.best


def validation_value(task: Task, split: Split, scores: NDArray[np.float32]) -> tuple[float, str | None]:
    """Primary metric of items' scores on a split, and for songs the rule that gives it: the first of the best.

    NaN for scores that are not finite.
    """
    if _non_finite(scores).any():
        return np.nan, None
    if split.songs is None:
        return metrics.primary_metric(task, split.y, scores), None
    y = split.songs.per_song(split.y)
    values = [metrics.primary_metric(task, y, split.songs.scores(scores, rule)) for rule in RULES]
    best = int(np.argmax(values))
    return values[best], RULES[best]


def predict(data: ProbeData, scores: Scores) -> tuple[str | None, dict[str, Predictions]]:
    """The rule for songs that validation selects (None where items are scored), and what is scored on valid and test.

    Raises:
        RequestError: a test item's scores are not finite.
    """
    wrong = _non_finite(scores["test"])
    if wrong.any():
        uid = data.splits["test"].uid[int(wrong.argmax())]
        raise RequestError(f"the probe for {data.task.name} has no finite scores for test item {uid}: are its vector's numbers too large?")
    rule = validation_value(data.task, data.splits["valid"], scores["valid"])[1]
    return rule, {split: _predictions(data.splits[split], scores[split], rule) for split in SCORED_SPLITS}


def _predictions(split: Split, scores: NDArray[np.float32], rule: str | None) -> Predictions:
    if split.songs is None or rule is None:
        return Predictions(split.uid, split.group, split.y, scores)
    songs = split.songs
    of_songs = songs.names, songs.per_song(split.group), songs.per_song(split.y), songs.scores(scores, rule)
    return Predictions(*of_songs, clip_uid=split.uid, clip_song=songs.song_of_clip, clip_scores=scores)


def _non_finite(scores: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Which rows hold NaN or infinity. Minus infinity is allowed: it is the score of a class that no train item has."""
    return np.asarray((np.isnan(scores) | np.isposinf(scores)).any(1))


def baseline_scores(data: ProbeData) -> dict[str, NDArray[np.float32]]:
    """Split → scores (n, labels) of valid and test."""
    constant = _constant_scores(data)
    return {split: np.tile(constant, (len(data.splits[split].y), 1)) for split in SCORED_SPLITS}


def _constant_scores(data: ProbeData) -> NDArray[np.float32]:
    """The scores (labels,) that every item gets. Songs count once, however many clips they have."""
    train, task = data.train, data.task
    y = train.y if train.songs is None else train.songs.per_song(train.y)
    if task.type == "key":
        return np.asarray(mirex_table(task.labels)[y].mean(0), np.float32)
    if task.type == "multiclass":
        return np.asarray(np.bincount(y, minlength=len(task.labels)) / len(y), np.float32)
    return np.asarray(y.mean(0), np.float32)
