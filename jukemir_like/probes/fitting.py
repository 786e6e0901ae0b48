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
tempo      ``constant``                 accuracy1 on train of always answering each tempo
========== ============================ ======================================================
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from jukemir_like.core.errors import RequestError
from jukemir_like.core.progress import Progress
from jukemir_like.datasets import Task
from jukemir_like.probes import regularised, tempo
from jukemir_like.probes.metrics import mirex_table, primary_metric
from jukemir_like.probes.protocols import Grid, LinearEval, RegularisationPath, Settings
from jukemir_like.probes.selection import Candidate, FittedProbe, Selection, tested
from jukemir_like.probes.tasks import SCORED_SPLITS, ProbeData, Split
from jukemir_like.probes.unfinished import UnfinishedRun

TRIVIAL = "trivial"
"""The name that selects the baselines in the place of a representation."""
_BASELINE_ANSWERS = {
    "multiclass": "the largest class ({})",
    "key": "the best constant key ({})",
    "multilabel": "the frequency of each tag",
    "regression": "the mean",
    "tempo": "the best constant tempo ({})",
}
_MUCH_BETTER = 0.02
MEANINGS = {
    "multiclass": "largest class of train",
    "key": "best constant key of train",
    "multilabel": "tag frequencies of train",
    "regression": "mean of train",
    "tempo": "best constant tempo of train",
}
"""Type of a task → what its baseline is, in words."""
BASELINES = {"multiclass": "majority", "key": "constant", "multilabel": "prior", "regression": "mean", "tempo": "constant"}


@dataclass(frozen=True)
class FitOptions:
    """How probes are fitted.

    Args:
        settings: of the protocol; their type decides which one.
        seed: of all random numbers; protocol ``linear`` has none.
        workers: processes of protocol ``jukemir``; with more than one, ``lineareval`` may use threads. Results do not depend on them.
        device: ``cpu`` or ``cuda`` for protocols ``jukemir`` and ``lineareval``; None: a GPU where there is one.
    """

    settings: Settings = field(default_factory=RegularisationPath)
    seed: int = 0
    workers: int = 1
    device: str | None = None


def fit(data: ProbeData, options: FitOptions, name: str = "probe", unfinished: UnfinishedRun | None = None) -> FittedProbe:
    """Fits the candidates of a protocol and tests the best.

    Args:
        data: of one task.
        options: protocol and how to compute it.
        name: of the work, for the progress bar.
        unfinished: where protocol ``jukemir`` stores what is finished, and finds what an interrupted call has finished; None: nowhere.

    Raises:
        RequestError: scores are not finite, there is no such device, a worker died, or the protocol needs a validation split.
        StorageError: ``unfinished`` cannot be written.
    """
    _check_validation(data, options.settings)
    with one_thread():
        if isinstance(options.settings, Grid):
            return _fit_grid(data, options.settings, options, name, unfinished)
        if isinstance(options.settings, LinearEval):
            return fit_together(data, [options], name)[0]
        return regularised.fit(data, options.settings, name)


def _check_validation(data: ProbeData, settings: Settings) -> None:
    if "valid" not in data.splits and not isinstance(settings, RegularisationPath):
        raise RequestError(
            f"split valid has no item with a label for {data.task.name} and a vector: this protocol stops training by it; give it items, "
            "or use protocol linear, which validates inside train"
        )


def are_fitted_together(settings: Settings) -> bool:
    """Whether a protocol fits the probes of several seeds side by side, in less time than one after the other."""
    return isinstance(settings, LinearEval)


def fit_together(data: ProbeData, options: Sequence[FitOptions], name: str = "probe") -> list[FittedProbe]:
    """:func:`fit` for options that differ in their seed only; on a CPU each result is the same to the bit as that of :func:`fit`.

    Args:
        data: of one task.
        options: at least one.
        name: of the work, for the progress bar.

    Raises:
        RequestError: as :func:`fit`.
    """
    settings = options[0].settings
    if not isinstance(settings, LinearEval):
        return [fit(data, of_seed, name) for of_seed in options]
    _check_validation(data, settings)
    from jukemir_like.probes import linear_evaluation

    with one_thread():
        return linear_evaluation.fit(data, settings, [of_seed.seed for of_seed in options], name, options[0].device, options[0].workers)


def fit_baseline(data: ProbeData) -> FittedProbe:
    """The trivial baseline of a task in the place of a probe; without a validation split, its validation is train."""
    data = replace(data, splits={"valid": data.train, **data.splits})
    with one_thread():
        selection = Selection(data)
        # There is no other candidate, so it is the best also where its metric is undefined on train: of folds, one may have all positives.
        selection.consider(Candidate(0, {}, baseline_scores(data), {}), merit=0.0)
        return replace(tested(selection), notes=(baseline_note(data),))


