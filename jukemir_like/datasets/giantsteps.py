"""GiantSteps key: previews of electronic dance music, each in one of 24 keys.

Test is giantsteps-key-dataset (604 tracks). Train and valid are those of giantsteps-mtg-key-dataset (1,486) whose key was marked certain
(confidence 2) and is one key: 1,159. A track is a file of ``md5/``; it is valid if an artist of it is, see :func:`valid_artists`.
``giantsteps`` holds the tracks, ``giantsteps_clips`` their clips of 30 s; a track is then scored as a whole.

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
from jukemir_like.datasets import KEYS, Dataset, Item, Task
from jukemir_like.datasets.annotations import Source, Table, table, text
from jukemir_like.datasets.giantsteps_clips import clips
from jukemir_like.datasets.keys import key_name

TASKS = {"key": Task("key", "key", KEYS)}
_MTG = ("mtg-key-annotations.zip", "GIANTSTEPS_MTG_KEY_ANNOTATIONS")
_KEY = ("key-annotations.zip", "GIANTSTEPS_KEY_ANNOTATIONS")
_WANTED = re.compile(r"[^/]+/(md5/\d+\.LOFI\.md5|annotations/key/\d+\.LOFI\.key|annotations/(?:annotations|beatport_metadata)\.txt)")
_CERTAIN = "2"
_NO_KEY = {"-", ""}
_KEPT_FIRST = ("test", "train", "valid")


def dataset(folder: Path, name: str = "giantsteps", options: frozenset[str] = frozenset()) -> Dataset:
    """Whole tracks.

    Raises:
        RequestError: an archive of annotations is missing or does not fit.
    """
    items = sorted([*_train_and_valid(folder), *_test(folder)], key=lambda item: item.uid)
    if "unique" in options:
        items = _unique(items)
    digests = {file: Source(folder / file, tag).digest() for file, tag in (_MTG, _KEY)}
    return Dataset(name, dict(TASKS), items, group="recording", sources={"annotations": digests}, options=tuple(sorted(options)))


def clips_dataset(folder: Path, name: str = "giantsteps_clips", options: frozenset[str] = frozenset()) -> Dataset:
    """The clips of the tracks.

    Raises:
        RequestError: an archive of annotations is missing or does not fit.
    """
    tracks = dataset(folder, name, options)
    items = [replace(item, uid=f"{item.uid}-{clip.clip_idx}", clip=clip) for item in tracks.items for clip in clips(item.uid)]
    return replace(tracks, items=items)


def valid_artists(tracks: Sequence[Sequence[str]]) -> set[str]:
    """The artists whose tracks are valid.

    SHA-1 of the name, modulo 116: 100 and above is valid. Then, twice, track by track: who shares a track with a valid artist is valid.

    Args:
        tracks: the artists of each track, lower case, of all tracks, those that are left out included.
    """
    everyone = {artist for artists in tracks for artist in artists}
    valid = {artist for artist in everyone if int(hashlib.sha1(artist.encode(), usedforsecurity=False).hexdigest(), 16) % 116 >= 100}
    for _ in range(2):
        for artists in tracks:
            if not valid.isdisjoint(artists):
                valid.update(artists)
    return valid


@dataclass(frozen=True)
class _Archive:
    """The files of one repository's archive that are read here, by path without the top folder."""

    path: Path
    files: dict[str, bytes]

    @classmethod
    def open(cls, path: Path, tag: str) -> _Archive:
        found = Source(path, tag).members(lambda name: _WANTED.fullmatch(name) is not None)
        archive = cls(path, {name.partition("/")[2]: data for name, data in found.items()})
        if not archive.tracks():
            raise RequestError(f"{path} holds no md5/*.LOFI.md5: it is not the archive that `jukemir-like download {tag}` gets")
        return archive

    def text(self, name: str) -> str:
        if name not in self.files:
            raise RequestError(f"{self.path} holds no {name}; download it again")
        return text(self.files[name], f"{self.path}, {name}").strip()

    def table(self, name: str, columns: tuple[str, ...]) -> Table:
        return table(self.text(name).encode(), f"{self.path}, {name}", columns, "\t")

    def tracks(self) -> dict[str, str]:
        """Number of each track → MD5 of its audio."""
        return {Path(name).name.partition(".")[0]: self.text(name) for name in self.files if name.startswith("md5/")}


def _train_and_valid(folder: Path) -> Iterable[Item]:
    archive = _Archive.open(folder / _MTG[0], _MTG[1])
    songs = archive.table("annotations/beatport_metadata.txt", ("ID", "ARTIST", "SONG TITLE", "LABEL", "BP GENRE"))
    song = {record["ID"]: record for _, record in songs.records()}
    valid = valid_artists([_artists(record["ARTIST"]) for record in song.values()])
    keys = archive.table("annotations/annotations.txt", ("ID", "MANUAL KEY", "C"))
    key = {record["ID"]: (line, record) for line, record in keys.records()}
    for number, md5 in archive.tracks().items():
        if number not in song or number not in key:
            lacking = keys if number not in key else songs
            raise RequestError(f"{lacking.where} has no row for track {number}; download it again")
        line, record = key[number]
        if record["C"] != _CERTAIN or "/" in record["MANUAL KEY"] or record["MANUAL KEY"] in _NO_KEY:
            continue
        y = key_name(record["MANUAL KEY"])
        if y is None:
            raise keys.error(line, f"{record['MANUAL KEY']!r} is not a key such as 'Eb minor'")
        about = song[number]
        split = "train" if valid.isdisjoint(_artists(about["ARTIST"])) else "valid"
        extra = {"artist": about["ARTIST"], "title": about["SONG TITLE"], "label": about["LABEL"], "genre": about["BP GENRE"]}
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
    for item in sorted(items, key=lambda item: (_KEPT_FIRST.index(str(item.split)), item.uid)):
        kept.setdefault(item.extra["recording"], item)
    return sorted(kept.values(), key=lambda item: item.uid)
