"""From a deformation to what it does to the samples of a clip."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from jukemir_like.deform import filters, mp3, stretching
from jukemir_like.deform.names import KINDS, Deformation
from jukemir_like.studio import levels
from jukemir_like.studio.levels import Samples

_Effect = Callable[[Samples, int, float, Generator], Samples]

_EFFECTS: dict[str, _Effect] = {
    "level": lambda samples, rate, value, random: levels.level(samples, value),  # noqa: ARG005
    "noise": lambda samples, rate, value, random: filters.add_noise(samples, value, random),  # noqa: ARG005
    "pinknoise": lambda samples, rate, value, random: filters.add_pink_noise(samples, rate, value, random),
    "mp3": lambda samples, rate, value, random: mp3.round_trip(samples, rate, int(value)),  # noqa: ARG005
    "lowpass": lambda samples, rate, value, random: filters.lowpass(samples, rate, value),  # noqa: ARG005
    "reverb": lambda samples, rate, value, random: filters.reverberate(samples, rate, value, random),
    "tempo": lambda samples, rate, value, random: stretching.change_tempo(samples, rate, value),  # noqa: ARG005
    "pitch": lambda samples, rate, value, random: stretching.shift_pitch(samples, rate, value),  # noqa: ARG005
}

_HIGHEST, _LOWEST = 32767.5 / 32768, -32768.5 / 32768  # what rounds to a number of 16 bits


@dataclass(frozen=True)
class Deformed:
    """A deformed clip.

    Args:
        samples: float32 ``(samples,)``, not yet clipped.
        clipped: how many of them are beyond full scale.
        as_it_is: why the clip was left as it is; None where it was not.
    """

    samples: Samples
    clipped: int
    as_it_is: str | None = None


def apply(deformation: Deformation, samples: Samples, sample_rate: int, generator: Generator) -> Deformed:
    """Deforms a clip.

    Args:
        deformation: how.
        samples: mono float32 ``(samples,)``, at least one.
        sample_rate: in Hz.
        generator: of random numbers, where the kind takes some.

    Raises:
        InputError: the clip is too short, or has a sample rate at which this cannot be done.
        RequestError: a library is missing.

    >>> apply(Deformation("level", 20), np.float32([0.05, 0.2]), 44100, np.random.default_rng(0))
    Deformed(samples=array([0.5, 2. ], dtype=float32), clipped=1, as_it_is=None)
    """
    reason = _why_not(deformation, samples, sample_rate)
    changed = samples if reason else _EFFECTS[deformation.kind](samples, sample_rate, deformation.value, generator)
    is_within = changed.max() < _HIGHEST and changed.min() >= _LOWEST  # of most clips: half the time
    return Deformed(changed, 0 if is_within else int(np.count_nonzero((changed >= _HIGHEST) | (changed < _LOWEST))), reason)


def generator_of(deformation: Deformation, seed: int, uid: str) -> Generator:
    """The random numbers of a clip: they depend on seed, uid and deformation, on nothing else."""
    words = f"{seed}\0{deformation.name}\0{uid}".encode(errors="surrogateescape")
    return np.random.default_rng(int.from_bytes(hashlib.sha256(words).digest()[:16], "big"))


def check_libraries(deformation: Deformation) -> None:
    """Raises RequestError where a library is missing, before the first clip."""
    if deformation.kind in ("tempo", "pitch"):
        stretching.load()


def _why_not(deformation: Deformation, samples: Samples, sample_rate: int) -> str | None:
    if "SNR" in KINDS[deformation.kind].effect and not samples.any():
        return "it is silent, so that there is no signal-to-noise ratio"
    if deformation.kind == "lowpass" and 2 * deformation.value >= sample_rate:
        return f"its sample rate of {sample_rate:,} Hz has no frequencies above {sample_rate / 2:,.0f} Hz"
    return None
