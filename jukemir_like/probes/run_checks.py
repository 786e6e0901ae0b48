"""Whether the files of a run hold what they are to hold: names, arrays, and numbers that follow from the predictions."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from jukemir_like.core.cache import folder_name, representation_folder
from jukemir_like.core.errors import RequestError
from jukemir_like.datasets import LARGEST_VALUE, Task
from jukemir_like.datasets.meta import parse_task
from jukemir_like.probes import metrics
from jukemir_like.probes.fold_metrics import evaluate_predictions
from jukemir_like.probes.tasks import Predictions

_LAST_CHARACTER = 0x10FFFF
_TOLERANCE = 1e-6  # between a stored value and the one computed from the predictions


def check_record(record: Mapping[str, Any]) -> None:
    """ValueError for names that lead out of the cache, and for impossible labels; ``record`` has the shape of ``run.json``."""
    for name, folder in (("dataset", record["dataset"]), ("representation", representation_folder(record["representation"]))):
        try:
            folder_name(folder)
        except RequestError as error:
            raise ValueError(f"is damaged: {name}: {error}") from error
    parse_task(record["task"]["name"], record["task"])


def check_predictions(task: Task, predictions: Predictions) -> None:
    """ValueError unless the arrays are of the documented types and shapes."""
    uid, group, y, scores = predictions.uid, predictions.group, predictions.y, predictions.scores
    if scores.dtype != np.float32 or scores.ndim != 2:
        raise ValueError(f"is damaged: scores are {scores.dtype} of shape {scores.shape}")
    fold = () if predictions.fold is None else (("fold", predictions.fold),)
    for name, texts in (("uid", uid), ("group", group), *fold):
        if texts.dtype.kind != "U" or texts.shape != (len(scores),) or not len(texts):
            raise ValueError(f"is damaged: {name} is {texts.dtype} of shape {texts.shape}")
        if (np.ascontiguousarray(texts).view(np.uint32) > _LAST_CHARACTER).any():
            raise ValueError(f"is damaged: {name} holds what is no character")
    if len(np.unique(uid)) < len(uid):
        raise ValueError("is damaged: a uid is duplicate")
    try:
        metrics.validate(task, y, scores)
    except ValueError as error:
        raise ValueError(f"and the run.json in its folder do not fit: {error}") from error
    if task.type == "tempo":
        valid = not np.isposinf(scores).any() and bool(((y > 0) & (y < LARGEST_VALUE)).all())
    elif task.type == "regression":
        valid = y.dtype.kind == "f" and bool((np.abs(y) < LARGEST_VALUE).all() and np.isfinite(scores).all())
    else:
        valid = not np.isposinf(scores).any() and (y.ndim == 2 or bool(((y >= 0) & (y < len(task.labels))).all()))
    if not valid:
        raise ValueError("is damaged: a label or a score is impossible")


def check_values(record: Mapping[str, Any], split: str, task: Task, predictions: Predictions) -> None:
    """ValueError unless ``record`` holds the numbers that follow from the predictions of a split."""
    counted = {"scored": len(predictions.uid), "groups": len(np.unique(predictions.group))}
    for name, number in counted.items():
        if record[name][split] != number:
            raise ValueError(f"is damaged: {name}.{split} is {record[name][split]}, but the predictions have {number}")
    stored, computed = record["metrics"][split], evaluate_predictions(task, predictions)
    for name in sorted(stored.keys() | computed.keys()):
        if name not in stored or name not in computed:
            raise ValueError(f"is damaged: metrics.{split} {'has no' if name in computed else 'cannot have'} {name!r}")
        if not math.isclose(stored[name], computed[name], rel_tol=_TOLERANCE, abs_tol=_TOLERANCE):
            raise ValueError(f"is damaged: metrics.{split}.{name} is {stored[name]:g}, but the predictions give {float(computed[name]):g}")
