"""The page of what ``retrieve`` found: the mix, and the best candidates of a library with it."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from jukemir_like.core import files, machine
from jukemir_like.core.errors import InputError
from jukemir_like.core.files import printable
from jukemir_like.core.version import __version__
from jukemir_like.listening import excerpts, same_track
from jukemir_like.listening.compress import KILOBITS, to_mp3
from jukemir_like.listening.page import SAME_TRACK, Candidate, Comparison, Page, Sound


@dataclass(frozen=True)
class Found:
    """A candidate of a library.

    Args:
        rank: from 1.
        score: a cosine.
        path: relative to the library.
        offset_seconds: where the part of it begins that fits; None: it is heard from the time in it at which the mix is heard.
    """

    rank: int
    score: float
    path: str
    offset_seconds: float | None = None


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
        RequestError: the libsndfile of this machine writes no MP3.
    """
    mix = excerpts.read(context)
    start = excerpts.start_of_excerpt(mix, seconds)
    excerpt = excerpts.cut(mix, start, min(seconds, mix.seconds))
    heard_seconds = len(excerpt.samples) / excerpts.SAMPLE_RATE
    gain = excerpts.gain(excerpt.samples)
    level = excerpts.active_level(excerpt.samples, excerpts.SAMPLE_RATE) * gain or excerpts.MIX_LEVEL  # the latter where it is silent

    def candidate(one: Found) -> Candidate:
        path = folder / one.path
        marks = [SAME_TRACK] if same_track.is_same_track(context.absolute(), path.absolute()) else []
        name = printable(one.path)
        try:
            sound = excerpts.read(path)
        except (InputError, OSError) as error:
            reason = files.refusal(error) if isinstance(error, OSError) else str(error)
            return Candidate(name, None, problem=f"cannot be heard any more: {reason}", rank=one.rank, score=one.score, marks=marks)
        wanted = start if one.offset_seconds is None else one.offset_seconds
        part = excerpts.cut(sound, wanted, heard_seconds)
        audio, notes = _prepared(part, level), _notes(part, wanted, heard_seconds)
        return Candidate(name, *audio, offset_seconds=part.offset_seconds, notes=notes, rank=one.rank, score=one.score, marks=marks)

    with ThreadPoolExecutor(machine.available_cpus()) as pool:
        of_mix = pool.submit(to_mp3, excerpt.samples * np.float32(gain), KILOBITS["mix"])
        candidates = list(pool.map(candidate, found))
    failed = {one.path: heard.problem for one, heard in zip(found, candidates, strict=True) if heard.problem}
    name = printable(context.name)
    mix_sound = Sound(name, of_mix.result(), excerpts.waveform(excerpt.samples), excerpt.offset_seconds)
    scale = (float(scores.min()), float(np.median(scores)), float(scores.max())) if len(scores) else None
    comparison = Comparison(name, instrument, heard_seconds, len(scores), mix_sound, candidates, scale)
    lead = f"The mix, and with it each of the {len(found)} stems that fit best of {len(scores):,} in {printable(folder.name or str(folder))}."
    said = [
        *([f"Heard: {clock(start)} to {clock(start + heard_seconds)} of {clock(mix.seconds)} of the mix."] if heard_seconds < mix.seconds else []),
        "Every stem begins where the mix does, and is as loud as the mix while it sounds, as far as its peaks allow.",
        *([same_track.RULE] if any(one.marks for one in candidates) else []),
    ]
    described = [("mix", printable(str(context))), ("instrument", instrument), ("library", printable(str(folder))), *facts, *made()]
    return Page(f"Which {instrument} fits {name}?", lead, [comparison], described, said), failed


def made() -> list[tuple[str, str]]:
    """When and by which version: facts for a page."""
    return [("made", f"{datetime.datetime.now().astimezone():%Y-%m-%d %H:%M} by jukemir-like {__version__}")]


def clock(seconds: float) -> str:
    """Minutes and seconds.

    >>> clock(83.9)
    '1:23'
    """
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"


def _prepared(part: excerpts.Excerpt, level: float) -> tuple[bytes, list[int]]:
    """MP3 and waveform."""
    return to_mp3(part.samples * np.float32(excerpts.gain(part.samples, level)), KILOBITS["stem"]), excerpts.waveform(part.samples)


def _notes(part: excerpts.Excerpt, wanted_seconds: float, seconds: float) -> list[str]:
    if part.is_silent:
        return ["silent here"]
    notes = []
    if part.offset_seconds != wanted_seconds:
        notes.append("from its beginning: it is shorter")
    elif part.offset_seconds:
        notes.append(f"from {clock(part.offset_seconds)}")
    if part.sounding_seconds < seconds - 0.5:
        notes.append(f"ends after {part.sounding_seconds:.0f} s")
    return notes
