"""From fitted probes to one: the best on validation is tested. The state of a selection can be stored, so that an interrupted grid resumes.

``unfinished.npz`` is in the folder of a run of protocol ``jukemir`` until ``run.json`` is there. It is rewritten, complete or not at all,
whenever points are finished. A selection needs no more of a point than its value on validation, and the scores of the best point so far:
however large the grid, the file holds one set of scores.

======================== ========= ==============================================================================================
name                     shape     what
======================== ========= ==============================================================================================
``request``              () str    JSON: what identifies the run (as in ``run.json``), with versions
``device``               () str    ``cpu`` or ``cuda``
``candidates``           () str    JSON: what ``run.json`` will hold of every finished point
``seconds``              () f8     spent on them, in all calls
``valid``, ``test``      (n, k) f4 scores of the best one; missing where none has finite scores
======================== ========= ==============================================================================================

A file of another request, or a damaged one, is ignored with a message.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jukemir_like.core import arrays, atomic
from jukemir_like.core.errors import DamagedFileError, RequestError
from jukemir_like.datasets import Task
from jukemir_like.probes import metrics
from jukemir_like.probes.metrics import RULES
from jukemir_like.probes.protocols import Point
from jukemir_like.probes.tasks import SCORED_SPLITS, Predictions, ProbeData, Split

Scores = dict[str, NDArray[np.float32]]

UNFINISHED = "unfinished.npz"
_REMEDY = "all points are trained again"


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

    def restore(self, finished: Sequence[tuple[Candidate, float]], scores: Scores) -> None:
        """Takes candidates of an earlier call into account, with their values; ``scores`` are those of the best of them.

        Raises:
            ValueError: they are not: another value than the best follows from them.
        """
        finite = [(value, candidate) for candidate, value in finished if not np.isnan(value)]
        if finite:
            value = max(value for value, _ in finite)
            best = min((candidate for other, candidate in finite if other == value), key=lambda candidate: candidate.order)
            self._check(scores)
            if validation_value(self.data.task, self.data.splits["valid"], scores["valid"])[0] != value:
                raise ValueError("the scores are not those of the best candidate")
            self.best, self.value = replace(best, scores=scores), value
        self._considered = [(candidate.order, candidate.to_json(value)) for candidate, value in finished]

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


class UnfinishedRun:
    """``unfinished.npz`` of one run: what an interrupted grid has finished.

    Args:
        folder: of the run.
        request: JSON values that differ from those of any run with other points or other scores.

    Attributes:
        seconds: spent on what was read, in earlier calls.
    """

    def __init__(self, folder: Path, request: dict[str, Any]):
        self.path = folder / UNFINISHED
        self.seconds = 0.0
        self._request = json.dumps(request, sort_keys=True)
        self._device = ""

    def read(self, selection: Selection, points: Sequence[Point], device: str) -> set[Point]:
        """Restores ``selection``; returns those of ``points`` that are finished. None, with a message, where the file is of no use."""
        self._device = device
        try:
            stored = arrays.read_archive(self.path, _REMEDY)
            if (str(stored["request"]), str(stored["device"])) != (self._request, device):
                self._warn(f"{self.path} is of another request: {_REMEDY}")
                return set()
            finished = _finished(json.loads(str(stored["candidates"])), points)
            scores = {split: stored[split] for split in SCORED_SPLITS if split in stored}
            seconds = float(stored["seconds"])
            selection.restore(finished, scores)
        except FileNotFoundError:
            return set()
        except DamagedFileError as error:
            self._warn(str(error))
            return set()
        except Exception as error:  # the file may hold anything
            self._warn(f"{self.path} cannot be used ({error or type(error).__name__}): {_REMEDY}")
            return set()
        self.seconds = seconds
        return {candidate.order for candidate, _ in finished}

    def write(self, selection: Selection, seconds: float) -> None:
        """Stores the state of ``selection``.

        Args:
            selection: of the points finished so far.
            seconds: spent in this call.

        Raises:
            StorageError: the folder cannot be written.
        """
        texts = {"request": self._request, "device": self._device, "candidates": json.dumps(selection.candidates())}
        scores: dict[str, Any] = selection.best.scores if selection.best is not None else {}
        with atomic.atomic_write(self.path) as temporary:
            np.savez(temporary, seconds=self.seconds + seconds, **texts, **scores)  # type: ignore[arg-type]

    def remove(self) -> None:
        """Removes the file: the run is finished."""
        if self.path.exists():  # a finished run may be in a folder that cannot be written
            with atomic.storage_errors(self.path):
                self.path.unlink(missing_ok=True)

    def _warn(self, problem: str) -> None:
        print(" ".join(f"jukemir-like: {problem}".split()), file=sys.stderr)  # noqa: T201


def _finished(candidates: Any, points: Sequence[Point]) -> list[tuple[Candidate, float]]:
    """Finished points, without scores, with their values; ValueError for anything else than what :meth:`UnfinishedRun.write` stores."""
    finished = []
    unseen = {json.dumps(point.to_json()): point for point in points}
    for values in candidates:
        names = list(Point.__dataclass_fields__)
        point = unseen.pop(json.dumps({name: values[name] for name in names}))
        value, details = values["value"], {name: int(values[name]) for name in ("step", "steps")}
        if values.keys() != {*names, "value", *details}:
            raise ValueError("other fields than those of a point")
        finished.append((Candidate(point, point.to_json(), {}, details), np.nan if value is None else float(value)))
    return finished
