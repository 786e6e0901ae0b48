"""What to know of a dataset before believing a score on it: who stands in several splits, which audio stands twice, what is missing.

An audit reads a processed dataset (``meta.json``, ``dataset.json``, ``wav/``), changes nothing in it, and writes ``audit.json`` beside
them, which docs/formats.md documents. Findings are no failures.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jukemir_like.cache import Cache

if TYPE_CHECKING:
    from jukemir_like.datasets.processed import Processed
    from jukemir_like.records import Record, Summary

FORMAT = 1
NAME = "audit.json"
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
    from jukemir_like.audit import duplicates, labels, listening, overlap
    from jukemir_like.cache import write_json
    from jukemir_like.datasets import SPLITS
    from jukemir_like.datasets import processed as processed_files
    from jukemir_like.records import Summary

    processed = read_dataset(cache, dataset)
    folder = cache.processed(dataset)
    there = [uid for uid in processed.items if listening.wav_path(folder, uid).is_file()]
    heard, summary = listening.listen(folder, there, workers=workers) if there else ({}, Summary("audit"))
    summary.stage = f"audit {dataset}"
    splits = Counter(record.get("split") or "none" for record in processed.items.values())
    found = {
        "format": FORMAT,
        "dataset": dataset,
        "meta": processed.digest,
        "items": {split: splits[split] for split in (*SPLITS, "none") if splits[split]},
        "splits": overlap.overlaps(processed),
        "labels": labels.labels(processed),
        "audio": _audio(folder, processed, heard, summary.failed) if there else None,
        "duplicates": duplicates.duplicates(cache, processed, heard) if there else None,
    }
    write_json(folder / NAME, found)
    return Audit(found, folder / NAME, summary)


def read(cache: Cache, dataset: str) -> dict[str, Any] | None:
    """The content of ``audit.json``; None where there is none, or it is of another ``meta.json`` than that which is there now."""
    import hashlib

    folder = cache.processed(dataset)
    try:
        found = json.loads((folder / NAME).read_bytes())
        meta = hashlib.sha256((folder / "meta.json").read_bytes()).hexdigest()
    except (OSError, ValueError):
        return None
    usable = isinstance(found, dict) and found.get("format") == FORMAT and found.get("meta") == meta
    return found if usable else None


def _audio(folder: Path, processed: Processed, heard: Mapping[str, Record], unreadable: Mapping[str, str]) -> dict[str, Any]:
    """What is there to hear, and what is not."""
    from statistics import median

    from jukemir_like import audio

    items = processed.items
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
        "unreadable": dict(sorted(unreadable.items())),
        "constant": [uid for uid, record in heard.items() if record["constant"]],
        "near_silent": {uid: level for uid, level in levels.items() if level is None or level < NEAR_SILENT_DB},
        "not_in_meta": [path for path in audio.find(folder / "wav") if path not in expected],
    }


def _why_missing(processed: Processed, uid: str) -> str:
    skipped = (processed.items[uid].get("extra") or {}).get("skipped")
    return str(processed.failed.get(uid) or skipped or "the dataset has no audio of it")


def _counts(values: Any) -> dict[str, int]:
    return {str(value): count for value, count in sorted(Counter(values).items())}
