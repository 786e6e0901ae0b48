"""Timed events → samples, by a synthesiser of tinysoundfont."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from jukemir_like.synthband.plan import DRUM_BANK, SAMPLE_RATE
from jukemir_like.synthband.song import BEND_RANGE, Event


def play_events(
    synth: Any, bank: int, program: int, tuning: float, events: Sequence[Event], samples: int, *, channels: int
) -> np.ndarray:  # fmt: skip
    """What ``program`` plays: float32 ``(samples, channels)``; the same to the bit whatever the synthesiser has played before.

    Args:
        synth: as :func:`jukemir_like.midi.synthesiser.load` gives it.
        bank: 0, or that of the drums.
        program: a preset of the bank.
        tuning: in semitones.
        events: in their order; on channels 0 and 1.
        samples: to render.
        channels: 2, or 1 of a synthesiser that is mono.
    """
    for channel in (0, 1):
        # Without the drum flag tinysoundfont searches the melodic banks for the program.
        synth.program_select(channel, 0, bank, program, bank == DRUM_BANK)
        synth.pitchbend_range(channel, BEND_RANGE)
        synth.set_tuning(channel, tuning)
        synth.pitchbend(channel, 8192)
        synth.control_change(channel, 11, 127)
    # A note takes effect at the beginning of the next block that is generated, so the blocks reach from event to event. Slices of one
    # buffer, interleaved if it is stereo, are filled in place.
    out = np.zeros((samples, channels), np.float32)
    buffer = out.data.cast("B")
    width = 4 * channels
    now = 0
    generate = synth.generate_simple
    for sample, order, channel, key, value in events:
        if sample >= samples:
            break
        if sample > now:
            generate(sample - now, buffer[now * width : sample * width])
            now = sample
        if order == 2:
            synth.noteon(channel, key, int(value))
        elif order == 0:
            synth.noteoff(channel, key)
        elif key == -1:
            synth.pitchbend(channel, min(max(round(8192 + 8192 * value / BEND_RANGE), 0), 16383))
        else:
            synth.control_change(channel, 11, round(value))
    generate(samples - now, buffer[now * width :])
    # Ends every voice. After "sounds off" voices fade within milliseconds, so a tenth of a second is generated and discarded.
    synth.sounds_off()
    generate(SAMPLE_RATE // 10, memoryview(bytearray(SAMPLE_RATE // 10 * width)))
    return out
