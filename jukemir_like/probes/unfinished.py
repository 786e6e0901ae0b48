"""``unfinished.npz``: what an interrupted grid has finished, so that the next call of the same request resumes it.

The file is in the folder of a run of protocol ``jukemir`` until ``run.json`` is there. (A run of folds has one file for each,
``unfinished-1.npz`` and so on; those of finished folds stay until all are finished, so no point is trained twice.) It is rewritten,
complete or not at all, whenever points are finished. A selection needs no more of a point than its value on validation, and the scores of
the best point so far: however large the grid, the file holds one set of scores.

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
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from jukemir_like.core import arrays, atomic
from jukemir_like.core.errors import DamagedFileError
from jukemir_like.probes.protocols import Point
from jukemir_like.probes.tasks import SCORED_SPLITS, Scores

UNFINISHED = "unfinished.npz"
_REMEDY = "all points are trained again"


@dataclass(frozen=True)
class FinishedPoint:
    """A point of the grid that an earlier call finished.

    Args:
        point: of the grid.
        value: its primary metric on validation; NaN where its scores are not finite.
        details: more about how it was fitted: ``step`` and ``steps``.
    """

    point: Point
    value: float
    details: dict[str, int]


class UnfinishedRun:
    """``unfinished.npz`` of one run: what an interrupted grid has finished.

    Args:
        folder: of the run.
        request: JSON values that differ from those of any run with other points or other scores.
        fold: number of the fold, from 0; None: of a run without folds.

    Attributes:
        seconds: spent on what was read, in earlier calls.
    """

    def __init__(self, folder: Path, request: dict[str, Any], fold: int | None = None):
        self.path = folder / (UNFINISHED if fold is None else f"unfinished-{fold + 1}.npz")
        self.seconds = 0.0
        self._request = json.dumps(request, sort_keys=True)
        self._device = ""

    def read(self, points: Sequence[Point], device: str, restore: Callable[[list[FinishedPoint], Scores], None]) -> set[Point]:
        """Those of ``points`` that are finished; none, with a message, where the file is of no use.

        Args:
            points: of the grid.
            device: ``cpu`` or ``cuda``; points of the other kind of device are not used.
            restore: is given the finished points and the scores of the best of them; it raises ValueError where they do not fit together.
        """
        self._device = device
        try:
            stored = arrays.read_archive(self.path, _REMEDY)
            if (str(stored["request"]), str(stored["device"])) != (self._request, device):
                self._warn(f"{self.path} is of another request: {_REMEDY}")
                return set()
            finished = _finished(json.loads(str(stored["candidates"])), points)
            scores = {split: stored[split] for split in SCORED_SPLITS if split in stored}
            seconds = float(stored["seconds"])
            restore(finished, scores)
        except FileNotFoundError:
            return set()
        except DamagedFileError as error:
            self._warn(str(error))
            return set()
        except Exception as error:  # the file may hold anything
            self._warn(f"{self.path} cannot be used ({error or type(error).__name__}): {_REMEDY}")
            return set()
        self.seconds = seconds
        return {one.point for one in finished}

    def write(self, candidates: Sequence[Mapping[str, Any]], scores: Scores, seconds: float) -> None:
        """Stores what is finished.

        Args:
            candidates: what ``run.json`` will hold of every finished point.
            scores: of the best of them; empty where none has finite scores.
            seconds: spent in this call.

        Raises:
            StorageError: the folder cannot be written.
        """
        texts = {"request": self._request, "device": self._device, "candidates": json.dumps(candidates)}
        with atomic.atomic_write(self.path) as temporary:
            np.savez(temporary, seconds=self.seconds + seconds, **texts, **scores)  # type: ignore[arg-type]

    def remove(self) -> None:
        """Removes the file: the run is finished."""
        if self.path.exists():  # a finished run may be in a folder that cannot be written
            with atomic.storage_errors(self.path):
                self.path.unlink(missing_ok=True)

    def _warn(self, problem: str) -> None:
        print(" ".join(f"jukemir-like: {problem}".split()), file=sys.stderr)  # noqa: T201


def _finished(candidates: Any, points: Sequence[Point]) -> list[FinishedPoint]:
    """Finished points with their values; ValueError for anything else than what :meth:`UnfinishedRun.write` stores."""
    finished = []
    unseen = {json.dumps(point.to_json()): point for point in points}
    for values in candidates:
        names = list(Point.__dataclass_fields__)
        point = unseen.pop(json.dumps({name: values[name] for name in names}))
        value, details = values["value"], {name: int(values[name]) for name in ("step", "steps")}
        if values.keys() != {*names, "value", *details}:
            raise ValueError("other fields than those of a point")
        finished.append(FinishedPoint(point, np.nan if value is None else float(value), details))
    return finished
