"""What the page is made without, runs that did not end and files that are damaged; and which of its scores are old."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from jukemir_like.core.errors import RequestError
from jukemir_like.core.files import printable


@dataclass
class LeftOut:
    """Filled while the files are read.

    Args:
        root: the cache's folder.
        unfinished: folders of runs that did not end, relative to ``root``. That is no fault: they may be under way.
        damaged: a line for each file that is damaged, beginning with its path relative to ``root``.
        outdated: a line for each run that is shown although what it was made from has changed (see :mod:`.outdated`).
    """

    root: Path
    unfinished: list[str] = field(default_factory=list)
    damaged: list[str] = field(default_factory=list)
    outdated: list[str] = field(default_factory=list)

    @contextmanager
    def noting(self) -> Iterator[None]:
        """What a damaged file ends within the block is left out, and noted."""
        try:
            yield
        except RequestError as error:
            self.note(error)

    def note(self, error: RequestError) -> None:
        """What ``error`` tells of is left out."""
        self.damaged.append(printable(str(error).replace(f"{self.root}/", "")))

    def lines(self) -> list[str]:
        """For a terminal, a line each."""
        return [
            *(f"  did not end: {printable(folder)}" for folder in self.unfinished),
            *(f"  left out: {line}" for line in self.damaged),
            *(f"  old: {printable(line)}" for line in self.outdated),
        ]
