"""Which tracks a folder holds, and what in it cannot be used, and why.

A track is a file with a channel per stem (WAV; FLAC, AIFF and others), a song with a file per stem and perhaps a mixture (a folder per song
as MUSDB18-HQ has them, or files named after song and stem, see :mod:`jukemir_like.audio.stems.songs`), or a ``.stem.mp4``. A
``dataset.json`` with ``stems`` (names, in the order of the channels) says that channels are stems where that could be doubted; the caller
of :func:`find` reads it.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from jukemir_like import audio
from jukemir_like.audio.stems.headers import FileHeader, Headers, read_headers
from jukemir_like.audio.stems.songs import Song, channel_counts, group_into_songs, normalised, stem_names, stem_of, why_not_stems
from jukemir_like.audio.stems.tracks import NATIVE_SUFFIX, StemFolder, Track, common_sample_rate, with_splits_of_folders, without_suffix
from jukemir_like.core.cache import Cache
from jukemir_like.core.errors import InputError, RequestError
from jukemir_like.core.files import printable
from jukemir_like.core.stems import STEMS

_DESCRIPTION = "dataset.json"


@dataclass(frozen=True)
class Listing:
    """The files of a processed dataset, each of them a track with a channel per stem: names of files say nothing then.

    Args:
        splits: uid → ``train``, ``valid``, ``test`` or None; the file is ``wav/<uid>.wav``.
        groups: uid → whose tracks must not be on both sides of a split.
        failed: uid → why it has no file.
    """

    splits: Mapping[str, str | None]
    groups: Mapping[str, str]
    failed: Mapping[str, str]


def find(
    folder: Path,
    num_sources: int,
    *,
    workers: int = 1,
    sources: tuple[str, ...] | None = None,
    declared: tuple[str, ...] | None = None,
    decoded: Path | None = None,
    listing: Listing | None = None,
) -> StemFolder:
    """Tracks of ``folder`` and its sub-folders; hidden files and folders are left out.

    Args:
        folder: what to search.
        num_sources: stems that a track must have.
        workers: processes that read the headers of files.
        sources: names of the stems in their order, by which songs with a file per stem are known; None: those ``declared``, else
            bass, drums, other, vocals for four of them, else those of the songs.
        declared: their names in the order of the channels, as the folder's ``dataset.json`` has them; None: it has none.
        decoded: where ``.stem.mp4`` and others in which one cannot seek are decoded to; None: ``stems/decoded`` of the cache.
        listing: the files, where they are known; None: all that are in the folder.

    Returns:
        The tracks, each file or song that is none with its reason, and in ``notes`` how the files were understood.

    Raises:
        RequestError: no such folder, names that are ``declared`` and contradict ``sources`` or ``num_sources``, or not one usable track.
        StorageError: ``decoded`` cannot be written.
    """
    where = printable(str(folder))
    if not folder.is_dir():
        raise RequestError(f"there is no folder {where}: give the folder of the stems as data.data_path")
    if declared and len(declared) != num_sources:
        raise RequestError(f"{where}/{_DESCRIPTION} names {len(declared)} stems, {', '.join(declared)}, where {num_sources} are expected")
    paths, failures = listed_files(folder, listing) if listing else _all_files(folder)
    headers = read_headers(folder, paths, decoded or Cache.default().root / "stems" / "decoded", workers)
    songs, order = ({}, None) if listing else group_into_songs(headers, num_sources, sources or declared, declared=bool(declared))
    reading = _Interpretation(where, headers, num_sources, sources, declared, order, is_listed=listing is not None)
    result = StemFolder([], failures, sources or declared or order)
    in_songs = {path for song in songs.values() for path in song.files}
    single = [path for path in paths if path not in in_songs]
    # Two files, or a file and a song, that differ in their suffix alone keep it.
    labels = Counter([*songs, *map(without_suffix, single)])
    for path in [*songs, *single]:
        label = path if path in songs or labels[without_suffix(path)] > 1 else without_suffix(path)
        try:
            track = reading.song(songs[path]) if path in songs else reading.single(path)
            track = replace(track, name=label or folder.name)
            result.tracks.append(_with_listing(track, listing) if listing else track)
        except InputError as error:
            result.failures[path or folder.name] = str(error)
    if not listing:
        result.tracks, result.notes = with_splits_of_folders(result.tracks)
    _finish(result, where, num_sources)
    result.notes[:0] = reading.notes()
    return result


class _Interpretation:
    """How the files of a folder become tracks, as yet without names, and how many in each way.

    Args:
        where: the folder, for messages.
        headers: of its files.
        num_sources: stems of a track.
        sources: their names in order as the caller gave them.
        declared: those of ``dataset.json``.
        order: those of the songs with a file per stem.
        is_listed: the files are those of a processed dataset: their names say nothing.
    """

    def __init__(
        self,
        where: str,
        headers: Headers,
        num_sources: int,
        sources: tuple[str, ...] | None,
        declared: tuple[str, ...] | None,
        order: tuple[str, ...] | None,
        *,
        is_listed: bool,
    ):
        self._where, self._headers, self._num_sources = where, headers, num_sources
        self._sources, self._declared, self._order = sources, declared, order
        given = sources or declared
        usual = STEMS if num_sources == len(STEMS) else None
        self._names = given or order or usual
        self._is_ordered = given is not None or order in (None, STEMS)
        self._known = frozenset() if is_listed else stem_names(given or (), only=declared is not None)
        self._channel_counts = channel_counts(headers)
        self._counts: Counter[str] = Counter()

    def single(self, path: str) -> Track:
        """Of one file.

        Raises:
            InputError: it cannot be used, or its channels are not to be taken for stems.
        """
        header = self._headers[path]
        if isinstance(header, InputError):
            raise header
        if header.channels != self._num_sources:
            channels = "is mono" if header.channels == 1 else f"has {header.channels} channels"
            names = ": " + ", ".join(self._names) if self._names else ""
            raise InputError(f"{channels} where {self._num_sources} stems are expected{names}")
        if header.silent:
            raise InputError("is silent throughout")
        is_native = path.lower().endswith(NATIVE_SUFFIX)
        if is_native:
            self._check_native()
        elif reason := self._why_not_stems(path, header):
            example = json.dumps({"stems": self._names or [f"stem{number}" for number in range(self._num_sources)]}, ensure_ascii=False)
            raise InputError(f"{reason}: if its channels are stems, write {example}, in their order, into {self._where}/{_DESCRIPTION}")
        self._counts["native" if is_native else "channels"] += 1
        return Track("", (header.file,), header.sample_rate, header.frames, self._num_sources, layouts=(header.layout,))

    def song(self, song: Song) -> Track:
        """Of a file per stem.

        Raises:
            InputError: one is missing or cannot be used, or they do not fit together.
        """
        order = tuple(map(normalised, self._sources or self._declared or ())) or self._order or ()
        by_stem = dict(song.stems)
        if len(by_stem) < len(song.stems):
            raise InputError(f"has two files for one stem: {', '.join(sorted(_file_name(path) for _, path in song.stems))}")
        if missing := [stem for stem in order if stem not in by_stem]:
            raise InputError(f"has no file for {', '.join(missing)}: every song needs one each of {', '.join(order)}")
        if len(by_stem) != self._num_sources:
            raise InputError(f"has {len(by_stem)} stems where {self._num_sources} are expected: {', '.join(sorted(by_stem))}")
        parts: list[FileHeader] = []
        for stem in order:
            header = self._headers[by_stem[stem]]
            if isinstance(header, InputError):
                raise InputError(f"{_file_name(by_stem[stem])} {header}")
            parts.append(header)
        sample_rate = common_sample_rate(part.sample_rate for part in parts)
        if all(part.silent for part in parts):
            raise InputError("is silent throughout")
        self._counts.update(files=1, mixtures=len(song.mixtures), mixed_down=sum(part.channels > 2 for part in parts))
        paths, layouts = tuple(part.file for part in parts), tuple(part.layout for part in parts)
        return Track("", paths, sample_rate, max(part.frames for part in parts), self._num_sources, layouts=layouts)

    def notes(self) -> list[str]:
        """One line for each way in which tracks lie in the folder."""
        names, lines = f" ({', '.join(self._names)})" if self._names else "", []
        if count := self._counts["files"]:
            mixtures = f"; {_some(self._counts['mixtures'], 'mixture')} beside them left out" if self._counts["mixtures"] else ""
            lines.append(f"{_some(count, 'track')}: one file per stem{names}{mixtures}")
        if count := self._counts["channels"]:
            if self._sources or self._declared:
                source = f", in the order {'given' if self._sources else f'of {_DESCRIPTION}'}"
            else:
                source = ", in an order that nothing here says: taken as usual" if self._names else ", which nothing here names"
            lines.append(f"{_some(count, 'track')}: one channel per stem{names}{source}")
        if count := self._counts["native"]:
            lines.append(f"{_some(count, 'track')}: {NATIVE_SUFFIX}{names}")
        if count := self._counts["mixed_down"]:
            lines.append(f"{_some(count, 'file')} of one stem with more than two channels: mixed down with equal weights")
        if self._sources and self._declared and self._sources != self._declared:
            lines.append(f"the stems are called as given, not as in {_DESCRIPTION}: {', '.join(self._declared)}")
        return lines

    def _why_not_stems(self, path: str, header: FileHeader) -> str | None:
        if not self._declared:
            return why_not_stems(path, header, self._channel_counts[path.rpartition("/")[0]], self._known, ordered=self._is_ordered)
        if stem_of(_file_name(without_suffix(path)), self._known) in self._known:
            return "is called as one stem, and none beside it makes a song with it"
        if self._sources and self._sources != self._declared and set(self._sources) == set(self._declared):
            theirs, ours = ", ".join(self._declared), ", ".join(self._sources)
            return f"has its stems in the order of {_DESCRIPTION} ({theirs}), not in the one given ({ours})"
        return None

    def _check_native(self) -> None:
        """Refuses other names for the stems of a ``.stem.mp4``, or another order, than it has."""
        is_other = self._names != STEMS and (not self._is_ordered or set(self._names or ()) == set(STEMS))
        if self._num_sources == len(STEMS) and is_other:
            raise InputError(f"has the stems {', '.join(STEMS)}, in this order, where {', '.join(self._names or ())} are expected")


def _all_files(folder: Path) -> tuple[list[str], dict[str, str]]:
    """Relative paths of the audio files of a folder, and sub-folders that cannot be read."""
    failures: dict[str, str] = {}
    return audio.find(folder, on_error=failures.__setitem__), failures


def listed_files(folder: Path, listing: Listing) -> tuple[list[str], dict[str, str]]:
    """Relative paths of the WAV files of a listing, and those of them that are missing."""
    paths, failures = [], {}
    for uid in listing.splits:
        path = f"wav/{uid}.wav"
        if uid in listing.failed:
            failures[path] = f"failed when it was processed: {listing.failed[uid]}"
        elif (folder / path).is_file():
            paths.append(path)
        else:
            failures[path] = "is in meta.json, but there is no such file"
    return sorted(paths), failures


def _with_listing(track: Track, listing: Listing) -> Track:
    uid = track.name.removeprefix("wav/")
    return replace(track, split=listing.splits[uid], group=listing.groups.get(uid))


def _finish(result: StemFolder, where: str, num_sources: int) -> None:
    """Sorts tracks and failures, and notes what concerns all tracks together."""
    if not result.tracks:
        if not result.failures:
            raise RequestError(f"{where} holds no audio: give a folder of WAV files with a channel per stem as data.data_path")
        name, reason = next(iter(sorted(result.failures.items())))
        raise RequestError(
            f"{where} holds no usable track of {num_sources} stems: {len(result.failures)} cannot be used, "
            f"the first: {printable(name)} {reason}"
        )
    result.tracks.sort(key=lambda track: track.name)
    result.failures = dict(sorted(result.failures.items()))
    rates = Counter(track.sample_rate for track in result.tracks)
    if len(rates) > 1:
        shares = ", ".join(f"{count:,} of {rate:,} Hz" for rate, count in rates.most_common())
        result.notes.append(f"tracks have different sample rates, and are resampled: {shares}")


def _some(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def _file_name(path: str) -> str:
    return path.rpartition("/")[2]
