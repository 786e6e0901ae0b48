"""One instrument, played by tinysoundfont with a soundfont.

Volume and expression: General MIDI asks for 40 log10(value/127) dB each (the square), tinysoundfont takes 60 log10 (the cube) of their
product. So the product of the squares is given to it as its cube root, in 14 bits, as the expression alone.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from jukemir_like.core.errors import InputError
from jukemir_like.midi.reading import Instrument
from jukemir_like.midi.soundfonts import DRUM_BANK

SAMPLE_RATE = 44100

_VOLUME, _EXPRESSION, _EXPRESSION_LOW, _RESET = 7, 11, 43, 121
_PARAMETERS = (6, 38, 98, 99, 100, 101)  # registered parameters and their values: the range of bends, the tuning
_USUAL_VOLUME = 100  # of General MIDI where a file sets none
_OFF, _CONTROL, _ON = range(3)  # the order of what happens at one time


def play(soundfont: Path, instrument: Instrument, samples: int) -> np.ndarray:
    """Renders one instrument: mono float32 ``(samples,)`` at 44,100 Hz, the mean of left and right; louder than 1 where it is so.

    The same instrument sounds the same to the bit after any other one.

    Raises:
        InputError: the soundfont has nothing for the instrument.
    """
    synth = _synth(os.fspath(soundfont))
    program = _program(synth, soundfont, instrument)
    synth.program_select(0, 0, DRUM_BANK if instrument.is_drums else 0, program, instrument.is_drums)
    synth.control_change(0, _RESET, 0)
    synth.pitchbend_range(0, 2.0)
    synth.set_tuning(0, 0.0)
    synth.pitchbend(0, 8192)
    levels = {_VOLUME: _USUAL_VOLUME, _EXPRESSION: 127}
    _set_gain(synth, levels)
    # A note takes effect at the beginning of the next block that is generated, so the blocks reach from event to event.
    stereo = np.zeros((samples, 2), np.float32)
    buffer = stereo.data.cast("B")
    now = 0
    for sample, order, one, other in _events(instrument):
        if sample >= samples:
            break
        if sample > now:
            synth.generate_simple(sample - now, buffer[now * 8 : sample * 8])
            now = sample
        if order == _ON:
            synth.noteon(0, one, other)
        elif order == _OFF:
            synth.noteoff(0, one)
        elif one < 0:
            synth.pitchbend(0, min(max(other + 8192, 0), 16383))
        elif one in levels:
            levels[one] = other
            _set_gain(synth, levels)
        elif one in _PARAMETERS:
            synth.control_change(0, one, other)
    synth.generate_simple(samples - now, buffer[now * 8 :])
    synth.sounds_off()
    synth.generate_simple(SAMPLE_RATE // 10)  # voices that are turned off fade within milliseconds
    return (stereo[:, 0] + stereo[:, 1]) * np.float32(0.5)


def _events(instrument: Instrument) -> Iterator[tuple[int, int, int, int]]:
    """(sample, order, key or controller, velocity or value), by time; controller -1 is the pitch bend."""
    events = [(round(seconds * SAMPLE_RATE), _CONTROL, number, value) for seconds, number, value in instrument.controls]
    events += [(round(seconds * SAMPLE_RATE), _CONTROL, -1, value) for seconds, value in instrument.bends]
    for note in instrument.notes:
        start = round(note.start * SAMPLE_RATE)
        events.append((start, _ON, note.key, note.velocity))
        events.append((max(round(note.end * SAMPLE_RATE), start + 1), _OFF, note.key, 0))
    return iter(sorted(events, key=lambda event: event[:2]))  # the sort is stable: of the same time and kind, the file's order


def _set_gain(synth: Any, levels: dict[int, int]) -> None:
    gain = (levels[_VOLUME] * levels[_EXPRESSION] / 127**2) ** 2
    value = round(gain ** (1 / 3) * 16383)
    synth.control_change(0, _EXPRESSION, value >> 7)
    synth.control_change(0, _EXPRESSION_LOW, value & 127)


def _program(synth: Any, soundfont: Path, instrument: Instrument) -> int:
    """The program, else another one of its family; of drums the kit, else the standard kit."""
    wanted = instrument.program
    bank, others = (DRUM_BANK, [0]) if instrument.is_drums else (0, range(wanted // 8 * 8, wanted // 8 * 8 + 8))
    for program in (wanted, *others):
        if synth.sfpreset_name(0, bank, program) is not None:
            return int(program)
    what = "drums" if instrument.is_drums else f"program {wanted} or its family"
    raise InputError(f"cannot be rendered: the soundfont {soundfont.name} has no {what}")


def load(soundfont: str, sample_rate: int, *, mono: bool = False) -> Any:
    """A ``tinysoundfont.Synth`` with one soundfont; loaded in 15 ms (6 MB) to a second (150 MB), compressed ones in several.

    Args:
        soundfont: path of the file.
        sample_rate: in Hz.
        mono: one channel instead of two that are interleaved; instruments have no place between left and right then, which takes two
            thirds of the time.
    """
    import tinysoundfont

    synth = tinysoundfont.Synth(samplerate=sample_rate)
    number = synth.sfload(soundfont, max_voices=256)
    if mono:
        from tinysoundfont._tinysoundfont import OutputMode

        synth.soundfonts[number].set_output(OutputMode.Mono, sample_rate, 0.0)
    return synth


@lru_cache(maxsize=1)
def _synth(soundfont: str) -> Any:
    """The process's synthesiser."""
    return load(soundfont, SAMPLE_RATE)
