"""Folder in, ``.npy`` out: a representation of every audio file, in batches that run anywhere.

The contract (design: *Extraction*): inputs sorted by relative path, ``a/b.wav`` → ``a/b.npy``, batch I is slice [I·N, (I+1)·N), vectors
are float32, little-endian, 1-D, finite, the same in any batch; outputs are kept only if their record says that the same recipe and the
same bytes made them; a bad file is recorded and skipped.
"""

from __future__ import annotations

import time
from functools import cache, partial
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from jukemir_like import audio, records, representations
from jukemir_like.cache import atomic, make_folder, sweep
from jukemir_like.errors import InputError, RequestError, StorageError
from jukemir_like.parallel import Progress, map_unordered
from jukemir_like.records import Record, Summary

if TYPE_CHECKING:
    import numpy as np

_HEADER_BYTES = 128  # of a one-dimensional .npy file, format 1.0


def extract(
    name: str, folder: Path, output: Path, *, batch_size: int | None = None, batch_idx: int | None = None, workers: int = 1, **options: Any
) -> Summary:
    """Extracts representation ``name`` of the audio files of ``folder`` into ``output``.

    Args:
        name: a registered representation.
        folder: of audio files; sub-folders included, hidden files not.
        output: folder of the vectors, made where it is missing; ``output/.records/`` tells what was done with every file.
        batch_size: files a batch; None: all files.
        batch_idx: which batch, from 0; needed with ``batch_size``.
        workers: processes.
        options: passed on to :func:`jukemir_like.representations.load`, as ``weights=`` and ``cache=``.

    Raises:
        RequestError: no such folder or no audio in it, two inputs with one output, a batch past the end.
        StorageError: ``output`` cannot be written.
    """
    started = time.perf_counter()
    inputs = select(find_inputs(folder), batch_size, batch_idx)
    representation = representations.load(name, **options)
    make_folder(output)
    for written in {output, *(_output_path(output, path).parent for path in inputs)}:
        sweep(written)
    known = records.read(output)
    chunk_size = max(1, representation.batch_size)
    chunks = (
        [(path, _finished_digest(known.get(path), representation, output)) for path in inputs[start : start + chunk_size]]
        for start in range(0, len(inputs), chunk_size)
    )
    summary = Summary(f"extract {name}")
    journal_name = "all" if batch_size is None else f"batch-{batch_size}-{batch_idx}"
    with (
        records.journal(output, journal_name) as journal,
        Progress(len(inputs), f"extract {name}", "file") as bar,
    ):
        work = partial(_extract_chunk, name, representation.signature, tuple(options.items()), folder, output)
        for chunk, result in map_unordered(work, chunks, min(workers, len(inputs))):
            if isinstance(result, StorageError | RequestError):  # not one file's fault
                raise result
            if isinstance(result, Exception):
                result = [records.new(path, representation.signature) | records.failure(result) for path, _ in chunk]
            for record in result:
                summary.count(record)
                if record["status"] == "failed":
                    _output_path(output, record["input"]).unlink(missing_ok=True)
                if record["status"] != "kept":
                    journal.append(record)
            bar.update(len(chunk))
    summary.seconds = time.perf_counter() - started
    return summary


def find_inputs(folder: Path) -> list[str]:
    """Relative paths of the audio files of ``folder``, in the order of the batches.

    Raises:
        RequestError: not a folder, no audio in it, or two inputs that would write one output.
    """
    if not folder.is_dir():
        raise RequestError(f"{folder} is not a folder: give the folder of audio files")
    inputs = audio.find(folder)
    if not inputs:
        raise RequestError(f"no audio files in {folder}: is it the right folder (or, in a container, the right mount)?")
    outputs: dict[str, str] = {}
    for path in inputs:
        vector = _vector_name(path)
        if vector in outputs:
            first, second = records.printable(outputs[vector]), records.printable(path)
            raise RequestError(f"{first} and {second} in {folder} would both write {records.printable(vector)}: rename one of them")
        outputs[vector] = path
    return inputs


def select(inputs: list[str], batch_size: int | None, batch_idx: int | None) -> list[str]:
    """Slice [I·N, (I+1)·N) of ``inputs``; all of them without a batch.

    Raises:
        RequestError: one of the two given without the other, or a batch past the end.
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


def _output_path(output: Path, path: str) -> Path:
    return output / _vector_name(path)


def _finished_digest(record: Record | None, representation: representations.Representation, output: Path) -> str | None:
    """The digest of the input's bytes that the existing output was made of; None where it must be made again."""
    if record is None or record["status"] != "done" or record["signature"] != representation.signature:
        return None
    try:
        size = _output_path(output, record["input"]).stat().st_size
    except OSError:
        return None
    return str(record["digest"]) if size == _HEADER_BYTES + 4 * representation.dimension else None


@cache
def _load(name: str, signature: str, options: tuple[tuple[str, Any], ...]) -> representations.Representation:
    """The representation, made once a process; and once more where other weights stand under its name by now."""
    made = representations.load(name, **dict(options))
    if made.signature != signature:
        raise RequestError(f"the weights of {name} have changed while they were in use: run again")
    return made


def _extract_chunk(
    name: str, signature: str, options: tuple[tuple[str, Any], ...], folder: Path, output: Path, chunk: list[tuple[str, str | None]]
) -> list[Record]:
    """Vectors of a few files; returns their records. Runs in a worker."""
    representation = _load(name, signature, options)
    made: list[Record] = []
    loaded: list[tuple[Record, np.ndarray]] = []
    for path, finished_digest in chunk:
        record = records.new(path, representation.signature)
        made.append(record)
        started = time.perf_counter()
        try:
            record["digest"] = audio.digest(folder / path)
            if record["digest"] == finished_digest:
                record["status"] = "kept"
                continue
            clip = audio.load(folder / path, representation.sample_rate)
            record["audio_seconds"] = round(len(clip) / representation.sample_rate, 3)
            loaded.append((record, clip))
        except InputError as error:
            record |= records.failure(error)
        finally:
            record["seconds"] = time.perf_counter() - started
    started = time.perf_counter()
    for record, vector in _vectors(representation, loaded):
        if isinstance(vector, Exception):
            record |= records.failure(vector)
        else:
            _save(_output_path(output, record["input"]), vector)
    spent = (time.perf_counter() - started) / max(1, len(loaded))
    for record in made:
        record["seconds"] = round(record["seconds"] + (spent if record["status"] == "done" else 0.0), 4)
    return made


def _vectors(
    representation: representations.Representation, loaded: list[tuple[Record, np.ndarray]]
) -> list[tuple[Record, np.ndarray | Exception]]:
    """A vector, or the reason why there is none, for each loaded clip; one bad clip does not spoil those beside it."""
    import numpy as np

    if not loaded:
        return []
    try:
        vectors = representation([clip for _, clip in loaded])
    except Exception as error:
        if len(loaded) == 1:
            return [(loaded[0][0], error)]
        return [pair for one in loaded for pair in _vectors(representation, [one])]
    expected = (len(loaded), representation.dimension)
    if vectors.shape != expected:
        raise ValueError(f"{representation.name} gave vectors of shape {vectors.shape} where {expected} was promised")
    unusable = InputError("gives a vector that is not finite")
    return [(record, vector if np.isfinite(vector).all() else unusable) for (record, _), vector in zip(loaded, vectors, strict=True)]


def _save(path: Path, vector: np.ndarray) -> None:
    import numpy as np

    with atomic(path) as temporary, open(temporary, "wb") as file:
        np.save(file, np.ascontiguousarray(vector, dtype="<f4"), allow_pickle=False)
