"""GTZAN, fault-filtered: 930 excerpts of 30 s in ten genres, in the splits of Kereliuk, Sturm and Larsen (2015).

The three lists are the annotations: a line is ``<genre>/<genre>.NNNNN.wav``, the list is its split. Of the 1,000 excerpts they leave out
those that repeat or distort another one, and no artist that could be identified is in two of them. A uid is the SHA-256 of
``<genre>.NNNNN``.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from jukemir_like.core.errors import RequestError
from jukemir_like.datasets import gtzan_folds
from jukemir_like.datasets.annotations import AnnotationFile, read_lines
from jukemir_like.datasets.dataset import Dataset, Item, Task

GENRES = ("blues", "classical", "country", "disco", "hiphop", "jazz", "metal", "pop", "reggae", "rock")
TASKS = {"genre": Task("genre", "multiclass", GENRES)}
_LISTS = {
    "train": ("train_filtered.txt", "GTZAN_TRAIN"),
    "valid": ("valid_filtered.txt", "GTZAN_VALID"),
    "test": ("test_filtered.txt", "GTZAN_TEST"),
}
_LINE = re.compile(rf"({'|'.join(GENRES)})/(\1\.\d{{5}})\.wav")


def dataset(folder: Path, name: str = "gtzan_ff", options: frozenset[str] = frozenset()) -> Dataset:
    """The excerpts that the three lists in ``folder`` name; with the option ``artist_folds`` those of :mod:`.gtzan_folds`.

    Raises:
        RequestError: a list is missing, or has a line that names no excerpt, or one that another line names.
    """
    if "artist_folds" in options:
        return gtzan_folds.dataset(folder, name, TASKS)
    items: dict[str, Item] = {}
    digests = {}
    for split, (file, tag) in _LISTS.items():
        annotations = AnnotationFile(folder / file, tag)
        digests[file] = annotations.digest()
        for number, line in read_lines(annotations.read(), str(annotations.path)):
            match = _LINE.fullmatch(line)
            if match is None:
                raise RequestError(f"{annotations.path}, line {number}: {line[:80]!r} is not <genre>/<genre>.NNNNN.wav; download it again")
            genre, track = match.groups()
            if track in items:
                raise RequestError(
                    f"{annotations.path}, line {number}: {track} was named before, in {items[track].split}; download it again"
                )
            audio = folder / "unpacked" / "genres" / "genres" / genre / f"{track}.wav"
            items[track] = Item(hashlib.sha256(track.encode()).hexdigest(), split, genre, audio, extra={"id": track})
    return Dataset(name, dict(TASKS), [items[track] for track in sorted(items)], sources={"annotations": digests})
