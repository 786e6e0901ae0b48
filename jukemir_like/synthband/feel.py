"""How a band keeps time in a song: swing, the players' deviations, and a tempo that drifts slowly around its mean.

The drift moves a beat that a metronome would give ``t`` seconds after beat 0 by ``sum over k of a_k sin(k pi t / T)``, where T is the time
from beat 0 to the end of the recording. Both ends stay where they are, so the mean tempo of the recording is the label's exactly.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from jukemir_like.synthband.editions import Edition
from jukemir_like.synthband.genres import GENRES
from jukemir_like.synthband.seeding import stream, uniform

STEADIEST_SWING, LATEST_SWING = 0.5, 0.7
_SHUFFLE = (0.52, 0.6)
_WAVES = 6  # of the drift: the fastest takes a third of the recording
_STEEPEST = 0.08  # deviation of the tempo, as a fraction
_CLICK_CHANCE = {"house": 1.0, "hiphop": 0.9, "ambient": 0.7, "metal": 0.5, "rock": 0.4, "funk": 0.4, "reggae": 0.4}
_USUAL_CLICK_CHANCE = 0.15


@dataclass(frozen=True)
class Feel:
    """How a song is kept in time. The default: as written.

    Args:
        looseness: factor on the standard deviation of timing.
        touch: factor on that of velocities.
        wander: correlation of a player's deviation with the one before.
        places: stem → seconds behind the beat.
        drift: a_k of the module's formula in seconds.
        drift_seconds: T of it.
    """

    looseness: float = 1.0
    touch: float = 1.0
    wander: float = 0.0
    places: tuple[tuple[str, float], ...] = ()
    drift: tuple[float, ...] = ()
    drift_seconds: float = 1.0

    def place(self, stem: str) -> float:
        """Seconds that ``stem`` lies behind the beat."""
        return dict(self.places).get(stem, 0.0)

    def moved(self, seconds: float) -> float:
        """By how many seconds a beat ``seconds`` after beat 0 is moved.

        >>> Feel().moved(3.0), round(Feel(drift=(0.1,), drift_seconds=30.0).moved(15.0), 6)
        (0.0, 0.1)
        """
        if not self.drift:
            return 0.0
        phase = math.pi * seconds / self.drift_seconds
        return sum((size * math.sin(number * phase) for number, size in enumerate(self.drift, 1)), 0.0)

    @property
    def steepest(self) -> float:
        """Bound of the tempo's deviation from its mean, as a fraction."""
        return sum(abs(size) * number * math.pi / self.drift_seconds for number, size in enumerate(self.drift, 1))


AS_WRITTEN = Feel()


def make_feel(edition: Edition, seed: int, artist: int, index: int, genre: str, seconds: float, stems: tuple[str, ...]) -> Feel:
    """The feel of song ``index``.

    Args:
        edition: whose ranges count.
        seed: of the dataset.
        artist: of the song.
        index: of the song.
        genre: of the song.
        seconds: from beat 0 to the end of the recording.
        stems: their names.
    """
    own = stream(seed, "feel", artist)
    looseness, touch, wander = uniform(own, edition.looseness), uniform(own, edition.touch), uniform(own, edition.wander)
    strength = uniform(own, edition.drift)
    places = tuple((stem, edition.place_seconds * float(own.normal())) for stem in stems)
    rng = stream(seed, "drift", index)
    with_click = rng.random() < _CLICK_CHANCE.get(genre, _USUAL_CLICK_CHANCE)
    # Relative deviations of each wave: their sum has the variance strength².
    slopes = rng.standard_normal(_WAVES) * strength * math.sqrt(2 / _WAVES)
    slopes *= min(1.0, _STEEPEST / max(float(abs(slopes).sum()), 1e-9))
    drift = tuple(float(slope) * seconds / (number * math.pi) for number, slope in enumerate(slopes, 1))
    return Feel(looseness, touch, wander, places, drift if strength and not with_click else (), seconds)


def swing_of(edition: Edition, seed: int, artist: int, index: int, genre: str, swing: float) -> float:
    """The swing of song ``index``, which by its genre's range would be ``swing``."""
    rng = stream(seed, "swing", index)
    shuffles = rng.random() < edition.shuffle_chance
    light = uniform(rng, _SHUFFLE)
    if GENRES[genre].swing[1] <= STEADIEST_SWING:
        return light if shuffles else swing
    shift = edition.swing_deviation * float(stream(seed, "swing of an artist", artist).normal())
    return min(max(swing + shift, STEADIEST_SWING), LATEST_SWING)


def tuning_of(edition: Edition, seed: int, artist: int) -> float:
    """A4 of an artist in Hz."""
    return round(uniform(stream(seed, "tuning", artist), edition.tuning_hertz), 2)
