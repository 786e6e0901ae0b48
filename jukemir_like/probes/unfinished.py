"""What an interrupted run of protocol ``jukemir`` has finished: ``unfinished.npz`` in the run's folder, until ``run.json`` is there.

Written anew, whole or not at all, whenever points are finished. Selection needs no more of a point than its value on validation, and the
scores of the best one so far: however large the grid, the file holds one set of scores.

======================== ========= ==============================================================================================
name                     shape     what
======================== ========= ==============================================================================================
``request``              () str    JSON: what the run is of, and how (as in ``run.json``), with versions
``device``               () str    ``cpu`` or ``cuda``
``candidates``           () str    JSON: what ``run.json`` is to say of every finished point
``seconds``              () f8     spent on them, in all runs
``valid``, ``test``      (n, k) f4 scores of the best one; not there where none has finite scores
======================== ========= ==============================================================================================

A file of another request, or one that is damaged, is passed over with a word.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

from jukemir_like.core import arrays, atomic
from jukemir_like.core.errors import DamagedFileError
from jukemir_like.probes.grid import Point
from jukemir_like.probes.results import SCORED_SPLITS
from jukemir_like.probes.selection import Candidate, Selection

NAME = "unfinished.npz"
_REMEDY = "all points are trained anew"


class Unfinished:
    """The file of one run.

    Args:
        folder: of the run.
        request: JSON values that tell it from any run whose points would be others.
    """

    def __init__(self, folder: Path, request: dict[str, Any]):
        self.path = folder / NAME
        self.seconds = 0.0
        self._request = json.dumps(request, sort_keys=True)
        self._device = ""

    def read(self, selection: Selection, points: list[Point], device: str) -> set[Point]:
        """Has ``selection`` see what is finished; returns those of ``points``. None, with a word, where the file is of no use."""
        self._device = device
        try:
            stored = arrays.read_archive(self.path, _REMEDY)
            if (str(stored["request"]), str(stored["device"])) != (self._request, device):
                self._say(f"{self.path} is of another request: {_REMEDY}")
                return set()
            finished = _candidates(json.loads(str(stored["candidates"])), points)
            scores = {split: stored[split] for split in SCORED_SPLITS if split in stored}
            seconds = float(stored["seconds"])
            selection.resume(finished, scores)
        except FileNotFoundError:
            return set()
        except DamagedFileError as error:
            self._say(str(error))
            return set()
        except Exception as error:  # what is in it may be anything
            self._say(f"{self.path} cannot be used ({error or type(error).__name__}): {_REMEDY}")
            return set()
        self.seconds = seconds
        return {candidate.order for candidate, _ in finished}

    def write(self, selection: Selection, seconds: float) -> None:
        """Keeps what ``selection`` has seen so far.

        Raises:
            StorageError: the folder cannot be written.
        """
        texts = {"request": self._request, "device": self._device, "candidates": json.dumps(selection.candidates())}
        scores: dict[str, Any] = selection.best.scores if selection.best is not None else {}
        with atomic.atomic_write(self.path) as temporary:
            np.savez(temporary, seconds=self.seconds + seconds, **texts, **scores)  # type: ignore[arg-type]

    def _say(self, fault: str) -> None:
        print(" ".join(f"jukemir-like: {fault}".split()), file=sys.stderr)  # noqa: T201

    def remove(self) -> None:
        """The run is finished."""
        if self.path.exists():  # a finished run may lie where nothing can be written
            with atomic.storage_errors(self.path):
                self.path.unlink(missing_ok=True)


def _candidates(shown: Any, points: list[Point]) -> list[tuple[Candidate, float]]:
    """Points that are finished, without scores, with their values; ValueError where that cannot be."""
    finished = []
    left = {json.dumps(point.to_json()): point for point in points}
    for values in shown:
        names = list(Point.__dataclass_fields__)
        point = left.pop(json.dumps({name: values[name] for name in names}))
        value, details = values["value"], {name: int(values[name]) for name in ("step", "steps")}
        if values.keys() != {*names, "value", *details}:
            raise ValueError("other fields than those of a point")
        finished.append((Candidate(point, point.to_json(), {}, details), np.nan if value is None else float(value)))
    return finished
