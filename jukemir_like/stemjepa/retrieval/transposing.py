"""A mix in other keys, so that candidates are found that fit it once they are transposed.

A candidate that is played 2 semitones higher fits a mix as the candidate itself fits the mix played 2 semitones lower. So the mix is
transposed, once for each key that is tried, and not every file of the library: its index stays as it is.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from jukemir_like.core.errors import RequestError
from jukemir_like.core.progress import Progress
from jukemir_like.datasets.instrument_families import family_of
from jukemir_like.deform.key_and_tempo import AS_IT_IS, Change
from jukemir_like.stemjepa.inference import StemJEPA
from jukemir_like.stemjepa.retrieval.embedding import Vectors

MOST_SEMITONES = 6
"""The most that candidates are transposed by."""

SECONDS = 240
"""Of a longer mix, so much is transposed: eight pieces, spread evenly."""

_PIECES = 8
_WITHOUT_KEY = ("drums", "percussive")  # families of instruments
_WITH_KEY = ("chimes", "steel drums", "timpani")  # of these families


def changes(semitones: int | None) -> list[Change]:
    """Every transposition within a limit. The first is none; smaller ones come before larger ones.

    Args:
        semitones: up to :data:`MOST_SEMITONES`; None: not asked for.

    Raises:
        RequestError: beyond the limit.

    >>> [change.semitones for change in changes(2)], [change.semitones for change in changes(None)]
    ([0, 1, -1, 2, -2], [None])
    """
    if semitones is None:
        return [AS_IT_IS]
    if not 0 <= semitones <= MOST_SEMITONES:
        raise RequestError(f"transposing by up to {semitones} semitones: give 0 to {MOST_SEMITONES}")
    return [Change(number) for number in sorted(range(-semitones, semitones + 1), key=lambda number: (abs(number), -number))]


def has_key(instrument: str) -> bool:
    """Whether transposing means anything for an instrument: not for drums and most percussion, as far as their names are known.

    >>> has_key("bass"), has_key("snare drum"), has_key("timpani")
    (True, False, True)
    """
    family = family_of(instrument) or family_of(instrument.removesuffix("s"))
    return family not in _WITHOUT_KEY or instrument.casefold() in _WITH_KEY


def predict(model: StemJEPA, mix: np.ndarray, instrument: str, wanted: Sequence[Change]) -> Vectors:
    """What the instrument that ``mix`` lacks should be like before each change, so that it fits afterwards: ``(len(wanted), dimension)``.

    Args:
        model: predicts.
        mix: mono float32 ``(samples,)`` at the model's rate. One at a time of its versions is in memory.
        instrument: as in :meth:`~jukemir_like.stemjepa.inference.StemJEPA.predict`.
        wanted: the vector of none is that of the mix itself, to the bit.

    Raises:
        RequestError: python-stretch is not installed.
        InputError: the mix is too short.

    >>> predict(StemJEPA.from_pretrained(), np.zeros(44100, np.float32), "bass", changes(1)).shape
    (3, 256)
    """
    part = part_that_is_transposed(mix, model.sample_rate)
    vectors = []
    with Progress(len(wanted), "the mix in other keys", "key", leave=len(wanted) > 1) as bar:
        for change in wanted:
            heard = mix if change.is_none else change.undo(part, model.sample_rate)
            vectors.append(model.predict(heard, instrument)[0])
            bar.update()
    return np.array(vectors, np.float32)


def part_that_is_transposed(mix: np.ndarray, sample_rate: int) -> np.ndarray:
    """What of a mix ``(samples,)`` is played in other keys: all, or of a long one pieces of equal length, spread evenly.

    >>> part_that_is_transposed(np.arange(960), 1)[28:32].tolist()
    [28, 29, 132, 133]
    """
    length = SECONDS * sample_rate // _PIECES
    if len(mix) <= _PIECES * length:
        return mix
    starts = np.linspace(0, len(mix) - length, _PIECES).astype(int)
    return np.concatenate([mix[start : start + length] for start in starts])


def note_on_length(mix: np.ndarray, sample_rate: int) -> str | None:
    """What to say of a mix of which only a part is transposed.

    >>> note_on_length(np.zeros(3600), 1), note_on_length(np.zeros(240), 1)
    ('the mix lasts 60 min: in other keys, 4 min of it were heard, in pieces spread evenly', None)
    """
    seconds = len(mix) / sample_rate
    if len(part_that_is_transposed(mix, sample_rate)) == len(mix):
        return None
    return f"the mix lasts {seconds / 60:.0f} min: in other keys, {SECONDS / 60:g} min of it were heard, in pieces spread evenly"
