"""What one person has asked: mixes that were given, which stems fit them, and the sounds of both. All of it within limits of memory."""

from __future__ import annotations

import secrets
import threading
from collections import OrderedDict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from jukemir_like.core import files, machine
from jukemir_like.core.errors import InputError, JukemirLikeError
from jukemir_like.core.files import printable
from jukemir_like.listening import excerpts, same_track, sounds
from jukemir_like.listening.page import SAME_TRACK, Candidate, Comparison, Page, Sound
from jukemir_like.serve import decoding
from jukemir_like.serve.catalogue import Catalogue
from jukemir_like.serve.refusals import RefusedError
from jukemir_like.stemjepa.inference import StemJEPA
from jukemir_like.stemjepa.retrieval.embedding import SILENT

TOP = 10
STEMS = 16
"""The most stems of the library that are added to a mix."""

_MIXES = 4
_SOUNDS = 400
_SHOWN = 200


@dataclass(frozen=True)
class Mix:
    """A mix that was given: its name, what it holds, its sound, the level of its stems, and which files it may be of."""

    name: str
    decoded: decoding.Decoded
    sound: Sound
    level: float
    paths: Sequence[Path]
    notes: Sequence[str]


class Room:
    """Mixes, questions and sounds. Every method may be called by several threads.

    Args:
        model: predicts.
        catalogue: the library.
        prefix: of the addresses of sounds.
    """

    def __init__(self, model: StemJEPA, catalogue: Catalogue, prefix: str = "") -> None:
        self.model, self.catalogue, self.prefix = model, catalogue, prefix
        self._lock, self._computing = threading.Lock(), threading.Lock()
        self._mixes: OrderedDict[str, Mix] = OrderedDict()
        self._sounds: OrderedDict[tuple[str, int, int], Candidate] = OrderedDict()

    def stems(self, find: str = "") -> dict[str, Any]:
        """The library: up to 200 files whose path has ``find`` in it, with the numbers by which they are asked for."""
        generation, library = self.catalogue.current()
        wanted = find.casefold()
        found = [(number, path) for number, path in enumerate(library.paths) if wanted in path.casefold()]
        shown = [{"number": number, "name": printable(path)} for number, path in found[:_SHOWN]]
        about = {"generation": generation, "of": len(library.paths), "found": len(found), "stems": shown}
        return about | {
            "instruments": list(self.model.sources),
            "notes": list(library.summary.notes),
            "failed": len(library.summary.failed),
        }

    def add(self, path: Path, name: str) -> dict[str, Any]:
        """A mix from a file, whose name was ``name``: its number, for :meth:`ask`."""
        return self._add(printable(name), [path], [Path("/") / (Path(name).name or "mix")], [])

    def add_stems(self, generation: int, numbers: Sequence[int]) -> dict[str, Any]:
        """A mix that is the sum of stems of the library."""
        if not 1 <= len(numbers) <= STEMS:
            raise RefusedError(422, f"choose 1 to {STEMS} stems")
        names = [self.catalogue.path(generation, number) for number in dict.fromkeys(numbers)]
        paths = [self.catalogue.folder / name for name in names]
        for name, path in zip(names, paths, strict=True):
            if not path.is_file():
                raise RefusedError(410, _removed(name))
        title = " + ".join(map(printable, names))
        return self._add(title, paths, [path.absolute() for path in paths], [f"The mix is the sum of stems of the library: {title}."])

    def _add(self, name: str, files_of_mix: Sequence[Path], paths: Sequence[Path], notes: list[str]) -> dict[str, Any]:
        decoded = decoding.decode(decoding.Request(files_of_mix, self.model.sample_rate))
        if np.abs(decoded.samples).max() < SILENT:
            raise RefusedError(422, "the mix is silent: give one that sounds")
        if decoded.channels > 2:
            notes.append(f"The mix has {decoded.channels} channels, mixed down with equal weights.")
        level, sound = sounds.level_of_mix(decoded.excerpt), sounds.of_mix(name, decoded.excerpt)
        number = secrets.token_hex(8)
        with self._lock:
            self._mixes[number] = Mix(name, decoded, sound, level, paths, notes)
            while len(self._mixes) > _MIXES:
                self._mixes.popitem(last=False)
        seconds = len(decoded.samples) / self.model.sample_rate
        return {"mix": number, "name": name, "seconds": round(seconds, 2), "notes": notes}

    def ask(self, number: str, instrument: str) -> dict[str, Any]:
        """Which stems fit a mix as this instrument: the data of a listening page, with addresses of sounds."""
        mix = self._mix(number)
        with self._computing:
            try:
                vector = np.asarray(self.model.predict(mix.decoded.samples, instrument)[0])
            except JukemirLikeError as error:
                raise RefusedError(422, str(error)) from error
            generation, library = self.catalogue.current()
            matches = library.nearest(vector, TOP)
            generation, newest = self.catalogue.current([match.path for match in matches])
            if newest is not library:
                library, matches = newest, newest.nearest(vector, TOP)
            scores = library.scores(vector)
        numbers = {path: number for number, path in enumerate(library.paths)}

        def candidate(match: Any) -> Candidate:
            at = numbers[match.path]
            try:
                heard = self._candidate(number, mix, generation, at)
            except RefusedError as error:
                return Candidate(printable(match.path), None, problem=f"cannot be heard: {error}", rank=match.rank, score=match.score)
            return replace(heard, audio=f"{self.prefix}audio/{number}/{generation}/{at}", rank=match.rank, score=match.score)

        with ThreadPoolExecutor(machine.available_cpus()) as pool:
            candidates = list(pool.map(candidate, matches))
        scale = (float(scores.min()), float(np.median(scores)), float(scores.max()))
        sound = replace(mix.sound, audio=f"{self.prefix}audio/{number}/mix")
        comparison = Comparison(mix.name, instrument, mix.decoded.excerpt.seconds, len(scores), sound, candidates, scale)
        return self._page(mix, instrument, comparison, library.summary.notes).to_json() | {"generation": generation}

    def _page(self, mix: Mix, instrument: str, comparison: Comparison, remarks: Sequence[str]) -> Page:
        folder = self.catalogue.folder
        lead = f"The mix, and with it the stems that fit best, of {comparison.of:,} in {printable(folder.absolute().name)}."
        seconds, start = len(mix.decoded.samples) / self.model.sample_rate, mix.decoded.excerpt.offset_seconds
        notes = [*mix.notes]
        if comparison.seconds < seconds - 0.01:
            end = sounds.clock(start + comparison.seconds)
            notes.append(f"Heard is {sounds.clock(start)} to {end} of the {sounds.clock(seconds)} of the mix.")
        notes.append(sounds.LOUDNESS)
        notes += [same_track.RULE] if any(one.marks for one in comparison.candidates) else []
        facts = [("mix", mix.name), ("instrument", instrument), ("library", printable(str(folder))), ("digest", self.model.digest[:16])]
        facts += [("library", remark) for remark in remarks]
        return Page(f"Which {instrument} fits {mix.name}?", f"{lead} Nothing is transposed or stretched.", [comparison], facts, notes)

    def sound_of_mix(self, number: str) -> bytes:
        """The mix as MP3."""
        return _bytes(self._mix(number).sound)

    def sound(self, number: str, generation: int, stem: int) -> bytes:
        """A stem of the library as MP3: the part that is heard with this mix.

        Raises:
            RefusedError: it was removed, or cannot be read.
        """
        mix = self._mix(number)
        name = self.catalogue.path(generation, stem)
        if not (self.catalogue.folder / name).is_file():
            raise RefusedError(410, _removed(name))
        return _bytes(self._candidate(number, mix, generation, stem))

    def _mix(self, number: str) -> Mix:
        with self._lock:
            if number not in self._mixes:
                raise RefusedError(410, f"this mix is not kept any more (the last {_MIXES} are): give it again")
            self._mixes.move_to_end(number)
            return self._mixes[number]

    def _candidate(self, number: str, mix: Mix, generation: int, stem: int) -> Candidate:
        key = (number, generation, stem)
        with self._lock:
            if key in self._sounds:
                self._sounds.move_to_end(key)
                return self._sounds[key]
        made = self._made(mix, self.catalogue.path(generation, stem))
        with self._lock:
            self._sounds[key] = made
            while len(self._sounds) > _SOUNDS:
                self._sounds.popitem(last=False)
        return made

    def _made(self, mix: Mix, name: str) -> Candidate:
        path = self.catalogue.folder / name
        try:
            whole = excerpts.read(path)
        except FileNotFoundError:
            raise RefusedError(410, _removed(name)) from None
        except (InputError, OSError) as error:
            gone = not path.exists()
            reason = files.refusal(error) if isinstance(error, OSError) else str(error)
            raise RefusedError(410 if gone else 422, _removed(name) if gone else f"{printable(name)} {reason}") from error
        start = mix.decoded.excerpt.offset_seconds
        absolute = path.absolute()
        marks = [SAME_TRACK] if any(same_track.is_same_track(one, absolute) for one in mix.paths) else []
        part = excerpts.cut(whole, start, mix.decoded.excerpt.seconds)
        made = sounds.of_stem(printable(name), part, mix.level, start, marks=marks)
        return replace(made, notes=[*made.notes, "is in the mix"]) if absolute in mix.paths else made


def _removed(name: str) -> str:
    return f"{printable(name)} was removed from the library: ask again"


def _bytes(sound: Sound) -> bytes:
    if not isinstance(sound.audio, bytes):
        raise RefusedError(410, "there is no sound")
    return sound.audio
