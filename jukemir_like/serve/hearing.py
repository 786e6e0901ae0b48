"""Mixes, and stems of a library as they are heard with one: cut, as loud as it, compressed. Each once, and the latest are kept."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from pathlib import Path

from jukemir_like.core import files, machine
from jukemir_like.core.errors import InputError
from jukemir_like.core.files import printable
from jukemir_like.listening import excerpts, same_track, sounds
from jukemir_like.listening.page import SAME_TRACK, Candidate, Sound
from jukemir_like.serve.catalogue import Catalogue
from jukemir_like.serve.decoding import Decoded
from jukemir_like.serve.refusals import RefusedError

_KEPT = 400


@dataclass(frozen=True)
class Mix:
    """A mix that was given: its number and name, what it holds, its sound, the level of its stems, and which files it may be of."""

    number: str
    name: str
    decoded: Decoded
    sound: Sound
    level: float
    paths: Sequence[Path]
    notes: Sequence[str]

    def marks(self, path: Path) -> list[str]:
        """Of a stem, by its absolute path."""
        return [SAME_TRACK] if any(same_track.is_same_track(one, path) for one in self.paths) else []

    def remarks(self, path: Path) -> list[str]:
        """On a stem, by its absolute path."""
        return ["is in the mix"] if path in self.paths else []


@dataclass(frozen=True)
class Place:
    """A stem of the library, and where in it: at the time of the mix, or from the beginning of the chunk ``part``, from 0."""

    generation: int
    stem: int
    part: int | None = None

    @property
    def address(self) -> str:
        """Of it, behind that of a mix."""
        return "/".join(str(number) for number in (self.generation, self.stem, self.part) if number is not None)


class Hearing:
    """Sounds of stems. Every method may be called by several threads.

    Args:
        catalogue: the library.
        chunk_seconds: length of a part.
    """

    def __init__(self, catalogue: Catalogue, chunk_seconds: float) -> None:
        self._catalogue, self._chunk_seconds = catalogue, chunk_seconds
        self._lock, self._at_once = threading.Lock(), threading.Semaphore(machine.available_cpus())
        self._made: OrderedDict[tuple[str, Place], Future[Candidate]] = OrderedDict()

    def candidate(self, mix: Mix, place: Place) -> Candidate:
        """A stem as it is heard with a mix.

        Raises:
            RefusedError: it was removed, or cannot be read.
        """
        path = self._catalogue.path(place.generation, place.stem)
        if not (self._catalogue.folder / path).is_file():
            raise RefusedError(410, removed(path))
        key = (mix.number, place)
        with self._lock:
            known = self._made.get(key)
            made: Future[Candidate] = known or Future()
            self._made[key] = made
            self._made.move_to_end(key)
            while len(self._made) > _KEPT:
                self._made.popitem(last=False)
        if known is None:
            try:
                with self._at_once:
                    made.set_result(self._make(mix, path, place.part))
            except BaseException as error:
                made.set_exception(error)
                with self._lock:
                    self._made.pop(key, None)
        return made.result()

    def _make(self, mix: Mix, name: str, part: int | None) -> Candidate:
        path = self._catalogue.folder / name
        try:
            whole = excerpts.read(path)
        except FileNotFoundError:
            raise RefusedError(410, removed(name)) from None
        except (InputError, OSError) as error:
            gone = not path.exists()
            reason = files.refusal(error) if isinstance(error, OSError) else str(error)
            raise RefusedError(410 if gone else 422, removed(name) if gone else f"{printable(name)} {reason}") from error
        start = mix.decoded.excerpt.offset_seconds if part is None else part * self._chunk_seconds
        absolute = path.absolute()
        heard = excerpts.cut(whole, start, mix.decoded.excerpt.seconds)
        made = sounds.of_stem(printable(name), heard, mix.level, start, marks=mix.marks(absolute))
        return replace(made, notes=[*made.notes, *mix.remarks(absolute)])


def removed(name: str) -> str:
    """The sentence about a file that is gone."""
    return f"{printable(name)} was removed from the library: ask again"
