"""Probes of all folds, and their predictions put together: every item is predicted once, by the probe that is tested on its fold.

Validation predictions are put together too, for the choice of a layer: of an item in fold f those of the probe that is tested on the fold
before f, where that probe was validated on the item, else of the one before; so each item is in them once at most, and no probe has been
fitted or tested on it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from jukemir_like.core.errors import RequestError
from jukemir_like.probes import regularised
from jukemir_like.probes.fitting import FitOptions, are_fitted_together, fit, fit_baseline, fit_together, folds_baseline_note, one_thread
from jukemir_like.probes.fold_metrics import evaluate_predictions
from jukemir_like.probes.folds import FoldedData
from jukemir_like.probes.protocols import RegularisationPath
from jukemir_like.probes.selection import FittedProbe
from jukemir_like.probes.tasks import SCORED_SPLITS, Predictions
from jukemir_like.probes.unfinished import UnfinishedRun


@dataclass(frozen=True)
class FittedFolds:
    """The probes of all folds of one task.

    Args:
        pooled: as one probe: all predictions, and their metrics; of hyperparameters and the rule for songs what all folds share.
        folds: of each what it selected and scored, as ``folds`` in ``run.json``.
    """

    pooled: FittedProbe
    folds: list[dict[str, Any]]

    @property
    def n(self) -> dict[str, int]:
        """Numbers of items: train of the fold with the fewest; valid and test of all folds."""
        n = [fold["n"] for fold in self.folds]
        return {"train": min(one["train"] for one in n), **{split: sum(one[split] for one in n) for split in SCORED_SPLITS}}


def fit_folds(
    folded: FoldedData, options: FitOptions, name: str = "probe", unfinished: Callable[[str], UnfinishedRun] | None = None
) -> FittedFolds:
    """Fits and tests a probe for each fold.

    Args:
        folded: of one task.
        options: protocol and how to compute it.
        name: of the work, for the progress bar.
        unfinished: from the name of a fold to where protocol ``jukemir`` stores what is finished of it; None: nowhere.

    Raises:
        RequestError: as :func:`jukemir_like.probes.fitting.fit`; too few folds for the protocol.
        StorageError: what is finished cannot be written.
    """
    if isinstance(options.settings, RegularisationPath):
        with one_thread():
            return _together(folded, regularised.fit_folds(folded.all("none"), options.settings, name), "none")
    fitted = []
    for fold, data in zip(folded.names, folded.all("fold"), strict=True):
        fitted.append(fit(data, options, f"{name} fold {fold}", unfinished(fold) if unfinished else None))
    return _together(folded, fitted, "fold")


def fit_folds_together(folded: FoldedData, options: Sequence[FitOptions], name: str = "probe") -> list[FittedFolds]:
    """:func:`fit_folds` for options that differ in their seed only, in their order; of a fold, all seeds are fitted side by side.

    Raises:
        RequestError: as :func:`fit_folds`.
    """
    if not are_fitted_together(options[0].settings):
        return [fit_folds(folded, of_seed, name) for of_seed in options]
    by_fold = [fit_together(data, options, f"{name} fold {fold}") for fold, data in zip(folded.names, folded.all("fold"), strict=True)]
    return [_together(folded, of_seed, "fold") for of_seed in zip(*by_fold, strict=True)]


def fit_baseline_folds(folded: FoldedData) -> FittedFolds:
    """The trivial baselines: for each fold that of all others."""
    fitted = [replace(fit_baseline(data), notes=()) for data in folded.all("train")]  # what they say of test is of one fold
    of_folds = _together(folded, fitted, "train")
    pooled = of_folds.pooled
    note = folds_baseline_note(folded.task, pooled.predictions["test"].y, pooled.metrics["test"][folded.task.primary_metric])
    return FittedFolds(replace(pooled, notes=(note,)), of_folds.folds)


def _together(folded: FoldedData, fitted: Sequence[FittedProbe], validation: str) -> FittedFolds:
    names = folded.names
    test = _pooled(folded, {name: one.predictions["test"] for name, one in zip(names, fitted, strict=True)})
    predictions = {"valid": _pooled(folded, _validated(folded, fitted)), "test": test}
    with one_thread():
        values = {split: _values(folded, predictions[split]) for split in SCORED_SPLITS}
    undefined = next((f"{metric} on {split}" for split, of in values.items() for metric, value in of.items() if np.isnan(value)), None)
    if undefined is not None:
        raise RequestError(f"{folded.task.name}: {undefined} is undefined with these folds of {folded.source}: take fewer, larger ones")
    first = fitted[0]
    shared = {
        key: value for key, value in first.hyperparameters.items() if all(one.hyperparameters.get(key) == value for one in fitted[1:])
    }
    aggregation = first.aggregation if all(one.aggregation == first.aggregation for one in fitted) else None
    notes = tuple(dict.fromkeys(note for one in fitted for note in one.notes))
    pooled = FittedProbe(shared, aggregation, [], predictions, values, notes=notes)
    return FittedFolds(pooled, [_to_json(folded, number, one, validation) for number, one in enumerate(fitted)])


def _values(folded: FoldedData, predictions: Predictions) -> dict[str, float]:
    return {metric: float(value) for metric, value in evaluate_predictions(folded.task, predictions).items()}


def _to_json(folded: FoldedData, number: int, fitted: FittedProbe, validation: str) -> dict[str, Any]:
    name = folded.names[number]
    in_test = len(_items(fitted.predictions["test"]))
    in_valid = len(_items(fitted.predictions["valid"])) if validation == "fold" else 0
    return {
        "name": name,
        "selected": fitted.hyperparameters,
        "aggregation": fitted.aggregation,
        "candidates": fitted.candidates,
        **({"fit": fitted.details} if fitted.details else {}),
        "metrics": {
            split: {metric: None if np.isnan(value) else value for metric, value in of_split.items()}
            for split, of_split in fitted.metrics.items()
        },
        "n": {"train": len(folded.items.uid) - len(folded.rows[name]) - in_valid, "valid": in_valid, "test": in_test},
    }


def _items(predictions: Predictions) -> np.ndarray:
    """Names of the items, also where songs are scored."""
    return predictions.uid if predictions.clip_uid is None else predictions.clip_uid


def _validated(folded: FoldedData, fitted: Sequence[FittedProbe]) -> dict[str, Predictions]:
    """Fold → validation predictions of the probe that is tested on it, of the items for which it is the one that counts."""
    names = folded.names
    owner = folded.items.recording if folded.with_songs else folded.items.uid
    home = {uid: names.index(fold) for uid, fold in zip(owner, folded.items.split, strict=True)}
    nearest: dict[str, int] = {}
    for number, one in enumerate(fitted):
        for uid in one.predictions["valid"].uid.tolist():
            before = nearest.get(uid)
            if before is None or (home[uid] - number) % len(names) < (home[uid] - before) % len(names):
                nearest[uid] = number
    taken = {}
    for number, one in enumerate(fitted):
        valid = one.predictions["valid"]
        rows = np.array([row for row, uid in enumerate(valid.uid.tolist()) if nearest[uid] == number], np.int64)
        if len(rows):
            taken[names[number]] = _take(valid, rows)
    return taken


def _pooled(folded: FoldedData, by_fold: Mapping[str, Predictions]) -> Predictions:
    """Predictions of several probes as one, in the order of the items; ``fold`` says whose they are."""
    parts = list(by_fold.values())
    starts = np.append(0, np.cumsum([len(part.uid) for part in parts]))[:-1]
    joined = {name: np.concatenate([getattr(part, name) for part in parts]) for name in ("uid", "group", "y", "scores")}
    fold = np.concatenate([np.full(len(part.uid), name) for name, part in by_fold.items()])
    if not folded.with_songs:
        order = np.argsort(_places(folded.items.uid, joined["uid"]), kind="stable")
        return Predictions(**{name: array[order] for name, array in joined.items()}, fold=fold[order])
    of_clips = {name: np.concatenate([getattr(part, name) for part in parts]) for name in ("clip_uid", "clip_scores")}
    song = np.concatenate([part.clip_song + start for part, start in zip(parts, starts, strict=True)])
    order = np.argsort(_places(folded.items.recording, joined["uid"]), kind="stable")
    clips = np.argsort(_places(folded.items.uid, of_clips["clip_uid"]), kind="stable")
    return Predictions(
        **{name: array[order] for name, array in joined.items()},
        **{name: array[clips] for name, array in of_clips.items()},
        clip_song=np.argsort(order)[song][clips],
        fold=fold[order],
    )


def _places(names: Sequence[str], wanted: np.ndarray) -> list[int]:
    """Where each of ``wanted`` first stands among ``names``."""
    place: dict[str, int] = {}
    for index, name in enumerate(names):
        place.setdefault(name, index)
    return [place[name] for name in wanted.tolist()]


def _take(predictions: Predictions, rows: np.ndarray) -> Predictions:
    """Some of the scored items."""
    part = predictions.take(rows)
    if predictions.clip_song is None or predictions.clip_uid is None or predictions.clip_scores is None:
        return part
    new = np.full(len(predictions.uid), -1)
    new[rows] = np.arange(len(rows))
    clips = new[predictions.clip_song] >= 0
    return Predictions(
        *(part.uid, part.group, part.y, part.scores),
        clip_uid=predictions.clip_uid[clips],
        clip_song=new[predictions.clip_song][clips],
        clip_scores=predictions.clip_scores[clips],
    )
