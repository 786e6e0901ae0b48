"""A track: stems of one piece of music that sound together, in one file or in several; what a folder holds of them, and its splits."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from jukemir_like.audio.wav import WavLayout
from jukemir_like.core.errors import InputError, RequestError

NATIVE_SUFFIX = ".stem.mp4"
"""Of Native Instruments' Stems, and of MUSDB18: a file whose first stream is the mixture, the others the stems."""


@dataclass(frozen=True)
class Track:
    """One track.

    Args:
        name: relative path without suffix; unique in its folder.
        files: one file with a channel per stem, or one file per stem, in the order of the stems.
        sample_rate: in Hz.
        frames: samples of each stem; of the longest, where there is a file per stem.
        channels: number of stems.
        split: ``train``, ``valid``, ``test``, or None where it is not known.
        group: whose tracks must not be on both sides of a split (artist); None: the track is by itself.
        layouts: where the samples lie in each file; None for a file that libsndfile reads.
        folder: number of the folder that it is in, where there are several.
        stems: names of its own stems, in the order of the channels; none where all tracks have the same.
        numbers: of its own stems, the numbers of their instruments, as :func:`numbered` gives them; none: those of the channels.
    """

    name: str
    files: tuple[Path, ...]
    sample_rate: int
    frames: int
    channels: int
    split: str | None = None
    group: str | None = None
    layouts: tuple[WavLayout | None, ...] = ()
    folder: int = 0
    stems: tuple[str, ...] = ()
    numbers: tuple[int, ...] = ()


@dataclass
class StemFolder:
    """What a folder holds.

    Args:
        tracks: sorted by name.
        failures: file or folder that cannot be used → why.
        sources: names of the stems, where the folder gives them.
        notes: further lines to show.
    """

    tracks: list[Track]
    failures: dict[str, str] = field(default_factory=dict)
    sources: tuple[str, ...] | None = None
    notes: list[str] = field(default_factory=list)


def is_native(path: Path) -> bool:
    """Whether a file's name says that it is a ``.stem.mp4``."""
    return path.name.lower().endswith(NATIVE_SUFFIX)


def without_suffix(name: str) -> str:
    """A name or path of audio without its suffix.

    >>> without_suffix("a/Song.wav"), without_suffix("a/Song.stem.mp4")
    ('a/Song', 'a/Song')
    """
    if name.lower().endswith(NATIVE_SUFFIX):
        return name[: -len(NATIVE_SUFFIX)]
    return name[: name.rindex(".")]  # all that counts as audio has a suffix


def common_sample_rate(sample_rates: Iterable[int]) -> int:
    """The sample rate of all stems of a song; :class:`InputError` where they differ."""
    rates = sorted(set(sample_rates))
    if len(rates) > 1:
        raise InputError(f"has stems of different sample rates: {', '.join(map(str, rates))} Hz")
    return rates[0]


def numbered(track: Track, instruments: Sequence[str]) -> Track:
    """A track with stems of its own, with their numbers: the places of their names in ``instruments``; -1 of a name that is not there.

    >>> numbered(Track("song", (), 16000, 1, 2, stems=("cello", "drums")), ["bass", "drums"]).numbers
    (-1, 1)
    """
    place = {name: number for number, name in enumerate(instruments)}
    return replace(track, numbers=tuple(place.get(name, -1) for name in track.stems))


def split(folder: StemFolder, valid_fraction: float, seed: int) -> tuple[list[Track], list[Track]]:
    """Tracks to train on and held-out tracks, each in the order of ``folder``.

    Where the folder has splits they hold: train, and tracks of no split, against valid; test is in neither. Where it has no valid one,
    ``valid_fraction`` of the others is sampled by ``seed``, whole groups together, at least one of them (none where the fraction is 0).

    Raises:
        RequestError: nothing is left to train on.
    """
    train = [track for track in folder.tracks if track.split in ("train", None)]
    valid = [track for track in folder.tracks if track.split == "valid"]
    if not valid and valid_fraction > 0:
        held_out = _sample_groups(train, valid_fraction, seed)
        valid = [track for track in train if _group(track) in held_out]
        train = [track for track in train if _group(track) not in held_out]
    if not train:
        raise RequestError(f"no track is left to train on: {len(folder.tracks)} found, {len(valid)} of them held out")
    return train, valid


def _group(track: Track) -> tuple[str, str]:
    return ("track", track.name) if track.group is None else ("group", track.group)


def _sample_groups(tracks: Sequence[Track], fraction: float, seed: int) -> set[tuple[str, str]]:
    """Groups of at least ``fraction`` of the tracks, but never all groups."""
    groups = sorted({_group(track) for track in tracks})
    sizes = dict.fromkeys(groups, 0)
    for track in tracks:
        sizes[_group(track)] += 1
    chosen: set[tuple[str, str]] = set()
    wanted, count = fraction * len(tracks), 0
    for position in np.random.default_rng((seed & 0xFFFFFFFFFFFFFFFF, len(groups))).permutation(len(groups))[:-1]:
        if chosen and count >= wanted:
            break
        chosen.add(groups[position])
        count += sizes[groups[position]]
    return chosen


_SPLIT_FOLDERS = {
    **dict.fromkeys(("train", "training", "trainset", "train_set"), "train"),
    **dict.fromkeys(("valid", "validation", "val", "validset", "valid_set", "dev", "development"), "valid"),
    **dict.fromkeys(("test", "testing", "testset", "test_set", "eval", "evaluation"), "test"),
}


def with_splits_of_folders(tracks: Sequence[Track]) -> tuple[list[Track], list[str]]:
    """The tracks with the splits that their folders are named after, and lines about it: ``train/`` and ``test/``, as in MUSDB18.

    A folder counts as a split where one of another split is in the same folder: ``train/`` alone, or a song called ``Test``, says nothing.
    """
    splits: dict[str, set[str]] = defaultdict(set)  # parent → splits that its folders are named after
    for track in tracks:
        for parent, part in _split_folders(track.name):
            splits[parent].add(part)
    changed = [replace(track, split=_split_of(track.name, splits) or track.split) for track in tracks]
    counts = Counter(track.split for track in changed)
    if counts.keys() - {None}:
        shares = ", ".join(f"{counts[part]:,} {part}" for part in ("train", "valid", "test") if counts[part])
        others = f"; {counts[None]:,} in no such folder, which count as train" if counts[None] else ""
        return changed, [f"splits by the names of folders: {shares}{others}"]
    alone = " or ".join(sorted({part for parts in splits.values() for part in parts} - {"train"}))
    if alone and len(tracks) > 1:
        return changed, [f"folders are called as the split {alone}, but none beside them is train: no splits are taken from them"]
    return changed, []


def _split_of(name: str, splits: dict[str, set[str]]) -> str | None:
    return next((split for parent, split in _split_folders(name) if len(splits[parent]) > 1), None)


def _split_folders(name: str) -> list[tuple[str, str]]:
    """Parent and split of each folder above a track that is named after a split; the track's own name is none."""
    if "/" not in name:
        return []
    parts = name.split("/")[:-1]
    return [("/".join(parts[:depth]), _SPLIT_FOLDERS[part.lower()]) for depth, part in enumerate(parts) if part.lower() in _SPLIT_FOLDERS]
