"""How much faster a stem is to be played so that it has the tempo of a mix, by the rhythm of both.

The network hears little of a tempo: of mixes that are played some percent faster it predicts nearly the same (docs/retrieval.md). So the
tempo comes from elsewhere. Where energy rises, something begins; the autocorrelation of these onsets says after which times things begin
again (Ellis, "Beat tracking by dynamic programming", JNMR 2007). Playing a stem ``r`` times as fast divides all these times by ``r``. What
is looked for is the ``r`` at which the autocorrelations of stem and mix are most alike. Times of up to 12 s are compared, after which a
difference of 0.1 % is one of 12 ms.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from jukemir_like import audio
from jukemir_like.audio import mel
from jukemir_like.core import files, machine
from jukemir_like.core.errors import InputError, RequestError
from jukemir_like.core.progress import Progress
from jukemir_like.stemjepa.retrieval import library

MOST_PERCENT = 10
"""The most by which stems are played faster or slower."""

SECONDS = 120
"""Of a longer file, so much of its middle is listened to."""

_FRAMES_PER_SECOND = 100
_BANDS = 40
_FFT = 1024
_FLOOR = 1e-8  # in power, of the loudest: 80 dB
_BLOCK = 1024  # frames at once
_LOCAL_FRAMES = 101  # a second, whose mean is taken off
_SHORTEST_SECONDS, _LONGEST_SECONDS = 0.15, 12.0  # that are compared
_FEWEST_SECONDS = 2.0  # of times that are compared: less says nothing about tempo
_STEP_PERCENT = 0.1
_ALIKE = 0.3  # a correlation

Array = NDArray[np.float64]


def rhythm(samples: np.ndarray, sample_rate: int) -> Array:
    """After which times things begin again: the autocorrelation ``(lags,)`` of onsets, for lags of 10 ms, up to half of the duration.

    Args:
        samples: mono ``(samples,)``.
        sample_rate: in Hz.

    >>> int(20 + rhythm(np.tile(np.eye(1, 8000)[0], 20), 16000)[20:80].argmax())
    50
    """
    first = max(0, len(samples) - SECONDS * sample_rate) // 2
    onsets = _onsets(np.asarray(samples[first : first + SECONDS * sample_rate], np.float32), sample_rate)
    onsets = onsets - np.convolve(onsets, np.ones(_LOCAL_FRAMES) / _LOCAL_FRAMES, "same")
    power = np.abs(np.fft.rfft(onsets, 2 * len(onsets))) ** 2
    lags = len(onsets) // 2
    sums = np.fft.irfft(power)[:lags]
    return np.asarray(sums / (len(onsets) - np.arange(lags)))


def percent_faster(mix: Array, stem: Array, limit: float) -> float | None:
    """How much faster a stem is to be played, in percent, to have the tempo of a mix; less than 0: slower.

    Args:
        mix, stem: from :func:`rhythm`.
        limit: the most, in percent.

    Returns:
        In steps of 0.1; None where no tempo within the limit fits, or too little is known of one: short sounds, and such as have no rhythm.

    >>> beat = np.cos(np.arange(1300) * 2 * np.pi / 50)
    >>> percent_faster(beat, np.cos(np.arange(1300) * 2 * np.pi / 51), 4), percent_faster(beat, beat, 4), percent_faster(beat, 0 * beat, 4)
    (2.0, 0.0, None)
    """
    steps = round(limit / _STEP_PERCENT)
    percents = np.array(sorted(range(-steps, steps + 1), key=abs)) * _STEP_PERCENT  # the first of equal ones is the smallest change
    longest = min(_LONGEST_SECONDS * _FRAMES_PER_SECOND, len(mix), len(stem) / (1 + limit / 100) - 1)
    if longest < _FEWEST_SECONDS * _FRAMES_PER_SECOND:
        return None
    lags = np.arange(round(_SHORTEST_SECONDS * _FRAMES_PER_SECOND), int(longest))
    times = np.arange(len(stem))
    wanted = _standardised(mix[lags])
    alike = [float(wanted @ _standardised(np.interp(lags * (1 + percent / 100), times, stem))) for percent in percents]
    best = int(np.argmax(alike))
    return round(float(percents[best]), 1) if alike[best] > _ALIKE else None


def fit(
    matches: Sequence[library.Match], folder: Path, mix: np.ndarray, sample_rate: int, limit: int
) -> tuple[list[library.Match], dict[str, str]]:
    """Matches with the tempo in which each is to be played, and which files could not be read any more: path → reason.

    Args:
        matches: of a library.
        folder: of that library.
        mix: mono ``(samples,)``.
        sample_rate: of the mix, in Hz.
        limit: the most, in percent, up to :data:`MOST_PERCENT`.

    Raises:
        RequestError: beyond this limit.
    """
    if not 0 < limit <= MOST_PERCENT:
        raise RequestError(f"stretching by up to {limit} %: give 1 to {MOST_PERCENT}")
    of_mix, failed = rhythm(mix, sample_rate), {}

    def tempo(match: library.Match) -> float | None:
        try:
            samples = audio.load(folder / match.path, sample_rate)
        except (InputError, OSError) as error:
            failed[match.path] = files.refusal(error) if isinstance(error, OSError) else str(error)
            return None
        return percent_faster(of_mix, rhythm(samples, sample_rate), limit)

    fitted = []
    with ThreadPoolExecutor(machine.available_cpus()) as pool, Progress(len(matches), "tempo", "file") as bar:
        for match, percent in zip(matches, pool.map(tempo, matches), strict=True):
            fitted.append(replace(match, change=match.change._replace(tempo_percent=percent), tempo_unknown=percent is None))
            bar.update()
    return fitted, failed


def _onsets(samples: np.ndarray, sample_rate: int) -> Array:
    """How much louder each frame is than the one before, in dB: the mean over bands, of those that rise."""
    hop = round(sample_rate / _FRAMES_PER_SECOND)
    frames = np.lib.stride_tricks.sliding_window_view(np.pad(samples, _FFT // 2), _FFT)[::hop]
    window, filters = np.hanning(_FFT).astype(np.float32), mel.filters(sample_rate, _FFT, _BANDS).T
    blocks = [np.abs(np.fft.rfft(frames[start : start + _BLOCK] * window)) ** 2 @ filters for start in range(0, len(frames), _BLOCK)]
    bands = np.concatenate(blocks)
    decibels = 10 * np.log10(np.maximum(bands, max(float(bands.max()) * _FLOOR, 1e-20)))
    return np.asarray(np.maximum(np.diff(decibels, axis=0, prepend=decibels[:1]), 0).mean(1), np.float64)


def _standardised(values: Array) -> Array:
    centred = values - values.mean()
    return np.asarray(centred / max(float(np.linalg.norm(centred)), 1e-12))
