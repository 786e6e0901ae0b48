"""The instruments: the soundfont that the package pretty_midi carries, played by tinysoundfont."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from jukemir_like.core.errors import RequestError
from jukemir_like.synthband import SAMPLE_RATE
from jukemir_like.synthband.performance import BEND_RANGE, Event
from jukemir_like.synthband.score import DRUM_BANK, Part

NAME = "TimGM6mb.sf2"
SHA256 = "82475b91a76de15cb28a104707d3247ba932e228bada3f47bba63c6b31aaf7a1"
_SYNTH_VERSION_KNOWN = "0.3.7"


def path() -> Path:
    """Where the soundfont lies, without importing the package that carries it.

    Raises:
        RequestError: pretty_midi, or the soundfont in it, is missing.
    """
    found = find_spec("pretty_midi")
    file = Path(found.origin).parent / NAME if found is not None and found.origin else None
    if file is None or not file.is_file():
        raise RequestError(f"{NAME} is not installed: run `make setup`, or `pip install pretty_midi` (0.2.11 carries it)")
    return file


def check() -> None:
    """Makes sure that the dataset can be rendered, and with the sounds it is defined by.

    Raises:
        RequestError: tinysoundfont or the soundfont is missing, or the soundfont is another one.
    """
    if find_spec("tinysoundfont") is None:
        raise RequestError(
            f"tinysoundfont is not installed: run `make setup`, or `pip install --no-deps tinysoundfont=={_SYNTH_VERSION_KNOWN}`"
        )
    file = path()
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    if digest != SHA256:
        found = f"SHA-256 {digest[:12]}… instead of {SHA256[:12]}…"
        raise RequestError(f"{file} is not the soundfont that synthband is made with ({found}): reinstall pretty_midi 0.2.11")


def play(part: Part, events: Sequence[Event], samples: int) -> np.ndarray:
    """Renders one part: mono float32 of shape ``(samples,)``, the mean of left and right, at any level.

    The same part sounds the same to the bit whatever was played before.
    """
    synth = _synth()
    drums = part.bank == DRUM_BANK
    for channel in (0, 1):
        # Without its drum flag a program is looked for in the melodic banks.
        synth.program_select(channel, 0, part.bank, part.program, drums)
        synth.pitchbend_range(channel, BEND_RANGE)
        synth.set_tuning(channel, part.tuning)
        synth.pitchbend(channel, 8192)
        synth.control_change(channel, 11, 127)
    # Notes take effect at the beginning of what is generated next, so the sound is generated from event to event. The buffer is ours
    # and interleaved stereo (tinysoundfont.Synth knows nothing else): slices of it are filled in place.
    stereo = np.zeros((samples, 2), np.float32)
    buffer = stereo.data.cast("B")
    now = 0
    for event in events:
        if event.sample >= samples:
            break
        if event.sample > now:
            synth.generate_simple(event.sample - now, buffer[now * 8 : event.sample * 8])
            now = event.sample
        if event.order == 2:
            synth.noteon(event.channel, event.key, int(event.value))
        elif event.order == 0:
            synth.noteoff(event.channel, event.key)
        elif event.key == -1:
            synth.pitchbend(event.channel, min(max(round(8192 + 8192 * event.value / BEND_RANGE), 0), 16383))
        else:
            synth.control_change(event.channel, 11, round(event.value))
    synth.generate_simple(samples - now, buffer[now * 8 :])
    _silence(synth)
    # (Twenty times as fast as a mean over the short axis.)
    return (stereo[:, 0] + stereo[:, 1]) * np.float32(0.5)


@lru_cache(maxsize=1)
def _synth() -> Any:
    """The process's synthesiser; loading the soundfont takes about 15 ms and 30 MB."""
    import tinysoundfont

    synth = tinysoundfont.Synth(samplerate=SAMPLE_RATE)
    synth.sfload(str(path()), max_voices=256)
    return synth


def _silence(synth: Any) -> None:
    """Ends every voice. "Sounds off" lets voices fade in some milliseconds, so a tenth of a second is generated and thrown away."""
    synth.sounds_off()
    synth.generate_simple(SAMPLE_RATE // 10)
