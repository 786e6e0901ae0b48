"""Candidates of a protocol, and the one that validation selects: what every protocol gives its fitted probes to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jukemir_like.core.errors import RequestError
from jukemir_like.datasets import Task
from jukemir_like.probes import metrics
from jukemir_like.probes.songs import RULES
from jukemir_like.probes.tasks import SCORED_SPLITS, Predictions, ProbeData, Scores, Split
from jukemir_like.probes.unfinished import FinishedPoint


@dataclass(frozen=True)
class FittedProbe:
    """The selected probe of one task.

    Args:
        hyperparameters: the point (jukemir), ``{"strength"}`` (linear) or ``{}`` (baseline).
        aggregation: rule from clips to songs; None where items are scored.
        candidates: everything that was fitted, with its value on validation.
        predictions: of valid and test.
        metrics: split → name → value; the primary metric first.
        details: how it was selected and fitted, as the protocol tells it; ``fit`` in ``run.json``.
        notes: lines for people.
    """

    hyperparameters: dict[str, Any]
    aggregation: str | None
    candidates: list[dict[str, Any]]
    predictions: dict[str, Predictions]
    metrics: dict[str, dict[str, float]]
    details: dict[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


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
        best: the best candidate so far. value: its primary metric on validation, or what else the protocol selects by.
    """

    def __init__(self, data: ProbeData):
        self.data = data
        self.best: Candidate | None = None
        self.value = -np.inf
        self._considered: list[tuple[Any, dict[str, Any]]] = []

    def consider(self, candidate: Candidate, merit: float | None = None) -> None:
        """Takes a candidate into account; one with scores that are not finite cannot win.

        Args:
            candidate: with scores of valid.
            merit: what to select by, the larger the better; None: the primary metric on validation.
        """
        value, _ = validation_value(self.data.task, self.data.splits["valid"], candidate.scores["valid"])
        self._considered.append((candidate.order, candidate.to_json(value)))
        value = value if merit is None else merit
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


def tested(selection: Selection) -> FittedProbe:
    """The best candidate, tested."""
    data, selected = selection.data, selection.selected()
    rule, predictions = predict(data, selected.scores)
    values = {split: metrics.evaluate(data.task, predictions[split].y, predictions[split].scores) for split in SCORED_SPLITS}
    return FittedProbe(selected.hyperparameters, rule, selection.candidates(), predictions, values)