@contextmanager
def one_thread() -> Iterator[None]:
    """Linear algebra on one thread: the same bits on any machine, under any load."""
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    with threadpool_limits(limits=1):
        yield


def _fit_grid(data: ProbeData, settings: Grid, options: FitOptions, name: str, unfinished: UnfinishedRun | None) -> FittedProbe:
    """Considers all points of the grid; those that an interrupted call has finished are not trained again."""
    from jukemir_like.probes.search import choose_device, search

    selection = Selection(data)
    device = choose_device(options.device)
    started = time.perf_counter()
    points = settings.points()
    finished = unfinished.read(points, device, selection.restore) if unfinished else set()
    with Progress(len(points), name, "probe", initial=len(finished)) as bar:
        for side_by_side in search(data, settings, options.seed, options.workers, device, finished=finished):
            new = [trained for trained in side_by_side if trained.point not in finished]
            for trained in new:
                details = {"step": trained.step, "steps": trained.steps}
                selection.consider(Candidate(trained.point, trained.point.to_json(), trained.scores, details))
            if unfinished:
                best = selection.best.scores if selection.best is not None else {}
                unfinished.write(selection.candidates(), best, time.perf_counter() - started)
            bar.update(len(new))
    return tested(selection)


def baseline_scores(data: ProbeData) -> dict[str, NDArray[np.float32]]:
    """Split → scores (n, labels) of valid and test."""
    constant = _constant_scores(data.task, data.train)
    return {split: np.tile(constant, (len(data.splits[split].y), 1)) for split in SCORED_SPLITS}


def baseline_note(data: ProbeData) -> str:
    """Whose labels the baseline of a task is from: train's. Where test's own would score much better, by how much.

    A test split of which another class is the largest makes the baseline look weak, and whatever is compared with it good.
    """
    task, test = data.task, data.splits["test"]
    own, of_test = _constant_scores(task, data.train), _constant_scores(task, test)
    answer = _BASELINE_ANSWERS.get(task.type, _BASELINE_ANSWERS["multiclass"])
    note = f"{task.name}: {TRIVIAL} is {answer.format(repr(task.labels[int(own.argmax())]))} of train"
    y = test.y if test.songs is None else test.songs.per_song(test.y)
    value, best = (primary_metric(task, y, np.tile(scores, (len(y), 1))) for scores in (own, of_test))
    if best - value >= _MUCH_BETTER:
        of_test_answer = answer.format(repr(task.labels[int(of_test.argmax())]))
        note += f" and has {100 * value:.1f} % on test, where {of_test_answer} of test itself would have {abs(100 * best):.1f} %"
    return note


def folds_baseline_note(task: Task, y: np.ndarray, value: float) -> str:
    """The same of folds, where the baseline is, for each, that of all others.

    What a fold has many of, the others have few of. So where folds are small and labels balanced the baseline is below chance: with two
    classes of equal size and folds of one item it is always wrong.

    Args:
        task: what is probed.
        y: labels of everything that is scored.
        value: of the baseline, the primary metric.
    """
    note = f"{task.name}: {TRIVIAL} is, for each fold, that of all others"
    constant = _constant_of(task, y)
    best = primary_metric(task, y, np.tile(constant, (len(y), 1)))
    if best - value >= _MUCH_BETTER:
        answer = _BASELINE_ANSWERS[task.type].format(repr(task.labels[int(constant.argmax())]))
        note += f" and has {100 * value:.1f} %, where {answer} of all items would have {abs(100 * best):.1f} %"
    return note


def _constant_scores(task: Task, split: Split) -> NDArray[np.float32]:
    """The scores (labels,) that every item gets, from the labels of a split. Songs count once, however many clips they have."""
    return _constant_of(task, split.y if split.songs is None else split.songs.per_song(split.y))


def _constant_of(task: Task, y: np.ndarray) -> NDArray[np.float32]:
    if task.type == "key":
        return np.asarray(mirex_table(task.labels)[y].mean(0), np.float32)
    if task.type == "tempo":
        return np.asarray(tempo.credit(y, task.labels, task.primary_metric).mean(0), np.float32)
    if task.type == "multiclass":
        return np.asarray(np.bincount(y, minlength=len(task.labels)) / len(y), np.float32)
    return np.asarray(y.mean(0), np.float32)
