"""EmoMusic: 744 excerpts of 45 s from the Free Music Archive, with the mean arousal and valence that listeners gave.

Rows marked ``evaluation`` are test. Of the rest an artist is valid if the SHA-1 of the name (lower case, ASCII letters, one space between
words), modulo 10, is 8 or 9, else train. ``y`` is [arousal, valence], each less its mean and divided by its (population) standard
deviation over all rows that are not test. Of the whole file these are :data:`PUBLISHED`.

Option ``artist_clean``: an artist is in one split only, see :mod:`jukemir_like.datasets.artists`.
"""

from __future__ import annotations

import hashlib
import math
import re
from pathlib import Path

import numpy as np

from jukemir_like.core.errors import RequestError
from jukemir_like.datasets import Dataset, Item, Task
from jukemir_like.datasets.annotations import Source, Table, table
from jukemir_like.datasets.artists import one_split_each

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
    """The excerpts that the annotations in ``folder`` tell of.

    Raises:
        RequestError: the archive of annotations is missing or does not fit.
    """
    source = Source(folder / _ANNOTATIONS[0], _ANNOTATIONS[1])
    songs, rating = _read(source)
    splits = {uid: split_of(song["Artist"], song[_SET]) for uid, song in songs.items()}
    mean, std = statistics([rating[uid] for uid, split in splits.items() if split != "test"])
    audio = _audio_folder(folder)
    items = []
    for uid, song in songs.items():
        arousal, valence = rating[uid]
        extra = {"artist": song["Artist"], "title": song["Song title"], "genre": song["Genre"], "arousal": arousal, "valence": valence}
        extra |= {"segment_start": seconds(song[_SONGS[3]]), "segment_end": seconds(song[_SONGS[4]])}
        y = standardise(rating[uid], mean, std)
        items.append(Item(uid, splits[uid], y, audio / f"{int(uid)}.mp3", extra=extra))
    if "artist_clean" in options:
        items = one_split_each(items, plain_artist)
    sources = {"annotations": {_ANNOTATIONS[0]: source.digest()}, "mean": list(mean), "std": list(std)}
    return Dataset(name, dict(TASKS), items, group="artist", sources=sources, options=tuple(sorted(options)))


def plain_artist(artist: str) -> str:
    """What the split is drawn from: lower case, ASCII letters, one space between words."""
    return " ".join(re.sub(r"[^a-z\s]", "", artist.lower(), flags=re.ASCII).split())


def split_of(artist: str, mediaeval_set: str) -> str:
    """train, valid or test."""
    if mediaeval_set == "evaluation":
        return "test"
    drawn = int(hashlib.sha1(plain_artist(artist).encode(), usedforsecurity=False).hexdigest(), 16) % 10
    return "train" if drawn < 8 else "valid"


def statistics(ratings: list[Rating]) -> tuple[Rating, Rating]:
    """Mean and population standard deviation of arousal and valence, both 1 to 9."""
    values = np.array(ratings, dtype=np.float64).reshape(-1, 2)
    if len(values) < 2 or not (values.std(axis=0) > 0).all():
        raise RequestError(
            f"EmoMusic: {len(values)} rows that are not test have no spread to standardise by; download its annotations again"
        )
    (mean_arousal, mean_valence), (std_arousal, std_valence) = values.mean(axis=0).tolist(), values.std(axis=0).tolist()
    return (mean_arousal, mean_valence), (std_arousal, std_valence)


def standardise(rating: Rating, mean: Rating, std: Rating) -> list[float]:
    """``rating`` in standard deviations from the mean."""
    return [(value - centre) / spread for value, centre, spread in zip(rating, mean, std, strict=True)]


def seconds(minutes_and_seconds: str) -> float:
    """``1.3`` is one minute and thirty seconds: what follows the point are seconds, whose last zero a spreadsheet dropped."""
    minutes, _, rest = minutes_and_seconds.partition(".")
    return 60.0 * int(minutes) + int(rest.ljust(2, "0"))


def _read(source: Source) -> tuple[dict[str, dict[str, str]], dict[str, Rating]]:
    """Song and rating by uid."""
    files = {
        Path(name).name: data
        for name, data in source.members(lambda name: name.endswith(("songs_info.csv", "static_annotations.csv"))).items()
    }
    tables = []
    for file, columns in (("songs_info.csv", _SONGS), ("static_annotations.csv", _RATINGS)):
        if file not in files:
            raise RequestError(f"{source.path} holds no {file}; run `jukemir-like download {source.tag}`")
        tables.append(table(files[file], f"{source.path}, {file}", columns, ","))
    songs = _by_uid(tables[0])
    rating = {}
    for uid, (line, record) in _by_uid(tables[1]).items():
        if uid not in songs:
            raise tables[1].error(line, f"song {record['song_id']} is not in songs_info.csv")
        rating[uid] = _rating(tables[1], line, record)
    for uid, (line, song) in songs.items():
        if uid not in rating:
            raise tables[0].error(line, f"song {song['song_id']} is not in static_annotations.csv")
        if song[_SET] not in _SETS:
            raise tables[0].error(line, f"set {song[_SET]!r} is not one of {', '.join(_SETS)}")
        if not all(re.fullmatch(r"\d+(\.\d{1,2})?", song[column], re.ASCII) for column in _SONGS[3:5]):
            raise tables[0].error(line, f"segment {song[_SONGS[3]]!r} to {song[_SONGS[4]]!r} is not minutes.seconds")
    return {uid: song for uid, (_, song) in songs.items()}, rating


def _by_uid(rows: Table) -> dict[str, tuple[int, dict[str, str]]]:
    found: dict[str, tuple[int, dict[str, str]]] = {}
    for line, record in rows.records():
        number = record["song_id"]
        if not number.isdecimal():
            raise rows.error(line, f"song_id {number!r} is not a number")
        uid = f"{int(number):04d}"
        if uid in found:
            raise rows.error(line, f"song {number} stood before, in line {found[uid][0]}")
        found[uid] = line, record
    return found


def _rating(rows: Table, line: int, record: dict[str, str]) -> Rating:
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
