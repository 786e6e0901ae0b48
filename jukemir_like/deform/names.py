"""Which deformations there are, and how they are spelled: ``noise-20``, ``level-12``, ``mp3-32``.

A deformation has one spelling, because it is part of the name of a folder and of a result.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from jukemir_like.core.errors import RequestError

MP3_BITRATES = (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
"""In kbit/s: those of MPEG-1, layer III."""


@dataclass(frozen=True)
class Kind:
    """A kind of deformation.

    Args:
        name: as it is spelled.
        unit: of its number.
        low, high: ends of the range of its number, both allowed.
        effect: what it does, in one line; ``{}`` stands for the number.
        signed: whether the number is written with its sign instead of a hyphen before it.
        whole: whether only whole numbers are allowed.
        random: whether it takes random numbers, and so a seed.
        example: spellings.
    """

    name: str
    unit: str
    low: float
    high: float
    effect: str
    example: str
    signed: bool = False
    whole: bool = False
    random: bool = False


KINDS = {
    kind.name: kind
    for kind in (
        Kind("level", "dB", -60, 60, "level changed by {} dB; what is beyond full scale is clipped", "level-12 level+6", signed=True),
        Kind("noise", "dB", 0, 60, "white noise added, at an SNR of {} dB over the clip", "noise-20", random=True),
        Kind("pinknoise", "dB", 0, 60, "pink noise (from 20 Hz) added, at an SNR of {} dB over the clip", "pinknoise-20", random=True),
        Kind("mp3", "kbit/s", 32, 320, "encoded as MP3 at a constant {} kbit/s, mono, and decoded", "mp3-32 mp3-128", whole=True),
        Kind("lowpass", "Hz", 50, 20_000, "frequencies above {} Hz removed (Butterworth of order 8, forward and backward)", "lowpass-4000"),
        Kind("reverb", "s", 0.1, 10, "reverberation of {} s (RT60) added, a tail of noise", "reverb-1", random=True),
        Kind("tempo", "times", 0.5, 2, "played {} times as fast, at the same pitch", "tempo-0.9 tempo-1.1"),
        Kind("pitch", "semitones", -12, 12, "pitch moved by {} semitones, at the same tempo", "pitch+2 pitch-3", signed=True, whole=True),
    )
}  # fmt: skip
"""By name, in the order in which they are listed."""

_SPELLING = re.compile(r"([a-z][a-z0-9]*?)([+-])([0-9]{1,9}(?:\.[0-9]{1,9})?)")


@dataclass(frozen=True)
class Deformation:
    """One way to change audio: a kind and its number, in the unit of the kind."""

    kind: str
    value: float

    @property
    def name(self) -> str:
        """Its one spelling.

        >>> Deformation("level", -12).name, Deformation("tempo", 0.9).name
        ('level-12', 'tempo-0.9')
        """
        sign = ("-" if self.value < 0 else "+") if KINDS[self.kind].signed else "-"
        return f"{self.kind}{sign}{_number(abs(self.value))}"

    @property
    def effect(self) -> str:
        """What it does, in words.

        >>> Deformation("pitch", 2).effect
        'pitch moved by +2 semitones, at the same tempo'
        """
        kind = KINDS[self.kind]
        sign = ("−" if self.value < 0 else "+") if kind.signed else ""
        return kind.effect.format(f"{sign}{_number(abs(self.value))}")


def parse(name: str) -> Deformation:
    """The deformation that ``name`` spells.

    Raises:
        RequestError: unknown kind, number out of its range, or another spelling than the one that there is.

    >>> parse("pitch-3")
    Deformation(kind='pitch', value=-3.0)
    >>> parse("noise-020")
    Traceback (most recent call last):
        ...
    jukemir_like.core.errors.RequestError: deformation 'noise-020' is written 'noise-20'
    """
    match = _SPELLING.fullmatch(name)
    kind = KINDS.get(match[1]) if match else None
    if match is None or kind is None:
        begins = next((known for known in KINDS.values() if re.match(rf"{known.name}(?![a-z])", name)), None)
        advice = f"{begins.name} is written {begins.example.replace(' ', ' or ')}" if begins else f"there are {', '.join(KINDS)}"
        raise RequestError(f"unknown deformation {name[:100]!r}: {advice} (`jukemir-like deform --list`)")
    value = float(match[3]) * (-1 if kind.signed and match[2] == "-" else 1)
    in_range = kind.low <= value <= kind.high and (value.is_integer() or not kind.whole)
    if not in_range or (kind.name == "mp3" and value not in MP3_BITRATES):
        whole = "whole numbers " if kind.whole else ""
        allowed = ", ".join(map(str, MP3_BITRATES)) if kind.name == "mp3" else f"{whole}from {kind.low:g} to {kind.high:g}"
        raise RequestError(f"deformation {name!r}: {kind.name} takes {allowed} ({kind.unit})")
    deformation = Deformation(kind.name, value + 0.0)  # no negative zero
    if deformation.name != name:
        raise RequestError(f"deformation {name!r} is written {deformation.name!r}")
    return deformation


def table() -> str:
    """All kinds with their ranges and spellings, as text."""
    rows = [(kind.example, f"{kind.low:g} to {kind.high:g} {kind.unit}", kind.effect.replace("{}", "…")) for kind in KINDS.values()]
    widths = [max(len(row[column]) for row in rows) for column in range(2)]
    return "\n".join(f"{spelled:<{widths[0]}}  {bounds:<{widths[1]}}  {effect}" for spelled, bounds, effect in rows)


def _number(value: float) -> str:
    return f"{value:.9f}".rstrip("0").rstrip(".")
