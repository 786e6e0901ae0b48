"""Protocol ``linear``, fitted and selected: of a path of strengths, the one with the smallest loss on held-out items, fitted again on all.

What is held out is the validation split, or folds of train and valid where there is none or a small one
(:mod:`jukemir_like.probes.held_out`). :mod:`jukemir_like.probes.linear` fits the path.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jukemir_like.core.progress import Progress
from jukemir_like.core.rows import Rows, as_array
from jukemir_like.datasets import Task
from jukemir_like.probes.chunked_path import RotatedRows
from jukemir_like.probes.held_out import FOLDS, MANY_ITEMS, Indices, Trial, few, fold_trials, is_small, part, together, units
from jukemir_like.probes.linear import Array, InMemory, Model, fit_path, mean_model
from jukemir_like.probes.losses import mean_loss
from jukemir_like.probes.protocols import RegularisationPath
from jukemir_like.probes.selection import Candidate, FittedProbe, Selection, tested
from jukemir_like.probes.targets import targets
from jukemir_like.probes.tasks import ProbeData, Split

_LOOSE = 10
"""How much looser than the final tolerance a path is fitted whose models are only compared."""
_RISEN, _RISEN_STEPS = 0.02, 2
"""The loss has clearly risen when it is, so many strengths after its minimum, larger by this fraction: a path then ends."""
_MOST_PAIRED = 11
"""Folds that share trials: of more, pairs of folds are more trials than five for each fold, and all of them would be in memory."""


def fit(data: ProbeData, settings: RegularisationPath, name: str) -> FittedProbe:
    """The probe of the best strength.

    ``valid`` may be missing. Where it is missing or small, the strength is selected by cross-validation on train and valid together;
    ``predictions["valid"]`` and ``metrics["valid"]`` are then of the items that were held out, each predicted by the selected strength
    fitted without its fold. Otherwise they are of the validation split, predicted by what was fitted on train alone.

    Args:
        data: of one task.
        settings: of the protocol.
        name: of the work, for the progress bar.

    Returns:
        The probe; its ``details`` (``fit`` in ``run.json``) are:

        - ``selected_by``: ``loss`` or ``metric``
        - ``held_out``: ``split``; or ``folds``, with ``folds``, how many
        - ``held_out_items``: number of items; ``fitted_on``: number of items that the tested probe was fitted on, at last
        - ``end_of_path``: ``strongest`` or ``weakest`` where the selected strength is an end of the path, else null
        - ``weakest_fitted``: the strength at which the path was stopped since the loss had clearly risen, else null

    Raises:
        RequestError: scores are not finite; there is no validation split and nothing that can be held out.
    """
    return _fit(data, settings, name, with_note=True)


def _fit(data: ProbeData, settings: RegularisationPath, name: str, *, with_note: bool) -> FittedProbe:
    """:func:`fit`; ``with_note``: a note says so where no validation split selects."""
    train, valid = data.train, data.splits.get("valid")
    pool = together([split for split in (train, valid) if split is not None])
    n = len(pool.y)
    held_out: dict[str, Any]
    everything = np.arange(n)
    # A small split is better than nothing: where all items are of one group, there are no folds.
    if is_small(valid) and (valid is None or len(np.unique(units(pool))) > 1):
        trials, refit = fold_trials(pool, data.task), True
        held_out = {"held_out": "folds", "folds": len(trials)}
        if with_note:
            data.notes.append(_note(data, sum(len(trial.scored) for trial in trials), valid))
    else:
        trials, refit = [Trial(everything[: len(train.y)], everything[len(train.y) :])], settings.refit
        held_out = {"held_out": "split"}
    choice = _Choice(data, settings, pool, [(trial, trial.scored) for trial in trials], everything if refit else None, held_out)
    (fitted,) = _select_and_fit(pool, trials, [choice], settings, name)
    return fitted


def _note(data: ProbeData, items: int, valid: Split | None) -> str:
    """That a strength was not selected on a validation split."""
    of, why = ("train", "there is no validation split") if valid is None else ("train and valid", few(valid))
    return f"{data.task.name}: the strength was selected by cross-validation on {items:,} items of {of}: {why}"


def fit_folds(folds: Sequence[ProbeData], settings: RegularisationPath, name: str) -> list[FittedProbe]:
    """A probe per fold, each fitted and selected on all other folds: what :func:`fit` gives for each, for less.

    The strength of a fold is selected inside its train items by cross-validation over the other folds: a probe fitted without the folds
    {f, g} is scored on g for the selection of f, and on f for that of g, so it is fitted once. Where folds are large, not all others are
    held out, but as many as have :data:`~jukemir_like.probes.held_out.MANY_ITEMS` items. Where there are more than eleven folds, their
    pairs are too many: five folds of the train items are held out, for each fold by itself.

    Args:
        folds: one per fold, of one task: ``splits`` are ``train`` (all items of the other folds) and ``test`` (the items of the fold).
            Groups do not cross folds. Every item is in ``test`` once. Where that is not so, or there are fewer than three, each is also
            fitted by itself.
        settings: of the protocol.
        name: of the work, for the progress bar.

    Returns:
        In the order of ``folds``. ``predictions["valid"]`` and ``metrics["valid"]`` are of train items, each predicted by the selected
        strength fitted without the item's fold and without the test fold: of all of them or, where folds are large, of those that were
        held out. ``details`` is what ``run.json`` has under ``fit``, as for :func:`fit`.

    Raises:
        RequestError: scores are not finite; nothing can be held out.
    """
    tests = [data.splits["test"] if data.test_to_fit is None else data.test_to_fit for data in folds]
    names = np.concatenate([test.uid for test in tests])
    whole = all(len(data.train.y) + len(test.y) == len(names) for data, test in zip(folds, tests, strict=True))
    if len(folds) < 3 or not whole or len(np.unique(names)) < len(names):
        return [_fit(data, settings, name, with_note=False) for data in folds]
    pool = together(tests)
    fold = np.repeat(np.arange(len(folds)), [len(test.y) for test in tests])
    if len(folds) > _MOST_PAIRED:
        # Train items are taken from the pool, which is in memory where the vectors are.
        trains = (part(pool, np.flatnonzero(fold != number)) for number in range(len(folds)))
        by_itself = (replace(data, splits={**data.splits, "train": train}) for data, train in zip(folds, trains, strict=True))
        return [_fit(data, settings, name, with_note=False) for data in by_itself]
    pairs = _pairs([len(test.y) for test in tests])
    trials = [Trial(np.flatnonzero((fold != f) & (fold != g)), np.flatnonzero((fold == f) | (fold == g))) for f, g in pairs]
    choices = []
    for f, data in enumerate(folds):
        of_fold = [(trial, np.flatnonzero(fold == sum(pair) - f)) for pair, trial in zip(pairs, trials, strict=True) if f in pair]
        choices.append(_Choice(data, settings, pool, of_fold, np.flatnonzero(fold != f), {"held_out": "folds", "folds": len(of_fold)}))
    return _select_and_fit(pool, trials, choices, settings, name)


def _pairs(sizes: Sequence[int]) -> list[tuple[int, int]]:
    """Which two folds are left out together: neighbours in a circle, then next but one neighbours, until enough is held out for each."""
    number = len(sizes)
    held_out = [0] * number
    pairs: dict[tuple[int, int], None] = {}
    for distance in range(1, number // 2 + 1):
        neighbours = [(f, (f + distance) % number) for f in range(number)]
        for needed in (all, any):  # first those that serve both
            for f, g in neighbours:
                pair = min(f, g), max(f, g)
                if pair not in pairs and needed(held_out[one] < MANY_ITEMS for one in pair):
                    pairs[pair] = None
                    held_out[f], held_out[g] = held_out[f] + sizes[g], held_out[g] + sizes[f]
    return list(pairs)


def count_fits(items: int, folds: int) -> tuple[int, int]:
    """How many paths :func:`fit_folds` follows side by side, and how many models and paths it fits in all.

    >>> count_fits(1_000, 5), count_fits(1_000, 10), count_fits(1_000, 20)
    ((10, 15), (45, 55), (5, 120))
    """
    if folds > _MOST_PAIRED or folds < 3:
        return FOLDS, folds * (FOLDS + 1)
    trials = len(_pairs([items // folds] * folds))
    return trials, trials + folds


class _Choice:
    """The selection of one probe's strength, from scores of held-out items that trials give.

    Args:
        data: of the probe.
        settings: of the protocol.
        pool: items that trials take theirs from.
        held_out: trials, and for each the rows of the pool whose scores count.
        refit: rows of the pool to fit the selected strength on; None: the probe is that of the first trial.
        details: how items were held out.
    """

    def __init__(
        self,
        data: ProbeData,
        settings: RegularisationPath,
        pool: Split,
        held_out: Sequence[tuple[Trial, Indices]],
        refit: Indices | None,
        details: dict[str, Any],
    ):
        self.refit, self._settings, self._details = refit, settings, details
        rows = np.concatenate([rows for _, rows in held_out])
        self._order = np.argsort(rows)
        self._places = [(trial, np.searchsorted(trial.scored, rows)) for trial, rows in held_out]
        valid = data.splits["valid"] if details["held_out"] == "split" else part(pool, rows[self._order])
        self.data = replace(data, splits={**data.splits, "valid": valid})
        self._selection = Selection(self.data)
        self._losses: list[tuple[float, float]] = []

    def consider(self, strength: float, scores: dict[int, NDArray[np.float32]]) -> None:
        """Takes a strength into account, unless the choice is settled: how far others follow the path does not matter.

        ``scores`` are those of trials, by their identity.
        """
        if self.is_settled:
            return
        of_items = np.concatenate([scores[id(trial)][places] for trial, places in self._places])[self._order]
        valid = self.data.splits["valid"]
        loss = mean_loss(self.data.task, valid.y, of_items)
        self._losses.append((strength, loss))
        details = {"loss": None if np.isnan(loss) else loss}
        candidate = Candidate(-strength, {"strength": strength}, {"valid": of_items}, details)
        # Losses are equal that are so to four digits, and then the stronger strength is selected: weak ones may all be alike.
        self._selection.consider(candidate, -float(f"{loss:.4g}") if self._settings.select == "loss" else None)

    def uses(self, trial: Trial) -> bool:
        """Whether scores of a trial count."""
        return any(one is trial for one, _ in self._places)

    @property
    def is_settled(self) -> bool:
        """Whether the loss has clearly risen, so that weaker strengths need not be fitted."""
        losses = [loss for _, loss in self._losses]
        if self._settings.select != "loss" or np.isnan(losses).all():
            return False
        best = int(np.nanargmin(losses))
        later = losses[best + 1 :]
        return len(later) >= _RISEN_STEPS and not later[-1] <= losses[best] * (1 + _RISEN)

    @property
    def strength(self) -> float:
        """The selected one."""
        return float(self._selection.selected().hyperparameters["strength"])

    def fitted(self, features: InMemory | RotatedRows, model: Model, n: int) -> FittedProbe:
        """The probe with the model of the selected strength, tested."""
        test = features.scorer(self.data.splits["test"].X)(model)
        selected = self._selection.selected()
        self._selection.best = replace(selected, scores={**selected.scores, "test": test})
        path = sorted(set(self._settings.strengths), reverse=True)
        end = {path[0]: "strongest", path[-1]: "weakest"}.get(self.strength) if len(path) > 1 else None
        if end:
            self.data.notes.append(
                f"{self.data.task.name}: the selected strength {self.strength:g} is the {end} of the path: "
                + ("the vectors may say nothing about the labels" if end == "strongest" else "a weaker one might be better")
            )
        weakest = self._losses[-1][0]
        details = {
            "selected_by": self._settings.select,
            **self._details,
            "held_out_items": len(self.data.splits["valid"].y),
            "fitted_on": n,
            "end_of_path": end,
            "weakest_fitted": weakest if weakest > path[-1] else None,
        }
        return replace(tested(self._selection), details=details)


@dataclass
class _Path:
    """A trial's features, its path as far as it is fitted (``models``), and what scores the trial's items."""

    trial: Trial
    features: InMemory | RotatedRows
    score: Callable[[Model], NDArray[np.float32]]
    steps: Iterator[tuple[float, Model]]
    models: dict[float, Model]

    def step(self) -> tuple[float, NDArray[np.float32]]:
        """The next strength, and scores of the trial's items."""
        strength, model = next(self.steps)
        self.models[strength] = model
        return strength, self.score(model)


