"""Paths of this machine, and under which a container sees them: the same, where the image has nothing of its own there."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from jukemir_like.core.errors import RequestError
from jukemir_like.core.files import printable
from jukemir_like.launch.container import Mount

_OF_THE_IMAGE = frozenset(
    ("", "bin", "boot", "dev", "etc", "host", "input", "lib", "lib32", "lib64", "opt", "output", "proc", "run", "sbin", "sys", "usr")
)

ELSEWHERE = "/host"  # where a container sees what it cannot see under its own path


@dataclass
class Paths:
    """What a container is to see; grows with every path that is asked for.

    Args:
        here: the folder that relative paths are told from, inside as outside; None: all are told whole.
    """

    here: Path | None = None
    mounts: dict[str, Mount] = field(default_factory=dict)

    @classmethod
    def from_here(cls) -> Paths:
        """From where this process is, if a container can be there too."""
        here = Path.cwd()
        return cls(None if _is_of_the_image(here) else here)

    def read(self, path: str | os.PathLike[str]) -> str:
        """The path under which the container reads ``path``. One that is not there is not there inside either: the stage says so."""
        return self._see(path, written=False)

    def write(self, path: str | os.PathLike[str]) -> str:
        """The path under which the container writes to the folder ``path``."""
        return self._see(path, written=True)

    def mount(self, path: str | os.PathLike[str], target: str, *, written: bool = False) -> None:
        """Shows ``path`` as ``target``."""
        source = absolute(path)
        try:
            str(source).encode()
        except UnicodeEncodeError:
            name = printable(str(source))
            raise RequestError(f"an engine takes no path that is not UTF-8, as {name} is: give it another name, or run without") from None
        known = self.mounts.get(target)
        self.mounts[target] = Mount(source, target, written or (known is not None and known.written))

    def _see(self, given: str | os.PathLike[str], *, written: bool) -> str:
        path = absolute(given)
        target = self._place(path)
        if written or path.exists():
            self.mount(path, target, written=written)
        is_told_as_given = self.here is not None and str(self.here / given) == target
        return os.fspath(given) if is_told_as_given else target

    def _place(self, path: Path) -> str:
        if not _is_of_the_image(path):
            return str(path)
        known = next((mount.target for mount in self.mounts.values() if mount.source == path), None)
        return known or f"{ELSEWHERE}/{len(self.mounts)}/{path.name or 'root'}"


def _is_of_the_image(path: Path) -> bool:
    return (*path.parts, "")[1] in _OF_THE_IMAGE


def absolute(path: str | os.PathLike[str]) -> Path:
    """Without dots, for there is one way to a folder in a container; links stay, for a user knows the folder by that name."""
    given = Path(path)
    return given.resolve() if ".." in given.parts else given.absolute()
