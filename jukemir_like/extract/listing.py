"""The audio files of a dataset, confirmed by the count that the stage before has written.

A batch is a slice of the listing of a folder, so all machines must have the same listing. Where one of them lists a folder right after
another has written it, its file system may show it as it was before: a file that is missing there moves every slice behind it, and the
last batch may be missing as a whole, without a word.
"""

from __future__ import annotations

import time
from pathlib import Path

from jukemir_like.core.errors import RequestError
from jukemir_like.datasets.meta import DESCRIPTION, WAV_FOLDER, read_file_count
from jukemir_like.extract.inputs import find_inputs

WAIT_SECONDS = 60.0
"""How long a folder may take to look the same everywhere; network file systems keep a listing for up to a minute."""

_PAUSE_SECONDS = 2.0


def find_confirmed_inputs(folder: Path, unreadable: dict[str, str] | None = None) -> list[str]:
    """As :func:`~jukemir_like.extract.inputs.find_inputs`, for batches.

    In the ``wav/`` of a processed dataset it waits, for :data:`WAIT_SECONDS` at most, until there are as many files as its ``dataset.json``
    says. Any other folder is taken as it is.

    Raises:
        RequestError: as ``find_inputs``, and where folder and ``dataset.json`` disagree for good.

    >>> find_confirmed_inputs(Path("music"))
    ['0.wav', '1.wav', '2.wav']
    """
    expected = read_file_count(folder.parent) if folder.name == WAV_FOLDER else None
    deadline = time.monotonic() + WAIT_SECONDS
    while expected:
        try:
            inputs = find_inputs(folder, unreadable)
            if len(inputs) == expected or unreadable:  # what cannot be read is reported by itself
                return inputs
            count = len(inputs)
        except RequestError:
            if folder.is_dir() and any(folder.rglob("*.wav")):
                raise
            count = 0
        if time.monotonic() > deadline:
            remedy = f"run `jukemir-like process {folder.parent.name}` again"
            raise RequestError(f"{folder} has {count:,} audio files, and {folder.parent / DESCRIPTION} says {expected:,}: {remedy}")
        time.sleep(_PAUSE_SECONDS)
    return find_inputs(folder, unreadable)
