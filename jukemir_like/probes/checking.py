"""Whether a run's folder is whole: ``run.json`` is of its shape, the predictions fit it, and give the values that it tells."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from jukemir_like.core import files, jsonfiles
from jukemir_like.core.arrays import read_archive
from jukemir_like.core.cache import folder_name
from jukemir_like.core.errors import RequestError
from jukemir_like.datasets import LARGEST, Task
from jukemir_like.datasets.processed import TASK, task
from jukemir_like.probes import metrics
from jukemir_like.probes.results import FORMAT, PREDICTIONS, RUN, SCORED_SPLITS, Predictions, Run

_ARRAYS, _CLIP_ARRAYS = {"uid", "group", "y", "scores"}, {"clip_uid", "clip_song", "clip_scores"}
_NUMBERS = {"valid": int, "test": int}
SHAPE = {
    **dict.fromkeys(("dataset", "representation", "protocol", "configuration_hash"), str),
    "format": {FORMAT},
    "seed": int,
    "task": TASK | {"name": str},
    "configuration": {str: object},
    "selected": {str: object},
    "aggregation?": str,
    "metrics": {"valid": {str: float}, "test": {str: float}},
    "scored": _NUMBERS,
    "groups": _NUMBERS,
    "left_out": {"undefined?": {"test?": {str: int}}},
    "notes": [str],
    "seconds": float,
    "versions": {str: str},
    "lineage": {str: object},
}
"""Of ``run.json``, as :mod:`jukemir_like.core.jsonfiles` has it: what anybody reads of it."""

_LAST_CHARACTER = 0x10FFFF
_TOLERANCE = 1e-6  # between a value as it was computed then and as it is computed here


def open_run(folder: Path) -> Run:
    """The run in ``folder``, whose files are whole.

    Raises:
        FileNotFoundError: it did not end: there is no ``run.json``.
        DamagedFileError: a file is damaged.
    """
    path = folder / RUN
    run = Run(folder, jsonfiles.read(path, SHAPE, _remedy(folder)))
    with files.damage_errors(path, _remedy(folder)):
        _check_record(run.record)
    predictions = read_predictions(run)
    with files.damage_errors(path, _remedy(folder)):
        for split in SCORED_SPLITS:
            _check_values(run.record, split, run.task, predictions[split])
    return run


def read_predictions(run: Run) -> dict[str, Predictions]:
    """Split → labels and scores, whose types and shapes are as documented.

    Raises:
        DamagedFileError: ``predictions.npz`` is missing or damaged.
    """
    path, found = run.folder / PREDICTIONS, {}
    with files.damage_errors(path, _remedy(run.folder)):
        try:
            stored = read_archive(path, _remedy(run.folder))
        except FileNotFoundError:
            raise ValueError("is missing") from None
        for split in SCORED_SPLITS:
            arrays = {name.removeprefix(f"{split}_"): array for name, array in stored.items() if name.startswith(f"{split}_")}
            if not _ARRAYS <= arrays.keys() <= _ARRAYS | _CLIP_ARRAYS:
                raise ValueError(f"is damaged: of {split} it holds {', '.join(map(repr, sorted(arrays))) or 'nothing'}")
            found[split] = Predictions(**arrays)
            _check_predictions(run.task, found[split])
    return found


def _check_record(record: Mapping[str, Any]) -> None:
    """ValueError for names that lead out of the cache, and for labels that cannot be; ``record`` is of :data:`SHAPE`."""
    for name in ("dataset", "representation"):
        try:
            folder_name(record[name])
        except RequestError as error:
            raise ValueError(f"is damaged: {name}: {error}") from error
    task(record["task"]["name"], record["task"])


def _check_predictions(of: Task, predictions: Predictions) -> None:
    """ValueError unless the arrays are of the documented types and shapes."""
    uid, group, y, scores = predictions.uid, predictions.group, predictions.y, predictions.scores
    if scores.dtype != np.float32 or scores.ndim != 2:
        raise ValueError(f"is damaged: scores are {scores.dtype} of shape {scores.shape}")
    for name, texts in (("uid", uid), ("group", group)):
        if texts.dtype.kind != "U" or texts.shape != (len(scores),) or not len(texts):
            raise ValueError(f"is damaged: {name} is {texts.dtype} of shape {texts.shape}")
        if (np.ascontiguousarray(texts).view(np.uint32) > _LAST_CHARACTER).any():
            raise ValueError(f"is damaged: {name} holds what is no character")
    if len(np.unique(uid)) < len(uid):
        raise ValueError("is damaged: a uid stands twice")
    try:
        metrics.validate(of, y, scores)
    except ValueError as error:
        raise ValueError(f"and {RUN} beside it do not fit: {error}") from error
    if of.type == "regression":
        sound = y.dtype.kind == "f" and bool((np.abs(y) < LARGEST).all() and np.isfinite(scores).all())
    else:
        sound = not np.isposinf(scores).any() and (y.ndim == 2 or bool(((y >= 0) & (y < len(of.labels))).all()))
    if not sound:
        raise ValueError("is damaged: a label or a score cannot be")


def _check_values(record: Mapping[str, Any], split: str, of: Task, predictions: Predictions) -> None:
    """ValueError unless the predictions of a split give what ``record`` tells of it."""
    counted = {"scored": len(predictions.uid), "groups": len(np.unique(predictions.group))}
    for name, number in counted.items():
        if record[name][split] != number:
            raise ValueError(f"is damaged: {name}.{split} is {record[name][split]}, but the predictions have {number}")
    told, computed = record["metrics"][split], metrics.evaluate(of, predictions.y, predictions.scores)
    for name in sorted(told.keys() | computed.keys()):
        if name not in told or name not in computed:
            raise ValueError(f"is damaged: metrics.{split} {'has no' if name in computed else 'cannot have'} {name!r}")
        if not math.isclose(told[name], computed[name], rel_tol=_TOLERANCE, abs_tol=_TOLERANCE):
            raise ValueError(f"is damaged: metrics.{split}.{name} is {told[name]:g}, but the predictions give {computed[name]:g}")


def _remedy(folder: Path) -> str:
    return f"delete {folder} and probe again"
