"""GiantSteps key: previews of electronic dance music, each in one of 24 keys.

Test is giantsteps-key-dataset (604 tracks). Train and valid are those of giantsteps-mtg-key-dataset (1,486) whose key was marked certain
(confidence 2) and is one key: 1,159. A track is a file of ``md5/``; it is valid if one of its artists is, see :func:`valid_artists`.
``giantsteps`` holds the tracks, ``giantsteps_clips`` their clips of 30 s; a track is then scored as a whole.

Clips begin at 0, 30, 60 and 90 s; a shorter tail is dropped. Tracks are previews of 120 s, so the annotations alone determine all clips but
those of the few tracks in :data:`SHORTER_TRACKS` and :data:`LAST_CLIP_SECONDS`. Both tables were read off the labels that jukemir
published for its clips; four of the lengths are also in the README of giantsteps-key-dataset.

Option ``unique``: of tracks that are the same recording (same MD5 of the audio) one is kept, in test before train before valid, and there
the one with the lowest number.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from jukemir_like.core.errors import RequestError
from jukemir_like.datasets.annotations import AnnotationFile, AnnotationTable, decode_text, read_table
from jukemir_like.datasets.dataset import KEYS, Clip, Dataset, Item, Task, key_name

TASKS = {"key": Task("key", "key", KEYS)}
_MTG = ("mtg-key-annotations.zip", "GIANTSTEPS_MTG_KEY_ANNOTATIONS")
_KEY = ("key-annotations.zip", "GIANTSTEPS_KEY_ANNOTATIONS")
_MEMBER = re.compile(r"[^/]+/(md5/\d+\.LOFI\.md5|annotations/key/\d+\.LOFI\.key|annotations/(?:annotations|beatport_metadata)\.txt)")
_CERTAIN = "2"
_NO_KEY = {"-", ""}
_PREFERRED_SPLITS = ("test", "train", "valid")

CLIP_SECONDS = 30.0
PREVIEW_SECONDS = 120.0

SHORTER_TRACKS = {
    "0297010": 60.0,
    "0299801": 30.0,
    "0673637": 90.0,
    "5338500": 90.0,
    "1224698": 45.0,
    "1442809": 62.0,
    "3424038": 77.0,
    "4452003": 59.0,
}
"""Track → seconds, of the tracks with fewer than four clips; of the first four only the number of whole clips is known."""

LAST_CLIP_SECONDS = {
    "1161234": 29.99519274376417,
    "1161249": 29.976575963718822,
    "1164898": 29.981473922902495,
    "1178656": 29.995238095238093,
    "1206025": 29.981473922902495,
    "1234668": 29.981473922902495,
    "1234669": 29.997868480725625,
    "1234670": 29.981473922902495,
    "1234751": 29.981473922902495,
    "1298595": 29.997687074829933,
    "1353830": 29.979909297052153,
    "1389887": 29.9978231292517,
    "1406309": 29.99421768707483,
    "1468437": 29.997142857142858,
    "1474122": 29.97877551020408,
    "1494159": 29.994829931972788,
    "1864037": 29.999750566893425,
    "3368117": 29.99043083900227,
}
"""Track → seconds of its clip at 90 s, of the tracks that decode to slightly less than 120 s."""


def dataset(folder: Path, name: str = "giantsteps", options: frozenset[str] = frozenset()) -> Dataset:
    """Whole tracks.

    Raises:
        RequestError: an archive of annotations is missing or does not fit.
    """
    items = sorted([*_train_and_valid(folder), *_test(folder)], key=lambda item: item.uid)
    if "unique" in options:
        items = _unique(items)
    digests = {file: AnnotationFile(folder / file, tag).digest() for file, tag in (_MTG, _KEY)}
    return Dataset(name, dict(TASKS), items, group="recording", sources={"annotations": digests}, options=tuple(sorted(options)))


def clips_dataset(folder: Path, name: str = "giantsteps_clips", options: frozenset[str] = frozenset()) -> Dataset:
    """The clips of the tracks.

    Raises:
        RequestError: an archive of annotations is missing or does not fit.
    """
    tracks = dataset(folder, name, options)
    items = [replace(item, uid=f"{item.uid}-{clip.clip_idx}", clip=clip) for item in tracks.items for clip in clips(item.uid)]
    return replace(tracks, items=items)


def clips(track: str) -> list[Clip]:
    """The clips of a track.

    Args:
        track: its uid, seven digits.

    >>> [clip.clip_offset for clip in clips("0297010")]
    [0.0, 30.0]
    """
    seconds = SHORTER_TRACKS.get(track, PREVIEW_SECONDS)
    number = int(seconds // CLIP_SECONDS)
    durations = [CLIP_SECONDS] * (number - 1) + [LAST_CLIP_SECONDS.get(track, CLIP_SECONDS)]
    return [Clip(track, seconds, index, index * CLIP_SECONDS, duration) for index, duration in enumerate(durations)]


def valid_artists(tracks: Sequence[Sequence[str]]) -> set[str]:
    """The artists whose tracks are valid.

    An artist is valid if the SHA-1 of the name, modulo 116, is 100 or more. Then, twice, track by track: whoever shares a track with a
    valid artist is valid.

    Args:
        tracks: the artists of each track, lower case; of all tracks, also those that are left out.
    """
    artists_of_all = {artist for artists in tracks for artist in artists}
    valid = {artist for artist in artists_of_all if int(hashlib.sha1(artist.encode(), usedforsecurity=False).hexdigest(), 16) % 116 >= 100}
    for _ in range(2):
        for artists in tracks:
            if not valid.isdisjoint(artists):
                valid.update(artists)
    return valid


@dataclass(frozen=True)
class _Archive:
    """The files that are read from the archive of one repository, by path without the top folder."""

    path: Path
    files: dict[str, bytes]

    @classmethod
    def open(cls, path: Path, tag: str) -> _Archive:
        members = AnnotationFile(path, tag).members(lambda name: _MEMBER.fullmatch(name) is not None)
        archive = cls(path, {name.partition("/")[2]: data for name, data in members.items()})
        if not archive.tracks():
            raise RequestError(f"{path} holds no md5/*.LOFI.md5: it is not the archive that `jukemir-like download {tag}` gets")
        return archive

    def text(self, name: str) -> str:
        if name not in self.files:
            raise RequestError(f"{self.path} holds no {name}; download it again")
        return decode_text(self.files[name], f"{self.path}, {name}").strip()

    def table(self, name: str, columns: tuple[str, ...]) -> AnnotationTable:
        return read_table(self.text(name).encode(), f"{self.path}, {name}", columns, "\t")

    def tracks(self) -> dict[str, str]:
        """Number of a track → MD5 of its audio."""
        return {Path(name).name.partition(".")[0]: self.text(name) for name in self.files if name.startswith("md5/")}


def _train_and_valid(folder: Path) -> Iterable[Item]:
    archive = _Archive.open(folder / _MTG[0], _MTG[1])
    songs = archive.table("annotations/beatport_metadata.txt", ("ID", "ARTIST", "SONG TITLE", "LABEL", "BP GENRE"))
    song_of = {record["ID"]: record for _, record in songs.records()}
    valid = valid_artists([_artists(record["ARTIST"]) for record in song_of.values()])
    keys = archive.table("annotations/annotations.txt", ("ID", "MANUAL KEY", "C"))
    key_of = {record["ID"]: (line, record) for line, record in keys.records()}
    for number, md5 in archive.tracks().items():
        if number not in song_of or number not in key_of:
            incomplete = keys if number not in key_of else songs
            raise RequestError(f"{incomplete.path} has no row for track {number}; download it again")
        line, record = key_of[number]
        if record["C"] != _CERTAIN or "/" in record["MANUAL KEY"] or record["MANUAL KEY"] in _NO_KEY:
            continue
        y = key_name(record["MANUAL KEY"])
        if y is None:
            raise keys.error(line, f"{record['MANUAL KEY']!r} is not a key such as 'Eb minor'")
        song = song_of[number]
        split = "train" if valid.isdisjoint(_artists(song["ARTIST"])) else "valid"
        extra = {"artist": song["ARTIST"], "title": song["SONG TITLE"], "label": song["LABEL"], "genre": song["BP GENRE"]}
        yield _item(folder, number, md5, split, y, extra)


def _test(folder: Path) -> Iterable[Item]:
    archive = _Archive.open(folder / _KEY[0], _KEY[1])
    for number, md5 in archive.tracks().items():
        file = f"annotations/key/{number}.LOFI.key"
        y = key_name(archive.text(file))
        if y is None:
            raise RequestError(
                f"{archive.path}, {file}, line 1: {archive.text(file)[:40]!r} is not a key such as 'Eb minor'; download it again"
            )
        yield _item(folder, number, md5, "test", y, {})


def _item(folder: Path, number: str, md5: str, split: str, y: str, extra: dict[str, str]) -> Item:
    audio = folder / "audio" / f"{number}.LOFI.mp3"
    return Item(f"{int(number):07d}", split, y, audio, extra={"id": int(number), "recording": md5, **extra})


def _artists(credit: str) -> list[str]:
    return [artist.strip().lower() for artist in credit.split(",")]


def _unique(items: list[Item]) -> list[Item]:
    kept: dict[str, Item] = {}
    for item in sorted(items, key=lambda item: (_PREFERRED_SPLITS.index(str(item.split)), item.uid)):
        kept.setdefault(item.extra["recording"], item)
    return sorted(kept.values(), key=lambda item: item.uid)
