"""How a recording is played so that it fits another one: in another key, in another tempo, or both."""

from __future__ import annotations

from typing import NamedTuple

from jukemir_like.deform import stretching
from jukemir_like.studio.levels import Samples


class Change(NamedTuple):
    """Played ``semitones`` higher and ``tempo_percent`` faster; below 0: lower, slower. None: as it is, nothing else was asked for."""

    semitones: int | None = None
    tempo_percent: float | None = None

    @property
    def is_none(self) -> bool:
        """Whether it leaves a recording as it is.

        >>> Change(0).is_none, Change(0, -2).is_none
        (True, False)
        """
        return not any(self)

    @property
    def rate(self) -> float:
        """How many times as fast.

        >>> Change(1, 4).rate
        1.04
        """
        return 1 + (self.tempo_percent or 0) / 100

    @property
    def words(self) -> list[str]:
        """What it changes, in words.

        >>> Change(-1, 4).words, Change(2, -1.5).words, Change(0, 0).words
        (['−1 semitone', '4 % faster'], ['+2 semitones', '1.5 % slower'], [])
        """
        semitones, percent = self.semitones or 0, self.tempo_percent or 0
        key = [f"{'+' if semitones > 0 else '−'}{abs(semitones)} semitone{'s' if abs(semitones) > 1 else ''}"] if semitones else []
        return key + ([f"{abs(percent):g} % {'faster' if percent > 0 else 'slower'}"] if percent else [])

    def apply(self, samples: Samples, sample_rate: int) -> Samples:
        """``(samples,)`` as it is then heard: ``(round(samples / rate),)``; the same array where it is none.

        Raises:
            InputError: too short.
            RequestError: python-stretch is not installed.
        """
        return samples if self.is_none else stretching.change(samples, sample_rate, self.semitones or 0, self.rate)

    def undo(self, samples: Samples, sample_rate: int) -> Samples:
        """The opposite of :meth:`apply`: ``(round(samples · rate),)``."""
        return samples if self.is_none else stretching.change(samples, sample_rate, -(self.semitones or 0), 1 / self.rate)


AS_IT_IS = Change()
