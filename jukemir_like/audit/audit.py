"""The stage ``audit``: reads a processed dataset, changes nothing in it, and writes ``audit.json`` beside ``meta.json``.

docs/formats.md documents the file. Findings are no failures.
"""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from jukemir_like import audio
from jukemir_like.audit import duplicates, findings, measurements, splits
from jukemir_like.core import files, jsonfiles
from jukemir_like.core.atomic import write_json
from jukemir_like.core.cache import Cache
from jukemir_like.core.errors import RequestError
from jukemir_like.core.records import Record, Summary
from jukemir_like.datasets import NUMERIC_TYPES, PRIMARY_METRICS, SPLITS
from jukemir_like.datasets.meta import META, WAV_FOLDER, remedy, wav_path
from jukemir_like.datasets.processed import ProcessedDataset, read_processed

FORMAT = 1
NAME = "audit.json"
NEAR_SILENT_DB = -60.0
"""RMS about the mean, against full scale, below which a clip counts as nearly silent."""

_BY_SPLIT = {str: int}
_HEARD = {"split": set(SPLITS), "in": set(SPLITS), "items": int, "of": int}
_GROUP = {"items": [str], "splits": [(None, str)], "labels_differ": bool}
_SHAPE = {
    "format": {FORMAT},
    "dataset": str,
    "meta": str,
    "folds?": [str],
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


@dataclass(frozen=True)
class Audit:
    """A finished audit; as text, a table for the terminal.

    Args:
        content: of ``audit.json``.
        path: the file.
        summary: how many WAVs were measured in this run, kept from an earlier one, or could not be read.
    """

    content: dict[str, Any]
    path: Path
    summary: Summary

    @property
    def exit_code(self) -> int:
        """0, or 3 where some WAVs could not be read."""
        return self.summary.exit_code

    def __str__(self) -> str:
        return f"{findings.text(self.content)}\n{self.summary.text()}\nwritten: {self.path}"


def audit(cache: Cache, dataset: str, *, workers: int = 1) -> Audit:
    """Audits ``processed/<dataset>/`` and writes ``audit.json`` into it; without WAVs as far as ``meta.json`` goes.

    Args:
        cache: holds the dataset.
        dataset: its folder's name.
        workers: processes that measure the WAVs.

    Raises:
        RequestError: the dataset is missing, or its files are damaged; it is a deformed one.
        StorageError: ``audit.json`` cannot be written.
    """
    folder = cache.processed(dataset)
    processed = read_processed(folder)
    if processed.deformed is not None:
        raise RequestError(f"{dataset} is deformed, and probed by the splits or folds of {processed.deformed.dataset}: audit that")
    label_counts = splits.label_counts(processed)  # first, because it refuses damaged labels
    with_audio = [uid for uid in processed.items if os.path.lexists(wav_path(folder, uid))]
    measured, summary = measurements.measure(folder, with_audio, workers=workers) if with_audio else ({}, Summary("audit"))
    summary.stage = f"audit {dataset}"
    items = Counter(splits.part_of(processed, uid) or "none" for uid in processed.items)
    content = {
        "format": FORMAT,
        "dataset": dataset,
        "meta": processed.digest,
        **({"folds": list(processed.folds)} if processed.folds else {}),
        "items": {part: items[part] for part in (*splits.part_names(processed), "none") if items[part]},
        "splits": splits.overlaps(processed),
        "labels": label_counts,
        "audio": _audio(folder, processed, measured, summary) if with_audio else None,
        "duplicates": duplicates.duplicates(cache, processed, measured) if with_audio else None,
    }
    write_json(folder / NAME, content)
    return Audit(content, folder / NAME, summary)


def read(cache: Cache, dataset: str) -> dict[str, Any] | None:
    """The content of a dataset's ``audit.json``; None if there is none, or if ``meta.json`` has changed since the audit.

    Raises:
        DamagedFileError: ``audit.json`` or ``meta.json`` cannot be read, or the first has another shape than an audit writes.
    """
    folder, again = cache.processed(dataset), f"run `jukemir-like audit {dataset}` again"
    try:
        content: dict[str, Any] = jsonfiles.read(folder / NAME, _SHAPE, again)
        with files.damage_errors(folder / META, remedy(folder)):
            meta = hashlib.sha256(files.read_regular(folder / META)).hexdigest()
    except FileNotFoundError:
        return None
    with files.damage_errors(folder / NAME, again):
        _check(content)
    return content if content["meta"] == meta else None


def _audio(folder: Path, processed: ProcessedDataset, measured: Mapping[str, Record], summary: Summary) -> dict[str, Any]:
    """What the WAVs hold, and which are missing, unreadable or silent."""
    items, unreadable = processed.items, dict(sorted(summary.failed.items()))
    missing = [uid for uid in items if uid not in measured and uid not in unreadable]
    durations = [record["audio_seconds"] for record in measured.values()]
    levels = {uid: record["level_db"] for uid, record in measured.items() if not record["constant"]}
    hours: Counter[str] = Counter()
    for uid, record in measured.items():
        hours[splits.part_of(processed, uid) or "none"] += record["audio_seconds"] / 3600
    expected = {f"{uid}.wav" for uid in items}
    return {
        "files": len(measured),
        "hours": {split: round(value, 4) for split, value in hours.items()},
        "seconds": {"min": min(durations), "median": median(durations), "max": max(durations)} if durations else None,
        "sample_rates": _counts(record["sample_rate"] for record in measured.values()),
        "channels": _counts(record["channels"] for record in measured.values()),
        "without": {uid: _why_missing(processed, uid) for uid in missing},
        "unreadable": unreadable,
        "constant": [uid for uid, record in measured.items() if record["constant"]],
        "near_silent": {uid: level for uid, level in levels.items() if level is None or level < NEAR_SILENT_DB},
        "not_in_meta": [path for path in audio.find(folder / WAV_FOLDER, on_error=summary.failed.__setitem__) if path not in expected],
    }


def _why_missing(processed: ProcessedDataset, uid: str) -> str:
    skipped = (processed.items[uid].get("extra") or {}).get("skipped")
    return str(processed.failed.get(uid) or skipped or "the dataset has no audio of it")


def _counts(values: Iterable[Any]) -> dict[str, int]:
    return {str(value): count for value, count in sorted(Counter(values).items())}


def _check(content: dict[str, Any]) -> None:
    """What the shape cannot express; raises ValueError."""
    labels = content["labels"]
    jsonfiles.check(labels, {task: _VALUES if fields["type"] in NUMERIC_TYPES else _CLASSES for task, fields in labels.items()})
    if any(fields["type"] not in NUMERIC_TYPES and not fields["counts"] for fields in labels.values()):
        raise ValueError("is damaged: a task has no labels")
    comparisons = [overlap["heard"] for overlap in content["splits"].values()] + (
        [content["duplicates"]["heard"]] if content["duplicates"] else []
    )
    if not all(comparisons):
        raise ValueError("is damaged: the overlap between splits is missing")
    if content["audio"] and not all(rate.isdecimal() for rate in content["audio"]["sample_rates"]):
        raise ValueError("is damaged: a sample rate is no number")
