"""Clips, which are files or arrays of samples, as what a network listens to: mono samples at its rate."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from jukemir_like import audio
from jukemir_like.core.errors import InputError

Clip = str | Path | np.ndarray
"""An audio file, or mono samples of shape ``(samples,)``."""


def as_sequence(clips: Clip | Sequence[Clip]) -> Sequence[Clip]:
    """Several clips; one is a sequence of one.

    >>> as_sequence("song.wav")
    ['song.wav']
    """
    return [clips] if isinstance(clips, str | Path | np.ndarray) else clips


def read_waveforms(clips: Sequence[Clip], sample_rate: int, array_rate: int) -> Iterator[np.ndarray]:
    """Mono float32 of shape ``(samples,)``, one clip after another as they are needed.

    Args:
        clips: files or arrays.
        sample_rate: of the waveforms, in Hz.
        array_rate: of the arrays, in Hz.

    Raises:
        InputError: a clip cannot be read, holds no samples, is not mono or not finite; the message says which.

    >>> [waveform.shape for waveform in read_waveforms(["song.wav", np.zeros(44100)], 16000, 44100)]
    [(192000,), (16000,)]
    """
    for number, clip in enumerate(clips):
        try:
            yield _waveform(clip, sample_rate, array_rate)
        except InputError as error:
            raise InputError(f"{f'clip {number}' if isinstance(clip, np.ndarray) else clip} {error}") from error


def _waveform(clip: Clip, sample_rate: int, array_rate: int) -> np.ndarray:
    if not isinstance(clip, np.ndarray):
        try:
            return audio.load(Path(clip), sample_rate)
        except OSError as error:
            raise InputError(f"cannot be read ({(error.strerror or 'error').lower()})") from error
    if clip.ndim != 1 or not np.issubdtype(clip.dtype, np.floating):
        raise InputError(f"is an array of {clip.dtype} of shape {clip.shape}: give mono float samples, of shape (samples,)")
    if not clip.size:
        raise InputError("holds no samples")
    if not np.isfinite(clip).all():
        raise InputError("holds samples that are NaN or infinite")
    resampled = audio.resample(clip.astype(np.float32, copy=False), array_rate, sample_rate)
    if not len(resampled):
        raise InputError(f"is too short: no sample is left at {sample_rate} Hz")
    return resampled
