"""What to know of a dataset before believing a score on it: who stands in several splits, which audio stands twice, what is missing.

An audit reads a processed dataset (``meta.json``, ``dataset.json``, ``wav/``), changes nothing in it, and writes ``audit.json`` beside
them, which docs/formats.md documents. Findings are no failures.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jukemir_like.core.cache import Cache

if TYPE_CHECKING:
    from jukemir_like.core.records import Record, Summary
    from jukemir_like.datasets.processed import Processed

NEAR_SILENT_DB = -60.0
"""RMS about the mean, against full scale, below which there is next to nothing to hear."""


@dataclass(frozen=True)
class Audit:
    """What :func:`audit` found; as text, a table for the terminal.

    Args:
        found: the content of ``audit.json``.
        path: the file.
        summary: how many WAVs were heard in this run, kept from an earlier one, or could not be read.
    """

    found: dict[str, Any]
    path: Path
    summary: Summary

    @property
    def exit_code(self) -> int:
        """0, or 3 where some WAVs could not be read."""
        return self.summary.exit_code

    def __str__(self) -> str:
        from jukemir_like.audit.findings import text

        return f"{text(self.found)}\n{self.summary.text()}\nwritten: {self.path}"


def audit(cache: Cache, dataset: str, *, workers: int = 1) -> Audit:
    """Audits ``processed/<dataset>/`` and writes ``audit.json`` into it; without WAVs as far as ``meta.json`` goes.

    Args:
        cache: holds the dataset.
        dataset: its folder's name.
        workers: processes that listen to the WAVs.

    Raises:
        RequestError: the dataset is not there, or its files are damaged.
        StorageError: ``audit.json`` cannot be written.
    """
    from jukemir_like.audit import duplicates, labels, listening, overlap, stored
    from jukemir_like.core.atomic import write_json
    from jukemir_like.core.records import Summary
    from jukemir_like.datasets import SPLITS
    from jukemir_like.datasets.processed import read as read_processed

    folder = cache.processed(dataset)
    processed = read_processed(folder)
    counted = labels.labels(processed)  # first, for it may refuse them
    there = [uid for uid in processed.items if os.path.lexists(listening.wav_path(folder, uid))]
    heard, summary = listening.listen(folder, there, workers=workers) if there else ({}, Summary("audit"))
    summary.stage = f"audit {dataset}"
    splits = Counter(record.get("split") or "none" for record in processed.items.values())
    found = {
        "format": stored.FORMAT,
        "dataset": dataset,
        "meta": processed.digest,
        "items": {split: splits[split] for split in (*SPLITS, "none") if splits[split]},
        "splits": overlap.overlaps(processed),
        "labels": counted,
        "audio": _audio(folder, processed, heard, summary) if there else None,
        "duplicates": duplicates.duplicates(cache, processed, heard) if there else None,
    }
    write_json(folder / stored.NAME, found)
    return Audit(found, folder / stored.NAME, summary)


def read(cache: Cache, dataset: str) -> dict[str, Any] | None:
    """The content of ``audit.json``; None where there is none, or it is of another ``meta.json`` than that which is there now.

    Raises:
        DamagedFileError: one of them is damaged.
    """
    from jukemir_like.audit import stored

    return stored.read(cache.processed(dataset))


def _audio(folder: Path, processed: Processed, heard: Mapping[str, Record], summary: Summary) -> dict[str, Any]:
    """What is there to hear, and what is not."""
    from statistics import median

    from jukemir_like import audio

    items, unreadable = processed.items, dict(sorted(summary.failed.items()))
    missing = [uid for uid in items if uid not in heard and uid not in unreadable]
    durations = [record["audio_seconds"] for record in heard.values()]
    levels = {uid: record["level_db"] for uid, record in heard.items() if not record["constant"]}
    hours: Counter[str] = Counter()
    for uid, record in heard.items():
        hours[items[uid].get("split") or "none"] += record["audio_seconds"] / 3600
    expected = {f"{uid}.wav" for uid in items}
    return {
        "files": len(heard),
        "hours": {split: round(value, 4) for split, value in hours.items()},
        "seconds": {"min": min(durations), "median": median(durations), "max": max(durations)} if durations else None,
        "sample_rates": _counts(record["sample_rate"] for record in heard.values()),
        "channels": _counts(record["channels"] for record in heard.values()),
        "without": {uid: _why_missing(processed, uid) for uid in missing},
        "unreadable": unreadable,
        "constant": [uid for uid, record in heard.items() if record["constant"]],
        "near_silent": {uid: level for uid, level in levels.items() if level is None or level < NEAR_SILENT_DB},
        "not_in_meta": [path for path in audio.find(folder / "wav", on_error=summary.failed.__setitem__) if path not in expected],
    }


def _why_missing(processed: Processed, uid: str) -> str:
    skipped = (processed.items[uid].get("extra") or {}).get("skipped")
    return str(processed.failed.get(uid) or skipped or "the dataset has no audio of it")


def _counts(values: Any) -> dict[str, int]:
    return {str(value): count for value, count in sorted(Counter(values).items())}
