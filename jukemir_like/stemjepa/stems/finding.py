"""Which tracks a folder holds, and what in it cannot be used, and why.

A track is a file with a channel a stem (WAV; FLAC, AIFF and others in which one can seek), a folder with a file a stem and perhaps a
mixture, as MUSDB18-HQ has them, or a ``.stem.mp4``. Where the folder has a ``meta.json``, as ``jukemir-like process`` writes, it says
which files, of which split and which artist.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import replace
from pathlib import Path
from typing import Any

from jukemir_like import audio
from jukemir_like.cache import Cache
from jukemir_like.datasets.processed import read_description, read_meta
from jukemir_like.errors import InputError, RequestError
from jukemir_like.records import printable
from jukemir_like.stemjepa.config import SOURCES
from jukemir_like.stemjepa.stems.heads import Head, heads
from jukemir_like.stemjepa.stems.native import SUFFIX
from jukemir_like.stemjepa.stems.tracks import Found, Track

_MIXTURES = ("mixture", "mix", "linear_mixture")


def find(folder: Path, num_sources: int, *, workers: int = 1, sources: tuple[str, ...] | None = None, decoded: Path | None = None) -> Found:
    """Tracks of ``folder`` and its sub-folders; hidden files and folders are not looked at.

    Args:
        folder: what to search.
        num_sources: stems that a track must have.
        workers: processes that read the heads of files.
        sources: names of the stems in their order, by which folders with a file a stem are known; None: those of ``dataset.json``, else
            bass, drums, other, vocals for four of them.
        decoded: where ``.stem.mp4`` are decoded to; None: ``stems/decoded`` of the cache.

    Raises:
        RequestError: no such folder, a broken ``meta.json``, or not one usable track.
        StorageError: ``decoded`` cannot be written.
    """
    if not folder.is_dir():
        raise RequestError(f"there is no folder {printable(str(folder))}: give the folder of the stems as data.data_path")
    described = _meta(folder)
    expected = sources or described.get("sources") or (SOURCES if num_sources == len(SOURCES) else None)
    if described:
        names, failures = _of_meta(folder, described)
    else:
        names, failures = audio.find(folder), {}
    known = heads(folder, names, decoded or Cache.default().root / "stems" / "decoded", workers)
    songs, in_order = ({}, None) if described else _songs(known, num_sources, sources)
    found = Found([], failures, sources or described.get("sources") or in_order)
    in_songs = {name for files in songs.values() for name in files}
    names = [name for name in names if name not in in_songs]
    # Two files, or a file and a folder, that differ in their suffix alone keep it.
    labels = Counter([*songs, *map(_without_suffix, names)])
    for name in [*songs, *names]:
        label = name if name in songs or labels[_without_suffix(name)] > 1 else _without_suffix(name)
        try:
            made = _song(songs[name], known, in_order or (), num_sources) if name in songs else _single(known[name], num_sources, expected)
            found.tracks.append(_with_meta(replace(made, name=label or folder.name), described))
        except InputError as error:
            found.failures[name or folder.name] = str(error)
    _finish(found, folder, num_sources)
    return found


def _single(head: Head | InputError, num_sources: int, expected: tuple[str, ...] | None) -> Track:
    """The track, as yet without a name, of a file with a channel a stem."""
    if isinstance(head, InputError):
        raise head
    if head.channels != num_sources:
        channels = "is mono" if head.channels == 1 else f"has {head.channels} channels"
        raise InputError(f"{channels} where {num_sources} stems are expected{': ' + ', '.join(expected) if expected else ''}")
    if head.silent:
        raise InputError("is silent throughout")
    return Track("", (head.file,), head.sample_rate, head.frames, num_sources, layouts=(head.layout,))


def _song(files: list[str], known: dict[str, Head | InputError], order: tuple[str, ...], num_sources: int) -> Track:
    """The track, as yet without a name, of a folder with a file a stem."""
    of_stems = [file for file in files if _stem(file) not in _MIXTURES]
    by_stem = {_stem(file): file for file in of_stems}
    if len(by_stem) < len(of_stems):
        raise InputError(f"has two files for one stem: {', '.join(sorted(file.rpartition('/')[2] for file in of_stems))}")
    if missing := [stem for stem in order if stem not in by_stem]:
        raise InputError(f"has no file for {', '.join(missing)}: every folder needs one each of {', '.join(order)}")
    if len(by_stem) != num_sources:
        raise InputError(f"has {len(by_stem)} stems where {num_sources} are expected: {', '.join(sorted(by_stem))}")
    parts: list[Head] = []
    for stem in order:
        head = known[by_stem[stem]]
        if isinstance(head, InputError):
            raise InputError(f"{by_stem[stem].rpartition('/')[2]} {head}")
        parts.append(head)
    rates = sorted({part.sample_rate for part in parts})
    if len(rates) > 1:
        raise InputError(f"has stems of different sample rates: {', '.join(map(str, rates))} Hz")
    if all(part.silent for part in parts):
        raise InputError("is silent throughout")
    frames = max(part.frames for part in parts)
    return Track("", tuple(part.file for part in parts), rates[0], frames, num_sources, layouts=tuple(part.layout for part in parts))


def _songs(
    known: dict[str, Head | InputError], num_sources: int, sources: tuple[str, ...] | None
) -> tuple[dict[str, list[str]], tuple[str, ...] | None]:
    """Folders with a file a stem → their files; and the names of the stems in order.

    Such a folder is known by the names of its files: those in ``sources`` (or, of four, the usual ones), or else as many as there are stems
    and the same in another folder. Where a file among them has a channel a stem, all the names must be there.
    """
    folders: dict[str, list[str]] = defaultdict(list)
    for name in known:
        folders[name.rpartition("/")[0]].append(name)
    stems = {folder: frozenset(_stem(file) for file in files) - set(_MIXTURES) for folder, files in folders.items()}
    order = sources
    if order is None and num_sources == len(SOURCES) and any(names >= set(SOURCES) for names in stems.values()):
        order = SOURCES
    if order is None:
        repeated = Counter(names for names in stems.values() if len(names) == num_sources).most_common(1)
        if not repeated or repeated[0][1] < 2:
            return {}, None
        order = tuple(sorted(repeated[0][0]))
    songs = {}
    for folder, files in folders.items():
        wide = any(isinstance(head, Head) and head.channels == num_sources for head in map(known.__getitem__, files))
        common = stems[folder] & set(order)
        if len(common) >= (num_sources if wide else 2):
            songs[folder] = files
    return songs, order if songs else None


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


def _finish(found: Found, folder: Path, num_sources: int) -> None:
    """Order, and what is to be said of all tracks together."""
    where = printable(str(folder))
    if not found.tracks:
        if not found.failures:
            raise RequestError(f"{where} holds no audio: give a folder of WAV files with a channel a stem as data.data_path")
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


def _stem(file: str) -> str:
    """Name of the stem in a file of its own."""
    return _without_suffix(file.rpartition("/")[2]).lower()


def _without_suffix(name: str) -> str:
    if name.lower().endswith(SUFFIX):
        return name[: -len(SUFFIX)]
    return name[: name.rindex(".")]  # all that counts as audio has a suffix