def _select_and_fit(
    pool: Split, trials: Sequence[Trial], choices: Sequence[_Choice], settings: RegularisationPath, name: str
) -> list[FittedProbe]:
    """Follows the paths of all trials side by side until all choices are settled, and then fits what is selected."""
    task, is_refit = choices[0].data.task, all(choice.refit is not None for choice in choices)
    loose = replace(settings, tolerance=_LOOSE * settings.tolerance) if is_refit else settings
    number = len(set(settings.strengths))
    with Progress(number * len(trials) + len(choices), name, "probe") as bar:
        paths: list[_Path] = []
        for trial in trials:
            first = paths[0] if paths else None
            features = _features(pool.X[trial.fitted], task.type, first.features.basis if first else None)
            steps = fit_path(task.type, features, _labels(task, pool.y[trial.fitted]), len(task.labels), loose)
            paths.append(_Path(trial, features, features.scorer(pool.X[trial.scored]), steps, {}))
        for _ in range(number):
            scores = {}
            for path in paths:
                strength, scores[id(path.trial)] = path.step()
                bar.update()
            for choice in choices:
                choice.consider(strength, scores)
            if all(choice.is_settled for choice in choices):
                break
        fitted = []
        for choice in choices:
            fitted.append(_fit_selected(pool, paths, choice, settings))
            bar.update()
    return fitted


