"""Drums, struck: each piece of a kit is rendered once per range of velocities, and added wherever it is struck.

The synthesiser's level is proportional to the velocity within one sample of a soundfont, so this differs from playing every stroke only in
which of a piece's samples are used, and takes a fraction of the time. A stroke on a hi-hat ends the one before, as in General MIDI.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from jukemir_like.synthband.plan import DRUM_BANK, SAMPLE_RATE
from jukemir_like.synthband.playing import play_events
from jukemir_like.synthband.song import Event

_EDGES = (45, 75, 105)  # between the ranges of velocities
_LONGEST = 3 * SAMPLE_RATE
_FADE = SAMPLE_RATE // 50
_INAUDIBLE = 1e-4  # of a stroke's peak
_HATS = (42, 44, 46)
_CHOKE = SAMPLE_RATE // 100


def strike(synth: Any, kit: int, tuning: float, events: Sequence[Event], samples: int) -> np.ndarray:
    """What the kit plays: float32 ``(samples,)``.

    Args:
        synth: as :func:`jukemir_like.midi.synthesiser.load` gives it, mono.
        kit: a preset of the drums' bank.
        tuning: in semitones.
        events: beginnings and ends of notes, in their order.
        samples: to render.
    """
    starts = [event for event in events if event.order == 2 and event.sample < samples]
    ends = _lengths(events)
    strokes: dict[tuple[int, int], np.ndarray] = {}
    out = np.zeros(samples + _LONGEST, np.float32)
    hats = [event.sample for event in starts if event.key in _HATS]
    for event in starts:
        layer = int(np.searchsorted(_EDGES, event.value, side="right"))
        if (event.key, layer) not in strokes:
            velocity = _velocity(starts, event.key, layer)
            strokes[event.key, layer] = _stroke(synth, kit, tuning, event.key, velocity, ends[event]) / np.float32(velocity)
        stroke = strokes[event.key, layer] * np.float32(event.value)
        if event.key in _HATS:
            stroke = _choked(stroke, event.sample, hats)
        out[event.sample : event.sample + len(stroke)] += stroke
    return out[:samples]


def _lengths(events: Sequence[Event]) -> dict[Event, int]:
    """Samples until each key that is struck is let go."""
    lengths: dict[Event, int] = {}
    struck: dict[int, Event] = {}
    for event in events:
        if event.order == 2:
            struck[event.key] = event
            lengths[event] = _LONGEST
        elif event.order == 0 and event.key in struck:
            begun = struck.pop(event.key)
            lengths[begun] = event.sample - begun.sample
    return lengths


def _velocity(starts: Sequence[Event], key: int, layer: int) -> int:
    """The middle one of those with which a piece is struck in a range."""
    values = sorted(event.value for event in starts if event.key == key and np.searchsorted(_EDGES, event.value, side="right") == layer)
    return int(values[len(values) // 2])


def _stroke(synth: Any, kit: int, tuning: float, key: int, velocity: int, length: int) -> np.ndarray:
    """One stroke, until it can be heard no more."""
    events = [Event(0, 2, 0, key, velocity), Event(max(length, SAMPLE_RATE // 2), 0, 0, key, 0)]
    stroke = play_events(synth, DRUM_BANK, kit, tuning, events, _LONGEST, channels=1)[:, 0]
    peaks = np.abs(stroke).reshape(-1, _FADE).max(axis=1)
    loud = np.flatnonzero(peaks > _INAUDIBLE * peaks.max())
    stroke = stroke[: (int(loud[-1]) + 1) * _FADE if len(loud) else 0].copy()
    fade = min(_FADE, len(stroke))
    stroke[len(stroke) - fade :] *= np.linspace(1, 0, fade, dtype=np.float32)
    return np.asarray(stroke)


def _choked(stroke: np.ndarray, start: int, hats: Sequence[int]) -> np.ndarray:
    """A stroke on a hi-hat until the next one."""
    later = hats[int(np.searchsorted(hats, start, side="right")) :][:1]
    end = later[0] - start if later else len(stroke)
    if end + _CHOKE >= len(stroke):
        return stroke
    stroke = stroke[: end + _CHOKE]
    stroke[end:] *= np.linspace(1, 0, _CHOKE, dtype=np.float32)
    return stroke
