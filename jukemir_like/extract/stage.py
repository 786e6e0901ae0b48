"""The stage: a job per vector, chunks of jobs for worker processes, records, a summary."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from jukemir_like import representations
from jukemir_like.core.atomic import make_folder
from jukemir_like.core.errors import RequestError
from jukemir_like.core.records import Summary
from jukemir_like.core.resumable import Chunk, Stage, clean_up
from jukemir_like.extract.batch_matrix import BatchMatrix
from jukemir_like.extract.chunks import extract_chunk
from jukemir_like.extract.inputs import find_inputs, select, vector_name
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
        workers: processes, at most; what is computed on GPUs has one per GPU.
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
    >>> np.load("vectors/0.npy").shape
    (120,)
    """
    started = time.perf_counter()
    unreadable: dict[str, str] = {}
    inputs = select(find_inputs(folder, unreadable), batch_size, batch_idx)
    representation = representations.load(name, **options)
    summary = Summary(f"extract {name}", failed=unreadable)
    journal = "all" if batch_size is None else f"batch-{batch_size}-{batch_idx}"
    targets = _targets(name, representation, output, layers, options)
    for target in targets:
        origin.refuse_extraction(target.folder)
    stages = [Stage(summary, make_folder(target.folder), journal) for target in targets]
    in_one_file = {target.signature: BatchMatrix(target.folder, journal, matrix) for target in targets}
    # The jobs of one input, one per layer, follow one another, so that a chunk has all of them.
    jobs = [
        in_one_file[target.signature].job(stage.job(path, target.folder / vector_name(path), target.signature))
        for path in inputs
        for stage, target in zip(stages, targets, strict=True)
    ]
    clean_up(job.output for job in jobs)
    chunk_size = max(1, representation.batch_size) * len(targets)
    chunks = (Chunk(tuple(jobs[start : start + chunk_size])) for start in range(0, len(jobs), chunk_size))
    layer_of = {target.signature: target.layer for target in targets}
    work = partial(extract_chunk, name, representation.signature, layer_of, tuple(options.items()), folder)
    for record in stages[0].run(work, chunks, len(jobs), min(workers, representation.gpus or workers)):
        in_one_file[record["signature"]].count(record)
    for batch in in_one_file.values():
        batch.finish()
        summary.notes += batch.notes
        if matrix and len(targets) == 1 and batch.path is not None:
            summary.notes.append(f"in one file: {batch.path}")
    if len(targets) > 1:
        summary.audio_seconds /= len(targets)
        first, last = targets[0].folder.name, targets[-1].folder.name
        summary.notes.append(f"{len(targets)} layers, one vector each, in {output}: {first} … {last}")
    summary.seconds = time.perf_counter() - started
    return summary


@dataclass(frozen=True)
class _Target:
    """A folder of vectors, and what decides them: of one layer, or of the representation itself (None)."""

    folder: Path
    signature: str
    layer: str | None = None


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
