"""EmoMusic: 744 excerpts of 45 s from the Free Music Archive, with the mean arousal and valence that listeners gave.

Rows marked ``evaluation`` are test. Of the rest an artist is valid if the SHA-1 of the name (lower case, ASCII letters, one space between
words), modulo 10, is 8 or 9, else train. ``y`` is [arousal, valence], each less its mean and divided by its (population) standard
deviation over all rows that are not test. Of the whole file these are :data:`PUBLISHED`.

Option ``artist_clean``: an artist is in one split only, see :func:`jukemir_like.datasets.annotations.artist_clean`.
"""

from __future__ import annotations

import hashlib
import math
import re
from pathlib import Path

import numpy as np

from jukemir_like.core.errors import RequestError
from jukemir_like.datasets.annotations import AnnotationFile, AnnotationTable, artist_clean, read_table
from jukemir_like.datasets.dataset import Dataset, Item, Task

TASKS = {"emotion": Task("emotion", "regression", ("arousal", "valence"))}
PUBLISHED = {"mean": (4.75606, 4.97386), "std": (1.38601, 1.25462)}
"""Of arousal and valence, over the 619 rows of the whole file that are not test, to five digits."""

_ANNOTATIONS = ("annotations.tar.gz", "EMOMUSIC_ANNOTATIONS")
_SET = "Mediaeval 2013 set"
_SETS = ("development", "evaluation")
_SONGS = ("song_id", "Artist", "Song title", "start of the segment (min.sec)", "end of the segment (min.sec)", "Genre", _SET)
_RATINGS = ("song_id", "mean_arousal", "mean_valence")
_AUDIO = ("clips_45seconds", "clips_45sec", "")

Rating = tuple[float, float]


def dataset(folder: Path, name: str = "emomusic", options: frozenset[str] = frozenset()) -> Dataset:
    """The excerpts that the annotations in ``folder`` list.

    Raises:
        RequestError: the archive of annotations is missing or does not fit.
    """
    annotations = AnnotationFile(folder / _ANNOTATIONS[0], _ANNOTATIONS[1])
    songs, ratings = _read(annotations)
    splits = {uid: split_of(song["Artist"], song[_SET]) for uid, song in songs.items()}
    mean, std = statistics([ratings[uid] for uid, split in splits.items() if split != "test"])
    audio = _audio_folder(folder)
    items = []
    for uid, song in songs.items():
        arousal, valence = ratings[uid]
        extra = {"artist": song["Artist"], "title": song["Song title"], "genre": song["Genre"], "arousal": arousal, "valence": valence}
        extra |= {"segment_start": seconds(song[_SONGS[3]]), "segment_end": seconds(song[_SONGS[4]])}
        y = standardise(ratings[uid], mean, std)
        items.append(Item(uid, splits[uid], y, audio / f"{int(uid)}.mp3", extra=extra))
    if "artist_clean" in options:
        items = artist_clean(items, ascii_artist)
    sources = {"annotations": {_ANNOTATIONS[0]: annotations.digest()}, "mean": list(mean), "std": list(std)}
    return Dataset(name, dict(TASKS), items, group="artist", sources=sources, options=tuple(sorted(options)))


def ascii_artist(artist: str) -> str:
    """The name that determines the split: lower case, ASCII letters, one space between words.

    >>> ascii_artist("  The 3 Béatles")
    'the batles'
    """
    return " ".join(re.sub(r"[^a-z\s]", "", artist.lower(), flags=re.ASCII).split())


def split_of(artist: str, mediaeval_set: str) -> str:
    """The split of a song: train, valid or test.

    Args:
        artist: as the table has it.
        mediaeval_set: ``development`` or ``evaluation``.
    """
    if mediaeval_set == "evaluation":
        return "test"
    digit = int(hashlib.sha1(ascii_artist(artist).encode(), usedforsecurity=False).hexdigest(), 16) % 10
    return "train" if digit < 8 else "valid"


