"""The stage: a job per vector, chunks of jobs for worker processes, records, a summary."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jukemir_like import representations
from jukemir_like.core import machine, records
from jukemir_like.core.atomic import make_folder
from jukemir_like.core.errors import RequestError
from jukemir_like.core.records import Record, Summary
from jukemir_like.core.resumable import WHOLE_FOLDER, Chunk, Job, Stage, clean_up, clean_up_batch, journal_of_batch, temporary_folder
from jukemir_like.extract.batch_matrix import BatchMatrix
from jukemir_like.extract.chunks import Extraction
from jukemir_like.extract.inputs import inputs_of_batch
from jukemir_like.extract.listing import vector_name
from jukemir_like.packs import origin
from jukemir_like.representations.base import Representation
from jukemir_like.representations.names import parse


def extract(
    name: str,
    folder: Path,
    output: Path,
    *,
    batch_size: int | None = None,
    batch_idx: int | None = None,
    workers: int = 1,
    layers: str | None = None,
    matrix: bool = False,
    **options: Any,
) -> Summary:
    """Extracts representation ``name`` of the audio files of ``folder`` into ``output``.

    Args:
        name: a registered representation.
        folder: of audio files; sub-folders included, hidden files not.
        output: folder of the vectors, created where it is missing; ``output/.records/`` tells what was done with every file.
        batch_size: files per batch; None: all files.
        batch_idx: which batch, from 0; needed with ``batch_size``.
        workers: processes, at most, and of what is computed on processors as many as there is memory for. What is computed on GPUs has
            beside them a process per GPU, at most as many; with 1 there is none.
        layers: ``all``, or names of layers with commas between: the vectors of each, from one forward pass, go to
            ``output/NAME.layerL/``.
        matrix: all vectors of the batch in one file (:mod:`jukemir_like.core.matrices`) instead of one each. Those that are there in the
            other form are kept, and change their form.
        options: passed on to :func:`jukemir_like.representations.load`, as ``weights=`` and ``cache=``.

    Raises:
        RequestError: no such folder or no audio in it, two inputs with one output, a batch past the end, no such layer, or ``output`` holds
            vectors that were taken over from elsewhere.
        StorageError: ``output`` cannot be written.

    >>> extract("mfcc", Path("music"), Path("vectors")).done
    3
    >>> import numpy as np
    >>> np.load("vectors/0.npy").shape
    (120,)
    """
    started = time.perf_counter()
    if layers is None:  # a wrong request is found before weights are loaded
        batch = inputs_of_batch(folder, output / records.FOLDER, batch_size, batch_idx)
    representation = representations.load(name, **options)
    targets = _targets(name, representation, output, layers, options)
    if layers is not None:
        batch = inputs_of_batch(folder, targets[0].folder / records.FOLDER, batch_size, batch_idx)
    summary = Summary(f"extract {name}", failed=dict(batch.unreadable), notes=list(batch.notes))
    for target in targets:
        origin.refuse_extraction(target.folder)
    journal = journal_of_batch(batch_size, batch_idx)
    in_one_file = {target.signature: BatchMatrix(target.folder, journal, matrix) for target in targets}
    stages = [_open(summary, target, batch.names, journal, in_one_file[target.signature]) for target in targets]
    batch.keep_listing()
    # The jobs of one input, one per layer, follow one another, so that a chunk has all of them.
    jobs = [
        in_one_file[target.signature].job(stage.job(path, target.folder / vector_name(path), target.signature))
        for path in batch.names
        for stage, target in zip(stages, targets, strict=True)
    ]
    layer_of = {target.signature: target.layer for target in targets}
    settings = tuple(options.items())
    work = Extraction(name, representation.signature, settings, representation.sample_rate, layer_of, folder, representation.why_no_gpu())
    devices = set()
    for record in _records(summary, stages[0], work, representation, jobs, workers):
        in_one_file[record["signature"]].count(record)
        if record["status"] == "done" and "device" in record:
            devices.add(record["device"])
    for of_batch in in_one_file.values():
        of_batch.finish()
        summary.notes += of_batch.notes
    summary.notes += _closing_notes(targets, in_one_file, devices, work, output)
    summary.audio_seconds /= len(targets)
    summary.seconds = time.perf_counter() - started
    return summary


def _records(
    summary: Summary, stage: Stage, work: Extraction, representation: Representation, jobs: list[Job], workers: int
) -> Iterator[Record]:
    """Does the jobs, in as many processes as the representation and the memory allow."""
    chunk_size = max(1, representation.batch_size) * len(work.layer_of)
    chunks = (Chunk(tuple(jobs[start : start + chunk_size])) for start in range(0, len(jobs), chunk_size))
    processes = workers if representation.gpus else _processes(representation, min(workers, -(-len(jobs) // chunk_size)), summary)
    return stage.run(work.steps(min(workers, representation.gpus)), chunks, len(jobs), processes)


def _closing_notes(
    targets: list[_Target], in_one_file: Mapping[str, BatchMatrix], devices: set[str], work: Extraction, output: Path
) -> Iterator[str]:
    """Where the vectors are, and what computed them."""
    for of_batch in in_one_file.values():
        if of_batch.wanted and len(targets) == 1 and of_batch.path is not None:
            yield f"in one file: {of_batch.path}"
    if devices:
        reason = f": {work.why_no_gpu}" if devices == {"cpu"} and work.why_no_gpu else ""
        yield f"computed on {', '.join(sorted(devices))}{reason}"
    if len(targets) > 1:
        first, last = targets[0].folder.name, targets[-1].folder.name
        yield f"{len(targets)} layers, one vector each, in {output}: {first} … {last}"


def _processes(representation: Representation, wanted: int, summary: Summary) -> int:
    """As many of ``wanted`` worker processes as there is memory for; a note says where they are fewer."""
    if representation.memory is None:
        return wanted
    available = machine.available_memory()
    fitting = machine.workers_that_fit(representation.memory, wanted, available)
    if fitting < wanted:
        each = f"each takes {representation.memory / 1e9:.1f} GB, {available / 1e9:.1f} GB are available"
        summary.notes.append(f"{fitting} of {wanted} workers: {each}")
    return fitting


@dataclass(frozen=True)
class _Target:
    """A folder of vectors, and what decides them: of one layer, or of the representation itself (None)."""

    folder: Path
    signature: str
    layer: str | None = None


def _open(summary: Summary, target: _Target, names: list[str], journal: str, matrix: BatchMatrix) -> Stage:
    """The stage that writes into ``target``, cleaned up; of a batch, with the records of its own inputs."""
    outputs = {name: target.folder / vector_name(name) for name in names}
    make_folder(target.folder)
    if journal == WHOLE_FOLDER:
        clean_up([*outputs.values(), temporary_folder(target.folder) / "any"])
        return Stage(summary, target.folder, journal)
    clean_up_batch(target.folder, outputs.values())
    stored, is_stored_elsewhere = matrix.stored(outputs), bool(matrix.overlapping())
    return Stage(summary, target.folder, journal, outputs=outputs, stored=stored, is_stored_elsewhere=is_stored_elsewhere)


def _targets(name: str, representation: Representation, output: Path, layers: str | None, options: dict[str, Any]) -> list[_Target]:
    if layers is None:
        return [_Target(output, representation.signature)]
    parsed = parse(name)
    if not representation.layers:
        raise RequestError(f"{parsed.base} has no layers to choose: leave --layers out")
    if parsed.layer is not None:
        raise RequestError(f"{name} names a layer already: leave it out of the name, or leave --layers out")
    wanted = list(representation.layers) if layers == "all" else list(dict.fromkeys(layer.strip() for layer in layers.split(",")))
    targets = []
    for layer in wanted:
        of_layer = parsed.with_layer(layer)
        targets.append(_Target(output / of_layer.folder, representations.load(str(of_layer), **options).signature, layer))
    return targets
