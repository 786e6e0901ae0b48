"""Folder in, ``.npy`` out: a representation of every audio file, in batches that run anywhere.

The contract (``containers/README.md``): inputs are sorted by relative path, ``a/b.wav`` → ``a/b.npy``, batch I is the slice
[I·N, (I+1)·N), vectors are float32, little-endian, 1-D, finite, the same in any batch; an output is kept only if a record says that the
same recipe and the same bytes made it; a bad file is recorded and skipped.

The vectors are those of :func:`jukemir_like.representations.clips.load_representation`; this module adds folders, batches, worker processes
and records.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from functools import cache, partial
from itertools import groupby
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from jukemir_like import audio, representations
from jukemir_like.core import records
from jukemir_like.core.atomic import make_folder, write_array
from jukemir_like.core.cache import Cache
from jukemir_like.core.errors import InputError, RequestError
from jukemir_like.core.files import printable
from jukemir_like.core.records import Record, Summary
from jukemir_like.core.resumable import Chunk, Job, Stage, clean_up, unchanged
from jukemir_like.datasets.meta import WAV_FOLDER
from jukemir_like.packs import origin
from jukemir_like.representations.base import Representation, encode
from jukemir_like.representations.names import parse

BATCH_VARIABLES = ("SLURM_ARRAY_TASK_ID", "JOB_COMPLETION_INDEX")
"""Environment variables of schedulers that hold the index of a batch; the first that is set counts."""


def extract(
    name: str,
    folder: Path,
    output: Path,
    *,
    batch_size: int | None = None,
    batch_idx: int | None = None,
    workers: int = 1,
    layers: str | None = None,
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
    # The jobs of one input, one per layer, follow one another, so that a chunk has all of them.
    jobs = [
        stage.job(path, target.folder / _vector_name(path), target.signature)
        for path in inputs
        for stage, target in zip(stages, targets, strict=True)
    ]
    clean_up(job.output for job in jobs)
    chunk_size = max(1, representation.batch_size) * len(targets)
    chunks = (Chunk(tuple(jobs[start : start + chunk_size])) for start in range(0, len(jobs), chunk_size))
    layer_of = {target.signature: target.layer for target in targets}
    work = partial(_extract_chunk, name, representation.signature, layer_of, tuple(options.items()), folder)
    for _ in stages[0].run(work, chunks, len(jobs), min(workers, representation.gpus or workers)):
        pass
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


def folders(
    representation: str,
    input: str | None,  # noqa: A002
    output: str | None,
    dataset: str | None,
    cache: Cache,
    *,
    layers: str | None = None,
) -> tuple[Path, Path]:
    """Where the command ``extract`` reads audio and writes vectors: the two folders that it is given, or those of a dataset in the cache.

    With ``layers`` the second is the folder of the layers' folders.

    Raises:
        RequestError: both ways of saying so, or neither.

    >>> source, target = folders("mfcc", None, None, "gtzan_ff", Cache(Path("cache")))
    >>> source.as_posix(), target.as_posix()
    ('cache/processed/gtzan_ff/wav', 'cache/representations/gtzan_ff/mfcc')
    """
    if (dataset is None) == (input is None or output is None):
        raise RequestError("give INPUT and OUTPUT, or --dataset")
    if dataset is not None:
        vectors = cache.representation(dataset, representation)
        return cache.processed(dataset) / WAV_FOLDER, vectors if layers is None else vectors.parent
    return Path(str(input)), Path(str(output))


def batch_idx_of_environment() -> int | None:
    """The index in the first of :data:`BATCH_VARIABLES` that is set and not empty; None if there is none.

    Raises:
        RequestError: it is no index.
    """
    for variable in BATCH_VARIABLES:
        value = os.environ.get(variable)
        if value:
            if not value.isdigit():
                raise RequestError(f"${variable} is {value!r}, not a batch index")
            return int(value)
    return None


def find_inputs(folder: Path, unreadable: dict[str, str] | None = None) -> list[str]:
    """Relative paths of the audio files of ``folder``, in the order of the batches.

    Args:
        folder: of audio files.
        unreadable: filled with the sub-folders that cannot be read, and why; None: such a one is an error.

    Raises:
        RequestError: not a folder, no audio in it, or two inputs that would write one output.

    >>> find_inputs(Path("music"))
    ['0.wav', '1.wav', '2.wav']
    """
    if not folder.is_dir():
        raise RequestError(f"{folder} is not a folder: give the folder of audio files")
    inputs = audio.find(folder, on_error=None if unreadable is None else unreadable.__setitem__)
    if not inputs:
        first = f"; {printable(min(unreadable))}: {unreadable[min(unreadable)]}" if unreadable else ""
        raise RequestError(f"no audio files in {folder}: is it the right folder (or, in a container, the right mount)?{first}")
    outputs: dict[str, str] = {}
    for path in inputs:
        vector = _vector_name(path)
        if vector in outputs:
            first, second = printable(outputs[vector]), printable(path)
            raise RequestError(f"{first} and {second} in {folder} would both write {printable(vector)}: rename one of them")
        outputs[vector] = path
    # A folder may be called x.npy: then the vector of x.wav would need its name.
    for vector, path in outputs.items():
        for parent in PurePosixPath(vector).parents:
            if str(parent) in outputs:
                first, second = printable(outputs[str(parent)]), printable(path)
                raise RequestError(f"{first} in {folder} would write a file where {second} needs a folder: rename one of them")
    return inputs


def select(inputs: list[str], batch_size: int | None, batch_idx: int | None) -> list[str]:
    """Slice [I·N, (I+1)·N) of ``inputs``; all of them without a batch.

    Raises:
        RequestError: one of the two given without the other, or a batch past the end.

    >>> select(["a.wav", "b.wav", "c.wav"], 2, 1)
    ['c.wav']
    """
    if batch_size is None and batch_idx is None:
        return inputs
    if batch_size is None or batch_idx is None:
        given, missing = ("--batch_idx", "--batch_size") if batch_size is None else ("--batch_size", "--batch_idx")
        raise RequestError(f"{given} needs {missing}: give both, or neither for the whole folder")
    if batch_size < 1 or batch_idx < 0:
        raise RequestError(f"--batch_size must be at least 1 and --batch_idx at least 0, not {batch_size} and {batch_idx}")
    batches = -(-len(inputs) // batch_size)
    if batch_idx >= batches:
        raise RequestError(f"--batch_idx {batch_idx} is past the end: {len(inputs)} files make {batches} batches of {batch_size}, from 0")
    return inputs[batch_idx * batch_size : (batch_idx + 1) * batch_size]


def _vector_name(path: str) -> str:
    return str(PurePosixPath(path).with_suffix(".npy"))


def _extract_chunk(
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
                record["output_digest"] = write_array(job.output, np.ascontiguousarray(vector, dtype="<f4"))
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
