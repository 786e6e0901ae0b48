"""Which audio file each row means.

A row names its file by its path in the folder, with or without the extension; by its bare name where that is unique. A path with a folder
in it means the file there and no other. An accented letter may be one code point in the table and two on the disk, as macOS has them.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from jukemir_like import audio
from jukemir_like.core.errors import RequestError
from jukemir_like.core.files import printable
from jukemir_like.datasets import uids
from jukemir_like.datasets.folder.table import Table


@dataclass
class Matched:
    """What the rows lead to.

    Args:
        uids: of every row.
        files: relative path of every row's file, None where it is not there.
        unlabelled: number of audio files that no row leads to.
        notes: what is worth saying.
    """

    uids: list[str] = field(default_factory=list)
    files: list[str | None] = field(default_factory=list)
    unlabelled: int = 0
    notes: list[str] = field(default_factory=list)


def match(table: Table, folder: Path) -> Matched:
    """Finds the file of every row of ``table`` in ``folder``.

    Raises:
        RequestError: a row names no file or could mean several; two rows have one uid or lead to one file; a uid that is no file name.
    """
    if not folder.is_dir():
        raise RequestError(f"{folder} is not a folder: give the folder of audio files")
    matched = Matched()
    found = audio.find(folder, on_error=lambda name, reason: matched.notes.append(f"{printable(name)}: {reason}, its files are not found"))
    known = _Known(found)
    line_of_uid: dict[str, int] = {}
    line_of_file: dict[str, int] = {}
    others: list[str] = []
    for row in table.rows:
        own, path = (row.cells.get(table.reserved.get(name, ""), "") for name in ("uid", "path"))
        if not (path or own):
            raise table.refusal(row.line, "names no file")
        given = _within(path or own, folder)
        candidates = known.find(given)
        if len(candidates) > 1:
            could = " or ".join(map(printable, candidates[:3]))
            raise table.refusal(row.line, f"{given!r} could be {could}: write the path with its extension")
        file = candidates[0] if candidates else None
        uid = own or _bare(file or given)
        if reason := uids.fault(uid):
            raise table.refusal(row.line, f"uid {printable(uid)!r} {reason} (paths are within {folder})")
        if uid in line_of_uid:
            raise table.refusal(
                row.line, f"{printable(uid)!r} was already given in line {line_of_uid[uid]}: keep one of them, or tell them apart by uid"
            )
        if file in line_of_file:
            raise table.refusal(row.line, f"{given!r} is {printable(str(file))}, and so was line {line_of_file[file]}: keep one of them")
        line_of_uid[uid] = row.line
        if file is not None:
            line_of_file[file] = row.line
            if _bare(given) != given and PurePosixPath(given).suffix.lower() != PurePosixPath(file).suffix.lower():
                others.append(f"{printable(given)} is {printable(file)}")
        matched.uids.append(uid)
        matched.files.append(file)
    matched.unlabelled = len(found) - len(line_of_file)
    if others:
        matched.notes.append(f"rows that name another extension than their file has: {len(others):,}, such as {others[0]}")
    if not line_of_file:
        matched.notes.append(f"no row leads to a file: paths are taken from {printable(str(folder))}, which has {len(found):,} audio files")
    return matched


def _bare(path: str) -> str:
    """``path`` without the extension of an audio file; what else has a dot in it is part of the name."""
    whole = PurePosixPath(path)
    return str(whole.with_suffix("")) if whole.suffix.lower() in audio.EXTENSIONS else path


def _within(given: str, folder: Path) -> str:
    """The path as it is within ``folder``: without ``./``, and without the folder where that is part of it."""
    path = PurePosixPath(given)
    for root in (folder.absolute(), folder.resolve()) if path.is_absolute() else ():
        if path.is_relative_to(root.as_posix()):
            return str(path.relative_to(root.as_posix()))
    return str(path)


class _Known:
    """Audio files by what a table may call them."""

    def __init__(self, found: Sequence[str]) -> None:
        self._as_they_are = _Names(found, str)
        self._composed = _Names(found, lambda name: unicodedata.normalize("NFC", name))

    def find(self, given: str) -> list[str]:
        """The files that ``given`` can mean; of several ways to read it the first that leads to one counts."""
        for text in dict.fromkeys((given, given.replace("\\", "/"))):  # Windows writes a folder's end so
            for names in (self._as_they_are, self._composed):
                if found := names.find(text):
                    return found
        return []


class _Names:
    """Files by their paths, in one spelling of Unicode: whole, without extension, and the bare names so."""

    def __init__(self, found: Sequence[str], form: Callable[[str], str]) -> None:
        self._form = form
        self._files: tuple[dict[str, list[str]], ...] = ({}, {}, {}, {})
        for file in found:
            path = form(file)
            name = PurePosixPath(path).name
            for files, key in zip(self._files, (path, _bare(path), name, _bare(name)), strict=True):
                files.setdefault(key, []).append(file)

    def find(self, given: str) -> list[str]:
        text = self._form(given)
        for name in dict.fromkeys((text, _bare(text))):
            for files in self._files[: 2 if "/" in text else 4]:
                if name in files:
                    return files[name]
        return []
