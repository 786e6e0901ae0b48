"""Which batches there are, and lists of them as people and SLURM write them: ``3,17-20``."""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import groupby
from pathlib import Path

from jukemir_like import extract
from jukemir_like.core.errors import RequestError

_RANGE = re.compile(r"(\d{1,9})(?:-(\d{1,9}))?")


def count(folder: Path, batch_size: int) -> tuple[int, int]:
    """The number of audio files in ``folder``, and of the batches of ``batch_size`` files that they make.

    Raises:
        RequestError: not a folder, no audio in it, or two inputs that would write one output.

    >>> count(Path("music"), 2)
    (3, 2)
    """
    files = extract.count_inputs(folder)
    return files, -(-files // batch_size)


def parse(text: str, batches: int) -> list[int]:
    """The batches that ``text`` lists, in order, each once.

    Args:
        text: numbers and ranges, with commas between.
        batches: how many there are; the last is ``batches - 1``.

    Raises:
        RequestError: it is no such list, or names a batch that there is not.

    >>> parse("17-19,3", 20)
    [3, 17, 18, 19]
    """
    numbers: set[int] = set()
    for part in text.split(","):
        range_ = _RANGE.fullmatch(part.strip())
        if range_ is None:
            raise RequestError(f"{text!r} is no list of batches: write numbers and ranges with commas between, such as 3,17-20")
        first, last = int(range_[1]), int(range_[2] or range_[1])
        if last >= batches or first > last:
            raise RequestError(f"there is no batch {part.strip()}: there are {batches:,}, from 0 to {batches - 1}")
        numbers.update(range(first, last + 1))
    return sorted(numbers)


def as_text(numbers: Iterable[int]) -> str:
    """The shortest list of ``numbers`` that :func:`parse` and SLURM's ``--array`` read.

    >>> as_text([3, 17, 18, 19, 21, 22])
    '3,17-19,21,22'
    """
    parts: list[str] = []
    # In a run of consecutive numbers, the difference between a number and its place is the same.
    for _, run in groupby(enumerate(sorted(set(numbers))), key=lambda pair: pair[1] - pair[0]):
        of_run = [number for _, number in run]
        parts += [f"{of_run[0]}-{of_run[-1]}"] if len(of_run) > 2 else map(str, of_run)
    return ",".join(parts)
