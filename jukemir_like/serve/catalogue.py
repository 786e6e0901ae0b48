"""A library that may change while it is served. A file is known by its number and the generation of the list that it stands in."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from pathlib import Path

from jukemir_like.audio import Listing, inputs, list_audio
from jukemir_like.core.cache import Cache
from jukemir_like.core.errors import JukemirLikeError
from jukemir_like.serve.refusals import RefusedError
from jukemir_like.stemjepa.inference import StemJEPA
from jukemir_like.stemjepa.retrieval import library as retrieval_library

_GENERATIONS = 4  # whose numbers are still known
CHANGED = "the library has changed meanwhile: ask again"


class Catalogue:
    """The candidates of a folder, indexed again when the folder has changed.

    Args:
        model: embeds.
        folder: of the library.
        cache: holds the index.

    Attributes:
        generation: of the list of files, from 1.
        candidates: what that list is of.
    """

    def __init__(self, model: StemJEPA, folder: Path, cache: Cache) -> None:
        self._model, self.folder, self._cache = model, folder, cache
        self._lock = threading.Lock()
        self._lists: dict[int, Sequence[str]] = {}
        self.generation = 0
        self._open()

    def _open(self) -> None:
        opened_ns = time.time_ns()
        listing: Listing = list_audio(self.folder) if self.folder.is_dir() else Listing()
        library = retrieval_library.open_library(self._model, self.folder, self._cache)
        self._opened_ns, self._listing, self.candidates = opened_ns, listing, library
        self.generation += 1
        self._lists[self.generation] = library.paths
        self._lists.pop(self.generation - _GENERATIONS, None)

    def current(self, paths: Sequence[str] = ()) -> tuple[int, retrieval_library.Library]:
        """Generation and library as the folder is now.

        What is asked of the system: each folder, and each of ``paths``; not each file.

        Raises:
            RefusedError: nothing is left that could be used.
        """
        with self._lock:
            known = self._listing
            if not inputs.is_current(self.folder, known.folders, known.unreadable, known.lost_links) or any(map(self._is_new, paths)):
                try:
                    self._open()
                except JukemirLikeError as error:
                    raise RefusedError(409, f"the library has changed, and cannot be used: {error}") from error
            return self.generation, self.candidates

    def _is_new(self, path: str) -> bool:
        try:
            return (self.folder / path).stat().st_ctime_ns > self._opened_ns
        except OSError:
            return True

    def path(self, generation: int, number: int) -> str:
        """The path, relative to the library, of a file by its number, from 0.

        Raises:
            RefusedError: no such file is known, or any more.
        """
        paths = self._lists.get(generation)
        if paths is None:
            raise RefusedError(410 if 0 < generation < self.generation else 404, CHANGED)
        if not 0 <= number < len(paths):
            raise RefusedError(404, f"the library has no stem {number}")
        return paths[number]
