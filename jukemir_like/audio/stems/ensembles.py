"""Which tracks a folder holds where each has stems of its own: any number of them, two or more, each with the name of an instrument.

A track is a file of a processed dataset whose channels ``meta.json`` or ``dataset.json`` names, or a folder of a song with a file per stem,
which the file is named after. All names count, so nothing here guesses which files are stems: but for what is called as a mixture or as the
song itself, and for folders of numbered files (albums), every file is one.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from pathlib import Path

from jukemir_like import audio
from jukemir_like.audio.stems.finding import Listing, listed_files
from jukemir_like.audio.stems.headers import FileHeader, Headers, read_headers
from jukemir_like.audio.stems.songs import MIXTURES, are_numbered, normalised
from jukemir_like.audio.stems.tracks import StemFolder, Track, common_sample_rate, with_splits_of_folders, without_suffix
from jukemir_like.core.cache import Cache
from jukemir_like.core.errors import InputError, RequestError
from jukemir_like.core.files import printable
from jukemir_like.core.stems import instrument_name

_MOST_NAMED = 8  # names in a line


def find_ensembles(
    folder: Path,
    *,
    workers: int = 1,
    decoded: Path | None = None,
    listing: Listing | None = None,
    names: Mapping[str, tuple[str, ...] | str] | None = None,
) -> StemFolder:
    """Tracks of ``folder`` and its sub-folders, each with its names in :attr:`.Track.stems`; the folder as a whole has none.

    Args:
        folder: what to search.
        workers: processes that read the headers of files.
        decoded: where files in which one cannot seek are decoded to; None: ``stems/decoded`` of the cache.
        listing: the files of a processed dataset; None: songs with a file per stem.
        names: uid of the listing → the names of its channels, or why it has none.

    Raises:
        RequestError: no such folder, or not one usable track.
        StorageError: ``decoded`` cannot be written.
    """
    where = printable(str(folder))
    if not folder.is_dir():
        raise RequestError(f"there is no folder {where}: give the folder of the stems as data.data_path")
    failures: dict[str, str] = {}
    if listing is None:
        paths = audio.find(folder, on_error=failures.__setitem__)
    else:
        paths, failures = listed_files(folder, listing)
    headers = read_headers(folder, paths, decoded or Cache.default().root / "stems" / "decoded", workers)
    tracks, notes = _songs(folder, headers, failures) if listing is None else (_listed(headers, listing, names or {}, failures), [])
    if not tracks:
        name, reason = next(iter(sorted(failures.items())), ("", ""))
        first = f": {len(failures)} cannot be used, the first: {printable(name)} {reason}" if failures else ""
        raise RequestError(
            f"{where} holds no usable track with stems of its own{first}; give a dataset of `jukemir-like process … --stems instruments`, "
            "or a folder per song with a file per instrument"
        )
    tracks.sort(key=lambda track: track.name)
    counts = Counter(name for track in tracks for name in track.stems)
    numbers = Counter(track.channels for track in tracks)
    notes.append(f"stems per track: {', '.join(f'{number} in {numbers[number]:,}' for number in sorted(numbers))}")
    notes.append(f"instruments: {len(counts):,} names, {counts.total():,} stems: {_shown(counts)}")
    return StemFolder(tracks, dict(sorted(failures.items())), None, notes)


def _listed(headers: Headers, listing: Listing, names: Mapping[str, tuple[str, ...] | str], failures: dict[str, str]) -> list[Track]:
    tracks = []
    for path, header in headers.items():
        uid = without_suffix(path).removeprefix("wav/")
        stems = names.get(uid, "has no names of its channels")
        try:
            if isinstance(header, InputError):
                raise header
            if isinstance(stems, str):
                raise InputError(stems)
            if header.channels != len(stems):
                raise InputError(f"has {header.channels} channels, and {len(stems)} names of stems")
            if header.silent:
                raise InputError("is silent throughout")
        except InputError as error:
            failures[path] = str(error)
            continue
        files, layouts = (header.file,), (header.layout,)
        split, group = listing.splits[uid], listing.groups.get(uid)
        name = without_suffix(path)
        tracks.append(
            Track(name, files, header.sample_rate, header.frames, len(stems), split=split, group=group, layouts=layouts, stems=stems)
        )
    return tracks


def _songs(folder: Path, headers: Headers, failures: dict[str, str]) -> tuple[list[Track], list[str]]:
    """Tracks of a file per stem: a folder each."""
    of_folders: dict[str, list[str]] = defaultdict(list)
    for path in headers:
        of_folders[path.rpartition("/")[0]].append(path)
    tracks, mixtures = [], 0
    for song, paths in of_folders.items():
        title = song.rpartition("/")[2] or folder.name
        by_name: dict[str, list[str]] = defaultdict(list)
        for path in paths:
            name = _file_name(path)
            if normalised(name) in MIXTURES or name.lower() == title.lower():
                mixtures += 1
            else:
                by_name[instrument_name(name)].append(path)
        try:
            tracks.append(_song(song or folder.name, dict(sorted(by_name.items())), headers))
        except InputError as error:
            failures[song or folder.name] = str(error)
    notes = [
        f"{len(tracks):,} tracks: a folder with a file per stem, which is called as the file; {mixtures:,} mixtures beside them left out"
    ]
    tracks, of_splits = with_splits_of_folders(tracks)
    return tracks, notes + of_splits


def _song(label: str, by_name: Mapping[str, list[str]], headers: Headers) -> Track:
    if len(by_name) < 2:
        raise InputError("has fewer than two stems: a folder per song with a file per instrument is expected")
    if are_numbered(by_name):
        raise InputError("has numbers for names, as an album has: its files are not taken for stems")
    doubled = next((paths for paths in by_name.values() if len(paths) > 1), None)
    if doubled is not None:
        raise InputError(f"has two files for one stem: {', '.join(sorted(path.rpartition('/')[2] for path in doubled))}")
    parts: list[FileHeader] = []
    for (path,) in by_name.values():
        header = headers[path]
        if isinstance(header, InputError):
            raise InputError(f"{path.rpartition('/')[2]} {header}")
        if header.channels > 2:
            raise InputError(f"{path.rpartition('/')[2]} has {header.channels} channels, and nothing names them")
        parts.append(header)
    sample_rate = common_sample_rate(part.sample_rate for part in parts)
    if all(part.silent for part in parts):
        raise InputError("is silent throughout")
    files, layouts = tuple(part.file for part in parts), tuple(part.layout for part in parts)
    frames = max(part.frames for part in parts)
    return Track(label, files, sample_rate, frames, len(parts), layouts=layouts, stems=tuple(by_name))


def _file_name(path: str) -> str:
    return without_suffix(path.rpartition("/")[2])


def _shown(counts: Counter[str]) -> str:
    ordered = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
    shown = ", ".join(f"{printable(name)[:60]} ({count:,})" for name, count in ordered[:_MOST_NAMED])
    return shown if len(ordered) <= _MOST_NAMED else f"{shown} and {len(ordered) - _MOST_NAMED} more"
