"""The audio file and the split of each row.

A row names its file by its path in the folder, with or without the extension, or by its bare name where that is unique. A path with a
folder in it means the file there and no other. An accented letter may be one code point in the table and two on the disk, as on macOS.
The split is the one in the table; missing ones are assigned at random, by group.
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import numpy as np

from jukemir_like import audio
from jukemir_like.core.errors import RequestError
from jukemir_like.core.files import printable
from jukemir_like.datasets.dataset import SPLIT_OF_WORD, SPLIT_SHARES, SPLITS, uid_fault
from jukemir_like.datasets.folder.table import LabelTable, is_missing


@dataclass
class FileMatches:
    """The uid and the file of each row.

    Args:
        uids: of every row.
        files: relative path of every row's file, None where it does not exist.
        unlabelled: number of audio files without a row.
        notes: to be reported.
    """

    uids: list[str] = field(default_factory=list)
    files: list[str | None] = field(default_factory=list)
    unlabelled: int = 0
    notes: list[str] = field(default_factory=list)


def match_files(table: LabelTable, folder: Path) -> FileMatches:
    """Finds the file of every row of ``table`` in ``folder``.

    Raises:
        RequestError: a row names no file or could mean several; two rows have the same uid or file; a uid that cannot be a file name.
    """
    if not folder.is_dir():
        raise RequestError(f"{folder} is not a folder: give the folder of audio files")
    matches = FileMatches()
    audio_files = audio.find(
        folder, on_error=lambda name, reason: matches.notes.append(f"{printable(name)}: {reason}, its files are not found")
    )
    index = _FileIndex(audio_files)
    line_of_uid: dict[str, int] = {}
    line_of_file: dict[str, int] = {}
    other_extensions: list[str] = []
    for row in table.rows:
        row_uid, path = (row.cells.get(table.reserved.get(name, ""), "") for name in ("uid", "path"))
        if not (path or row_uid):
            raise table.error(row.line, "names no file")
        given = _within(path or row_uid, folder)
        candidates = index.find(given)
        if len(candidates) > 1:
            choices = " or ".join(map(printable, candidates[:3]))
            raise table.error(row.line, f"{given!r} could be {choices}: write the path with its extension")
        file = candidates[0] if candidates else None
        uid = row_uid or _without_extension(file or given)
        if reason := uid_fault(uid):
            raise table.error(row.line, f"uid {printable(uid)!r} {reason} (paths are within {folder})")
        if uid in line_of_uid:
            raise table.error(
                row.line, f"{printable(uid)!r} was already given in line {line_of_uid[uid]}: keep one of them, or tell them apart by uid"
            )
        if file in line_of_file:
            raise table.error(row.line, f"{given!r} is {printable(str(file))}, and so was line {line_of_file[file]}: keep one of them")
        line_of_uid[uid] = row.line
        if file is not None:
            line_of_file[file] = row.line
            if _without_extension(given) != given and PurePosixPath(given).suffix.lower() != PurePosixPath(file).suffix.lower():
                other_extensions.append(f"{printable(given)} is {printable(file)}")
        matches.uids.append(uid)
        matches.files.append(file)
    matches.unlabelled = len(audio_files) - len(line_of_file)
    if other_extensions:
        matches.notes.append(
            f"rows that name another extension than their file has: {len(other_extensions):,}, such as {other_extensions[0]}"
        )
    if not line_of_file:
        matches.notes.append(
            f"no row names an existing file: paths are taken from {printable(str(folder))}, which has {len(audio_files):,} audio files"
        )
    return matches


def read_splits(table: LabelTable) -> list[str | None]:
    """The split that each row names; None where it names none.

    Raises:
        RequestError: a word that stands for none of the three.
    """
    column = table.reserved.get("split")
    if column is None:
        return [None] * len(table.rows)
    splits = []
    for row in table.rows:
        word = row.cells[column]
        if word.casefold() not in SPLIT_OF_WORD and not is_missing(word):
            raise table.error(
                row.line,
                f"split {word!r} is not one of train, valid, test (or another usual word for these; or empty, to have it assigned)",
            )
        splits.append(SPLIT_OF_WORD.get(word.casefold()))
    return splits


def assign_splits(splits: Sequence[str | None], groups: Sequence[str], seed: int) -> list[str]:
    """``splits`` with the missing ones assigned: groups in random order, each to the split that lacks most of its share.

    Args:
        splits: those in the table; a group that has one keeps it.
        groups: of every row; empty: the row is a group by itself.
        seed: of the order.

    >>> assign_splits(["test", None, None, None], ["a", "a", "b", "b"], seed=0)
    ['test', 'test', 'train', 'train']
    """
    # A NUL byte cannot be in a table, so these names are no group's.
    groups = [group or f"\0{number}" for number, group in enumerate(groups)]
    split_of: dict[str, str] = {group: split for group, split in zip(groups, splits, strict=True) if split}
    counts = Counter(split for split in splits if split)
    sizes = Counter(group for group, split in zip(groups, splits, strict=True) if not split)
    order = sorted(sizes)
    for index in np.random.default_rng([seed, len(order)]).permutation(len(order)):
        group = order[index]
        split = split_of.setdefault(group, _neediest(counts))
        counts[split] += sizes[group]
    return [split or split_of[group] for group, split in zip(groups, splits, strict=True)]


def _neediest(counts: Mapping[str, int]) -> str:
    return min(SPLITS, key=lambda split: (counts.get(split, 0) + 1) / SPLIT_SHARES[split])


def _without_extension(path: str) -> str:
    """``path`` without the extension of an audio file; other dots are part of the name."""
    parsed = PurePosixPath(path)
    return str(parsed.with_suffix("")) if parsed.suffix.lower() in audio.EXTENSIONS else path


def _within(given: str, folder: Path) -> str:
    """The path relative to ``folder``: without ``./``, and without the folder where the path begins with it."""
    path = PurePosixPath(given)
    for root in (folder.absolute(), folder.resolve()) if path.is_absolute() else ():
        if path.is_relative_to(root.as_posix()):
            return str(path.relative_to(root.as_posix()))
    return str(path)


class _FileIndex:
    """Audio files by the names that a table may give them."""

    def __init__(self, audio_files: Sequence[str]) -> None:
        self._as_written = _SpellingIndex(audio_files, str)
        self._composed = _SpellingIndex(audio_files, lambda name: unicodedata.normalize("NFC", name))

    def find(self, given: str) -> list[str]:
        """The files that ``given`` can mean, by the first way to read it that gives any."""
        for text in dict.fromkeys((given, given.replace("\\", "/"))):  # with \ between folders on Windows
            for index in (self._as_written, self._composed):
                if files := index.find(text):
                    return files
        return []


class _SpellingIndex:
    """Files by path, by path without extension, by bare name and by bare name without extension, in one normal form of Unicode."""

    def __init__(self, audio_files: Sequence[str], normalise: Callable[[str], str]) -> None:
        self._normalise = normalise
        self._files: tuple[dict[str, list[str]], ...] = ({}, {}, {}, {})
        for file in audio_files:
            path = normalise(file)
            name = PurePosixPath(path).name
            for files, key in zip(self._files, (path, _without_extension(path), name, _without_extension(name)), strict=True):
                files.setdefault(key, []).append(file)

    def find(self, given: str) -> list[str]:
        text = self._normalise(given)
        for name in dict.fromkeys((text, _without_extension(text))):
            for files in self._files[: 2 if "/" in text else 4]:  # a path with a folder never means a bare name
                if name in files:
                    return files[name]
        return []
