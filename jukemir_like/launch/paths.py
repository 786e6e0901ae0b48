"""Paths of this machine, and under which a container sees them: the same, where the image has nothing of its own there."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from jukemir_like.errors import RequestError
from jukemir_like.launch.container import Mount
from jukemir_like.records import printable

_OF_THE_IMAGE = {
    "",
    "bin",
    "boot",
    "dev",
    "etc",
    "input",
    "lib",
    "lib32",
    "lib64",
    "mnt",
    "opt",
    "output",
    "proc",
    "run",
    "sbin",
    "sys",
    "usr",
}


@dataclass
class Paths:
    """What a container is to see; grows with every path that is asked for."""

    mounts: dict[str, Mount] = field(default_factory=dict)

    def read(self, path: str | os.PathLike[str]) -> str:
        """The path under which the container reads ``path``. One that is not there is not there inside either: the stage says so."""
        return self._see(absolute(path), written=False)

    def write(self, path: str | os.PathLike[str]) -> str:
        """The path under which the container writes to the folder ``path``."""
        return self._see(absolute(path), written=True)

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

    def _see(self, path: Path, *, written: bool) -> str:
        target = self._place(path)
        if written or path.exists():
            self.mount(path, target, written=written)
        return target

    def _place(self, path: Path) -> str:
        if (*path.parts, "")[1] not in _OF_THE_IMAGE:
            return str(path)
        known = next((mount.target for mount in self.mounts.values() if mount.source == path), None)
        return known or f"/mnt/{len(self.mounts)}/{path.name or 'root'}"


def absolute(path: str | os.PathLike[str]) -> Path:
    """Without dots, for there is one way to a folder in a container; links stay, for a user knows the folder by that name."""
    given = Path(path)
    return given.resolve() if ".." in given.parts else given.absolute()
