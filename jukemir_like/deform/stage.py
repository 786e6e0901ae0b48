"""The stage ``deform``: writes ``processed/<dataset>~<deformation>/``, a processed dataset of the test items with changed audio.

Items keep their uids, groups and splits, so that what is predicted of them can be compared one by one with what is predicted of the clean
ones. Of a dataset in folds, where every item is tested once, all items are written; of another one they can be, for folds that are drawn.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from jukemir_like import audio
from jukemir_like.core import records
from jukemir_like.core.atomic import make_folder, write_json
from jukemir_like.core.cache import Cache
from jukemir_like.core.errors import InputError, RequestError
from jukemir_like.core.files import printable
from jukemir_like.core.records import Record, Summary
from jukemir_like.core.resumable import Chunk, Stage, clean_up, unchanged
from jukemir_like.datasets.dataset import SPLITS
from jukemir_like.datasets.deformed import DeformedFrom, deformed_name
from jukemir_like.datasets.meta import DESCRIPTION, META, WAV_FOLDER, software_versions, wav_path
from jukemir_like.datasets.processed import ProcessedDataset, read_processed
from jukemir_like.deform import effects, labels
from jukemir_like.deform.names import KINDS, Deformation, parse

_RECIPES = {"level": 1, "noise": 1, "pinknoise": 2, "mp3": 1, "lowpass": 2, "reverb": 2, "tempo": 1, "pitch": 1}
"""Kind → a number that is raised when the same clip would give other samples."""


def deform(cache: Cache, dataset: str, deformation: str, *, seed: int = 0, workers: int = 1, all_items: bool = False) -> Summary:
    """Writes the test items of a processed dataset, deformed, as a dataset ``DATASET~DEFORMATION`` of the cache.

    Of a dataset in folds, where every item is tested once, all items in a fold are test items.

    Args:
        cache: with the processed dataset.
        dataset: its name.
        deformation: such as ``noise-20``.
        seed: of random numbers, which deformations with noise take.
        workers: processes. The files do not depend on their number.
        all_items: deforms not the test items alone, so that folds can be drawn.

    Returns:
        Counts of WAV files, with ``failed`` by uid.

    Raises:
        RequestError: the dataset is not processed, has stems, no test items or no audio; unknown deformation; a library is missing.
        StorageError: the folder cannot be written.
    """
    started = time.perf_counter()
    parsed = parse(deformation)
    effects.check_libraries(parsed)
    clean = read_processed(cache.processed(dataset))
    if clean.deformed is not None:
        raise RequestError(f"{dataset} is deformed already: deform {clean.deformed.dataset}")
    if clean.stems is not None or clean.stems_per_track:
        raise RequestError(f"{dataset} has stems: only mono datasets can be deformed")
    chosen = {uid: record for uid, record in clean.items.items() if all_items or _is_tested(record)}
    if not chosen:
        remedy = "it has no items" if all_items else "give --all_items to deform all, for folds that are drawn"
        raise RequestError(f"{dataset} has no item in split test, and none in a fold: {remedy}")
    sources = {uid: wav_path(clean.folder, uid) for uid in chosen}
    with_audio = [uid for uid in chosen if uid not in clean.failed and not _is_skipped(chosen[uid])]
    if not any(sources[uid].exists() for uid in with_audio):
        of_items = "items" if all_items else "test items"
        raise RequestError(f"no audio of {dataset}'s {of_items} is in {clean.folder / WAV_FOLDER}: process it with its audio first")
    name = deformed_name(dataset, parsed.name)
    output = make_folder(cache.processed(name))
    summary = Summary(f"deform {name}")
    found = _write_audio(parsed, seed, output, sources, with_audio, workers, summary)
    summary.failed = dict(sorted(({uid: reason for uid, reason in clean.failed.items() if uid in chosen} | summary.failed).items()))
    summary.notes += found.notes(len(with_audio)) + labels.remarks(clean.tasks.values(), parsed)
    described = DeformedFrom(dataset, parsed.name, seed, clean.digest)
    wav_files = summary.done + summary.kept
    write_json(output / DESCRIPTION, _description(name, clean, chosen, described, found, parsed, summary, wav_files))
    write_json(output / META, {uid: _deformed_record(clean, record, parsed) for uid, record in chosen.items()})
    summary.seconds = time.perf_counter() - started
    return summary


@dataclass
class _Found:
    """What is told of the clips: uid → share of clipped samples, and uid → why it was left as it is."""

    clipped: dict[str, float] = field(default_factory=dict)
    as_they_are: dict[str, str] = field(default_factory=dict)

    def add(self, record: Record) -> None:
        if record.get("clipped"):
            self.clipped[record["input"]] = float(record["clipped"])
        if record.get("as_it_is"):
            self.as_they_are[record["input"]] = str(record["as_it_is"])

    def notes(self, number: int) -> list[str]:
        lines = []
        if self.clipped:
            worst = max(self.clipped, key=lambda uid: (self.clipped[uid], uid))
            share = f"{100 * self.clipped[worst]:.3g} % of the samples of {printable(worst)}"
            lines.append(f"clipped at full scale: {len(self.clipped):,} of {number:,} clips, at most {share}")
        reasons = list(self.as_they_are.values())
        lines += [f"left as they are: {reasons.count(reason):,} clips: {reason}" for reason in dict.fromkeys(reasons)]
        return lines


def _write_audio(
    deformation: Deformation, seed: int, output: Path, sources: Mapping[str, Path], uids: list[str], workers: int, summary: Summary
) -> _Found:
    make_folder(output / WAV_FOLDER)
    stage = Stage(summary, output, "deform")
    clean_up(wav_path(output, uid) for uid in [*uids, "any"])
    stage.remove_others(uids, partial(wav_path, output))
    signature = _signature(deformation, seed)
    chunks = (Chunk((stage.job(uid, wav_path(output, uid), signature),), sources[uid]) for uid in uids)
    found = _Found()
    for record in stage.run(partial(_deform_file, deformation, seed), chunks, len(uids), workers):
        found.add(record)
    return _Found(dict(sorted(found.clipped.items())), dict(sorted(found.as_they_are.items())))


def _deform_file(deformation: Deformation, seed: int, chunk: Chunk) -> list[Record]:
    """Writes the WAV of one clip; returns its record. Runs in a worker."""
    started = time.perf_counter()
    (job,), source = chunk.jobs, chunk.source
    record = job.record()
    try:
        with unchanged(source):
            record["digest"] = audio.digest(source)
            kept = job.kept_record(record["digest"])
            if kept is not None:
                return [kept | {"status": "kept"}]
            clean = audio.decode_mono(source)
        samples = np.multiply(clean.samples[0], np.float32(1 / 32768), dtype=np.float32)  # exact: 16 bits
        deformed = effects.apply(deformation, samples, clean.sample_rate, effects.generator_of(deformation, seed, job.input))
        record["output_digest"] = audio.write_wav(job.output, deformed.samples, clean.sample_rate)
        record["audio_seconds"] = round(len(deformed.samples) / clean.sample_rate, 3)
        record |= {"clipped": round(deformed.clipped / len(deformed.samples), 9)} if deformed.clipped else {}
        record |= {"as_it_is": deformed.as_it_is} if deformed.as_it_is else {}
    except InputError as error:
        record |= records.failure(error)
    return [record | {"seconds": round(time.perf_counter() - started, 4)}]


def _signature(deformation: Deformation, seed: int) -> str:
    """Digest of everything but the bytes of the clean WAV and its uid that determines the samples."""
    seeds = [seed] if KINDS[deformation.kind].random else []
    return hashlib.sha256(json.dumps([_RECIPES[deformation.kind], deformation.name, seeds]).encode()).hexdigest()[:16]


def _is_tested(record: Mapping[str, Any]) -> bool:
    split = record.get("split")
    return split == "test" or (split is None and (record.get("extra") or {}).get("fold") is not None)


def _is_skipped(record: Mapping[str, Any]) -> bool:
    return "skipped" in (record.get("extra") or {})


def _deformed_record(clean: ProcessedDataset, record: Mapping[str, Any], deformation: Deformation) -> dict[str, Any]:
    """The record of an item after the deformation: other labels, where they follow."""
    y = record.get("y")
    if len(clean.tasks) == 1:
        return {**record, "y": labels.follow(next(iter(clean.tasks.values())), y, deformation)}
    given = y or {}
    followed = {name: labels.follow(task, given[name], deformation) for name, task in clean.tasks.items() if name in given}
    return {**record, "y": {**given, **followed}}


def _description(
    name: str, clean: ProcessedDataset, chosen: Mapping[str, Mapping[str, Any]], described: DeformedFrom, found: _Found,
    deformation: Deformation, summary: Summary, wav_files: int,
) -> dict[str, Any]:  # fmt: skip
    parts = [record.get("split") or (clean.fold_of(uid) if clean.folds else None) for uid, record in chosen.items()]
    return {
        "name": name,
        "options": [],
        "tasks": {task.name: task.to_json() for task in clean.tasks.values()},
        "group": clean.group,
        "stems": None,
        "items": {part or "none": parts.count(part) for part in (*SPLITS, *(clean.folds or ()), None) if part in parts},
        "metadata_only": False,
        "failed": summary.failed,
        "skipped": {},
        "sources": clean.sources,
        "versions": software_versions(),
        **({} if clean.folds is None else {"folds": list(clean.folds)}),
        "files": wav_files,
        "deformed": {
            **described.to_json(),
            "effect": deformation.effect,
            "clipped": found.clipped,
            "as_they_are": found.as_they_are,
            "labels": labels.remarks(clean.tasks.values(), deformation),
        },
    }
