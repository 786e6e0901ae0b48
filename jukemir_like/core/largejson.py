"""JSON objects with more members than should be in memory at once: read one after another, and again when one is asked for.

A file is read in windows, and each member parsed by the standard library, so that values are those of :func:`jsonfiles.parse`.
"""

from __future__ import annotations

import codecs
import hashlib
import json
import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from jukemir_like.core import files, jsonfiles

_WINDOW_BYTES = 1 << 20
_SPACES = re.compile(r"[ \t\n\r]*")


class StreamError(ValueError):
    """What is read is no JSON object, or one with a duplicate name. Where, is for :func:`jsonfiles.parse` to say."""


@dataclass(frozen=True)
class Member:
    """One member of an object: its name, its value, and which bytes of the file the value is."""

    name: str
    value: Any
    begin: int
    end: int


class StoredObject(Mapping[str, Any]):
    """The object in a file, as a mapping whose values are parsed again each time; a name takes some 170 bytes of memory.

    Args:
        path: of the file, which is read once, whole. It may be replaced later, not changed.
        check: called with each name and value; raises ValueError for one that is not as it should be.

    Attributes:
        sha256: of the file's bytes.

    Raises:
        OSError: it cannot be read, see :func:`files.open_regular`.
        StreamError: it is no JSON object.
        ValueError: as ``check``.

    >>> _ = Path("numbers.json").write_text('{"one": {"value": 1}, "two": {"value": 2}}')
    >>> numbers = StoredObject(Path("numbers.json"), lambda name, value: None)
    >>> list(numbers), numbers["two"]
    (['one', 'two'], {'value': 2})
    """

    def __init__(self, path: Path, check: Callable[[str, Any], object]):
        self._file = files.open_regular(path)
        digest = hashlib.sha256()
        self._places: dict[str, int] = {}  # one number per name takes less memory than two
        for member in members(self._file, digest.update):
            check(member.name, member.value)
            if member.name in self._places:
                raise StreamError("has a duplicate name")
            self._places[member.name] = member.begin << 32 | (member.end - member.begin)
        self.sha256 = digest.hexdigest()

    def __getitem__(self, name: str) -> Any:
        place = self._places[name]
        begin, size = place >> 32, place & 0xFFFFFFFF
        return json.loads(os.pread(self._file.fileno(), size, begin).decode())  # which has been checked

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)

    def __contains__(self, name: object) -> bool:
        return name in self._places

    def __reduce__(self) -> tuple[Any, ...]:
        return dict, (dict(self),)

    def __del__(self) -> None:
        if hasattr(self, "_file"):
            self._file.close()


def members(file: BinaryIO, on_bytes: Callable[[bytes], object] = lambda _: None) -> Iterator[Member]:
    """The members of the JSON object in ``file``, one after another, in constant memory.

    Args:
        file: open at its beginning.
        on_bytes: called with what is read, part after part.

    Raises:
        StreamError: it is no JSON object.

    >>> import io
    >>> [(member.name, member.value) for member in members(io.BytesIO(b'{"a": [1, 2], "b": null}'))]
    [('a', [1, 2]), ('b', None)]
    """
    window = _Window(file, on_bytes)
    window.expect("{")
    if window.next() == "}":
        window.expect("}")
    else:
        while True:
            name, _, _ = window.take()
            if not isinstance(name, str):
                raise StreamError("has a name that is no string")
            window.expect(":")
            window.next()
            yield Member(name, *window.take())
            if window.next() == "}":
                window.expect("}")
                break
            window.expect(",")
            window.next()
    if window.next():
        raise StreamError("does not end with the object")


_DECODER = json.JSONDecoder(object_pairs_hook=jsonfiles.without_duplicates)


class _Window:
    """A part of a text, and the place in it up to which it is done with."""

    def __init__(self, file: BinaryIO, on_bytes: Callable[[bytes], object]):
        self._file, self._on_bytes = file, on_bytes
        self._decode = codecs.getincrementaldecoder("utf-8")().decode
        self._text, self._at = "", 0
        self._bytes = 0  # of the file, before the place
        self._has_ended = False
        while not self._text and self._fill(_WINDOW_BYTES):
            pass
        if self._text.startswith("\ufeff"):
            self._advance(1)

    def next(self) -> str:
        """The next character that is no space, which is not taken; empty at the end."""
        while True:
            spaces = _SPACES.match(self._text, self._at)
            self._advance(spaces.end() if spaces else self._at)
            if self._at < len(self._text) or not self._fill(_WINDOW_BYTES):
                return self._text[self._at : self._at + 1]

    def expect(self, character: str) -> None:
        """Takes one character, after spaces; it must be this one."""
        if self.next() != character:
            raise StreamError(f"has no {character}")
        self._advance(self._at + 1)

    def take(self) -> tuple[Any, int, int]:
        """The value that begins here; and which bytes of the file it is."""
        if self._at > _WINDOW_BYTES:
            self._text, self._at = self._text[self._at :], 0
        more = _WINDOW_BYTES
        while True:
            try:
                value, end = _DECODER.raw_decode(self._text, self._at)
                # A number may go on behind the window: of 1.5e3, what has come may be 1, 1. or 1.5e.
                if (end < len(self._text) and self._text[end] not in ".eE") or not self._fill(more):
                    break
            except (ValueError, RecursionError) as error:
                if not self._fill(more):
                    raise StreamError("is no JSON") from error
            more *= 2
        begin = self._bytes
        self._advance(end)
        return value, begin, self._bytes

    def _advance(self, end: int) -> None:
        part = self._text[self._at : end]
        self._bytes += len(part) if part.isascii() else len(part.encode())
        self._at = end

    def _fill(self, size: int) -> bool:
        """Reads on; whether there was more."""
        if self._has_ended:
            return False
        data = self._file.read(size)
        self._has_ended = not data
        self._on_bytes(data)
        try:
            self._text += self._decode(data, self._has_ended)
        except UnicodeDecodeError as error:
            raise StreamError("is not UTF-8") from error
        return not self._has_ended
