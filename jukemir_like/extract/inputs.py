"""What is extracted from where to where: folders, the audio files in them in the order of the batches, and the slice that is a batch."""

from __future__ import annotations

import os
from pathlib import Path, PurePosixPath

from jukemir_like import audio
from jukemir_like.core.cache import Cache
from jukemir_like.core.errors import RequestError
from jukemir_like.core.files import printable
from jukemir_like.datasets.meta import WAV_FOLDER

BATCH_VARIABLES = ("SLURM_ARRAY_TASK_ID", "JOB_COMPLETION_INDEX")
"""Environment variables of schedulers that hold the index of a batch; the first that is set counts."""


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
        vector = vector_name(path)
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


def vector_name(path: str) -> str:
    """Where the vector of an input is written, both as relative paths.

    >>> vector_name("rock/a.wav")
    'rock/a.npy'
    """
    return str(PurePosixPath(path).with_suffix(".npy"))
