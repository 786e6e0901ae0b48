"""``audit.json``, read back."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from jukemir_like.core import files, jsonfiles
from jukemir_like.datasets import PRIMARY_METRICS, SPLITS
from jukemir_like.datasets.processed import META

FORMAT = 1
NAME = "audit.json"

_BY_SPLIT = {str: int}
_HEARD = {"split": set(SPLITS), "in": set(SPLITS), "items": int, "of": int}
_GROUP = {"items": [str], "splits": [(None, str)], "labels_differ": bool}
_SHAPE = {
    "format": {FORMAT},
    "dataset": str,
    "meta": str,
    "items": _BY_SPLIT,
    "splits": {str: {"known": dict.fromkeys(SPLITS, int), "values": int, "in_several_splits": int, "heard": [_HEARD | {"names": [str]}]}},
    "labels": {str: {"type": set(PRIMARY_METRICS), "without_label": _BY_SPLIT}},
    "audio": (
        None,
        {
            "files": int,
            "hours": {str: float},
            "seconds": (None, dict.fromkeys(("min", "median", "max"), float)),
            "sample_rates": {str: int},
            "channels": {str: int},
            "without": {str: str},
            "unreadable": {str: str},
            "constant": [str],
            "near_silent": {str: (None, float)},
            "not_in_meta": [str],
        },
    ),
    "duplicates": (None, {"same_samples": [_GROUP], "same_sound": [_GROUP], "heard": [_HEARD]}),
}
_CLASSES = {"counts": {str: _BY_SPLIT}, "absent": {str: [str]}, "undeclared": _BY_SPLIT}
_VALUES = {"values": {str: {str: {"mean": float, "std": float}}}}


def read(folder: Path) -> dict[str, Any] | None:
    """What was found of the processed dataset in ``folder``; None where it was not audited, or the audit is of another ``meta.json``.

    Raises:
        DamagedFileError: ``audit.json`` or ``meta.json`` cannot be read, or the first is not as an audit writes it.
    """
    remedy = f"run `jukemir-like audit {folder.name}` again"
    try:
        found: dict[str, Any] = jsonfiles.read(folder / NAME, _SHAPE, remedy)
        with files.damage_errors(folder / META, f"run `jukemir-like process {folder.name}` again"):
            meta = hashlib.sha256(files.read_regular(folder / META)).hexdigest()
    except FileNotFoundError:
        return None
    with files.damage_errors(folder / NAME, remedy):
        _check(found)
    return found if found["meta"] == meta else None


def _check(found: dict[str, Any]) -> None:
    """What a shape cannot say; ValueError where it is otherwise."""
    labels = found["labels"]
    jsonfiles.check(labels, {task: _VALUES if fields["type"] == "regression" else _CLASSES for task, fields in labels.items()})
    if any(fields["type"] != "regression" and not fields["counts"] for fields in labels.values()):
        raise ValueError("is damaged: a task has no labels")
    heard = [overlap["heard"] for overlap in found["splits"].values()] + ([found["duplicates"]["heard"]] if found["duplicates"] else [])
    if not all(heard):
        raise ValueError("is damaged: what was heard in other splits is missing")
    if found["audio"] and not all(rate.isdecimal() for rate in found["audio"]["sample_rates"]):
        raise ValueError("is damaged: a sample rate is no number")
