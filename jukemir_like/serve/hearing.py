"""Mixes, and stems of a library as they are heard with one: cut, as loud as it, compressed. Each once, and the latest are kept."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Generic, TypeVar

from jukemir_like.core import files, machine
from jukemir_like.core.errors import InputError
from jukemir_like.core.files import printable
from jukemir_like.listening import excerpts, same_track, sounds
from jukemir_like.listening.excerpts import Excerpt
from jukemir_like.listening.page import SAME_TRACK, Candidate, Sound
from jukemir_like.serve.catalogue import Catalogue
from jukemir_like.serve.refusals import RefusedError
from jukemir_like.stemjepa.pooling import EncodedClips

_SOUNDS = 400
_EXCERPTS = 12  # of 4 MB each; the sounds of those that are shown are asked for at once

Made = TypeVar("Made")


@dataclass(frozen=True)
class Mix:
    """A mix that was given, and what is known of it.

    Args:
        number: by which it is asked for.
        name: as it is shown.
        encoded: what the network makes of all of it.
        seconds: its duration.
        excerpt: what is played of it.
        sound: the same, compressed.
        level: of the stems that are heard with it.
        paths: of the files that it may be the mix of.
        notes: on it.
    """

    number: str
    name: str
    encoded: EncodedClips
    seconds: float
    excerpt: Excerpt
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


class _Latest(Generic[Made]):
    """The latest things that were made, so many of them; each is made once, whoever asks for it meanwhile."""

    def __init__(self, kept: int) -> None:
        self._kept, self._lock = kept, threading.Lock()
        self._made: OrderedDict[tuple[str, Place], Future[Made]] = OrderedDict()

    def get(self, key: tuple[str, Place], make: Callable[[], Made]) -> Made:
        """That of ``key``; what ``make`` raises is raised for all who wait for it, and not kept."""
        with self._lock:
            known = self._made.get(key)
            made: Future[Made] = known or Future()
            self._made[key] = made
            self._made.move_to_end(key)
            while len(self._made) > self._kept:
                self._made.popitem(last=False)
        if known is None:
            try:
                made.set_result(make())
            except BaseException as error:
                made.set_exception(error)
                with self._lock:
                    self._made.pop(key, None)
        return made.result()


class Hearing:
    """Sounds of stems. Every method may be called by several threads.

    Args:
        catalogue: the library.
        chunk_seconds: length of a part.
    """

    def __init__(self, catalogue: Catalogue, chunk_seconds: float) -> None:
        self._catalogue, self._chunk_seconds = catalogue, chunk_seconds
        self._at_once = threading.Semaphore(machine.available_cpus())
        self._excerpts: _Latest[Excerpt] = _Latest(_EXCERPTS)
        self._sounds: _Latest[bytes] = _Latest(_SOUNDS)

    def details(self, mix: Mix, place: Place) -> Candidate:
        """A stem as it is heard with a mix, but for its sound.

        Raises:
            RefusedError: it was removed, or cannot be read.
        """
        path = self._catalogue.path(place.generation, place.stem)
        shown = sounds.unheard_stem(printable(path), self._excerpt(mix, place), self._start(mix, place))
        return replace(shown, notes=[*shown.notes, *mix.remarks((self._catalogue.folder / path).absolute())])

    def sound(self, mix: Mix, place: Place) -> bytes:
        """The sound as MP3, which takes longer.

        Raises:
            RefusedError: as :meth:`details`.
        """
        self._refuse_removed(place)
        return self._sounds.get((mix.number, place), lambda: self._compressed(mix, place))

    def _compressed(self, mix: Mix, place: Place) -> bytes:
        excerpt = self._excerpt(mix, place)
        with self._at_once:
            return sounds.audio_of_stem(excerpt, mix.level)

    def _excerpt(self, mix: Mix, place: Place) -> Excerpt:
        self._refuse_removed(place)
        return self._excerpts.get((mix.number, place), lambda: self._cut(mix, place))

    def _start(self, mix: Mix, place: Place) -> float:
        return mix.excerpt.offset_seconds if place.part is None else place.part * self._chunk_seconds

    def _cut(self, mix: Mix, place: Place) -> Excerpt:
        name = self._catalogue.path(place.generation, place.stem)
        path = self._catalogue.folder / name
        try:
            with self._at_once:
                in_time = place.part is not None or bool(mix.marks(path.absolute()))
                return excerpts.read_part(path, self._start(mix, place), mix.excerpt.seconds, in_time=in_time)
        except FileNotFoundError:
            raise RefusedError(410, removed(name)) from None
        except (InputError, OSError) as error:
            gone = not path.exists()
            reason = files.refusal(error) if isinstance(error, OSError) else str(error)
            raise RefusedError(410 if gone else 422, removed(name) if gone else f"{printable(name)} {reason}") from error

    def _refuse_removed(self, place: Place) -> None:
        name = self._catalogue.path(place.generation, place.stem)
        if not (self._catalogue.folder / name).is_file():
            raise RefusedError(410, removed(name))


def removed(name: str) -> str:
    """The sentence about a file that is gone."""
    return f"{printable(name)} was removed from the library: ask again"
