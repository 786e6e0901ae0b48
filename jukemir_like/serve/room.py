"""What one person has asked: mixes that were given, which stems fit them, and the sounds of both. All of it within limits of memory."""

from __future__ import annotations

import secrets
import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from jukemir_like.core.errors import JukemirLikeError
from jukemir_like.core.files import printable
from jukemir_like.listening import same_track, sounds
from jukemir_like.listening.page import Candidate, Comparison, Page
from jukemir_like.serve import decoding
from jukemir_like.serve.catalogue import Catalogue, Edition
from jukemir_like.serve.hearing import Hearing, Mix, Place, removed
from jukemir_like.serve.refusals import RefusedError
from jukemir_like.stemjepa.inference import StemJEPA
from jukemir_like.stemjepa.interpretation import Interpretation
from jukemir_like.stemjepa.retrieval import library as retrieval_library
from jukemir_like.stemjepa.retrieval.embedding import SILENT

TOP = 10
STEMS = 16
"""The most stems of the library that are added to a mix."""

_MIXES = 4
_SHOWN = 200


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
        self._chunk_seconds = model.model.encoder.chunk_seconds
        self._hearing = Hearing(catalogue, self._chunk_seconds)

    def state(self) -> dict[str, Any]:
        """What makes others wait."""
        return {"indexing": self.catalogue.is_indexing}

    def stems(self, find: str = "") -> dict[str, Any]:
        """The library: up to 200 files whose path has ``find`` in it, with the numbers by which they are asked for."""
        edition = self.catalogue.current()
        wanted = find.casefold()
        found = [number for number, path in enumerate(edition.paths) if wanted in path.casefold()]
        shown = [{"number": number, "name": printable(edition.paths[number])} for number in found[:_SHOWN]]
        about = {"generation": edition.generation, "of": len(edition.paths), "found": len(found), "stems": shown}
        summary = edition.stems.summary
        return about | {"instruments": list(self.model.sources), "notes": list(summary.notes), "failed": len(summary.failed)}

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
                raise RefusedError(410, removed(name))
        title = " + ".join(map(printable, names))
        return self._add(title, paths, [path.absolute() for path in paths], [f"The mix is the sum of stems of the library: {title}."])

    def _add(self, name: str, files_of_mix: Sequence[Path], paths: Sequence[Path], notes: list[str]) -> dict[str, Any]:
        decoded = decoding.decode(decoding.Request(files_of_mix, self.model.sample_rate))
        if np.abs(decoded.samples).max() < SILENT:
            raise RefusedError(422, "the mix is silent: give one that sounds")
        if decoded.channels > 2:
            notes.append(f"The mix has {decoded.channels} channels, mixed down with equal weights.")
        level, sound = sounds.level_of_mix(decoded.excerpt), sounds.of_mix(name, decoded.excerpt)
        with self._computing:
            encoded = self.model.encode(decoded.samples)  # once: each question goes on from here
        number, seconds = secrets.token_hex(8), len(decoded.samples) / self.model.sample_rate
        with self._lock:
            self._mixes[number] = Mix(number, name, encoded, seconds, decoded.excerpt, sound, level, paths, notes)
            while len(self._mixes) > _MIXES:
                self._mixes.popitem(last=False)
        return {"mix": number, "name": name, "seconds": round(seconds, 2), "notes": notes}

    def ask(self, number: str, instrument: str, *, segments: bool = False) -> dict[str, Any]:
        """Which stems fit a mix as this instrument: the data of a listening page, with addresses of sounds.

        Stems have no waveform there, and no remarks that need their sound: those are :meth:`details`, whose address is ``details`` of each.

        Args:
            number: of the mix.
            instrument: a name that the weights know, or, conditioned by text, any.
            segments: compares parts of stems; each stem is heard from where its best part begins.

        Raises:
            RefusedError: the mix is not kept any more, the instrument is unknown, parts are not indexed, or the library cannot be used.
        """
        mix = self._mix(number)
        self.catalogue.edition.candidates(segments=segments)
        try:
            taken = self.model.interpret(instrument)
        except JukemirLikeError as error:
            raise RefusedError(422, str(error)) from error
        edition = self.catalogue.current()
        with self._computing:
            vector = self.model.predict_from(mix.encoded, instrument)
            library = edition.candidates(segments=segments)
            matches, scores = library.search(vector, TOP)
            newest = self.catalogue.checked(match.path for match in matches)
            if newest is not edition:
                edition, library = newest, newest.candidates(segments=segments)
                matches, scores = library.search(vector, TOP)
        places = [self._place(edition, match) for match in matches]
        candidates = [self._unheard(mix, match, place) for match, place in zip(matches, places, strict=True)]
        scale = (float(scores.min()), float(np.median(scores)), float(scores.max()))
        sound = replace(mix.sound, audio=f"{self.prefix}audio/{number}/mix")
        name = printable(instrument)
        comparison = Comparison(mix.name, name, mix.excerpt.seconds, len(scores), sound, candidates, scale)
        page = self._page(mix, taken, comparison, library.summary.notes, segments=segments).to_json()
        for place, shown in zip(places, page["comparisons"][0]["candidates"], strict=True):
            shown["details"] = f"{self.prefix}details/{number}/{place.address}"
        return page | {"generation": edition.generation}

    def _place(self, edition: Edition, match: retrieval_library.Match) -> Place:
        part = None if match.start_seconds is None else round(match.start_seconds / self._chunk_seconds)
        return Place(edition.generation, edition.numbers[match.path], part)

    def _unheard(self, mix: Mix, match: retrieval_library.Match, place: Place) -> Candidate:
        path, audio = (self.catalogue.folder / match.path).absolute(), f"{self.prefix}audio/{mix.number}/{place.address}"
        marks, notes = mix.marks(path), mix.remarks(path)
        return Candidate(printable(match.path), audio, rank=match.rank, score=match.score, marks=marks, notes=notes)

    def _page(self, mix: Mix, taken: Interpretation, comparison: Comparison, remarks: Sequence[str], *, segments: bool) -> Page:
        folder, instrument = self.catalogue.folder, comparison.instrument
        fitting = f"stems whose parts of {self._chunk_seconds:g} s fit best" if segments else "stems that fit best"
        lead = f"The mix, and with it the {fitting}, of {comparison.of:,} in {printable(folder.absolute().name)}."
        seconds, start = mix.seconds, mix.excerpt.offset_seconds
        notes = [f"{taken.note[0].upper()}{printable(taken.note[1:])}."] if taken.note else []
        notes += mix.notes
        if comparison.seconds < seconds - 0.01:
            end = sounds.clock(start + comparison.seconds)
            notes.append(f"Heard is {sounds.clock(start)} to {end} of the {sounds.clock(seconds)} of the mix.")
        notes += ["Each stem is heard from where the part begins that fits best."] if segments else []
        notes.append(sounds.LOUDNESS)
        notes += [same_track.RULE] if any(one.marks for one in comparison.candidates) else []
        facts = [("mix", mix.name), ("instrument", instrument), ("library", printable(str(folder))), ("digest", self.model.digest[:16])]
        facts += [("library", remark) for remark in remarks]
        return Page(f"Which {instrument} fits {mix.name}?", f"{lead} Nothing is transposed or stretched.", [comparison], facts, notes)

    def sound_of_mix(self, number: str) -> bytes:
        """The mix as MP3."""
        sound = self._mix(number).sound.audio
        assert isinstance(sound, bytes)  # noqa: S101 -- of_mix makes it
        return sound

    def sound(self, number: str, place: Place) -> bytes:
        """A stem of the library as MP3: the part that is heard with this mix.

        Raises:
            RefusedError: it was removed, or cannot be read.
        """
        return self._hearing.sound(self._mix(number), place)

    def details(self, number: str, place: Place) -> dict[str, Any]:
        """Waveform and remarks of a stem as it is heard with this mix, and why it cannot be heard: part of a sound of a listening page."""
        try:
            heard = self._hearing.details(self._mix(number), place)
        except RefusedError as error:
            return {"audio": None, "problem": f"cannot be heard: {error}"}
        return {"peaks": heard.peaks, "offset_seconds": heard.offset_seconds, "notes": heard.notes}

    def _mix(self, number: str) -> Mix:
        with self._lock:
            if number not in self._mixes:
                raise RefusedError(410, f"this mix is not kept any more (the last {_MIXES} are): give it again")
            self._mixes.move_to_end(number)
            return self._mixes[number]
