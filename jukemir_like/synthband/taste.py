"""How a song of synthband2 is produced: an artist keeps a sound, and each song varies it.

Every number is drawn once from the artist's stream and moved a little by the song's. Some songs were made elsewhere: in another room, or
on another medium.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.random import Generator

from jukemir_like.synthband.seeding import pick, pick_weighted, stream, uniform

MEDIA = {"digital": 0.3, "tape": 0.22, "record": 0.13, "file": 0.13, "radio": 0.08, "telephone": 0.04, "sampler": 0.1}
"""What a song was recorded on, or sent through, and the share of artists."""

_ELSEWHERE_CHANCE = 0.15  # that a song has a medium of its own; the same for its room

_MOST_SWING = 2.4  # milliseconds times Hz: a copy is at most a quarter of a semitone out of tune


@dataclass(frozen=True)
class Squeeze:
    """A compressor. Args: threshold: dB above the level of what it compresses. ratio. attack and release in milliseconds."""

    threshold: float
    ratio: float
    attack: float
    release: float


@dataclass(frozen=True)
class Channel:
    """What is done to one stem; None and 0 leave a step out.

    Args:
        balance: dB, against the balance in which the stems came.
        squeeze: its compressor.
        drive: dB by which it is driven into saturation.
        bias: of the curve of saturation.
        low_cut: Hz.
        low: dB below ``low_hertz``.
        low_hertz: of the low shelf.
        middle: dB of the bell.
        middle_hertz: of the bell.
        middle_q: of the bell.
        high: dB above ``high_hertz``.
        high_hertz: of the high shelf.
        chorus: share of the copy.
        chorus_hertz: of its swing.
        chorus_milliseconds: of its swing.
        tremolo: depth.
        tremolo_hertz: of it.
        send: dB of the room against the stem itself.
    """

    balance: float
    squeeze: Squeeze | None
    drive: float
    bias: float
    low_cut: float
    low: float
    low_hertz: float
    middle: float
    middle_hertz: float
    middle_q: float
    high: float
    high_hertz: float
    chorus: float
    chorus_hertz: float
    chorus_milliseconds: float
    tremolo: float
    tremolo_hertz: float
    send: float


@dataclass(frozen=True)
class Room:
    """Args: seconds: until it has decayed by 60 dB. size: milliseconds until the first reflections are over. dullness, early: 0 to 1."""

    seconds: float
    size: float
    dullness: float
    early: float


@dataclass(frozen=True)
class Medium:
    """What the whole song goes through; None and 0 leave a step out.

    Args:
        name: in :data:`MEDIA`.
        low_cut: Hz.
        high_cut: Hz.
        order: of both.
        cents: of the drift of pitch.
        hiss: dB against the song.
        hum: dB against the song.
        hum_hertz: 50 or 60.
        crackle: clicks a second.
        crackle_level: dB against the song.
        hold: samples of which one is kept.
        bits: of a sample.
        kept: share of the frequencies that a codec keeps.
    """

    name: str
    low_cut: float
    high_cut: float
    order: int
    cents: float
    hiss: float | None
    hum: float | None
    hum_hertz: int
    crackle: float
    crackle_level: float
    hold: float = 1.0
    bits: int | None = None
    kept: float = 1.0


@dataclass(frozen=True)
class Mastering:
    """What is done to the mix.

    Args:
        low: dB of a shelf below 150 Hz.
        middle: dB of a bell.
        middle_hertz: of the bell, an octave and a half wide.
        high: dB of a shelf above 3,000 Hz.
        glue: a compressor.
        loudness: dB of full scale.
        release: milliseconds of the limiter.
    """

    low: float
    middle: float
    middle_hertz: float
    high: float
    glue: Squeeze | None
    loudness: float
    release: float


@dataclass(frozen=True)
class Production:
    """All settings of a song. Channels are in the order of synthband's stems."""

    channels: tuple[Channel, Channel, Channel, Channel]
    room: Room
    medium: Medium
    mastering: Mastering


@dataclass(frozen=True)
class _Kind:
    """What is usual for a stem: chances, and limits of what is drawn."""

    drive_chance: float
    drive: tuple[float, float]
    chorus_chance: float
    tremolo_chance: float
    low_cut: tuple[float, float]
    middle: tuple[float, float]
    send: tuple[float, float]


