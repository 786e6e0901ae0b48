"""The audio files of a folder, in the order of the batches; where a stage before has counted them, as many as it says.

A batch is a slice of the listing of a folder, so all machines must have the same listing. Where one of them lists a folder right after
another has written it, its file system may show it as it was before: a file that is missing there moves every slice behind it, and the
last batch may be missing as a whole, without a word.
"""

from __future__ import annotations

import os
import time
from pathlib import Path, PurePosixPath

import numpy as np

from jukemir_like import audio
from jukemir_like.core.errors import RequestError
from jukemir_like.core.files import printable
from jukemir_like.datasets.deformed import how_to_make, split_name
from jukemir_like.datasets.meta import DESCRIPTION, WAV_FOLDER, read_file_count, remedy
from jukemir_like.datasets.registry import is_known

WAIT_SECONDS = 60.0
"""How long a folder may take to look the same everywhere; network file systems keep a listing for up to a minute."""

_PAUSE_SECONDS = 2.0


def list_inputs(folder: Path) -> audio.Listing:
    """The audio files of ``folder``.

    Raises:
        RequestError: not a folder, no audio in it, or two inputs that would write one output.

    >>> list_inputs(Path("music")).names
    [b'0.wav', b'1.wav', b'2.wav']
    """
    if not folder.is_dir():
        raise RequestError(f"{folder} is not a folder: {how_to_get(folder)}")
    listing = audio.list_audio(folder)
    if not listing.names:
        path = min(listing.unreadable, default="")
        first = f"; {printable(path)}: {listing.unreadable[path]}" if path else ""
        raise RequestError(f"no audio files in {folder}: is it the right folder (or, in a container, the right mount)?{first}")
    _check_outputs(folder, listing.names)
    return listing


def expected_count(folder: Path) -> int | None:
    """How many audio files ``folder`` has to have: of the ``wav/`` of a processed dataset as its ``dataset.json`` says; else None."""
    return read_file_count(folder.parent) if folder.name == WAV_FOLDER else None


def list_confirmed(folder: Path) -> audio.Listing:
    """As :func:`list_inputs`, for batches: waits, for :data:`WAIT_SECONDS` at most, until there are as many files as are expected.

    Raises:
        RequestError: as :func:`list_inputs`, and where there are fewer or more for good.
    """
    expected = expected_count(folder)
    deadline = time.monotonic() + WAIT_SECONDS
    while expected:
        count = 0
        try:
            listing = list_inputs(folder)
            if len(listing.names) == expected or listing.unreadable:  # what cannot be read is reported by itself
                return listing
            count = len(listing.names)
        except RequestError:
            if folder.is_dir() and any(folder.rglob("*.wav")):
                raise
        if time.monotonic() > deadline:
            raise RequestError(_other_count(folder, count, expected))
        time.sleep(_PAUSE_SECONDS)
    return list_inputs(folder)


def why_not_all(folder: Path, listing: audio.Listing) -> str | None:
    """Where a listing has fewer or more audio files than the folder has to have: one line that says so; else None."""
    expected = expected_count(folder)
    if expected in (None, len(listing.names)) or listing.unreadable:
        return None
    return _other_count(folder, len(listing.names), expected)


def how_to_get(folder: Path) -> str:
    """What to do where ``folder``, of audio files, is missing.

    >>> how_to_get(Path("cache/processed/gtzan_ff~mp3-32/wav"))
    'run `jukemir-like deform gtzan_ff mp3-32` first'
    """
    name = folder.parent.name
    if folder.name == WAV_FOLDER and folder.parent.parent.name == "processed" and (is_known(name) or split_name(name)):
        return f"run `{how_to_make(name)}` first"
    return "give the folder of audio files"


def _other_count(folder: Path, count: int, expected: int) -> str:
    too_many = "remove those that are not of the dataset (`jukemir-like audit` names them), or " if count > expected else ""
    says = f"{folder} has {count:,} audio files, and {folder.parent / DESCRIPTION} says {expected:,}"
    return f"{says}: {too_many}{remedy(folder.parent)}"


def _check_outputs(folder: Path, names: list[bytes]) -> None:
    """Raises where two inputs would write one output, or one output would have to be a folder."""
    hashes = np.fromiter((hash(_vector_name(name)) for name in names), np.int64, len(names))
    order = np.sort(hashes)
    alike = set(order[1:][order[1:] == order[:-1]].tolist())  # almost always none, and a name takes eight bytes here
    outputs: dict[bytes, bytes] = {}
    for name in names if alike else ():
        vector = _vector_name(name)
        if hash(vector) in alike:
            if vector in outputs:
                first, second, shown = (printable(os.fsdecode(path)) for path in (outputs[vector], name, vector))
                raise RequestError(f"{first} and {second} in {folder} would both write {shown}: rename one of them")
            outputs[vector] = name
    # A folder may be called x.npy: then the vector of x.wav would need its name.
    folders: dict[bytes, bytes] = {}
    for name in names:
        if b".npy/" in name:
            end = name.find(b".npy/")
            while end >= 0:
                folders.setdefault(name[: end + 4], name)
                end = name.find(b".npy/", end + 1)
    for name in names if folders else ():
        if (inside := folders.get(_vector_name(name))) is not None:
            first, second = printable(os.fsdecode(name)), printable(os.fsdecode(inside))
            raise RequestError(f"{first} in {folder} would write a file where {second} needs a folder: rename one of them")


def vector_name(path: str) -> str:
    """Where the vector of an input is written, both as relative paths.

    >>> vector_name("rock/a.wav")
    'rock/a.npy'
    """
    return str(PurePosixPath(path).with_suffix(".npy"))


def _vector_name(path: bytes) -> bytes:
    """As :func:`vector_name`, of an input's name, which ends in a suffix."""
    return path[: path.rindex(b".")] + b".npy"
