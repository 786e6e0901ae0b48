"""Hears every WAV of a processed dataset once, in worker processes, and keeps what it heard for the next time.

What is kept stands in the hidden folder ``.records/audit`` of the dataset: ``<uid>.npy`` has the fingerprint, ``.records/audit.jsonl`` in
it one record a WAV, with these fields beside those that every record has:

``frames``
    of the fingerprint.
``samples_digest``
    SHA-256 of the samples as 16-bit little-endian integers, channel by channel in every frame: what a header says does not matter.
``sample_rate, channels``
    of the WAV.
``constant``
    whether every sample is as the first, in each channel.
``level_db``
    RMS of the mixed-down sound about its mean, in dB of full scale; null where that is 0.
"""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Collection
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from jukemir_like import audio, records
from jukemir_like.audit import fingerprint
from jukemir_like.cache import atomic, make_folder, sweep
from jukemir_like.errors import InputError, StorageError
from jukemir_like.parallel import Progress, map_unordered
from jukemir_like.records import Record, Summary

MEASURED = ("frames", "samples_digest", "sample_rate", "channels", "constant", "level_db", "audio_seconds")

_RECIPE = 2  # raised when the same samples would give other measurements or another fingerprint
_HEADER_BYTES = 128  # of a one-dimensional .npy file, format 1.0
_BLOCK_SAMPLES = 1 << 20

_SIGNATURE = hashlib.sha256(json.dumps(["audit", _RECIPE]).encode()).hexdigest()[:16]


def folder(processed: Path) -> Path:
    """Where what was heard of the dataset in ``processed`` is kept."""
    return processed / records.FOLDER / "audit"


def wav_path(processed: Path, uid: str) -> Path:
    """The WAV of an item."""
    return processed / "wav" / f"{uid}.wav"


def listen(processed: Path, uids: Collection[str], *, workers: int = 1) -> tuple[dict[str, Record], Summary]:
    """Measures the WAVs of ``uids``, and takes their fingerprints (:func:`codes` reads them).

    Args:
        processed: the dataset's folder.
        uids: items whose WAV is there.
        workers: processes.

    Returns:
        Records of the WAVs that could be read, by uid; and counts, with ``failed`` by uid.

    Raises:
        StorageError: what was heard cannot be written.
    """
    started = time.perf_counter()
    output = make_folder(folder(processed))
    known = records.read(output)
    for one in {_codes_path(processed, uid).parent for uid in uids} | {output}:
        sweep(one)
    for uid in known.keys() - set(uids):
        _codes_path(processed, uid).unlink(missing_ok=True)
    work = ((uid, _finished_digest(known.get(uid), processed)) for uid in uids)
    heard: dict[str, Record] = {}
    summary = Summary("audit")
    with records.journal(output, "audit") as journal, Progress(len(uids), f"audit {processed.name}", "file") as bar:
        for (uid, _), result in map_unordered(partial(_hear, processed), work, min(workers, max(1, len(uids)))):
            if isinstance(result, StorageError):
                raise result
            record = records.new(uid, _SIGNATURE) | records.failure(result) if isinstance(result, Exception) else result
            summary.count(record)
            if record["status"] == "kept":
                heard[uid] = known[uid]
            else:
                journal.append(record)
            if record["status"] == "done":
                heard[uid] = record
            bar.update()
    summary.seconds = time.perf_counter() - started
    return {uid: heard[uid] for uid in uids if uid in heard}, summary


def codes(processed: Path, uid: str) -> fingerprint.Codes:
    """The fingerprint that :func:`listen` took of an item."""
    return np.asarray(np.load(_codes_path(processed, uid), allow_pickle=False), np.uint32)


def _hear(processed: Path, work: tuple[str, str | None]) -> Record:
    """The record of one WAV, and its fingerprint written. Runs in a worker."""
    uid, finished = work
    started = time.perf_counter()
    record = records.new(uid, _SIGNATURE)
    try:
        record["digest"] = audio.digest(wav_path(processed, uid))
        if record["digest"] == finished:
            return record | {"status": "kept"}
        decoded = audio.decode(wav_path(processed, uid))
    except InputError as error:
        return record | records.failure(error)
    mono = audio.mix_down(decoded.samples)
    found = fingerprint.fingerprint(audio.resample(mono, decoded.sample_rate, fingerprint.SAMPLE_RATE))
    path = _codes_path(processed, uid)
    with atomic(path) as temporary, open(temporary, "wb") as file:
        np.save(file, found.astype("<u4"), allow_pickle=False)
    measured = _measured(decoded, mono) | {"frames": len(found), "audio_seconds": round(decoded.seconds, 3)}
    return record | measured | {"seconds": round(time.perf_counter() - started, 4)}


def _measured(decoded: audio.Audio, mono: np.ndarray) -> dict[str, Any]:
    level = float(mono.std(dtype=np.float64))
    return {
        "samples_digest": samples_digest(decoded.samples),
        "sample_rate": decoded.sample_rate,
        "channels": decoded.samples.shape[0],
        "constant": bool((decoded.samples.min(axis=1) == decoded.samples.max(axis=1)).all()),
        "level_db": round(20 * math.log10(level), 1) if level else None,
    }


def samples_digest(samples: np.ndarray) -> str:
    """SHA-256 of ``(channels, samples)`` as 16-bit integers; in blocks, so that a long recording is not in memory twice."""
    digest = hashlib.sha256()
    for start in range(0, samples.shape[1], _BLOCK_SAMPLES):
        digest.update(audio.to_int16(samples[:, start : start + _BLOCK_SAMPLES]).T.astype("<i2").tobytes())
    return digest.hexdigest()


def _codes_path(processed: Path, uid: str) -> Path:
    return folder(processed) / f"{uid}.npy"


def _finished_digest(record: Record | None, processed: Path) -> str | None:
    """The digest of the bytes that were heard earlier; None where they must be heard again."""
    if record is None or record["status"] != "done" or record["signature"] != _SIGNATURE or not record.keys() >= set(MEASURED):
        return None
    try:
        size = _codes_path(processed, record["input"]).stat().st_size
    except OSError:
        return None
    return str(record["digest"]) if size == _HEADER_BYTES + 4 * record["frames"] else None
