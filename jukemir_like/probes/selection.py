"""From fitted probes to one: the best on validation is what is tested."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jukemir_like.core.errors import RequestError
from jukemir_like.datasets import Task
from jukemir_like.probes import metrics
from jukemir_like.probes.results import SCORED_SPLITS, Predictions
from jukemir_like.probes.songs import RULES
from jukemir_like.probes.tasks import ProbeData, Split

Scores = dict[str, NDArray[np.float32]]


@dataclass(frozen=True)
class Candidate:
    """A fitted probe.

    Args:
        order: breaks ties; the smallest wins.
        described: what ``run.json`` shows as ``selected``.
        scores: split → (n, labels) of items, for valid and test.
        details: more about how it was fitted, for the list of candidates.
    """

    order: Any
    described: dict[str, Any]
    scores: Scores
    details: dict[str, Any]


class Selection:
    """Sees candidates one by one, in any order, and keeps the best.

    Args:
        data: task and splits.
    """

    def __init__(self, data: ProbeData):
        self.data = data
        self.best: Candidate | None = None
        self.value = -np.inf
        self._seen: list[tuple[Any, dict[str, Any]]] = []

    def consider(self, candidate: Candidate) -> None:
        """Takes a candidate into account; one with scores that are not numbers cannot win."""
        value, _ = validate(self.data.task, self.data.splits["valid"], candidate.scores["valid"])
        shown = None if np.isnan(value) else value
        self._seen.append((candidate.order, {**candidate.described, "value": shown, **candidate.details}))
        if shown is not None and (value > self.value or (value == self.value and self.best and candidate.order < self.best.order)):
            self.best, self.value = candidate, value

    def resume(self, finished: Sequence[tuple[Candidate, float]], scores: Scores) -> None:
        """Takes candidates of an earlier run into account, with their values; ``scores`` are those of the best of them.

        Raises:
            ValueError: they are not: another value follows from them than the best.
        """
        usable = [(value, candidate) for candidate, value in finished if not np.isnan(value)]
        if usable:
            value = max(value for value, _ in usable)
            best = min((candidate for other, candidate in usable if other == value), key=lambda candidate: candidate.order)
            self._check(scores)
            if validate(self.data.task, self.data.splits["valid"], scores["valid"])[0] != value:
                raise ValueError("the scores are not those of the best candidate")
            self.best, self.value = replace(best, scores=scores), value
        self._seen = [
            (candidate.order, {**candidate.described, "value": None if np.isnan(value) else value, **candidate.details})
            for candidate, value in finished
        ]

    def _check(self, scores: Scores) -> None:
        for split in SCORED_SPLITS:
            expected = len(self.data.splits[split].y), len(self.data.task.labels)
            if scores[split].shape != expected or scores[split].dtype != np.float32:
                raise ValueError(f"scores of {split} are {scores[split].dtype} of {scores[split].shape}, not float32 of {expected}")

    def candidates(self) -> list[dict[str, Any]]:
        """All that was seen, in their order, with their value of the primary metric on validation."""
        return [shown for _, shown in sorted(self._seen, key=lambda pair: pair[0])]

    def chosen(self) -> Candidate:
        """The best.

        Raises:
            RequestError: no candidate gave finite scores.
        """
        if self.best is None:
            raise RequestError(
                f"no probe for {self.data.task.name} gave finite scores: are the vectors' numbers too large? Standardise them and try again"
            )
        return self.best


def validate(task: Task, split: Split, scores: NDArray[np.float32]) -> tuple[float, str | None]:
    """Primary metric of items' scores on a split, and for songs the rule that gives it: the first of the best. NaN for scores with NaN."""
    if _overflown(scores).any():
        return np.nan, None
    if split.songs is None:
        return metrics.primary(task, split.y, scores), None
    y = split.songs.of_songs(split.y)
    values = [metrics.primary(task, y, split.songs.scores(scores, rule)) for rule in RULES]
    best = int(np.argmax(values))
    return values[best], RULES[best]


def _overflown(scores: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Which rows hold something that is no score. Minus infinity is one: that of a class that train lacks."""
    return np.asarray((np.isnan(scores) | np.isposinf(scores)).any(1))


def predictions(data: ProbeData, scores: Scores) -> tuple[str | None, dict[str, Predictions]]:
    """What is scored on valid and test, and the rule for songs that validation chose.

    Raises:
        RequestError: a test item's scores are not numbers.
    """
    wrong = _overflown(scores["test"])
    if wrong.any():
        uid = data.splits["test"].uid[int(wrong.argmax())]
        raise RequestError(f"the probe for {data.task.name} has no finite scores for test item {uid}: are its vector's numbers too large?")
    rule = validate(data.task, data.splits["valid"], scores["valid"])[1]
    return rule, {split: _predictions(data.splits[split], scores[split], rule) for split in SCORED_SPLITS}


def _predictions(split: Split, scores: NDArray[np.float32], rule: str | None) -> Predictions:
    if split.songs is None or rule is None:
        return Predictions(split.uid, split.group, split.y, scores)
    songs = split.songs
    scored = songs.name, songs.of_songs(split.group), songs.of_songs(split.y), songs.scores(scores, rule)
    return Predictions(*scored, clip_uid=split.uid, clip_song=songs.song, clip_scores=scores)
