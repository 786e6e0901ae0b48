"""MTG-Jamendo: full tracks of jamendo.com with the tags that their uploaders gave (Bogdanov et al., ICML 2019 workshop).

Four datasets of one download: genre (87 tags), instrument (40), mood and theme (56), and the 50 most frequent of all. Each has five
published splits without a common artist; ``split-0``, which papers report, is the plain dataset, the others are the options ``split1`` to
``split4``. A row of ``splits/split-0/autotagging_<subset>-<part>.tsv`` is track, artist, album, path, duration, and its tags, all with tabs
between them; a uid is the track, as in ``track_0004887``. Clips are the 30 s in the middle of each track.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from jukemir_like.core.errors import RequestError
from jukemir_like.datasets.annotations import AnnotationFile, read_lines
from jukemir_like.datasets.dataset import Clip, Dataset, Item, Task
from jukemir_like.datasets.mtg_jamendo_tags import GENRES, INSTRUMENTS, MOODS_AND_THEMES, TOP_50

CLIP_SECONDS = 30.0
SUBSETS = {"genre": GENRES, "instrument": INSTRUMENTS, "moodtheme": MOODS_AND_THEMES, "top50tags": TOP_50}
"""Subset, as files are called → its tags."""

_PARTS = {"train": "train", "valid": "validation", "test": "test"}
_HEADER = ["TRACK_ID", "ARTIST_ID", "ALBUM_ID", "PATH", "DURATION", "TAGS"]
_TRACK = re.compile(r"track_(\d{7})")


def dataset(folder: Path, name: str, options: frozenset[str] = frozenset()) -> Dataset:
    """The tracks of the subset that ``name`` says, ``mtg_jamendo_genre`` for instance, in one of the five splits.

    Raises:
        RequestError: two splits are asked for; a file is missing, has a row that does not fit, or a tag of the subset occurs nowhere in it.
    """
    if len(options) > 1:
        raise RequestError(f"dataset {name!r} asks for two splits: give one of split1 to split4, or none for split 0")
    subset = name.partition("+")[0].removeprefix("mtg_jamendo_")
    number = next(iter(options), "split0").removeprefix("split")
    task = Task("tags", "multilabel", SUBSETS[subset])
    items: dict[str, Item] = {}
    digests = {}
    for split, part in _PARTS.items():
        file = f"splits/split-{number}/autotagging_{subset}-{part}.tsv"
        source = AnnotationFile(folder / file, f"MTG_JAMENDO_SPLIT{number}_{subset.upper()}_{part.upper()}")
        missing = set(task.labels)
        for line, item in _items(source, folder, split, task.labels):
            if item.uid in items:
                raise _error(source, line, f"{item.uid} was named before, in {items[item.uid].split}")
            items[item.uid] = item
            missing.difference_update(item.y)
        if missing:  # published splits have all tags in each part
            raise RequestError(f"{source.path} has no track with {len(missing)} of its tags, such as {min(missing)}; download it again")
        digests[file] = source.digest()
    sources = {"annotations": digests}
    return Dataset(name, {"tags": task}, list(items.values()), group="artist", sources=sources, options=tuple(sorted(options)))


def _items(source: AnnotationFile, folder: Path, split: str, tags: tuple[str, ...]) -> Iterator[tuple[int, Item]]:
    """Line and item of each row."""
    known = set(tags)
    lines = read_lines(source.read(), str(source.path))
    number, header = next(lines, (1, ""))
    if header.split("\t") != _HEADER:
        raise _error(source, number, f"the header is {header[:60]!r}, not {', '.join(_HEADER)} with tabs between them")
    for line, text in lines:
        track, artist, album, path, duration, *given = [cell.strip() for cell in text.split("\t")] + [""] * (6 - text.count("\t") - 1)
        match = _TRACK.fullmatch(track)
        if match is None:
            raise _error(source, line, f"{track[:40]!r} is not track_NNNNNNN")
        number = int(match[1])
        if path != f"{number % 100:02d}/{number}.mp3":
            raise _error(source, line, f"path {path[:40]!r} is not that of {track}")
        unknown = next((tag for tag in given if tag not in known), None)
        if unknown is not None or not given:
            raise _error(source, line, f"tag {(unknown or '')[:60]!r} is not among the {len(tags)} of this subset")
        try:
            seconds = float(duration)
        except ValueError:
            seconds = 0.0
        if not CLIP_SECONDS <= seconds < 1e6:
            raise _error(source, line, f"duration {duration[:40]!r} is not in seconds, {CLIP_SECONDS:g} or more")
        clip = Clip(track, seconds, 0, round((seconds - CLIP_SECONDS) / 2, 3), CLIP_SECONDS)
        shard = f"{number % 100:02d}"
        audio = folder / "unpacked" / f"raw_30s_audio-low-{shard}" / shard / f"{number}.low.mp3"
        y = [tag for tag in tags if tag in given]
        yield line, Item(track, split, y, audio, clip, extra={"artist": artist, "album": album, "path": path})


def _error(source: AnnotationFile, line: int, what: str) -> RequestError:
    return RequestError(f"{source.path}, line {line}: {what}; download it again")
