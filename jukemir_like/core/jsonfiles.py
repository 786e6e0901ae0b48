"""Strict reading of JSON that somebody else may have written: plain values, not nested without end, and of the expected shape.

A shape is written as the JSON would be, with types in the place of values::

    {"seed": int, "labels": [str], "metrics": {str: float}, "group?": str, "split": {"train", "test"}, "clip": (None, dict)}

- ``str``, ``bool``, ``int``, ``float`` (a whole number is one too), ``None``, ``list``, ``dict``; ``object``: anything
- a set: one of these values; a tuple: of one of these shapes
- ``[shape]``: a list of such; ``{str: shape}``: any names, such values
- ``{"name": shape}``: at least these names; ``"name?"``: may be missing or null
"""

from __future__ import annotations

import json
import os
from typing import Any

from jukemir_like.core import files

_MAX_DEPTH = 64  # lists and objects within each other; what stages write has ten at most
_MAX_NUMBER = 1e300
_MAX_NAMES = 6  # in the path to what is wrong

_WORDS: dict[Any, str] = {
    str: "text",
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    type(None): "null",
    list: "a list",
    dict: "an object",
}


def read(path: str | os.PathLike[str], shape: Any, remedy: str) -> Any:
    """The value in a file.

    Raises:
        FileNotFoundError: there is no such file.
        DamagedFileError: it cannot be read, is no JSON, or not of ``shape``; with ``remedy`` as what to do.
    """
    with files.damage_errors(path, remedy):
        value = parse(files.read_regular(path))
        check(value, shape)
        return value


def parse(data: bytes) -> Any:
    """The value that ``data`` holds; it may still be of any shape, see :func:`check`.

    Raises:
        ValueError: it is no JSON, or has a duplicate name in an object; the message is to follow the name of the file.

    >>> parse(b'{"seed": 0, "labels": ["a"]}')
    {'seed': 0, 'labels': ['a']}
    """
    try:
        return json.loads(data.decode("utf-8-sig"), object_pairs_hook=without_duplicates)
    except RecursionError:
        raise ValueError("is nested too deeply") from None
    except UnicodeDecodeError as error:
        raise ValueError(f"is not UTF-8 (byte {error.start:,})") from error
    except ValueError as error:
        raise ValueError(f"is not JSON ({error})") from error


def check(value: Any, shape: Any) -> None:
    """ValueError unless ``value`` is of ``shape``; the message names the field, and is to follow the name of the file.

    Everything in it must be plain too: numbers finite and below 1e300, text of whole characters and bytes, at most 64 levels.

    >>> check({"seed": "0"}, {"seed": int})
    Traceback (most recent call last):
    jukemir_like.core.jsonfiles._MisfitError: is damaged: seed is '0', not a whole number
    """
    _check(value, shape, 0)


class _MisfitError(ValueError):
    """What is wrong, and the names that lead to it from the outside."""

    def __init__(self, problem: str):
        super().__init__(problem)
        self.problem = problem
        self.names: list[str] = []

    def __str__(self) -> str:
        return f"is damaged: {'.'.join(self.names[::-1][:_MAX_NAMES]) or 'it'} {self.problem}"


def _check(value: Any, shape: Any, depth: int) -> None:
    shapes = shape if isinstance(shape, tuple) else (shape,)
    fitting = next((one for one in shapes if _is_of_kind(value, one)), shapes)
    if fitting is shapes:
        raise _MisfitError(f"is {_shown(value)}, not {' or '.join(map(_words, shapes))}")
    if isinstance(value, dict):
        _check_object(value, fitting if isinstance(fitting, dict) else {str: object}, depth)
    elif isinstance(value, list):
        inner = fitting[0] if isinstance(fitting, list) else object
        for index, item in enumerate(value):
            _check_part(index, item, inner, depth)
    elif isinstance(value, str):
        _check_text(value)
    elif isinstance(value, (int, float)) and not abs(value) < _MAX_NUMBER:  # so written, NaN is found as well
        raise _MisfitError(f"is {_short(repr(value))}, which is too large or not finite")


def _check_object(value: dict[str, Any], shape: dict[Any, Any], depth: int) -> None:
    for name, inner in shape.items():
        if name is str:
            for key, item in value.items():
                _check_text(key)
                _check_part(key, item, inner, depth)
        elif name.endswith("?"):
            if value.get(name[:-1]) is not None:
                _check_part(name[:-1], value[name[:-1]], inner, depth)
        elif name in value:
            _check_part(name, value[name], inner, depth)
        else:
            raise _MisfitError(f"has no {name}")


def _check_part(name: Any, value: Any, shape: Any, depth: int) -> None:
    """As :func:`check`, of a part that is called ``name``."""
    if depth == _MAX_DEPTH:
        raise _MisfitError("is nested too deeply")
    if (shape is object or type(value) is shape) and _is_simple(value):
        return
    try:
        _check(value, shape, depth + 1)
    except _MisfitError as error:
        error.names.append(_short(repr(name)[1:-1] if isinstance(name, str) else str(name)))
        raise


def _is_simple(value: Any) -> bool:
    """Whether a value is one of those that files hold by the hundred thousand, and in which nothing can be wrong."""
    kind = type(value)
    return (kind is str and value.isascii()) or (kind is int and -_MAX_NUMBER < value < _MAX_NUMBER)


def _check_text(text: str) -> None:
    """Names of files that are not UTF-8 hold half characters, each of which stands for a byte; others stand for nothing."""
    if not text.isascii():
        try:
            text.encode("utf-8", "surrogateescape")
        except UnicodeEncodeError as error:
            raise _MisfitError(f"has half a character, {text[error.start]!r}") from error


def _is_of_kind(value: Any, shape: Any) -> bool:
    if shape is object:
        return True
    if isinstance(shape, set):
        return type(value) in (str, int) and value in shape
    kind = shape if isinstance(shape, type) else type(shape)
    return type(value) is kind or (kind is float and type(value) is int)


def _words(shape: Any) -> str:
    if isinstance(shape, set):
        return f"one of {', '.join(map(str, sorted(shape)))}"
    return _WORDS[shape if isinstance(shape, type) else type(shape)]


def _shown(value: Any) -> str:
    return _WORDS[type(value)] if isinstance(value, (dict, list)) or value is None else _short(repr(value))


def _short(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:59]}…"


def without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of these members; ValueError where a name is a duplicate. For ``object_pairs_hook`` of :mod:`json`."""
    value = dict(pairs)
    if len(value) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"{_short(repr(next(name for name in names if names.count(name) > 1)))} is a duplicate name in one object")
    return value
