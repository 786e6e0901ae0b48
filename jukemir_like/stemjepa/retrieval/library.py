"""A folder of audio files as candidates: each embedded by the teacher, once for its content and the weights."""

from __future__ import annotations

import hashlib
import json
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from jukemir_like import audio
from jukemir_like.core import files, records
from jukemir_like.core.atomic import remove_abandoned
from jukemir_like.core.cache import Cache
from jukemir_like.core.errors import InputError, RequestError
from jukemir_like.core.files import printable
from jukemir_like.core.progress import Progress
from jukemir_like.stemjepa import data
from jukemir_like.stemjepa.pretrained import StemJEPA, comparable
from jukemir_like.stemjepa.retrieval import index as index_file
from jukemir_like.stemjepa.retrieval.embedding import SILENT
from jukemir_like.stemjepa.retrieval.index import Index, State
from jukemir_like.stemjepa.retrieval.metrics import Vectors

_SAVE_SECONDS = 60.0
_SECONDS_AT_ONCE = 240  # of audio; files are small or many
_SILENCE = "is silent"


@dataclass(frozen=True)
class Query:
    """What is looked for: its vector ``(dimension,)``, and in ``notes`` what is to be said of the mix that it comes from."""

    vector: Vectors
    notes: list[str]


@dataclass(frozen=True)
class Match:
    """A file of a library that fits. ``score`` is a cosine, from -1 to 1; ``path`` is relative to the library."""

    rank: int
    score: float
    path: str


@dataclass(frozen=True)
class Library:
    """Candidates.

    Args:
        folder: where they are.
        paths: relative to it, sorted.
        vectors: ``(len(paths), dimension)``, float32.
        silent: files that hold nothing but silence, which are no candidates.
        summary: files that were embedded now, that were known, and that failed.
    """

    folder: Path
    paths: list[str]
    vectors: Vectors
    silent: list[str]
    summary: records.Summary

    def nearest(self, query: Vectors, top: int) -> list[Match]:
        """The ``top`` candidates that are nearest to ``query`` ``(dimension,)``; best first, of equals the first by name."""
        scores = comparable(self.vectors) @ comparable(query)
        best = np.argsort(-scores, kind="stable")[:top]
        return [Match(place, float(scores[number]), self.paths[number]) for place, number in enumerate(best, 1)]

    def text(self, matches: list[Match]) -> str:
        """A table for people."""
        from tabulate import tabulate

        cells = [(match.rank, f"{match.score:.3f}", printable(match.path)) for match in matches]
        return tabulate(cells, ("rank", "score", "path"), colalign=("right", "right", "left"), disable_numparse=True)

    def to_json(self, matches: list[Match], request: dict[str, str]) -> str:
        """``request`` with ``library``, ``files`` (candidates), ``silent``, ``failed``, ``notes`` and ``results`` (rank, score, path)."""
        found = {"library": str(self.folder), "files": len(self.paths), "silent": self.silent, "failed": self.summary.failed}
        return json.dumps(request | found | {"notes": self.summary.notes} | {"results": [vars(match) for match in matches]}, indent=1)


def query(model: StemJEPA, context: Path, instrument: str) -> Query:
    """What ``context``, an audio file of a mix, lacks. Channels are mixed down with equal weights; more than two are spoken of.

    Raises:
        RequestError: an unknown instrument, a file that cannot be read, or silence.
    """
    model.number(instrument)
    try:
        mix, channels = _load(context, model.sample_rate)
        if np.abs(mix).max() < SILENT:
            raise InputError(_SILENCE)
    except InputError as error:
        raise RequestError(f"the context {printable(str(context))} {error}: give a mix in an audio file") from error
    return Query(np.asarray(model.predict(mix, instrument)[0]), _notes(context, channels, instrument))


def _notes(context: Path, channels: int, instrument: str) -> list[str]:
    """What is to be said of a context: that its channels, more than two or stems by the nearest ``dataset.json``, are mixed down."""
    described = next((folder for folder in context.absolute().parents if (folder / "dataset.json").is_file()), None)
    try:
        names = data.declared(described) if described else None
    except RequestError:  # some other program's
        names = None
    if names is None or len(names) != channels:
        return [f"the context has {channels} channels: mixed down with equal weights"] if channels > 2 else []
    note = f"the context is {channels} stems by dataset.json ({', '.join(names)}): mixed down with equal weights"
    return [f"{note}, {instrument} among them" if instrument in names else note]


def _load(source: Path | bytes, sample_rate: int) -> tuple[np.ndarray, int]:
    """As :func:`jukemir_like.audio.load`, and of how many channels it was."""
    decoded = audio.decode(source)
    mono = audio.resample(audio.mix_down(decoded.samples), decoded.sample_rate, sample_rate)
    if not len(mono):
        raise InputError(f"is too short: no sample is left at {sample_rate} Hz")
    return np.ascontiguousarray(mono, dtype=np.float32), len(decoded.samples)


