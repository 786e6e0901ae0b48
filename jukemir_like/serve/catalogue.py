"""A library that may change while it is served. A file is known by its number and the generation of the list that it stands in."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from jukemir_like.audio import Listing, inputs, list_audio
from jukemir_like.core.cache import Cache
from jukemir_like.core.errors import JukemirLikeError
from jukemir_like.serve.refusals import RefusedError
from jukemir_like.stemjepa.inference import StemJEPA
from jukemir_like.stemjepa.retrieval import library as retrieval_library

_GENERATIONS = 4  # whose numbers are still known
CHANGED = "the library has changed meanwhile: ask again"


@dataclass(frozen=True)
class Edition:
    """A library as it was when it was indexed.

    Args:
        generation: of the list of files, from 1.
        stems: whole files as candidates.
        parts: their chunks as candidates; None: they are not indexed.
        paths: of the files, relative to the library, by number.
        numbers: of the files, by path.
    """

    generation: int
    stems: retrieval_library.Library
    parts: retrieval_library.Library | None
    paths: Sequence[str]
    numbers: Mapping[str, int]

    def candidates(self, *, segments: bool) -> retrieval_library.Library:
        """Whole files, or parts of them.

        Raises:
            RefusedError: parts are not indexed.
        """
        if not segments:
            return self.stems
        if self.parts is None:
            raise RefusedError(422, "parts of stems are not indexed: start jukemir-like serve with --segments")
        return self.parts


class Catalogue:
    """The candidates of a folder, indexed again when the folder has changed.

    Args:
        model: embeds.
        folder: of the library.
        cache: holds the index.
        segments: parts of stems are candidates too; they have an index of their own, which takes as long as the other.

    Attributes:
        edition: the newest.
        is_indexing: whether it is indexed again at the moment.
    """

    def __init__(self, model: StemJEPA, folder: Path, cache: Cache, *, segments: bool = False) -> None:
        self._model, self.folder, self._cache, self._segments = model, folder, cache, segments
        self._lock = threading.Lock()
        self._lists: dict[int, Sequence[str]] = {}
        self._generation = 0
        self.is_indexing = False
        self._open()

    @property
    def has_parts(self) -> bool:
        """Whether parts of stems are candidates too."""
        return self._segments

    def _open(self) -> None:
        opened_ns = time.time_ns()
        listing: Listing = list_audio(self.folder) if self.folder.is_dir() else Listing()
        stems = retrieval_library.open_library(self._model, self.folder, self._cache)
        parts = retrieval_library.open_library(self._model, self.folder, self._cache, segments=True) if self._segments else None
        paths = stems.paths if parts is None or parts.paths == stems.paths else sorted({*stems.paths, *parts.paths})
        self._opened_ns, self._listing = opened_ns, listing
        self._generation += 1
        self.edition = Edition(self._generation, stems, parts, paths, {path: number for number, path in enumerate(paths)})
        self._lists[self._generation] = paths
        self._lists.pop(self._generation - _GENERATIONS, None)

    def current(self) -> Edition:
        """The library as its folders are now; each of them is asked for, not each file.

        Raises:
            RefusedError: nothing is left that could be used.
        """
        with self._lock:
            known = self._listing
            if not inputs.is_current(self.folder, known.folders, known.unreadable, known.lost_links):
                self._open_again()
            return self.edition

    def checked(self, paths: Iterable[str]) -> Edition:
        """The library as these files of it are now.

        Raises:
            RefusedError: nothing is left that could be used.
        """
        with self._lock:
            if any(map(self._is_new, paths)):
                self._open_again()
            return self.edition

    def _open_again(self) -> None:
        self.is_indexing = True
        try:
            self._open()
        except JukemirLikeError as error:
            raise RefusedError(409, f"the library has changed, and cannot be used: {error}") from error
        finally:
            self.is_indexing = False

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
            raise RefusedError(410 if 0 < generation < self._generation else 404, CHANGED)
        if not 0 <= number < len(paths):
            raise RefusedError(404, f"the library has no stem {number}")
        return paths[number]
