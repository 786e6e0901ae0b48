"""A MIDI file → one channel per stem, by one soundfont.

The channels of a song whose sum of instruments exceeds full scale are turned down by one gain, as those of other songs of many sources.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from jukemir_like.audio import Audio
from jukemir_like.audio.stems.summing import SummedStems, within_full_scale
from jukemir_like.core.errors import InputError
from jukemir_like.midi import reading
from jukemir_like.midi.soundfonts import Soundfont
from jukemir_like.midi.synthesiser import SAMPLE_RATE, play

VERSION = 1
"""Raised when the same file would give other samples."""
TAIL_SECONDS = 2.0
"""After the end of the last note, for sounds to die away."""

_SILENT = 1e-4  # full scale is 1: a few steps of 16 bits


@dataclass(frozen=True)
class Rendering:
    """How a MIDI file is rendered.

    Args:
        soundfont: that plays it.
        instruments: of each stem, the places of its instruments in what :func:`.reading.read` returns.
    """

    soundfont: Soundfont
    instruments: tuple[tuple[int, ...], ...]

    def signature(self) -> dict[str, Any]:
        """All but the file that decides the samples."""
        synth = metadata.version("tinysoundfont")
        return {"version": VERSION, "soundfont": self.soundfont.sha256, "instruments": self.instruments, "tinysoundfont": synth}


def render(path: Path, rendering: Rendering) -> SummedStems:
    """The stems of a song: ``(stems, samples)`` at 44,100 Hz, within full scale, and the gain that they were given.

    Raises:
        InputError: the file cannot be read, the soundfont lacks an instrument, or fewer than two stems can be heard.
    """
    instruments = reading.read(path)
    samples = round((reading.end_seconds(instruments) + TAIL_SECONDS) * SAMPLE_RATE)
    stems = np.zeros((len(rendering.instruments), samples), np.float32)
    for stem, places in zip(stems, rendering.instruments, strict=True):
        for place in places:
            stem += play(rendering.soundfont.path, instruments[place], samples)
    if sum(float(np.abs(stem).max()) > _SILENT for stem in stems) < 2:
        raise InputError("has too few stems: fewer than two can be heard, all others are turned down to silence")
    fade = SAMPLE_RATE // 50
    stems[:, -fade:] *= np.linspace(1, 0, fade, dtype=np.float32)
    gain = within_full_scale(stems)
    return SummedStems(Audio(stems, SAMPLE_RATE), gain)
