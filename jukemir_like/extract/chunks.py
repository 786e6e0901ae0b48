"""A few files at a time, in a worker process: decoded, computed together, written, with a record of each."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import cache
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from jukemir_like import audio, representations
from jukemir_like.core import records
from jukemir_like.core.atomic import write_array
from jukemir_like.core.errors import InputError, RequestError
from jukemir_like.core.records import Record
from jukemir_like.core.resumable import Chunk, Job, unchanged
from jukemir_like.representations.base import encode


def extract_chunk(
    name: str, signature: str, layer_of: dict[str, str | None], options: tuple[tuple[str, Any], ...], folder: Path, chunk: Chunk
) -> list[Record]:
    """Writes the vectors of a few files, one per job; returns their records, in the order of the jobs. Runs in a worker.

    Args:
        name, signature, options: of the representation.
        layer_of: signature of a job → its layer; None: the representation itself.
        folder: of the inputs.
        chunk: jobs; those of one input follow one another.
    """
    representation = _load(name, signature, options)
    finished: list[Record] = []
    clips: list[_Clip] = []
    for path, group in groupby(chunk.jobs, key=lambda job: job.input):
        jobs = list(group)
        started = time.perf_counter()
        new_records = [job.record() for job in jobs]
        source = folder / path
        try:
            with unchanged(source):
                digest = audio.digest(source)
                kept = [job.kept_record(digest) for job in jobs]
                new_records = [
                    record | {"digest": digest} if earlier is None else earlier | {"status": "kept"}
                    for record, earlier in zip(new_records, kept, strict=True)
                ]
                missing = [(job, record) for job, record, earlier in zip(jobs, new_records, kept, strict=True) if earlier is None]
                samples = audio.load(source, representation.sample_rate) if missing else None
            if samples is not None:
                clips.append(_Clip(samples, missing))
                for _, record in missing:
                    record["audio_seconds"] = round(len(samples) / representation.sample_rate, 3)
        except InputError as error:
            new_records = [record | records.failure(error) for record in new_records]
        for record in new_records:
            record["seconds"] = (time.perf_counter() - started) / len(jobs)
        finished += new_records
    started = time.perf_counter()
    layers = list(dict.fromkeys(layer for clip in clips for job, _ in clip.missing if (layer := layer_of[job.signature]) is not None))
    for clip, vectors in zip(clips, encode(representation, [clip.samples for clip in clips], layers), strict=True):
        for job, record in clip.missing:
            if isinstance(vectors, Exception):
                record |= records.failure(vectors)
            else:
                vector = vectors[layers.index(str(layer_of[job.signature]))] if layers else vectors
                record["output_digest"] = write_array(job.output, np.ascontiguousarray(vector, dtype="<f4"), job.temporary_folder)
    if layers:
        for clip in clips:
            for _, record in clip.missing:
                record["layers_together"] = len(layers)
    seconds_per_vector = (time.perf_counter() - started) / max(1, sum(len(clip.missing) for clip in clips))
    for record in finished:
        record["seconds"] = round(record["seconds"] + (seconds_per_vector if record["status"] == "done" else 0.0), 4)
    return finished


@dataclass(frozen=True)
class _Clip:
    """Samples of one input, and the jobs whose vectors are missing, with their records."""

    samples: np.ndarray
    missing: list[tuple[Job, Record]]


@cache
def _load(name: str, signature: str, options: tuple[tuple[str, Any], ...]) -> representations.Representation:
    """The representation, loaded once per process. Where the weights of that name have changed since, it must not be used."""
    representation = representations.load(name, **dict(options))
    if representation.signature != signature:
        raise RequestError(f"the weights of {name} have changed while they were in use: run again")
    return representation