_KINDS = (
    _Kind(0.5, (0, 22), 0.15, 0.0, (20, 60), (150, 1500), (-34, -14)),  # bass
    _Kind(0.45, (0, 18), 0.04, 0.0, (20, 60), (200, 6000), (-26, -4)),  # drums
    _Kind(0.6, (0, 32), 0.45, 0.18, (30, 250), (250, 4000), (-26, -2)),  # other
    _Kind(0.4, (0, 18), 0.35, 0.03, (60, 300), (400, 5000), (-26, -2)),  # vocals
)


def production(artist_seed: int, song_seed: int) -> Production:
    """The settings of a song.

    >>> production(3, 14) == production(3, 14), production(3, 14) == production(3, 15)
    (True, False)
    """
    own, song = stream(artist_seed, "studio of artist"), stream(song_seed, "studio of song")
    kept = Production(tuple(_channel(own, kind) for kind in _KINDS), _room(own), _medium(own), _mastering(own))  # type: ignore[arg-type]
    elsewhere, medium = (_room(song), _medium(song))  # drawn in any case, so that the rest does not depend on chance
    room_is_other, medium_is_other = song.random() < _ELSEWHERE_CHANCE, song.random() < _ELSEWHERE_CHANCE
    return Production(
        tuple(_varied_channel(song, channel) for channel in kept.channels),  # type: ignore[arg-type]
        elsewhere if room_is_other else _varied_room(song, kept.room),
        medium if medium_is_other else _varied_medium(song, kept.medium),
        _varied_mastering(song, kept.mastering),
    )


def _log(rng: Generator, limits: tuple[float, float]) -> float:
    return float(np.exp(uniform(rng, (float(np.log(limits[0])), float(np.log(limits[1]))))))


def _normal(rng: Generator, spread: float, most: float) -> float:
    return float(np.clip(rng.normal(0, spread), -most, most))


def _factor(rng: Generator, spread: float) -> float:
    return float(np.exp(rng.normal(0, spread)))


def _channel(rng: Generator, kind: _Kind) -> Channel:
    chances = rng.random(4)
    chorus_hertz = _log(rng, (0.15, 3))
    return Channel(
        balance=_normal(rng, 2.5, 6),
        squeeze=_maybe(chances[0] < 0.75, Squeeze(uniform(rng, (-14, 6)), _log(rng, (1.5, 10)), _log(rng, (1, 40)), _log(rng, (40, 600)))),
        drive=uniform(rng, kind.drive) * bool(chances[1] < kind.drive_chance),
        bias=uniform(rng, (0, 0.6)),
        low_cut=_log(rng, kind.low_cut),
        low=_normal(rng, 4, 10),
        low_hertz=_log(rng, (80, 350)),
        middle=_normal(rng, 5, 12),
        middle_hertz=_log(rng, kind.middle),
        middle_q=_log(rng, (0.4, 2.5)),
        high=_normal(rng, 5, 12),
        high_hertz=_log(rng, (1800, 7000)),
        chorus=pick(rng, (uniform(rng, (0.2, 0.5)), 0.5, 1.0)) * bool(chances[2] < kind.chorus_chance),
        chorus_hertz=chorus_hertz,
        chorus_milliseconds=min(_log(rng, (0.3, 2)), _MOST_SWING / chorus_hertz),
        tremolo=uniform(rng, (0.2, 0.8)) * bool(chances[3] < kind.tremolo_chance),
        tremolo_hertz=_log(rng, (2.5, 8)),
        send=uniform(rng, kind.send),
    )