def open_library(model: StemJEPA, folder: Path, cache: Cache) -> Library:
    """The audio files of ``folder``, of which those that are new or changed are embedded now.

    Args:
        model: gives the vectors; weights from a file.
        folder: searched with its sub-folders.
        cache: holds the index.

    Raises:
        RequestError: not a folder, or no audio file in it that can be used.
        StorageError: the index cannot be written.
    """
    started = time.perf_counter()
    if not folder.is_dir():
        raise RequestError(f"{folder} is not a folder: give the folder of a library")
    closed: dict[str, str] = {}
    paths = audio.find(folder, on_error=closed.__setitem__)
    if not paths:
        reasons = "".join(f" ({printable(name)}: {reason})" for name, reason in sorted(closed.items())[:1])
        raise RequestError(f"no audio files in {folder}{reasons}: give the folder of a library")
    path = index_file.place(cache, folder, model)
    remove_abandoned(path.parent)
    index = Index.read(path)
    if any(len(vector) != model.dimension for vector in index.vectors.values()):  # of other weights, or damaged
        index = Index()
    states = {name: index_file.state(folder / name) for name in paths}
    changed = {name: state for name, state in states.items() if not index.knows(name, state)}
    summary = records.Summary(f"library {folder}", failed=closed)
    if changed or index.files.keys() != states.keys():
        try:
            _embed(model, folder, changed, index, path, summary)
        finally:  # what is finished is kept, whatever ends this
            index.keep_only(states)
            index.write(path)
    summary.seconds = time.perf_counter() - started
    return _library(folder, paths, index, summary)


def _embed(model: StemJEPA, folder: Path, changed: dict[str, State | None], index: Index, path: Path, summary: records.Summary) -> None:
    """Brings ``index`` up to date with the files in ``changed``, and now and then onto the disk."""
    saved = time.monotonic()
    with Progress(len(changed), "index", "file") as bar:
        clips = _new_clips(folder, changed, index, summary.failed, model.sample_rate, bar)
        for group in _groups(clips, _SECONDS_AT_ONCE * model.sample_rate):
            for digest, vector in zip(group, model.embed([*group.values()], which="target"), strict=True):
                if np.isfinite(vector).all():
                    index.vectors[digest] = vector
                    summary.done += 1
                    summary.audio_seconds += len(group[digest]) / model.sample_rate
                else:
                    index.reasons[digest] = "gives a vector that is not finite"
            if time.monotonic() - saved > _SAVE_SECONDS:
                index.write(path)
                saved = time.monotonic()


def _new_clips(
    folder: Path, changed: dict[str, State | None], index: Index, failed: dict[str, str], sample_rate: int, bar: Progress
) -> Iterator[tuple[str, np.ndarray]]:
    """Digest and audio of the files whose content is new. Their bytes are read once, to be digested and to be decoded."""
    seen: set[str] = set()
    for name, state in changed.items():
        bar.update()
        try:
            data = files.read_regular(folder / name)
            digest = hashlib.sha256(data).hexdigest()
            index.add(name, digest, state)
            if index.has(digest) or digest in seen:
                continue
            seen.add(digest)
            clip, channels = _load(data, sample_rate)
            if channels > 2:
                index.channels[digest] = channels
            if np.abs(clip).max() < SILENT:
                raise InputError(_SILENCE)
        except InputError as error:  # lies in the content
            index.reasons[digest] = str(error)
        except (OSError, MemoryError) as error:  # may be otherwise next time
            index.files.pop(name, None)
            failed[name] = records.failure(error)["reason"] if isinstance(error, MemoryError) else files.refusal(error)
        else:
            yield digest, clip


def _groups(clips: Iterator[tuple[str, np.ndarray]], samples: int) -> Iterator[dict[str, np.ndarray]]:
    """Digest → audio, of so many clips that they hold ``samples`` or more."""
    group: dict[str, np.ndarray] = {}
    for digest, clip in clips:
        group[digest] = clip
        if sum(map(len, group.values())) >= samples:
            yield group
            group = {}
    if group:
        yield group


def _library(folder: Path, paths: list[str], index: Index, summary: records.Summary) -> Library:
    digests = {name: index.files[name][1] for name in paths if name in index.files}
    usable = [name for name in paths if digests.get(name) in index.vectors]
    reasons = summary.failed | {name: index.reasons[digest] for name, digest in digests.items() if digest in index.reasons}
    if not usable:
        name = min(reasons)
        raise RequestError(f"none of the {len(paths)} audio files of {folder} can be used (the first: {printable(name)}: {reasons[name]})")
    silent = sorted(name for name, reason in reasons.items() if reason == _SILENCE)
    summary.failed = {name: reason for name, reason in sorted(reasons.items()) if reason != _SILENCE}
    summary.kept = len(usable) - summary.done
    wide = Counter(index.channels[digests[name]] for name in usable if digests[name] in index.channels)
    if wide:
        shares = ", ".join(f"{count:,} of {number}" for number, count in sorted(wide.items()))
        summary.notes.append(f"files with more than two channels, mixed down with equal weights: {shares} channels")
    if silent:
        summary.notes.append(f"{len(silent):,} silent, left out")
    return Library(folder, usable, np.stack([index.vectors[digests[name]] for name in usable]), silent, summary)
