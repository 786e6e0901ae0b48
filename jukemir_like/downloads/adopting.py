"""Adopts a user's own copy, whatever its layout: files are told by size and digest, not by where they lie or what they are called.

What is adopted is copied, and digested once more as it is copied: a hard link would change with the user's file.
"""

from __future__ import annotations

import os
import stat
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from jukemir_like.core.atomic import atomic_write
from jukemir_like.core.errors import InputError
from jukemir_like.core.files import refusal
from jukemir_like.downloads import verifying
from jukemir_like.downloads.declaration import Asset
from jukemir_like.downloads.unpacking import folder_name

_AUDIO_SUFFIXES = (".mp3", ".wav", ".au", ".flac", ".mp4", ".m4a", ".ogg")
_MANY = 10


class Copy:
    """The files below ``folder``, each looked at once; hidden ones not. ``unreadable``: what could not be looked at, and why."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.sizes: dict[Path, int] = {}
        self.folders: set[str] = set()
        self.audio = 0
        self.unreadable: dict[str, str] = {}

        def note(error: OSError) -> None:
            self.unreadable[os.path.relpath(error.filename, folder)] = refusal(error)

        for parent, folders, files in os.walk(folder, onerror=note):
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            self.folders.update(folders)
            self.audio += sum(name.lower().endswith(_AUDIO_SUFFIXES) for name in files)
            for name in sorted(files):
                path = Path(parent, name)
                if name.startswith("."):
                    continue
                try:
                    status = path.stat()
                except OSError as error:
                    note(error)
                    continue
                if stat.S_ISREG(status.st_mode):
                    self.sizes[path] = status.st_size
        self._by_name: dict[str, list[Path]] = defaultdict(list)
        for path in self.sizes:
            self._by_name[path.name.lower()].append(path)

    def find(self, assets: Sequence[Asset], every: Callable[[Callable[[Path], None], Iterable[Path]], None]) -> dict[str, Path]:
        """Which file is which of ``assets``, by tag; those that are not there are left out.

        First files of the asset's name are tried, then, for what is still missing, all of its size (of any size, where none is declared).

        Args:
            assets: whose files are wanted.
            every: calls a function for every path, in several threads.
        """
        found: dict[str, Path] = {}
        for candidates in (self._of_name, self._of_size):
            missing = [asset for asset in assets if asset.tag not in found]
            pairs = {(path, asset) for asset in missing for path in candidates(asset)}
            by_path: dict[Path, list[Asset]] = defaultdict(list)
            for path, asset in sorted(pairs, key=lambda pair: (str(pair[0]), pair[1].tag)):
                by_path[path].append(asset)

            def look(path: Path, by_path: dict[Path, list[Asset]] = by_path) -> None:
                for asset in _matches(path, by_path[path]):
                    found.setdefault(asset.tag, path)

            every(look, by_path)
        return found

    def _of_name(self, asset: Asset) -> Iterator[Path]:
        return (path for path in self._by_name[Path(asset.path).name.lower()] if asset.size in (None, self.sizes[path]))

    def _of_size(self, asset: Asset) -> Iterator[Path]:
        if asset.digest is None:  # with no digest, a name and a size tell something, and a size alone does not
            return iter(())
        suffix = Path(asset.path).suffix.lower()
        plausible = (path for path, size in self.sizes.items() if asset.size == size or (asset.size is None and size))
        # an archive told by its contents must be read whole: not tried on every file
        return (path for path in plausible if asset.contents is None or path.suffix.lower() == suffix)

    def looks_unpacked(self, asset: Asset) -> bool:
        """Whether there is what ``asset``, an archive, would become when it is unpacked."""
        if asset.archive is None:
            return False
        return folder_name(asset.archive) in {self.folder.name, *self.folders} or (asset.kind == "audio" and self.audio >= _MANY)


def _matches(path: Path, assets: Sequence[Asset]) -> Iterator[Asset]:
    """Those of ``assets`` that ``path`` is. It is read once for all that declare the same kinds of digest."""
    made: dict[tuple[bool, bool], verifying.Digest] = {}
    for asset in assets:
        kinds = (bool(asset.sha256), bool(asset.md5))
        try:
            if kinds not in made:
                made[kinds] = verifying.digest(path, asset)
            verifying.check(path, asset, made[kinds])
        except InputError:
            continue
        yield asset


def adopt(path: Path, asset: Asset, target: Path, progress: Callable[[int], object]) -> str:
    """Copies ``path`` to ``target``, whole or not at all; returns its digest in one word. ``progress`` may raise.

    Raises:
        InputError: it cannot be read, or is not any more what it was when it was found.
        StorageError: ``target`` cannot be written.
    """
    with atomic_write(target) as temporary:
        with open(temporary, "wb") as output:

            def write(data: bytes) -> None:
                progress(output.write(data))

            made = verifying.digest(path, asset, write)
        return verifying.check(temporary, asset, made)