def statistics(ratings: list[Rating]) -> tuple[Rating, Rating]:
    """Mean and population standard deviation of arousal and valence, both 1 to 9.

    Raises:
        RequestError: fewer than two ratings, or all the same.

    >>> statistics([(1.0, 2.0), (3.0, 8.0)])
    ((2.0, 5.0), (1.0, 3.0))
    """
    values = np.array(ratings, dtype=np.float64).reshape(-1, 2)
    if len(values) < 2 or not (values.std(axis=0) > 0).all():
        raise RequestError(
            f"EmoMusic: {len(values)} rows that are not test have no spread to standardise by; download its annotations again"
        )
    (mean_arousal, mean_valence), (std_arousal, std_valence) = values.mean(axis=0).tolist(), values.std(axis=0).tolist()
    return (mean_arousal, mean_valence), (std_arousal, std_valence)


def standardise(rating: Rating, mean: Rating, std: Rating) -> list[float]:
    """``rating`` in standard deviations from the mean.

    >>> standardise((3.0, 8.0), (2.0, 5.0), (1.0, 3.0))
    [1.0, 1.0]
    """
    return [(value - centre) / spread for value, centre, spread in zip(rating, mean, std, strict=True)]


def seconds(minutes_and_seconds: str) -> float:
    """Seconds of a time that is written ``minutes.seconds``; a spreadsheet dropped the last zero of the seconds.

    >>> seconds("1.3"), seconds("0.05")
    (90.0, 5.0)
    """
    minutes, _, rest = minutes_and_seconds.partition(".")
    return 60.0 * int(minutes) + int(rest.ljust(2, "0"))


def _read(annotations: AnnotationFile) -> tuple[dict[str, dict[str, str]], dict[str, Rating]]:
    """Song and rating by uid."""
    files = {
        Path(name).name: data
        for name, data in annotations.members(lambda name: name.endswith(("songs_info.csv", "static_annotations.csv"))).items()
    }
    tables = []
    for file, columns in (("songs_info.csv", _SONGS), ("static_annotations.csv", _RATINGS)):
        if file not in files:
            raise RequestError(f"{annotations.path} holds no {file}; run `jukemir-like download {annotations.tag}`")
        tables.append(read_table(files[file], f"{annotations.path}, {file}", columns, ","))
    songs = _by_uid(tables[0])
    ratings = {}
    for uid, (line, record) in _by_uid(tables[1]).items():
        if uid not in songs:
            raise tables[1].error(line, f"song {record['song_id']} is not in songs_info.csv")
        ratings[uid] = _rating(tables[1], line, record)
    for uid, (line, song) in songs.items():
        if uid not in ratings:
            raise tables[0].error(line, f"song {song['song_id']} is not in static_annotations.csv")
        if song[_SET] not in _SETS:
            raise tables[0].error(line, f"set {song[_SET]!r} is not one of {', '.join(_SETS)}")
        if not all(re.fullmatch(r"\d+(\.\d{1,2})?", song[column], re.ASCII) for column in _SONGS[3:5]):
            raise tables[0].error(line, f"segment {song[_SONGS[3]]!r} to {song[_SONGS[4]]!r} is not minutes.seconds")
    return {uid: song for uid, (_, song) in songs.items()}, ratings


def _by_uid(rows: AnnotationTable) -> dict[str, tuple[int, dict[str, str]]]:
    rows_by_uid: dict[str, tuple[int, dict[str, str]]] = {}
    for line, record in rows.records():
        number = record["song_id"]
        if not number.isdecimal():
            raise rows.error(line, f"song_id {number!r} is not a number")
        uid = f"{int(number):04d}"
        if uid in rows_by_uid:
            raise rows.error(line, f"song {number} is a duplicate of line {rows_by_uid[uid][0]}")
        rows_by_uid[uid] = line, record
    return rows_by_uid


def _rating(rows: AnnotationTable, line: int, record: dict[str, str]) -> Rating:
    try:
        arousal, valence = float(record["mean_arousal"]), float(record["mean_valence"])
    except ValueError:
        arousal = valence = math.nan
    if not (1 <= arousal <= 9 and 1 <= valence <= 9):
        raise rows.error(line, f"arousal {record['mean_arousal']!r} and valence {record['mean_valence']!r} must be numbers from 1 to 9")
    return arousal, valence


def _audio_folder(folder: Path) -> Path:
    """The archive of clips has a top folder with another name than its own; some copies have none."""
    unpacked = folder / "unpacked" / "clips_45sec"
    return next((unpacked / name for name in _AUDIO if any((unpacked / name).glob("*.mp3"))), unpacked / _AUDIO[0])
