"""A track: stems of one piece of music that sound together, in one file or in several."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from jukemir_like.audio.stems.wav import Layout
from jukemir_like.core.errors import RequestError


@dataclass(frozen=True)
class Track:
    """One track.

    Args:
        name: relative path without suffix; unique in its folder.
        files: one file with a channel a stem, or one file a stem, in the order of the stems.
        sample_rate: in Hz.
        frames: samples of a stem; of the longest, where there is a file each.
        channels: stems.
        split: ``train``, ``valid``, ``test``, or None where nobody said.
        group: whose tracks must not be on both sides of a split (artist); None: the track is by itself.
        layouts: where the samples lie in each file; None for a file that libsndfile reads.
    """

    name: str
    files: tuple[Path, ...]
    sample_rate: int
    frames: int
    channels: int
    split: str | None = None
    group: str | None = None
    layouts: tuple[Layout | None, ...] = ()


@dataclass
class Found:
    """What a folder holds.

    Args:
        tracks: sorted by name.
        failures: file or folder that cannot be used → why.
        sources: names of the stems, where the folder tells them.
        notes: further lines worth saying.
    """

    tracks: list[Track]
    failures: dict[str, str] = field(default_factory=dict)
    sources: tuple[str, ...] | None = None
    notes: list[str] = field(default_factory=list)


def split(found: Found, valid_fraction: float, seed: int) -> tuple[list[Track], list[Track]]:
    """Tracks to train on and held-out tracks, each in the order of ``found``.

    Where the folder has splits they hold: train, and tracks of no split, against valid; test is in neither. Where it has no valid one,
    ``valid_fraction`` of the others is drawn by ``seed``, whole groups together, at least one of them (none where the fraction is 0).

    Raises:
        RequestError: nothing is left to train on.
    """
    train = [track for track in found.tracks if track.split in ("train", None)]
    valid = [track for track in found.tracks if track.split == "valid"]
    if not valid and valid_fraction > 0:
        held_out = _draw_groups(train, valid_fraction, seed)
        valid = [track for track in train if _group(track) in held_out]
        train = [track for track in train if _group(track) not in held_out]
    if not train:
        raise RequestError(f"no track is left to train on: {len(found.tracks)} found, {len(valid)} of them held out")
    return train, valid


def _group(track: Track) -> tuple[str, str]:
    return ("track", track.name) if track.group is None else ("group", track.group)


def _draw_groups(tracks: Sequence[Track], fraction: float, seed: int) -> set[tuple[str, str]]:
    """Groups of at least ``fraction`` of the tracks, but never all groups."""
    groups = sorted({_group(track) for track in tracks})
    sizes = dict.fromkeys(groups, 0)
    for track in tracks:
        sizes[_group(track)] += 1
    drawn: set[tuple[str, str]] = set()
    wanted, number = fraction * len(tracks), 0
    for position in np.random.default_rng((seed & 0xFFFFFFFFFFFFFFFF, len(groups))).permutation(len(groups))[:-1]:
        if drawn and number >= wanted:
            break
        drawn.add(groups[position])
        number += sizes[groups[position]]
    return drawn
