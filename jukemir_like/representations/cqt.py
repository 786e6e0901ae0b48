"""The constant-Q transform of seven octaves above C1, folded to the twelve pitch classes.

Method: Schörkhuber, Klapuri, Holighaus and Dörfler, AES 53 (2014): each octave is the highest one of a signal at half the rate of the
octave above, with half the hop. With the filters as a matrix (:mod:`~jukemir_like.representations.wavelets`), an octave is one product of
matrices, which a processor does many times faster, per operation, than Fourier transforms.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import soxr

from jukemir_like.representations import fourier, frames, wavelets
from jukemir_like.representations.wavelets import BINS_PER_OCTAVE, FRAME_LENGTH, N_OCTAVES

_CHUNK = 128  # frames
_RESAMPLED_AT_ONCE = 1 << 15  # samples
_FAINT = np.float32(1e-3)  # of the largest sample; single precision's error is 1e-7 of it


def pitch_classes(clip: np.ndarray, sample_rate: int, hop_length: int, peak: np.float32, tuning: float) -> np.ndarray:
    """Constant-Q magnitudes summed over octaves and over the three bins of each semitone, C first.

    Args:
        clip: float32, shape ``(samples,)``.
        sample_rate: in Hz.
        hop_length: in samples, a multiple of 64.
        peak: what the clip is divided by.
        tuning: in fractions of a bin.

    Returns:
        float32, shape ``(frames, 12)``.
    """
    n_frames = frames.count(len(clip), hop_length)
    bins = np.zeros((n_frames, BINS_PER_OCTAVE), np.float32)
    chunks = list(frames.in_chunks(n_frames, _CHUNK))
    faint = _add_by_matrix(bins, _octaves(clip, hop_length, peak, chunks), wavelets.matrix(sample_rate, tuning))
    if len(faint):
        again = [chunks[index] for index in np.unique(faint // _CHUNK)]
        for first, last in again:
            bins[first:last] = 0
        _add_by_definition(bins, _octaves(clip, hop_length, peak, again), wavelets.spectra(sample_rate, tuning))
    # A semitone's three bins are its own and its neighbours: the octave's last bin belongs to C.
    semitones: np.ndarray = np.roll(bins, 1, axis=1).reshape(n_frames, 12, -1).sum(axis=2)
    return semitones


_Octaves = Iterator[tuple[int, int, np.ndarray, int]]


def _add_by_matrix(bins: np.ndarray, octaves: _Octaves, matrix: np.ndarray) -> np.ndarray:
    """Adds the responses' magnitudes to ``bins``; returns the frames for which single precision does not do.

    Frames are normalised later. One whose responses are faint beside the samples they are made of (a constant, a whistle above the highest
    octave) would be rounding errors made loud.
    """
    loudest = np.zeros(len(bins), np.float32)
    framed = np.empty((_CHUNK, FRAME_LENGTH), np.float32)
    response = np.empty((_CHUNK, BINS_PER_OCTAVE), np.complex64)
    for first, last, segment, hop in octaves:
        rows = slice(last - first)
        framed[rows] = frames.overlapping(segment, FRAME_LENGTH, hop)  # a product of overlapping rows would make a copy each time
        np.matmul(framed[rows], matrix, out=response[rows].view(np.float32))
        bins[first:last] += np.abs(response[rows])
        np.maximum(loudest[first:last], frames.largest_magnitude(segment), out=loudest[first:last])
    return np.flatnonzero(bins.max(axis=1) < _FAINT * loudest)


def _add_by_definition(bins: np.ndarray, octaves: _Octaves, spectra: np.ndarray) -> None:
    """Adds the responses' magnitudes to ``bins``, from the frames' spectra in double precision."""
    for first, last, segment, hop in octaves:
        framed = frames.overlapping(segment.astype(np.float64), FRAME_LENGTH, hop)
        bins[first:last] += np.abs(fourier.rfft(framed).astype(np.complex64) @ spectra.T)


def _octaves(clip: np.ndarray, hop_length: int, peak: np.float32, chunks: Iterable[tuple[int, int]]) -> _Octaves:
    """The samples of all chunks of frames of all octaves, the highest first: ``(first, last, samples, hop length in this octave)``."""
    for octave in range(N_OCTAVES):
        scale, hop = None if octave else peak, hop_length >> octave
        for first, last in chunks:
            yield first, last, frames.segment(clip, first, last, FRAME_LENGTH, hop, scale), hop
        if octave + 1 < N_OCTAVES:
            clip = halve(clip, scale)


def halve(clip: np.ndarray, peak: np.float32 | None = None) -> np.ndarray:
    """``clip / peak`` at half its sample rate, with its energy kept; a stream, so that a long clip is not copied."""
    halved = np.zeros((len(clip) + 1) // 2, np.float32)
    stream = soxr.ResampleStream(2, 1, 1, dtype="float32", quality="HQ")
    written = 0
    for begin in range(0, len(clip), _RESAMPLED_AT_ONCE):
        part = clip[begin : begin + _RESAMPLED_AT_ONCE]
        output = stream.resample_chunk(part if peak is None else part / peak, last=begin + _RESAMPLED_AT_ONCE >= len(clip))
        halved[written : written + len(output)] = output
        written += len(output)
    halved *= np.sqrt(2)  # in double precision: a float64 scalar
    return halved
