"""Tempo without pitch, and pitch without tempo, by Signalsmith Stretch (MIT), in the package python-stretch.

It works on spectra of overlapping blocks of 120 ms, as phase vocoders do, and keeps the phases of neighbouring frequencies together, which
keeps attacks and mixes of instruments clearer than a plain phase vocoder. It still leaves its own mark on the sound: ``tempo-1`` and
``pitch+0`` are this mark alone.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from jukemir_like.core.errors import InputError, RequestError
from jukemir_like.studio.levels import Samples

SEED = 0  # of the library, which has random numbers for stretches beyond those that are allowed here


def change_tempo(samples: Samples, sample_rate: int, rate: float) -> Samples:
    """Plays ``(samples,)`` ``rate`` times as fast: ``(round(samples / rate),)``.

    Raises:
        InputError: the clip is too short.
        RequestError: python-stretch is not installed.
    """
    return _process(samples, sample_rate, 0.0, rate)


def shift_pitch(samples: Samples, sample_rate: int, semitones: float) -> Samples:
    """Moves the pitch; the length stays.

    Raises:
        InputError: the clip is too short.
        RequestError: python-stretch is not installed.
    """
    return _process(samples, sample_rate, semitones, 1.0)


def change(samples: Samples, sample_rate: int, semitones: float, rate: float) -> Samples:
    """Moves the pitch and plays ``rate`` times as fast, in one pass: ``(round(samples / rate),)``.

    Raises:
        InputError: the clip is too short.
        RequestError: python-stretch is not installed.
    """
    return _process(samples, sample_rate, semitones, rate)


def load() -> Any:
    """The module of python-stretch.

    Raises:
        RequestError: it is not installed.
    """
    try:
        from python_stretch import Signalsmith  # type: ignore[import-not-found, unused-ignore]
    except ImportError as error:
        raise RequestError(
            'tempo and pitch need python-stretch, which is not installed: run `pip install "jukemir-like[deform]"`'
        ) from error
    return Signalsmith


def _process(samples: Samples, sample_rate: int, semitones: float, rate: float) -> Samples:
    length = round(len(samples) / rate)
    stretch = load().Stretch(SEED)
    stretch.preset(1, sample_rate)
    block = stretch.blockSamples()
    if len(samples) < block:
        raise InputError(f"is too short for a change of tempo or pitch: {len(samples):,} samples, {block:,} at least")
    stretch.timeFactor = rate
    stretch.setTransposeSemitones(semitones)
    stretched = np.asarray(stretch.process(samples[None])[0], np.float32)
    return stretched[:length] if len(stretched) >= length else np.pad(stretched, (0, length - len(stretched)))
