"""A song of a wide edition: its stems, each played by the soundfont that was drawn for it, in the artist's tuning; sung; produced.

Instruments are rendered in one channel. What a soundfont says it has and does not sound is played by the one that pretty_midi carries.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from jukemir_like.midi.soundfonts import Soundfont
from jukemir_like.midi.synthesiser import load
from jukemir_like.synthband.casting import cast, singer_of
from jukemir_like.synthband.kits import strike
from jukemir_like.synthband.plan import DRUM_BANK, SAMPLE_RATE, Part
from jukemir_like.synthband.playing import play_events
from jukemir_like.synthband.production import produce
from jukemir_like.synthband.rendering import SAMPLES, SOUNDFONT_SHA256, level_or_one, scaled
from jukemir_like.synthband.seeding import stream
from jukemir_like.synthband.singers import Singer
from jukemir_like.synthband.singing import breath, events, glottal_source, sing, with_formants
from jukemir_like.synthband.song import Event, Song, perform, timed_notes

MOST_LOADED = 8
"""Soundfonts that a process keeps in memory."""

_LEVELS = {"bass": 0.0, "drums": 1.0, "other": -1.0, "vocals": 1.5}  # in dB
_SILENT = 1e-6
_HEADROOM = 0.1  # root mean square of the mix that goes into the studio


def record(song: Song, soundfonts: Sequence[Soundfont]) -> tuple[np.ndarray, dict[str, Any]]:
    """The stems of a song, and what of them is known only when they are there.

    Args:
        song: of an edition that is wide.
        soundfonts: to draw from; the one that pretty_midi carries is among them.

    Returns:
        float32 ``(4, 661500)`` at 22,050 Hz, within ±0.95; and as JSON values ``soundfonts`` (of each stem) and ``production`` (what
        the studio did).

    Raises:
        RequestError: no soundfont has the instruments of a stem.
    """
    chosen = cast(song, soundfonts)
    usual = next((soundfont for soundfont in soundfonts if soundfont.sha256 == SOUNDFONT_SHA256), None)
    levels = stream(song.seed, "levels", song.index)
    stems = np.empty((len(song.stems), SAMPLES), np.float32)
    for row, stem in enumerate(song.stems):
        dry = _stem(song, stem, chosen[stem])
        if not _is_heard(dry) and usual is not None:
            chosen[stem] = usual
            dry = _stem(song, stem, usual)
        gain = _LEVELS[stem] + song.plan.sound.levels[row] + float(levels.normal(0, 1.0))
        stems[row] = dry * np.float32(10 ** (gain / 20) / level_or_one(dry))
    stems *= np.float32(_HEADROOM / level_or_one(stems.sum(axis=0)))
    artist, own = (int(stream(song.seed, "studio", *who).integers(2**63)) for who in ((0, song.plan.role.artist), (1, song.index)))
    produced, production = produce(stems, SAMPLE_RATE, artist_seed=artist, song_seed=own)
    facts = {"soundfonts": {stem: soundfont.to_json() for stem, soundfont in chosen.items()}, "production": production}
    return scaled(produced, song.loudness), facts


def prepare(soundfonts: Sequence[Soundfont]) -> None:
    """Loads soundfonts, as many as are kept: processes that are forked from this one share their memory."""
    for soundfont in soundfonts[:MOST_LOADED]:
        _synth(str(soundfont.path))


def tuning_semitones(tuning_hertz: float) -> float:
    """How far A4 is above 440 Hz.

    >>> tuning_semitones(440.0), round(tuning_semitones(466.16), 2)
    (0.0, 1.0)
    """
    return 12 * math.log2(tuning_hertz / 440)


def _stem(song: Song, stem: str, soundfont: Soundfont) -> np.ndarray:
    """The parts of a stem, dry."""
    singer = singer_of(song)
    mixed = np.zeros(SAMPLES, np.float32)
    for number, part in enumerate(song.stems[stem]):
        rng = stream(song.seed, f"performance {stem}", song.index, number)
        if part.sung and singer is not None:
            samples = _sung(song, part, singer, soundfont, rng)
        else:
            samples = _played(song, part, soundfont, perform(part, song.plan, song.plan.late_seconds(stem), rng))
        mixed += samples * np.float32(10 ** (part.level / 20) / level_or_one(samples))
    return mixed


def _sung(song: Song, part: Part, singer: Singer, soundfont: Soundfont, rng: np.random.Generator) -> np.ndarray:
    plan = song.plan
    sung = sing(timed_notes(part, plan, plan.late_seconds("vocals"), rng), singer, SAMPLES, rng)
    instructions = events(sung)
    mixed = np.zeros(SAMPLES, np.float32)
    for patch in singer.patches:
        samples = _play(soundfont, 0, patch.program, tuning_semitones(plan.tuning_hertz) + patch.tuning, instructions)
        mixed += samples * np.float32(10 ** (patch.level / 20) / level_or_one(samples))
    pulses, noise = glottal_source(sung, singer, plan.tuning_hertz, SAMPLES), breath(sung, singer, SAMPLES, rng)
    for source, level in ((pulses, singer.glottis), (noise, singer.breath)):
        mixed += source * np.float32(10 ** (level / 20) * level_or_one(mixed) / level_or_one(source))
    return with_formants(mixed, sung, singer)


def _played(song: Song, part: Part, soundfont: Soundfont, instructions: Sequence[Event]) -> np.ndarray:
    if part.bank == DRUM_BANK:  # whose tuning says nothing of A4
        return strike(_synth(str(soundfont.path)), part.program, part.tuning, instructions, SAMPLES)
    return _play(soundfont, part.bank, part.program, part.tuning + tuning_semitones(song.plan.tuning_hertz), instructions)


def _play(soundfont: Soundfont, bank: int, program: int, tuning: float, instructions: Sequence[Event]) -> np.ndarray:
    return play_events(_synth(str(soundfont.path)), bank, program, tuning, instructions, SAMPLES, channels=1)[:, 0]


@lru_cache(maxsize=MOST_LOADED)
def _synth(path: str) -> Any:
    return load(path, SAMPLE_RATE, mono=True)


def _is_heard(samples: np.ndarray) -> bool:
    return max(float(samples.max()), -float(samples.min())) > _SILENT
