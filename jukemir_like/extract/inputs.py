"""What is extracted from where to where: folders, the audio files in them in the order of the batches, and the slice that is a batch."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from jukemir_like import audio
from jukemir_like.core.cache import Cache
from jukemir_like.core.errors import RequestError
from jukemir_like.core.records import FOLDER, TEMPORARY_FOLDER
from jukemir_like.datasets.meta import WAV_FOLDER
from jukemir_like.extract import manifest
from jukemir_like.extract.listing import expected_count, list_confirmed, list_inputs, why_not_all

BATCH_VARIABLES = ("SLURM_ARRAY_TASK_ID", "JOB_COMPLETION_INDEX")
"""Environment variables of schedulers that hold the index of a batch; the first that is set counts."""

WORTH_A_MANIFEST = 5000
"""Files and folders from which on a folder gets a manifest; a smaller one is listed in a few hundredths of a second."""


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
    listing = list_inputs(folder)
    if unreadable is None:
        audio.check_readable(folder, listing)
    else:
        unreadable |= listing.unreadable
    return list(map(os.fsdecode, listing.names))


@dataclass(frozen=True)
class Batch:
    """The inputs of a batch.

    Args:
        names: relative paths, in order.
        unreadable: sub-folders of the whole folder that cannot be read → why.
        keep_listing: to be called when the batch is known to be possible, before the work: it writes the manifest of the folder, where that
            is worth it and the folder has just been listed.
        notes: lines worth showing at the end.
    """

    names: list[str]
    unreadable: dict[str, str]
    keep_listing: Callable[[], object] = lambda: None
    notes: tuple[str, ...] = ()


def inputs_of_batch(folder: Path, records_folder: Path, batch_size: int | None, batch_idx: int | None) -> Batch:
    """The inputs of a batch: from the manifest in ``records_folder``, if there is one and it still holds; else the folder is listed.

    Args:
        folder: of audio files.
        records_folder: where the manifest is, or will be.
        batch_size, batch_idx: see :func:`select`; without them the folder is always listed.

    Raises:
        RequestError: as :func:`find_inputs` and :func:`select`.

    >>> inputs_of_batch(Path("music"), Path("vectors/.records"), 2, 0).names
    ['0.wav', '1.wav']
    """
    path = records_folder / manifest.FILE
    known = None if batch_size is None else manifest.read(path, folder)
    if known is not None and expected_count(folder) in (None, known.count):
        start, stop = _slice(known.count, batch_size, batch_idx)
        try:
            return Batch(known.names(start, stop), known.unreadable)
        except manifest.DamagedManifestError:
            pass
    clock = manifest.Clock()
    listing = list_inputs(folder) if batch_size is None else list_confirmed(folder)
    start, stop = _slice(len(listing.names), batch_size, batch_idx)

    def keep() -> None:
        manifest.write(path, folder, listing, clock, temporary_folder=records_folder / TEMPORARY_FOLDER)

    worth_it = batch_size is not None and len(listing.names) + len(listing.folders) >= WORTH_A_MANIFEST
    names = list(map(os.fsdecode, listing.names[start:stop]))
    if worth_it:
        return Batch(names, listing.unreadable, keep)
    other_count = why_not_all(folder, listing) if batch_size is None else None
    return Batch(names, listing.unreadable, notes=() if other_count is None else (other_count,))


def count_inputs(folder: Path, output: Path | None = None) -> int:
    """How many inputs ``folder`` has, for counting batches, without listing it where somebody has counted before.

    ``dataset.json`` says it of the folder ``wav`` of a processed dataset, which another machine may still see as it was a moment ago; the
    manifest in ``output`` says it of any folder that it still describes.

    Args:
        folder: of audio files.
        output: folder of the vectors; None: there is none yet.

    Raises:
        RequestError: as :func:`find_inputs`.

    >>> count_inputs(Path("music"))
    3
    """
    if (recorded := expected_count(folder)) is not None:
        return recorded
    known = None if output is None else manifest.read(output / FOLDER / manifest.FILE, folder)
    return len(list_inputs(folder).names) if known is None else known.count


def select(inputs: list[str], batch_size: int | None, batch_idx: int | None) -> list[str]:
    """Slice [I·N, (I+1)·N) of ``inputs``; all of them without a batch.

    Raises:
        RequestError: one of the two given without the other, or a batch past the end.

    >>> select(["a.wav", "b.wav", "c.wav"], 2, 1)
    ['c.wav']
    """
    start, stop = _slice(len(inputs), batch_size, batch_idx)
    return inputs[start:stop]


def _slice(count: int, batch_size: int | None, batch_idx: int | None) -> tuple[int, int]:
    if batch_size is None and batch_idx is None:
        return 0, count
    if batch_size is None or batch_idx is None:
        given, missing = ("--batch_idx", "--batch_size") if batch_size is None else ("--batch_size", "--batch_idx")
        raise RequestError(f"{given} needs {missing}: give both, or neither for the whole folder")
    if batch_size < 1 or batch_idx < 0:
        raise RequestError(f"--batch_size must be at least 1 and --batch_idx at least 0, not {batch_size} and {batch_idx}")
    batches = -(-count // batch_size)
    if batch_idx >= batches:
        raise RequestError(f"--batch_idx {batch_idx} is past the end: {count} files make {batches} batches of {batch_size}, from 0")
    return batch_idx * batch_size, min((batch_idx + 1) * batch_size, count)
