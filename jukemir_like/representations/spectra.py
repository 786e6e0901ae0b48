"""Frames of a clip, their magnitude spectra, and the moments over time of what is computed from them: what chroma and mfcc share.

Frames are centred and zero-padded: frame ``t`` is centred on sample ``t · hop_length``, what lies outside the clip is zero, and there are
``1 + samples // hop_length`` frames. They are computed a chunk at a time, so that memory is needed for a few frames, however long the clip.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache, lru_cache
from importlib.machinery import PathFinder
from importlib.util import find_spec, module_from_spec
from pathlib import Path

import numpy as np
from numpy.lib.stride_tricks import as_strided

from jukemir_like.core.errors import InputError

ORDERS = 3
"""Finite differences along time of order 0, 1 and 2 are summarised."""

_CHUNK = 32  # frames; window, transform and magnitudes of a chunk stay in a core's own cache


# Frames


def largest_magnitude(samples: np.ndarray) -> np.float32:
    """The largest magnitude in float32 ``samples``."""
    return np.float32(max(samples.max(), -samples.min()))  # without the copy that np.abs would make


def peak_of(clip: np.ndarray) -> np.float32:
    """What a clip is to be divided by: its largest magnitude, or 1 where all is zero."""
    return largest_magnitude(clip) or np.float32(1)


def frame_count(samples: int, hop_length: int) -> int:
    """How many centred frames a clip of ``samples`` samples has.

    >>> frame_count(22050, 512)
    44
    """
    return 1 + samples // hop_length


def chunks_of(n_frames: int, size: int) -> Iterator[tuple[int, int]]:
    """``(first, last)`` of consecutive chunks of frames, ``last`` excluded, that cover ``range(n_frames)``.

    >>> list(chunks_of(70, 32))
    [(0, 32), (32, 64), (64, 70)]
    """
    for first in range(0, n_frames, size):
        yield first, min(first + size, n_frames)


def segment(clip: np.ndarray, first: int, last: int, frame_length: int, hop_length: int, peak: np.float32 | None = None) -> np.ndarray:
    """The samples that frames ``first`` to ``last`` (excluded) cover, divided by ``peak``; zero outside the clip."""
    begin = first * hop_length - frame_length // 2
    padded = np.zeros((last - first - 1) * hop_length + frame_length, clip.dtype)
    inside = slice(max(0, begin), max(0, begin + len(padded)))
    samples = clip[inside]
    target = padded[inside.start - begin :][: len(samples)]
    if peak is None:
        target[:] = samples
    else:
        np.divide(samples, peak, out=target)
    return padded


def overlapping(samples: np.ndarray, frame_length: int, hop_length: int) -> np.ndarray:
    """All whole frames of ``samples``, shape ``(frames, frame_length)``, as a view: nothing is copied."""
    stride = samples.itemsize
    n_frames = 1 + (len(samples) - frame_length) // hop_length
    return as_strided(samples, (n_frames, frame_length), (hop_length * stride, stride), writeable=False)


# Spectra


@lru_cache
def hann(length: int) -> np.ndarray:
    """The periodic Hann window, float64, shape ``(length,)``.

    >>> hann(4)
    array([0. , 0.5, 1. , 0.5])
    """
    return 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(length) / length)


def magnitudes(
    clip: np.ndarray, n_fft: int, hop_length: int, peak: np.float32, precision: type[np.floating] = np.float32
) -> Iterator[tuple[int, int, np.ndarray]]:
    """Yields ``(first, last, magnitudes)`` of chunks of frames; the magnitudes must be used before the next chunk is asked for.

    Args:
        clip: float32, shape ``(samples,)``.
        n_fft: frame length in samples, even; the Hann window is as long.
        hop_length: in samples.
        peak: what the clip is divided by.
        precision: that of the transform. float32 is twice as fast as float64, and its error is 1e-7 of the frame's largest magnitude.

    Yields:
        numbers of the first frame and of the one after the last, and float32 of shape ``(last - first, 1 + n_fft // 2)``.
    """
    window = hann(n_fft).astype(precision)
    windowed = np.empty((_CHUNK, n_fft), precision)
    magnitude = np.empty((_CHUNK, 1 + n_fft // 2), np.float32)
    for first, last in chunks_of(frame_count(len(clip), hop_length), _CHUNK):
        rows = last - first
        samples = segment(clip, first, last, n_fft, hop_length, peak)
        np.multiply(overlapping(samples, n_fft, hop_length), window, out=windowed[:rows])
        spectrum = rfft(windowed[:rows])
        yield first, last, np.abs(spectrum.astype(np.complex64, copy=False), out=magnitude[:rows])


def rfft(rows: np.ndarray) -> np.ndarray:
    """Spectra of real rows: those of :func:`scipy.fft.rfft`, to the bit.

    Args:
        rows: float32 or float64, shape ``(rows, samples)``.

    Returns:
        complex64 or complex128, shape ``(rows, 1 + samples // 2)``.

    >>> rfft(np.ones((1, 4), np.float32))
    array([[4.+0.j, 0.+0.j, 0.+0.j]], dtype=complex64)
    """
    return _transform()(rows)


# Moments


def moments(features: np.ndarray) -> np.ndarray:
    """Mean and population standard deviation along time of the finite differences of order 0, 1 and 2.

    Args:
        features: shape ``(frames, features)``, at least three frames.

    Returns:
        float32, shape ``(6 · features,)``: mean0, std0, mean1, std1, mean2, std2. Sums are taken in double precision.

    >>> moments(np.array([[1.0], [3.0], [5.0]])).round(3)
    array([3.   , 1.633, 2.   , 0.   , 0.   , 0.   ], dtype=float32)
    """
    difference = np.ascontiguousarray(features.T, dtype=np.float64)
    columns = []
    for order in range(ORDERS):
        if order:
            difference = np.diff(difference, axis=1)
        columns += [difference.mean(axis=1), difference.std(axis=1)]
    return np.concatenate(columns).astype(np.float32)


def check_length(clip: np.ndarray, hop_length: int, sample_rate: int, name: str) -> None:
    """Refuses what has no :func:`moments`: second differences need three frames, so a clip of two hops.

    Args:
        clip: shape ``(samples,)``.
        hop_length: in samples.
        sample_rate: in Hz.
        name: of the representation, for the message.

    Raises:
        InputError: the clip is shorter.
    """
    needed = (ORDERS - 1) * hop_length
    if len(clip) < needed:
        raise InputError(f"is too short for {name}: {len(clip) / sample_rate:.3f} s, needs at least {needed / sample_rate:.3f} s")


# SciPy's transform without scipy.fft, whose import takes 0.2 s of processor time (for SciPy's special functions and testing tools) and
# which finds its backend anew in every call. Even where scipy.fft is imported once, before the workers are forked, `extract mfcc` of 300
# clips of 30 s takes 4.3 s of processor time instead of 4.0 s (medians of five runs each, alternating): 9 % more. So the compiled part is
# loaded by itself. It is no public interface: where it is missing or does something else, scipy.fft.rfft is used, and the tests compare the
# two bit by bit.

_FORWARD, _UNSCALED, _ONE_THREAD = True, 0, 1


@cache
def _transform() -> Callable[[np.ndarray], np.ndarray]:
    return _compiled_transform() or _public_transform


def _public_transform(rows: np.ndarray) -> np.ndarray:
    import scipy.fft

    return np.asarray(scipy.fft.rfft(rows, axis=1, workers=1))


def _compiled_transform() -> Callable[[np.ndarray], np.ndarray] | None:
    """The transform of SciPy's extension module; None where that is not as expected."""
    package = find_spec("scipy")
    if package is None or package.origin is None:
        return None
    spec = PathFinder.find_spec("pypocketfft", [str(Path(package.origin).parent / "fft" / "_pocketfft")])
    if spec is None or spec.loader is None:
        return None
    try:
        module = module_from_spec(spec)
        spec.loader.exec_module(module)
        r2c = module.r2c
        impulse = np.eye(1, 4, dtype=np.float32)
        if not np.array_equal(r2c(impulse, (1,), _FORWARD, _UNSCALED, None, _ONE_THREAD), np.ones((1, 3), np.complex64)):
            return None
    except (ImportError, AttributeError, TypeError, ValueError):
        return None
    return lambda rows: np.asarray(r2c(rows, (1,), _FORWARD, _UNSCALED, None, _ONE_THREAD))
