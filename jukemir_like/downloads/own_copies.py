"""Users' own copies: assets are found by size and digest in a folder of any layout, under any file names, and copied.

They are copied, and their digest is computed once more meanwhile: a hard link would change with the user's file.
"""

from __future__ import annotations

import itertools
import os
import stat
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path

from jukemir_like.core.atomic import atomic_write
from jukemir_like.core.errors import InputError
from jukemir_like.core.files import refusal
from jukemir_like.core.progress import Progress
from jukemir_like.downloads.declarations import Asset
from jukemir_like.downloads.threads import CancelledError, map_in_threads
from jukemir_like.downloads.unpacking import unpacked_name
from jukemir_like.downloads.verification import FileDigest, digest_file, verify

_AUDIO_SUFFIXES = (".mp3", ".wav", ".au", ".flac", ".mp4", ".m4a", ".ogg")
_MIN_UNPACKED_AUDIO_FILES = 10


class OwnCopy:
    """A folder in which users have files of their own. It is listed once; hidden folders are not looked at, nor hidden files, unless an
    asset is called so.

    Attributes:
        sizes: file → its bytes.
        unreadable: relative paths of what cannot be listed → the reason.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        self.sizes: dict[Path, int] = {}
        self.unreadable: dict[str, str] = {}
        self._folder_names = {folder.name}
        self._num_audio_files = 0
        self._by_name: dict[str, list[Path]] = defaultdict(list)
        for parent, folders, names in os.walk(folder, onerror=self._add_unreadable):
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            self._folder_names.update(folders)
            self._num_audio_files += sum(name.lower().endswith(_AUDIO_SUFFIXES) for name in names)
            for name in sorted(names):
                self._add(Path(parent, name))

    def _add(self, path: Path) -> None:
        try:
            status = path.stat()
        except OSError as error:
            self._add_unreadable(error)
            return
        if stat.S_ISREG(status.st_mode):
            self.sizes[path] = status.st_size
            self._by_name[path.name.lower()].append(path)

    def _add_unreadable(self, error: OSError) -> None:
        self.unreadable[os.path.relpath(error.filename, self.folder)] = refusal(error)

    def find(self, assets: Sequence[Asset], num_threads: int, cancelled: threading.Event) -> dict[str, Path]:
        """Which file is which of ``assets``: tag → path; an asset that is not there is left out.

        Files that have the asset's name are read first, then, for the assets that are missing still, all files of its size (of any size,
        where none is declared).

        Args:
            assets: to find.
            num_threads: that read files.
            cancelled: set to end the work.
        """
        paths: dict[str, Path] = {}
        for candidates in (self._with_name, self._with_size):
            missing = [asset for asset in assets if asset.tag not in paths]
            pairs = {(path, asset) for asset in missing for path in candidates(asset)}
            assets_by_path: dict[Path, list[Asset]] = defaultdict(list)
            for path, asset in sorted(pairs, key=lambda pair: (str(pair[0]), pair[1].tag)):
                assets_by_path[path].append(asset)

            def compare(pair: tuple[Path, list[Asset]]) -> list[str]:
                if cancelled.is_set():
                    raise CancelledError
                return [asset.tag for asset in _matching(*pair)]

            results = map_in_threads(compare, assets_by_path.items(), num_threads, cancelled)
            with closing(results), Progress(len(assets_by_path), "looking", "file") as bar:
                for (path, _), tags in results:
                    bar.update()
                    if isinstance(tags, Exception):
                        raise tags
                    for tag in tags:
                        paths.setdefault(tag, path)
        return paths

    def _with_name(self, asset: Asset) -> Iterator[Path]:
        paths = (path for path in self._by_name[Path(asset.path).name.lower()] if asset.size in (None, self.sizes[path]))
        if asset.digest is not None:
            return paths
        # Nothing but its place tells files of one name apart, such as splits/split-0/train.tsv and splits/split-1/train.tsv: one that lies
        # in another folder is another file.
        wanted = Path(asset.path).parts
        common = {path: _common_end(path.parts, wanted) for path in paths}
        in_folder = [path for path, parts in common.items() if parts >= min(2, len(wanted))]
        return iter(sorted(in_folder, key=lambda path: (-common[path], str(path)))[:1])

    def _with_size(self, asset: Asset) -> Iterator[Path]:
        if asset.digest is None:  # without a digest, name and size together identify a file, and a size alone does not
            return iter(())
        suffix = Path(asset.path).suffix.lower()
        paths = (path for path, size in self.sizes.items() if asset.size == size or (asset.size is None and size))
        paths = (path for path in paths if not path.name.startswith("."))
        # an archive that is verified by its contents has to be unpacked for it: not tried on every file
        return (path for path in paths if asset.contents is None or path.suffix.lower() == suffix)

    def looks_unpacked(self, asset: Asset) -> bool:
        """Whether the folder seems to hold what ``asset``, an archive, is unpacked to."""
        if asset.archive is None:
            return False
        has_folder = unpacked_name(asset.archive) in self._folder_names
        return has_folder or (asset.kind == "audio" and self._num_audio_files >= _MIN_UNPACKED_AUDIO_FILES)


class KnownFiles(OwnCopy):
    """A folder in which it is known what each file is, as an installed package has its data.

    Args:
        folder: of the files.
        paths: tag of an asset → its file, which need not be there.
    """

    def __init__(self, folder: Path, paths: dict[str, Path]):
        self.folder, self.unreadable, self.paths = folder, {}, paths
        self.sizes = {path: path.stat().st_size for path in paths.values() if path.is_file()}

    def find(self, assets: Sequence[Asset], num_threads: int, cancelled: threading.Event) -> dict[str, Path]:  # noqa: ARG002
        """Which file is which of ``assets``: those that are there, and are what is declared."""
        present = {asset.tag: self.paths[asset.tag] for asset in assets if self.paths.get(asset.tag) in self.sizes}
        return {asset.tag: present[asset.tag] for asset in assets if asset.tag in present and any(_matching(present[asset.tag], [asset]))}

    def looks_unpacked(self, asset: Asset) -> bool:  # noqa: ARG002
        """Never: each file is known."""
        return False


def _common_end(first: Sequence[str], second: Sequence[str]) -> int:
    """How many parts two paths have in common, counted from their ends, in any letter case."""
    pairs = zip(reversed(first), reversed(second), strict=False)
    return sum(1 for _ in itertools.takewhile(lambda pair: pair[0].lower() == pair[1].lower(), pairs))


def _matching(path: Path, assets: Sequence[Asset]) -> Iterator[Asset]:
    """Those of ``assets`` that the file ``path`` is. It is read once for all that declare the same kinds of digest."""
    digests: dict[tuple[str, ...], FileDigest] = {}
    for asset in assets:
        kinds = tuple(asset.file_digests)
        try:
            if kinds not in digests:
                digests[kinds] = digest_file(path, asset)
            verify(path, asset, digests[kinds])
        except InputError:
            continue
        yield asset


def adopt(path: Path, asset: Asset, target: Path, progress: Callable[[int], object]) -> str:
    """Copies ``path`` to ``target``, completely or not at all; returns its digest with its kind.

    Args:
        path: a file of the user's, found to be that of ``asset``.
        asset: its declaration.
        target: where it is copied to.
        progress: called with the number of bytes of each chunk; may raise.

    Raises:
        InputError: it cannot be read, or has changed since it was found.
        StorageError: ``target`` cannot be written.
    """
    with atomic_write(target) as temporary:
        with open(temporary, "wb") as output:
            digest = digest_file(path, asset, lambda chunk: progress(output.write(chunk)))
        return verify(temporary, asset, digest)
