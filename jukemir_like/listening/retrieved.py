"""The page of what ``retrieve`` found: the mix, and the best candidates of a library with it."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from jukemir_like.core import files, machine
from jukemir_like.core.errors import InputError
from jukemir_like.core.files import printable
from jukemir_like.deform.key_and_tempo import AS_IT_IS, Change
from jukemir_like.listening import excerpts, same_track, sounds
from jukemir_like.listening.page import SAME_TRACK, Candidate, Comparison, Page, made

EVERY_FILE = "Every file of the library was compared with the mix, whatever its name says."
"""Which files :func:`page` shows the best of, in a sentence."""


@dataclass(frozen=True)
class Found:
    """A candidate of a library.

    Args:
        rank: from 1.
        score: a cosine.
        path: relative to the library.
        offset_seconds: where the part of it begins that fits; None: it is heard from the time in it at which the mix is heard.
        change: in which key and tempo it fits, and is heard.
        tempo_unknown: whether a tempo was looked for in which it fits, and none found.
    """

    rank: int
    score: float
    path: str
    offset_seconds: float | None = None
    change: Change = AS_IT_IS
    tempo_unknown: bool = False


def page(
    context: Path,
    instrument: str,
    folder: Path,
    found: Sequence[Found],
    scores: np.ndarray,
    *,
    facts: Sequence[tuple[str, str]] = (),
    seconds: float = excerpts.SECONDS,
) -> tuple[Page, dict[str, str]]:
    """The page, and which candidates could not be read: path → reason. The page shows those too.

    Args:
        context: file of the mix.
        instrument: what was looked for.
        folder: of the library.
        found: the best candidates, best first.
        scores: of all files of the library, in any order.
        facts: further lines for the page: term, text.
        seconds: how much is heard of a longer mix.

    Raises:
        InputError, OSError: the mix cannot be read.
        RequestError: the libsndfile of this machine writes no MP3; a candidate is transposed, and python-stretch is not installed.

    >>> shown, unreadable = page(Path("song.wav"), "bass", Path("music"), [Found(1, 0.5, "0.wav")], np.float32([0.5, 0.1, 0.2]))
    >>> shown.title, unreadable
    ('Which bass fits song.wav?', {})
    """
    mix = excerpts.read(context)
    start = excerpts.start_of_excerpt(mix, seconds)
    excerpt = excerpts.cut(mix, start, min(seconds, mix.seconds))
    level = sounds.level_of_mix(excerpt)
    name = printable(context.name)
    with ThreadPoolExecutor(machine.available_cpus()) as pool:
        of_mix = pool.submit(sounds.of_mix, name, excerpt)
        candidates = list(pool.map(lambda one: _candidate(one, context, folder, start, excerpt, level), found))
    failed = {one.path: heard.problem for one, heard in zip(found, candidates, strict=True) if heard.problem}
    scale = (float(scores.min()), float(np.median(scores)), float(scores.max())) if len(scores) else None
    comparison = Comparison(name, instrument, excerpt.seconds, len(scores), of_mix.result(), candidates, scale)
    stems = "the stem that fits best" if len(found) == 1 else f"each of the {len(found)} stems that fit best"
    lead = f"The mix, and with it {stems}, of {len(scores):,} in {printable(folder.absolute().name)}. {_changed(found)}"
    is_part = excerpt.seconds < mix.seconds - 0.01
    part = f"Heard is {sounds.clock(start)} to {sounds.clock(start + excerpt.seconds)} of the {sounds.clock(mix.seconds)} of the mix. "
    notes = [f"{part if is_part else ''}{sounds.LOUDNESS} {EVERY_FILE}"]
    notes += [same_track.RULE] if any(one.marks for one in candidates) else []
    described = [("mix", printable(str(context))), ("instrument", instrument), ("library", printable(str(folder))), *facts, made()]
    return Page(f"Which {instrument} fits {name}?", lead, [comparison], described, notes), failed


def _candidate(one: Found, context: Path, folder: Path, start_seconds: float, mix: excerpts.Excerpt, level: float) -> Candidate:
    path, name = folder / one.path, printable(one.path)
    marks = [SAME_TRACK] if same_track.is_same_track(context.absolute(), path.absolute()) else []
    wanted = start_seconds * one.change.rate if one.offset_seconds is None else one.offset_seconds
    try:
        in_time = bool(marks) or one.offset_seconds is not None
        part = excerpts.read_part(path, wanted, mix.seconds, one.change, in_time=in_time)
    except (InputError, OSError) as error:
        reason = files.refusal(error) if isinstance(error, OSError) else str(error)
        return Candidate(name, None, problem=f"cannot be heard: {reason}", rank=one.rank, score=one.score, marks=marks)
    heard = sounds.of_stem(name, part, level, wanted, rank=one.rank, score=one.score, marks=marks)
    return replace(heard, notes=[*one.change.words, *(["no tempo found that fits"] if one.tempo_unknown else []), *heard.notes])


def _changed(found: Sequence[Found]) -> str:
    changes = [one.change for one in found if not one.change.is_none]
    if not changes:
        return "Nothing is transposed or stretched."
    ways = {"transposed": any(change.semitones for change in changes), "stretched": any(change.tempo_percent for change in changes)}
    how = " or ".join(way for way, occurs in ways.items() if occurs)
    one = len(changes) == 1
    return f"{len(changes)} of them {'is' if one else 'are'} {how} to fit, as {'its line says' if one else 'their lines say'}."
