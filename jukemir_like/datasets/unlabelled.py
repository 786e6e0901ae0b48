"""Files that no table describes: what they are called, and which split they are in."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import PurePosixPath

from jukemir_like.core.errors import RequestError
from jukemir_like.core.files import printable
from jukemir_like.datasets.dataset import SPLITS, Item, uid_fault
from jukemir_like.datasets.folder.matching import assign_splits


def uids(relative: Sequence[str]) -> list[str]:
    """Paths within a folder without their extension, but with it where two files would have the same; what cannot be a uid is escaped.

    Raises:
        RequestError: one cannot be the name of a file.

    >>> uids(["a/song.mp3", "b/song.ogg", "b/song.mp3"])
    ['a/song', 'b/song.ogg', 'b/song.mp3']
    """
    stems = [printable(PurePosixPath(path).with_suffix("").as_posix()) for path in relative]
    counts = Counter(stems)
    names = [stem if counts[stem] == 1 else printable(path) for stem, path in zip(stems, relative, strict=True)]
    for uid in names:
        if reason := uid_fault(uid):
            raise RequestError(f"{uid} {reason}: rename the file")
    return names


def in_splits(items: Sequence[Item], used: Sequence[bool], group: str | None, seed: int) -> tuple[list[Item], str]:
    """The items in splits at random, and a line that says so.

    Args:
        items: all of them.
        used: which of them are in a split; the others are in none.
        group: the key of ``extra`` whose items are in one split, a folder; None: every item by itself.
        seed: of the assignment.
    """
    chosen = [item for item, is_used in zip(items, used, strict=True) if is_used]
    splits = assign_splits([None] * len(chosen), ["" if group is None else item.extra[group] for item in chosen], seed)
    split_of = {item.uid: split for item, split in zip(chosen, splits, strict=True)}
    counts = Counter(splits)
    shown = ", ".join(f"{split} {counts[split]:,}" for split in SPLITS)
    note = f"splits assigned at random, {'song by song' if group is None else 'by folder'}, with seed {seed}: {shown}"
    return [replace(item, split=split_of.get(item.uid)) for item in items], note
