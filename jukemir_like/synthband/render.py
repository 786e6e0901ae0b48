"""From a composed song to four channels of sound."""

from __future__ import annotations

import numpy as np

from jukemir_like.synthband import SAMPLE_RATE, SECONDS
from jukemir_like.synthband.compose import Song
from jukemir_like.synthband.draws import stream
from jukemir_like.synthband.performance import perform, timed
from jukemir_like.synthband.soundfont import play
from jukemir_like.synthband.studio import active_level, balance

SAMPLES = int(SECONDS * SAMPLE_RATE)


def render(song: Song) -> np.ndarray:
    """The stems of a song: float32 ``(4, 661500)`` at 22,050 Hz, within ±0.95."""
    plan = song.plan
    dry = {}
    for stem, parts in song.stems.items():
        late = plan.sound.late_seconds if stem == "vocals" else 0.0
        mixed = np.zeros(SAMPLES, np.float32)
        for place, part in enumerate(parts):
            rng = stream(song.seed, f"performance {stem}", song.index, place)
            sound = play(part, perform(part, plan, late, rng), SAMPLES)
            mixed += sound * np.float32(10 ** (part.level / 20) / active_level(sound))
        dry[stem] = mixed
    return balance(dry, plan.sound, _vowels(song), song.loudness, stream(song.seed, "studio", song.index))


def _vowels(song: Song) -> np.ndarray:
    """Which of its two vowels the voice is on, 0 to 1, changing from note to note: ``(samples,)``."""
    rng = stream(song.seed, "vowels", song.index)
    (part,) = song.stems["vocals"]
    notes = timed(part, song.plan, song.plan.sound.late_seconds, stream(song.seed, "performance vocals", song.index, 0))
    times, values = [0.0], [0.5]
    for note, value in zip(notes, rng.random(len(notes)).round(), strict=True):
        times += [max(note.start - 0.02, times[-1]), max(note.start + 0.05, times[-1])]
        values += [values[-1], float(value)]
    return np.interp(np.arange(SAMPLES, dtype=np.float64) / SAMPLE_RATE, times, values).astype(np.float32)
