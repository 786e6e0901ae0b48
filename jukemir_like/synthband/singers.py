"""Who sings: a voice for each artist, of several sources, with formants, vowels and vibrato of its own.

A voice is a mixture of patches of the soundfont, a glottal source (pulses of Rosenberg's shape, 1971) and breath, all filtered by the
formants of one singer.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from jukemir_like.synthband.genres import VOICES
from jukemir_like.synthband.seeding import pick, stream, uniform

# First three formants in Hz of the vowels in heed, hid, head, had, hod, hawed, hood, who'd, hud and heard: averages for men (Peterson and
# Barney 1952).
VOWELS = (
    *((270, 2290, 3010), (390, 1990, 2550), (530, 1840, 2480), (660, 1720, 2410), (730, 1090, 2440)),
    *((570, 840, 2410), (440, 1020, 2240), (300, 870, 2240), (640, 1190, 2390), (490, 1350, 1690)),
)
_RING_HERTZ = 2900.0  # the cluster of formants of trained singers (Sundberg 1974)


@dataclass(frozen=True)
class Patch:
    """A program that sings along: its level in dB and its tuning in semitones, both beside the first one's."""

    program: int
    level: float
    tuning: float


@dataclass(frozen=True)
class Singer:
    """One artist's voice.

    Args:
        patches: at least one.
        glottis: level of the glottal source in dB beside the patches together.
        open_quotient: part of a period during which the glottis is open.
        breath: level of the breath in dB beside all other sources.
        onset: factor on the breath at the beginning of a note.
        vowels: places in :data:`VOWELS`.
        head: factors on the three formants.
        gains: of the formants in dB.
        width: of the formants in octaves.
        ring: gain in dB of the cluster of formants near 2.9 kHz.
        glide_seconds: time constant of the glide to a note.
        scoop: how far below a note it may begin after a breath, in semitones.
        vibrato_hertz: its rate.
        vibrato_semitones: its depth.
        vibrato_seconds: after the beginning of a note.
        unsteadiness: standard deviation of a note's pitch in semitones.
    """

    patches: tuple[Patch, ...]
    glottis: float
    open_quotient: float
    breath: float
    onset: float
    vowels: tuple[int, ...]
    head: tuple[float, float, float]
    gains: tuple[float, float, float]
    width: float
    ring: float
    glide_seconds: float
    scoop: float
    vibrato_hertz: float
    vibrato_semitones: float
    vibrato_seconds: float
    unsteadiness: float


@lru_cache(maxsize=1024)
def make_singer(seed: int, artist: int, program: int, head: float) -> Singer:
    """The singer of ``artist``, whose first patch is ``program`` and whose formants are scaled by about ``head``."""
    rng = stream(seed, "singer", artist)
    others = [voice for voice in VOICES if voice != program]
    second = Patch(pick(rng, others), uniform(rng, (-12.0, 0.0)), uniform(rng, (-0.08, 0.08)))
    patches = (Patch(program, 0.0, 0.0), second)[: 2 if rng.random() < 0.3 else 1]
    return Singer(
        patches=patches,
        glottis=uniform(rng, (-18.0, 8.0)),
        open_quotient=uniform(rng, (0.35, 0.85)),
        breath=uniform(rng, (-36.0, -14.0)),
        onset=uniform(rng, (1.0, 6.0)),
        vowels=tuple(int(place) for place in rng.permutation(len(VOWELS))[: 3 + int(rng.random() * 5)]),
        head=tuple(head * float(np.exp(rng.normal(0, 0.05))) for _ in range(3)),  # type: ignore[arg-type]
        gains=tuple(typical + float(rng.normal(0, 2.5)) for typical in (14.0, 11.0, 8.0)),  # type: ignore[arg-type]
        width=uniform(rng, (0.12, 0.3)),
        ring=max(0.0, float(rng.normal(2.0, 4.0))),
        glide_seconds=uniform(rng, (0.015, 0.08)),
        scoop=uniform(rng, (0.0, 2.5)),
        vibrato_hertz=uniform(rng, (4.3, 6.8)),
        vibrato_semitones=max(0.0, float(rng.normal(0.25, 0.2))),
        vibrato_seconds=uniform(rng, (0.05, 0.5)),
        unsteadiness=uniform(rng, (0.02, 0.15)),
    )


def formants(singer: Singer, vowel: int, frequencies: np.ndarray) -> np.ndarray:
    """The gains of ``singer`` on vowel ``vowel`` of :data:`VOWELS` at ``frequencies`` in Hz; factors, of the same shape."""
    octaves = np.log2(np.maximum(frequencies, 20.0))
    decibels = np.full(frequencies.shape, -6.0)
    for hertz, factor, gain in zip(VOWELS[vowel], singer.head, singer.gains, strict=True):
        decibels += gain * np.exp(-np.square((octaves - np.log2(hertz * factor)) / singer.width))
    decibels += singer.ring * np.exp(-np.square((octaves - np.log2(_RING_HERTZ * singer.head[2])) / 0.25))
    return np.asarray(10 ** (decibels / 20))
