"""A few files at a time: decoded one by one, computed together, written, with a record of each.

On processors a worker does all of that. Where a net computes on GPUs, one process per GPU computes and writes, and the workers decode ahead
(:class:`jukemir_like.core.two_steps.TwoSteps`).
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
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
from jukemir_like.core.two_steps import TwoSteps
from jukemir_like.representations.base import encode


@dataclass(frozen=True)
class Decoded:
    """One input.

    Args:
        records: of its jobs, in their order.
        missing: the jobs whose vectors are to be computed, with their records.
        samples: mono float32, shape ``(samples,)``, at the representation's rate; None: there is nothing to compute.
    """

    records: list[Record]
    missing: list[tuple[Job, Record]] = field(default_factory=list)
    samples: np.ndarray | None = None


@dataclass(frozen=True)
class Extraction:
    """What workers need to know to write the vectors of a chunk.

    Args:
        name, signature, options: of the representation.
        sample_rate: its, in Hz.
        layer_of: signature of a job → its layer; None: the representation itself.
        folder: of the inputs.
        why_no_gpu: for the records of what is computed on the processor; empty: nothing is to be said.
    """

    name: str
    signature: str
    options: tuple[tuple[str, Any], ...]
    sample_rate: int
    layer_of: Mapping[str, str | None]
    folder: Path
    why_no_gpu: str = ""

    def steps(self, gpus: int) -> TwoSteps[Chunk, list[Job], Decoded, list[Record]]:
        """From a chunk to its records, in the order of its jobs, those of one input following one another; ``gpus`` processes compute."""
        return TwoSteps(_by_input, self.decode, self.embed, gpus)

    def decode(self, jobs: list[Job]) -> Decoded:
        """Reads the input of ``jobs``, unless all their vectors are there."""
        started = time.perf_counter()
        found = self._read(jobs)
        for record in found.records:
            record["seconds"] = (time.perf_counter() - started) / len(jobs)
        return found

    def _read(self, jobs: list[Job]) -> Decoded:
        new_records = [job.record() for job in jobs]
        source = self.folder / jobs[0].input
        try:
            with unchanged(source):
                digest = audio.digest(source)
                kept = [job.kept_record(digest) for job in jobs]
                new_records = [
                    record | {"digest": digest} if earlier is None else earlier | {"status": "kept"}
                    for record, earlier in zip(new_records, kept, strict=True)
                ]
                missing = [(job, record) for job, record, earlier in zip(jobs, new_records, kept, strict=True) if earlier is None]
                samples = audio.load(source, self.sample_rate) if missing else None
        except InputError as error:
            return Decoded([record | records.failure(error) for record in new_records])
        if samples is not None:
            for _, record in missing:
                record["audio_seconds"] = round(len(samples) / self.sample_rate, 3)
        return Decoded(new_records, missing, samples)

    def embed(self, inputs: list[Decoded]) -> list[Record]:
        """Computes and writes the vectors of ``inputs``; returns the records of all their jobs."""
        started = time.perf_counter()
        clips = [(decoded.samples, decoded.missing) for decoded in inputs if decoded.samples is not None]
        jobs = [job for _, missing in clips for job, _ in missing]
        layers = list(dict.fromkeys(layer for job in jobs if (layer := self.layer_of[job.signature]) is not None))
        if clips:
            self._compute(clips, layers)
        seconds_per_vector = (time.perf_counter() - started) / max(1, len(jobs))
        finished = [record for decoded in inputs for record in decoded.records]
        for record in finished:
            record["seconds"] = round(record["seconds"] + (seconds_per_vector if record["status"] == "done" else 0.0), 4)
        return finished

    def _compute(self, clips: list[tuple[np.ndarray, list[tuple[Job, Record]]]], layers: list[str]) -> None:
        """Writes the vectors of ``clips``, and completes their records."""
        representation = _load(self.name, self.signature, self.options)
        computed = encode(representation, [samples for samples, _ in clips], layers)
        for (_, missing), vectors in zip(clips, computed, strict=True):
            for job, record in missing:
                if layers:
                    record["layers_together"] = len(layers)
                if isinstance(vectors, Exception):
                    record |= records.failure(vectors)
                    continue
                vector = vectors[layers.index(str(self.layer_of[job.signature]))] if layers else vectors
                record["output_digest"] = write_array(job.output, np.ascontiguousarray(vector, dtype="<f4"), job.temporary_folder)
                if device := representation.where():
                    record["device"] = device
                    if device == "cpu" and self.why_no_gpu:
                        record["why_no_gpu"] = self.why_no_gpu


def _by_input(chunk: Chunk) -> list[list[Job]]:
    return [list(jobs) for _, jobs in groupby(chunk.jobs, key=lambda job: job.input)]


@cache
def _load(name: str, signature: str, options: tuple[tuple[str, Any], ...]) -> representations.Representation:
    """The representation, loaded once per process. Where the weights of that name have changed since, it must not be used."""
    representation = representations.load(name, **dict(options))
    if representation.signature != signature:
        raise RequestError(f"the weights of {name} have changed while they were in use: run again")
    return representation
