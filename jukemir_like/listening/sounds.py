"""Excerpts → what a page plays: a mix at one level, and stems as loud as it."""

from __future__ import annotations

from typing import Any

import numpy as np

from jukemir_like.listening import excerpts
from jukemir_like.listening.compress import SAMPLE_RATE, to_mp3
from jukemir_like.listening.excerpts import Excerpt
from jukemir_like.listening.page import Candidate, Sound
from jukemir_like.studio.levels import active_level

LOUDNESS = "Every stem is as loud as the mix while it sounds, as far as its peaks allow."
"""What :func:`of_stem` does, in a sentence for the page."""

_AUDIBLE_SECONDS = 0.5  # a stem that ends by less too early is not worth a remark


def level_of_mix(excerpt: Excerpt) -> float:
    """The level that :func:`of_mix` gives the mix, for :func:`of_stem`."""
    active = active_level(excerpt.samples, SAMPLE_RATE)
    return active * excerpts.gain(excerpt.samples) or excerpts.MIX_LEVEL


def of_mix(name: str, excerpt: Excerpt) -> Sound:
    """A mix at :data:`~.excerpts.MIX_LEVEL`, as far as its peaks allow."""
    audio = to_mp3(excerpt.samples * np.float32(excerpts.gain(excerpt.samples)))
    return Sound(name, audio, excerpts.waveform(excerpt.samples), excerpt.offset_seconds)


def of_stem(name: str, excerpt: Excerpt, level: float, wanted_seconds: float, **more: Any) -> Candidate:
    """A stem at this level while it sounds, as far as its peaks allow.

    Args:
        name: shown.
        excerpt: what is heard of it.
        level: of its mix, from :func:`level_of_mix`.
        wanted_seconds: where the excerpt was meant to begin; where it does not, the page says so.
        more: ``rank``, ``score``, ``marks`` of the candidate.
    """
    return unheard_stem(name, excerpt, wanted_seconds, audio=audio_of_stem(excerpt, level), **more)


def unheard_stem(name: str, excerpt: Excerpt, wanted_seconds: float, audio: bytes | None = None, **more: Any) -> Candidate:
    """As :func:`of_stem`, without the sound, which takes most of the time."""
    notes = _notes(excerpt, wanted_seconds)
    return Candidate(name, audio, excerpts.waveform(excerpt.samples), excerpt.offset_seconds, notes=notes, **more)


def audio_of_stem(excerpt: Excerpt, level: float) -> bytes:
    """The sound of :func:`of_stem`."""
    return to_mp3(excerpt.samples * np.float32(excerpts.gain(excerpt.samples, level)))


def clock(seconds: float) -> str:
    """Minutes and seconds.

    >>> clock(83.9)
    '1:23'
    """
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"


def _notes(excerpt: Excerpt, wanted_seconds: float) -> list[str]:
    if excerpt.is_silent:
        return ["silent here"]
    notes = []
    if excerpt.offset_seconds != wanted_seconds:
        notes.append("from its beginning, as it is short")
    elif excerpt.offset_seconds:
        notes.append(f"from {clock(excerpt.offset_seconds)}")
    if excerpt.sounding_seconds < excerpt.seconds - _AUDIBLE_SECONDS:
        notes.append(f"ends after {excerpt.sounding_seconds:.0f} s")
    return notes