def _varied_channel(rng: Generator, kept: Channel) -> Channel:
    squeeze = kept.squeeze
    threshold, moved = _normal(rng, 1.5, 4), rng.normal(0, 1, 3)
    return replace(
        kept,
        balance=kept.balance + _normal(rng, 1, 2.5),
        squeeze=squeeze and replace(squeeze, threshold=squeeze.threshold + threshold),
        drive=max(0.0, kept.drive + 2.5 * float(moved[0])) if kept.drive else 0.0,
        low_cut=kept.low_cut * _factor(rng, 0.1),
        low=kept.low + float(moved[1]),
        middle=kept.middle + 1.5 * float(moved[2]),
        middle_hertz=kept.middle_hertz * _factor(rng, 0.1),
        high=kept.high + _normal(rng, 1.2, 3),
        chorus_hertz=kept.chorus_hertz * _factor(rng, 0.2),
        tremolo_hertz=kept.tremolo_hertz * _factor(rng, 0.2),
        send=kept.send + _normal(rng, 2, 5),
    )


def _room(rng: Generator) -> Room:
    seconds = _log(rng, (0.12, 1.8))
    return Room(seconds, min(_log(rng, (4, 60)), 300 * seconds), uniform(rng, (0.0, 0.85)), uniform(rng, (0.1, 0.7)))


def _varied_room(rng: Generator, kept: Room) -> Room:
    return replace(kept, seconds=min(2.2, kept.seconds * _factor(rng, 0.15)), early=kept.early * uniform(rng, (0.8, 1.2)))


def _medium(rng: Generator) -> Medium:
    name = pick_weighted(rng, MEDIA)
    hertz = pick(rng, (50, 60))
    amount, level, cut, chance = rng.random(4)  # always as many, whatever the medium
    hum = uniform(rng, (-58, -34)) if chance < 0.3 else None
    if name == "tape":
        return Medium(name, 30 + 30 * amount, 5000 + 11000 * cut, 2, 3 + 22 * level, -62 + 30 * amount, hum, hertz, 0, 0)
    if name == "record":
        clicks = (2 + 40 * amount**2, -34 + 16 * cut)
        return Medium(name, 30 + 40 * amount, 6000 + 8000 * cut, 2, 2 + 12 * level, -64 + 26 * level, hum, hertz, *clicks)
    if name == "radio":
        return Medium(name, 80 + 120 * amount, 3500 + 3500 * cut, 4, 0, -50 + 22 * level, hum, hertz, 0, 0)
    if name == "telephone":
        return Medium(name, 250 + 150 * amount, 2800 + 900 * cut, 4, 0, -46 + 20 * level, hum, hertz, 0, 0, bits=8)
    if name == "sampler":
        return Medium(name, 20, 20000, 2, 0, -70 + 20 * level, hum, hertz, 0, 0, hold=1.2 + 2.3 * amount, bits=8 + int(5 * cut))
    if name == "file":
        return Medium(name, 20, 5500 + 10000 * cut, 8, 0, None, None, hertz, 0, 0, kept=0.06 + 0.4 * amount**2)
    return Medium(name, 15 + 25 * amount, 7000 + 13000 * cut, 8, 0, -76 + 24 * level, None, hertz, 0, 0)


def _varied_medium(rng: Generator, kept: Medium) -> Medium:
    cut, quieter, cents = _factor(rng, 0.08), _normal(rng, 2.5, 6), _factor(rng, 0.25)
    return replace(
        kept, high_cut=kept.high_cut * cut, cents=kept.cents * cents, hiss=None if kept.hiss is None else kept.hiss + quieter,
        crackle=kept.crackle * cents,
    )  # fmt: skip


def _mastering(rng: Generator) -> Mastering:
    glue = Squeeze(uniform(rng, (-7, 5)), _log(rng, (1.3, 3)), _log(rng, (5, 40)), _log(rng, (60, 500)))
    return Mastering(
        low=_normal(rng, 3.5, 9),
        middle=_normal(rng, 3, 8),
        middle_hertz=_log(rng, (300, 3000)),
        high=_normal(rng, 4.5, 11),
        glue=_maybe(rng.random() < 0.7, glue),
        loudness=uniform(rng, (-24, -8)),
        release=_log(rng, (30, 250)),
    )


def _varied_mastering(rng: Generator, kept: Mastering) -> Mastering:
    return replace(
        kept, low=kept.low + _normal(rng, 0.8, 2), high=kept.high + _normal(rng, 0.8, 2), loudness=kept.loudness + _normal(rng, 1, 2.5)
    )


def _maybe(condition: bool | np.bool_, squeeze: Squeeze) -> Squeeze | None:
    return squeeze if condition else None
