"""Splits that folders tell: ``train/`` and ``test/`` side by side, as in MUSDB18, perhaps with ``valid/``."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import replace

from jukemir_like.audio.stems.tracks import Track

_NAMES = {
    **dict.fromkeys(("train", "training", "trainset", "train_set"), "train"),
    **dict.fromkeys(("valid", "validation", "val", "validset", "valid_set", "dev", "development"), "valid"),
    **dict.fromkeys(("test", "testing", "testset", "test_set", "eval", "evaluation"), "test"),
}


def by_folder(tracks: Sequence[Track]) -> tuple[list[Track], list[str]]:
    """The tracks with the splits that their folders are called by, and what is to be said of it.

    A folder counts as a split where one of another split stands beside it: ``train/`` alone, or a song called ``Test``, says nothing.
    """
    beside: dict[str, set[str]] = defaultdict(set)
    for track in tracks:
        for parent, split in _steps(track.name):
            beside[parent].add(split)
    told = [replace(track, split=part) if (part := _split(track.name, beside)) else track for track in tracks]
    counts = Counter(track.split for track in told)
    if counts.keys() - {None}:
        shares = ", ".join(f"{counts[split]:,} {split}" for split in ("train", "valid", "test") if counts[split])
        others = f"; {counts[None]:,} in no such folder, which count as train" if counts[None] else ""
        return told, [f"splits by the names of folders: {shares}{others}"]
    alone = sorted({split for splits in beside.values() for split in splits} - {"train"})
    if alone and len(tracks) > 1:
        return told, [f"folders are called as the split {' or '.join(alone)}, but none beside them is train: no splits are taken from them"]
    return told, []


def _split(name: str, beside: dict[str, set[str]]) -> str | None:
    return next((split for parent, split in _steps(name) if len(beside[parent]) > 1), None)


def _steps(name: str) -> list[tuple[str, str]]:
    """Parent and split of each folder above a track that is called as a split; the track's own name is none."""
    if "/" not in name:
        return []
    parts = name.split("/")[:-1]
    return [("/".join(parts[:depth]), _NAMES[part.lower()]) for depth, part in enumerate(parts) if part.lower() in _NAMES]
