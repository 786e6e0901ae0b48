"""Which tracks a folder holds, and what in it cannot be used, and why.

A track is a file with a channel per stem (WAV; FLAC, AIFF and others in which one can seek), a song with a file per stem and perhaps a
mixture (a folder per song as MUSDB18-HQ has them, or files named by song and stem, see :mod:`.naming`), or a ``.stem.mp4``. Where the
folder has a ``meta.json``, as ``jukemir-like process`` writes, it says which files, of which split and which artist. A ``dataset.json``
with ``stems`` (names, in the order of the channels) says that channels are stems where that could be doubted.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from jukemir_like import audio
from jukemir_like.audio.stems import naming, splits
from jukemir_like.audio.stems.heads import Head, heads
from jukemir_like.audio.stems.native import SUFFIX
from jukemir_like.audio.stems.tracks import Found, Track
from jukemir_like.core import files, jsonfiles
from jukemir_like.core.cache import Cache
from jukemir_like.core.errors import InputError, RequestError
from jukemir_like.core.files import printable
from jukemir_like.datasets.processed import read_description, read_meta
from jukemir_like.stemjepa.config import SOURCES
from jukemir_like.stemjepa.data import layouts
from jukemir_like.stemjepa.data.layouts import Known, Song, without_suffix

_DESCRIPTION = "dataset.json"


def find(folder: Path, num_sources: int, *, workers: int = 1, sources: tuple[str, ...] | None = None, decoded: Path | None = None) -> Found:
    """Tracks of ``folder`` and its sub-folders; hidden files and folders are not looked at.

    Args:
        folder: what to search.
        num_sources: stems that a track must have.
        workers: processes that read the headers of files.
        sources: names of the stems in their order, by which songs with a file per stem are known; None: those of ``dataset.json``, else
            bass, drums, other, vocals for four of them, else those of the songs.
        decoded: where ``.stem.mp4`` are decoded to; None: ``stems/decoded`` of the cache.

    Returns:
        The tracks, each file or song that is none with its reason, and in ``notes`` what was understood.

    Raises:
        RequestError: no such folder, a broken ``meta.json`` or ``dataset.json``, one that contradicts ``sources``, or not one usable track.
        StorageError: ``decoded`` cannot be written.
    """
    where = printable(str(folder))
    if not folder.is_dir():
        raise RequestError(f"there is no folder {where}: give the folder of the stems as data.data_path")
    described = _meta(folder)
    by_file = described.get("sources") if described else declared(folder)
    if by_file and len(by_file) != num_sources:
        raise RequestError(f"{where}/{_DESCRIPTION} names {len(by_file)} stems, {', '.join(by_file)}, where {num_sources} are expected")
    names, failures = _of_meta(folder, described) if described else _of_folder(folder)
    known = heads(folder, names, decoded or Cache.default().root / "stems" / "decoded", workers)
    songs, in_order = ({}, None) if described else layouts.songs(known, num_sources, sources or by_file, declared=bool(by_file))
    reading = _Reading(where, known, num_sources, sources, by_file, in_order, bool(described))
    found = Found([], failures, sources or by_file or in_order)
    in_songs = {name for song in songs.values() for name in song.files}
    names = [name for name in names if name not in in_songs]
    # Two files, or a file and a song, that differ in their suffix alone keep it.
    labels = Counter([*songs, *map(without_suffix, names)])
    for name in [*songs, *names]:
        label = name if name in songs or labels[without_suffix(name)] > 1 else without_suffix(name)
        try:
            made = reading.song(songs[name]) if name in songs else reading.single(name)
            found.tracks.append(_with_meta(replace(made, name=label or folder.name), described))
        except InputError as error:
            found.failures[name or folder.name] = str(error)
    if not described:
        found.tracks, found.notes = splits.by_folder(found.tracks)
    _finish(found, where, num_sources)
    found.notes[:0] = reading.understood()
    return found


@dataclass
class _Reading:
    """How the files of a folder become tracks, as yet without names, and how many in each way.

    Args:
        where: the folder, for messages.
        known: headers by relative path.
        num_sources: stems of a track.
        sources: their names in order as they were given.
        declared: those of ``dataset.json``.
        in_order: those of the songs with a file per stem.
        described: there is a ``meta.json``: names of files say nothing.
    """

    where: str
    known: Known
    num_sources: int
    sources: tuple[str, ...] | None
    declared: tuple[str, ...] | None
    in_order: tuple[str, ...] | None
    described: bool
    counts: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        given = self.sources or self.declared
        usual = SOURCES if self.num_sources == len(SOURCES) else None
        self.names = given or self.in_order or usual
        self.ordered = given is not None or self.in_order in (None, SOURCES)
        self.words = frozenset() if self.described else naming.words(given or (), only=self.declared is not None)
        self.beside = layouts.channels(self.known)

    def single(self, name: str) -> Track:
        """Of one file.

        Raises:
            InputError: it cannot be used, or its channels are not to be taken for stems.
        """
        head = self.known[name]
        if isinstance(head, InputError):
            raise head
        if head.channels != self.num_sources:
            channels = "is mono" if head.channels == 1 else f"has {head.channels} channels"
            raise InputError(f"{channels} where {self.num_sources} stems are expected{': ' + ', '.join(self.names) if self.names else ''}")
        if head.silent:
            raise InputError("is silent throughout")
        if name.lower().endswith(SUFFIX):
            self._check_native()
        elif why := self._objection(name, head):
            example = json.dumps({"stems": self.names or [f"stem{number}" for number in range(self.num_sources)]}, ensure_ascii=False)
            raise InputError(f"{why}: if its channels are stems, write {example}, in their order, into {self.where}/{_DESCRIPTION}")
        self.counts["native" if name.lower().endswith(SUFFIX) else "channels"] += 1
        return Track("", (head.file,), head.sample_rate, head.frames, self.num_sources, layouts=(head.layout,))

    def song(self, song: Song) -> Track:
        """Of a file per stem.

        Raises:
            InputError: one is missing or cannot be used, or they do not fit together.
        """
        order = tuple(map(naming.word, self.sources or self.declared or ())) or self.in_order or ()
        by_stem = dict(song.stems)
        if len(by_stem) < len(song.stems):
            raise InputError(f"has two files for one stem: {', '.join(sorted(_file_name(file) for _, file in song.stems))}")
        if missing := [stem for stem in order if stem not in by_stem]:
            raise InputError(f"has no file for {', '.join(missing)}: every song needs one each of {', '.join(order)}")
        if len(by_stem) != self.num_sources:
            raise InputError(f"has {len(by_stem)} stems where {self.num_sources} are expected: {', '.join(sorted(by_stem))}")
        parts: list[Head] = []
        for stem in order:
            head = self.known[by_stem[stem]]
            if isinstance(head, InputError):
                raise InputError(f"{_file_name(by_stem[stem])} {head}")
            parts.append(head)
        rates = sorted({part.sample_rate for part in parts})
        if len(rates) > 1:
            raise InputError(f"has stems of different sample rates: {', '.join(map(str, rates))} Hz")
        if all(part.silent for part in parts):
            raise InputError("is silent throughout")
        self.counts.update(files=1, mixtures=len(song.mixtures), mixed_down=sum(part.channels > 2 for part in parts))
        of_files, lies = tuple(part.file for part in parts), tuple(part.layout for part in parts)
        return Track("", of_files, rates[0], max(part.frames for part in parts), self.num_sources, layouts=lies)

    def understood(self) -> list[str]:
        """One line for each way in which tracks lie here."""
        of_names, lines = f" ({', '.join(self.names)})" if self.names else "", []
        if count := self.counts["files"]:
            beside = f"; {_some(self.counts['mixtures'], 'mixture')} beside them left out" if self.counts["mixtures"] else ""
            lines.append(f"{_some(count, 'track')}: one file per stem{of_names}{beside}")
        if count := self.counts["channels"]:
            if self.sources or self.declared:
                source = f", in the order {'given' if self.sources else f'of {_DESCRIPTION}'}"
            else:
                source = ", in an order that nothing here says: taken as usual" if self.names else ", which nothing here names"
            lines.append(f"{_some(count, 'track')}: one channel per stem{of_names}{source}")
        if count := self.counts["native"]:
            lines.append(f"{_some(count, 'track')}: {SUFFIX}{of_names}")
        if count := self.counts["mixed_down"]:
            lines.append(f"{_some(count, 'file')} of one stem with more than two channels: mixed down with equal weights")
        if self.sources and self.declared and self.sources != self.declared:
            lines.append(f"the stems are called as given, not as in {_DESCRIPTION}: {', '.join(self.declared)}")
        return lines

    def _objection(self, name: str, head: Head) -> str | None:
        if not self.declared:
            return layouts.objection(name, head, self.beside[name.rpartition("/")[0]], self.words, ordered=self.ordered)
        if naming.whole(_file_name(without_suffix(name)), self.words) in self.words:
            return "is called as one stem, and none beside it makes a song with it"
        if self.sources and self.sources != self.declared and set(self.sources) == set(self.declared):
            theirs, ours = ", ".join(self.declared), ", ".join(self.sources)
            return f"has its stems in the order of {_DESCRIPTION} ({theirs}), not in the one given ({ours})"
        return None

    def _check_native(self) -> None:
        other = self.names != SOURCES and (not self.ordered or set(self.names or ()) == set(SOURCES))
        if self.num_sources == len(SOURCES) and other:
            raise InputError(f"has the stems {', '.join(SOURCES)}, in this order, where {', '.join(self.names or ())} are expected")


def _meta(folder: Path) -> dict[str, Any]:
    """``meta.json`` (``items``) and what ``dataset.json`` beside it says (``group``, ``sources``, ``failed``); empty without them."""
    try:
        items, _ = read_meta(folder)
    except FileNotFoundError:
        return {}
    try:
        description = read_description(folder)
        sources, group, failed = description.stems, description.group, description.failed
    except FileNotFoundError:
        sources, group, failed = None, None, {}
    extras = {uid: item.get("extra") or {} for uid, item in items.items()}
    groups = {uid: str(extra[group]) for uid, extra in extras.items() if group in extra}
    return {"splits": {uid: item.get("split") for uid, item in items.items()}, "groups": groups, "sources": sources, "failed": failed}


def declared(folder: Path) -> tuple[str, ...] | None:
    """``stems`` of the ``dataset.json`` in a folder: names, in the order of channels; None where there are none.

    Raises:
        RequestError: it cannot be read, or they are no names.
    """
    path = folder / _DESCRIPTION
    try:
        description = jsonfiles.parse(files.read_regular(path))
        stems = description.get("stems") if isinstance(description, dict) else None
        if stems is None:
            return None
        if not isinstance(stems, list) or not all(isinstance(stem, str) and stem for stem in stems) or len(set(stems)) < len(stems):
            raise ValueError("stems are no list of names")
        return tuple(stems)
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        reason = files.refusal(error) if isinstance(error, OSError) else f"cannot be read ({error})"
        raise RequestError(f'{printable(str(path))} {reason}: write {{"stems": ["NAME", …]}} into it, or move it away') from error


def _of_folder(folder: Path) -> tuple[list[str], dict[str, str]]:
    """Relative paths of the audio files of a folder, and sub-folders that cannot be read."""
    failures: dict[str, str] = {}
    return audio.find(folder, on_error=failures.__setitem__), failures


def _of_meta(folder: Path, described: dict[str, Any]) -> tuple[list[str], dict[str, str]]:
    """Relative paths of the WAV files that ``meta.json`` names, and those of them that are not there."""
    names, failures = [], {}
    for uid in described["splits"]:
        name = f"wav/{uid}.wav"
        if uid in described["failed"]:
            failures[name] = f"failed when it was processed: {described['failed'][uid]}"
        elif (folder / name).is_file():
            names.append(name)
        else:
            failures[name] = "is in meta.json, but there is no such file"
    return sorted(names), failures


def _with_meta(track: Track, described: dict[str, Any]) -> Track:
    if not described:
        return track
    uid = track.name.removeprefix("wav/")
    return replace(track, split=described["splits"][uid], group=described["groups"].get(uid))


def _finish(found: Found, where: str, num_sources: int) -> None:
    """Order, and what is to be said of all tracks together."""
    if not found.tracks:
        if not found.failures:
            raise RequestError(f"{where} holds no audio: give a folder of WAV files with a channel per stem as data.data_path")
        name, reason = next(iter(sorted(found.failures.items())))
        raise RequestError(
            f"{where} holds no usable track of {num_sources} stems: {len(found.failures)} cannot be used, "
            f"the first: {printable(name)} {reason}"
        )
    found.tracks.sort(key=lambda track: track.name)
    found.failures = dict(sorted(found.failures.items()))
    rates = Counter(track.sample_rate for track in found.tracks)
    if len(rates) > 1:
        shares = ", ".join(f"{count:,} of {rate:,} Hz" for rate, count in rates.most_common())
        found.notes.append(f"tracks have different sample rates, and are resampled: {shares}")


def _some(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def _file_name(path: str) -> str:
    return path.rpartition("/")[2]
