"""GTZAN, fault-filtered: 930 excerpts of 30 s in ten genres, in the splits of Kereliuk, Sturm and Larsen (2015), and their tempi.

The three lists are the annotations: a line is ``<genre>/<genre>.NNNNN.wav``, the list is its split. Of the 1,000 excerpts they leave out
those that repeat or distort another one, and no artist that could be identified is in two of them. A uid is the SHA-256 of
``<genre>.NNNNN``.

``gtzan_tempo`` has the same excerpts, in the same splits, with the tempi that Percival and Tzanetakis (2014) corrected: a line of
``genres_tempos.mf`` is the path of an excerpt, a tab, and beats per minute. Tempi of excerpts that the lists leave out are left out.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import replace
from pathlib import Path

from jukemir_like.core.errors import RequestError
from jukemir_like.datasets import gtzan_folds
from jukemir_like.datasets.annotations import AnnotationFile, read_lines
from jukemir_like.datasets.dataset import TEMPI, Dataset, Item, Task, is_tempo

GENRES = ("blues", "classical", "country", "disco", "hiphop", "jazz", "metal", "pop", "reggae", "rock")
TASKS = {"genre": Task("genre", "multiclass", GENRES)}
TEMPO_TASKS = {"tempo": Task("tempo", "tempo", TEMPI)}
_LISTS = {
    "train": ("train_filtered.txt", "GTZAN_TRAIN"),
    "valid": ("valid_filtered.txt", "GTZAN_VALID"),
    "test": ("test_filtered.txt", "GTZAN_TEST"),
}
_TEMPI = ("genres_tempos.mf", "GTZAN_TEMPO")
_EXCERPTS = 1000  # of all of GTZAN
_EXCERPT = rf"({'|'.join(GENRES)})/(\1\.\d{{5}})\.wav"
_LINE = re.compile(_EXCERPT)
_TEMPO_LINE = re.compile(rf"(?:.*/)?{_EXCERPT}\t(\S+)")


def dataset(folder: Path, name: str = "gtzan_ff", options: frozenset[str] = frozenset()) -> Dataset:
    """The excerpts that the three lists in ``folder`` name; with the option ``artist_folds`` those of :mod:`.gtzan_folds`.

    Raises:
        RequestError: a list is missing, or has a line that names no excerpt, or one that another line names.
    """
    if "artist_folds" in options:
        return gtzan_folds.dataset(folder, name, TASKS)
    items, digests = _excerpts(folder)
    return Dataset(name, dict(TASKS), list(items.values()), sources={"annotations": digests})


def tempo_dataset(folder: Path, name: str = "gtzan_tempo") -> Dataset:
    """The same excerpts with their tempi.

    Raises:
        RequestError: as :func:`dataset`, also for the file of tempi, or it lacks one of the 1,000 excerpts.
    """
    items, digests = _excerpts(folder)
    annotations = AnnotationFile(folder / _TEMPI[0], _TEMPI[1])
    tempo_of: dict[str, float] = {}
    for number, line in read_lines(annotations.read(), str(annotations.path)):
        match = _TEMPO_LINE.fullmatch(line)
        if match is None or not is_tempo(match[3]):
            raise _error(annotations, number, f"{line[:80]!r} is not …<genre>/<genre>.NNNNN.wav, a tab, and beats per minute")
        if match[2] in tempo_of:
            raise _error(annotations, number, f"{match[2]} is a duplicate")
        tempo_of[match[2]] = float(match[3])
    missing = next((track for track in items if track not in tempo_of), None)
    if missing or len(tempo_of) != _EXCERPTS:
        what = f"none of {missing}" if missing else f"{len(tempo_of):,} tempi, not {_EXCERPTS:,}"
        raise RequestError(f"{annotations.path} has {what}; download it again")
    with_tempo = [replace(item, y=tempo_of[track], extra=item.extra | {"genre": item.y}) for track, item in items.items()]
    sources = {"annotations": digests | {_TEMPI[0]: annotations.digest()}, "left_out": len(tempo_of) - len(items)}
    return Dataset(name, dict(TEMPO_TASKS), with_tempo, sources=sources)


def _excerpts(folder: Path) -> tuple[dict[str, Item], dict[str, str]]:
    """Excerpts by name, sorted, with their genre as label, and the digest of each list."""
    items: dict[str, Item] = {}
    digests = {}
    for split, (file, tag) in _LISTS.items():
        annotations = AnnotationFile(folder / file, tag)
        digests[file] = annotations.digest()
        for number, line in read_lines(annotations.read(), str(annotations.path)):
            match = _LINE.fullmatch(line)
            if match is None:
                raise _error(annotations, number, f"{line[:80]!r} is not <genre>/<genre>.NNNNN.wav")
            genre, track = match.groups()
            if track in items:
                raise _error(annotations, number, f"{track} was named before, in {items[track].split}")
            audio = folder / "unpacked" / "genres" / "genres" / genre / f"{track}.wav"
            items[track] = Item(hashlib.sha256(track.encode()).hexdigest(), split, genre, audio, extra={"id": track})
    return {track: items[track] for track in sorted(items)}, digests


def _error(annotations: AnnotationFile, line: int, what: str) -> RequestError:
    return RequestError(f"{annotations.path}, line {line}: {what}; download it again")