def _fit_selected(pool: Split, paths: Sequence[_Path], choice: _Choice, settings: RegularisationPath) -> FittedProbe:
    """The probe of the selected strength; paths that selected it, if any, say where to begin."""
    if choice.refit is None:
        (path,) = paths
        return choice.fitted(path.features, path.models[choice.strength], len(path.trial.fitted))
    task = choice.data.task
    features = _features(pool.X[choice.refit], task.type, paths[0].features.basis if paths else None)
    near = mean_model([path.models[choice.strength] for path in paths if choice.uses(path.trial) and path.features.basis is features.basis])
    one = replace(settings, strengths=(choice.strength,))
    y = _labels(task, pool.y[choice.refit])
    ((_, model),) = fit_path(task.type, features, y, len(task.labels), one, near)
    return choice.fitted(features, model, len(choice.refit))


def _labels(task: Task, y: np.ndarray) -> np.ndarray:
    """What :func:`~jukemir_like.probes.linear.fit_path` fits: labels as they are, of tempo the shares of the classes."""
    return targets(task, y) if task.type == "tempo" else y


def _features(X: NDArray[np.float32] | Rows, kind: str, basis: Array | None) -> InMemory | RotatedRows:
    """Features to fit on; ``basis`` of similar items, to be used where that is as exact."""
    if isinstance(X, Rows) and len(X) >= X.shape[1]:
        return RotatedRows.fit(X)
    # Rows that are fewer than the dimension are not many. Ridge regression needs the principal axes themselves.
    return InMemory.fit(as_array(X), None if kind == "regression" else basis)
