"""Measures every WAV of a processed dataset once, in worker processes, and keeps the measurements for the next audit.

They are kept in the hidden folder ``.records/audit`` of the dataset: ``<uid>.npy`` holds the fingerprint, ``.records/audit.jsonl`` in it
one record per WAV, with these fields beside those that every record has:

``frames``
    of the fingerprint.
``samples_digest``
    SHA-256 of the samples as interleaved 16-bit little-endian integers: the header of the file has no influence.
``sample_rate, channels``
    of the WAV.
``constant``
    whether all samples of each channel are equal.
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

from jukemir_like import audio
from jukemir_like.audit import fingerprints
from jukemir_like.core import arrays, files, jsonfiles, records
from jukemir_like.core.atomic import make_folder, write_array
from jukemir_like.core.errors import InputError
from jukemir_like.core.records import Record, Summary
from jukemir_like.core.resumable import Chunk, Stage, clean_up, unchanged
from jukemir_like.datasets.meta import wav_path

MEASURED = {
    "frames": int,
    "samples_digest": str,
    "sample_rate": int,
    "channels": int,
    "constant": bool,
    "level_db": (None, float),
    "audio_seconds": float,
}
"""Fields of a record beside the usual ones, and their types."""

_RECIPE = 2  # raised when the same samples would give other measurements or another fingerprint
_BLOCK_SAMPLES = 1 << 20

_SIGNATURE = hashlib.sha256(json.dumps(["audit", _RECIPE]).encode()).hexdigest()[:16]


def folder(processed: Path) -> Path:
    """The folder of the measurements of the dataset in ``processed``."""
    return processed / records.FOLDER / "audit"


def measure(processed: Path, uids: Collection[str], *, workers: int = 1) -> tuple[dict[str, Record], Summary]:
    """Measures the WAVs of ``uids`` and computes their fingerprints, which :func:`stored_fingerprint` reads.

    Args:
        processed: the dataset's folder.
        uids: items whose WAV exists.
        workers: number of processes.

    Returns:
        Records of the WAVs that could be read, by uid; and counts, with ``failed`` by uid.

    Raises:
        StorageError: the measurements cannot be written.
    """
    output = make_folder(folder(processed))
    stage = Stage(Summary(f"audit {processed.name}"), output, "audit")
    jobs = [stage.job(uid, _fingerprint_path(processed, uid), _SIGNATURE) for uid in uids]
    clean_up([*(job.output for job in jobs), output / "any"])
    stage.remove_others(uids, partial(_fingerprint_path, processed))
    chunks = (Chunk((job,)) for job in jobs)
    measured = {record["input"]: record for record in stage.run(partial(_measure_file, processed), chunks, len(jobs), workers)}
    return {uid: measured[uid] | {"status": "done"} for uid in uids if measured[uid]["status"] != "failed"}, stage.summary


def stored_fingerprint(processed: Path, uid: str) -> fingerprints.Codes:
    """The fingerprint of an item, as :func:`measure` wrote it.

    Raises:
        DamagedFileError: the file is damaged.
    """
    path = _fingerprint_path(processed, uid)
    with files.damage_errors(path, "delete it and audit again"):
        codes = arrays.parse(files.read_regular(path))
        if codes.ndim != 1 or codes.dtype != np.uint32:
            raise ValueError(f"is no fingerprint: it holds {codes.dtype} of shape {codes.shape}")
        return codes


def _is_complete(record: Record) -> bool:
    try:
        jsonfiles.check(record, MEASURED)
    except ValueError:
        return False
    return True


def _measure_file(processed: Path, chunk: Chunk) -> list[Record]:
    """The record of one WAV, and its fingerprint written. Runs in a worker."""
    (job,) = chunk.jobs
    started = time.perf_counter()
    wav = wav_path(processed, job.input)
    record = job.record()
    try:
        with unchanged(wav):
            record["digest"] = audio.digest(wav)
            finished = job.kept_record(record["digest"])
            if finished is not None and _is_complete(finished):
                return [finished | {"status": "kept"}]
            decoded = audio.decode(wav)
    except InputError as error:
        return [record | records.failure(error)]
    mono = audio.mix_down(decoded.samples)
    codes = fingerprints.fingerprint(audio.resample(mono, decoded.sample_rate, fingerprints.SAMPLE_RATE))
    record["output_digest"] = write_array(job.output, codes.astype("<u4"))
    measured = _measurements(decoded, mono) | {"frames": len(codes), "audio_seconds": round(decoded.seconds, 3)}
    return [record | measured | {"seconds": round(time.perf_counter() - started, 4)}]


def _measurements(decoded: audio.Audio, mono: np.ndarray) -> dict[str, Any]:
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


def _fingerprint_path(processed: Path, uid: str) -> Path:
    return folder(processed) / f"{uid}.npy"
