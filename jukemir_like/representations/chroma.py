"""The constant-Q chromagram, summarised over time: 72 numbers that describe harmony.

The recipe is that of Castellon, Donahue and Liang (ISMIR 2021, arXiv 2107.05677), with the meaning that librosa 0.11 gives to its steps:

1. tuning, from spectral peaks: how far the recording is from A4 = 440 Hz;
2. constant-Q magnitudes of seven octaves every 512 samples, with filters shifted by the tuning;
3. these folded to 12 pitch classes (C first), each frame divided by its largest;
4. the moments over time of the pitch classes and of their finite differences, see :func:`~jukemir_like.representations.spectra.moments`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import soxr

from jukemir_like.representations import spectra
from jukemir_like.representations.base import Representation

BINS_PER_OCTAVE = 36
N_OCTAVES = 7
FRAME_LENGTH = 1024  # of the constant-Q transform, in samples of each octave's own sample rate

_RECIPE = 2  # 1: resampling gave one sample less of about half of all lengths, and some MP3s were not decoded to their end
_HOP_LENGTH = 512
_N_CHROMA = 12


class Chroma(Representation):
    """Moments of 12 pitch classes and of their finite differences.

    A clip needs three frames, 1,024 samples (0.046 s); a shorter one is an :class:`~jukemir_like.core.errors.InputError`.

    >>> from jukemir_like import audio
    >>> Chroma()([audio.load("song.wav", 22050)]).shape
    (1, 72)
    """

    name = "chroma"
    sample_rate = 22050
    dimension = 2 * spectra.ORDERS * _N_CHROMA

    @property
    def parameters(self) -> dict[str, Any]:
        """Settings and the version of the recipe."""
        return {
            "recipe": _RECIPE,
            "sample_rate": self.sample_rate,
            "hop_length": _HOP_LENGTH,
            "n_chroma": _N_CHROMA,
            "n_octaves": N_OCTAVES,
            "bins_per_octave": BINS_PER_OCTAVE,
        }

    def __call__(self, clips: Sequence[np.ndarray]) -> np.ndarray:
        """Vectors of clips: float32, shape ``(len(clips), 72)``; an ``InputError`` where a clip is too short."""
        vectors = np.empty((len(clips), self.dimension), np.float32)
        for vector, clip in zip(vectors, clips, strict=True):
            spectra.check_length(clip, _HOP_LENGTH, self.sample_rate, self.name)
            vector[:] = spectra.moments(self.chromagram(clip))
        return vectors

    def chromagram(self, clip: np.ndarray) -> np.ndarray:
        """The chromagram before it is summarised: float32, shape ``(frames, 12)``, in [0, 1], of the peak-normalised clip."""
        peak = spectra.peak_of(clip)
        tuning = estimate_tuning(clip, self.sample_rate, peak, BINS_PER_OCTAVE)
        chroma = pitch_classes(clip, self.sample_rate, _HOP_LENGTH, peak, tuning)
        largest = chroma.max(axis=1, keepdims=True)
        largest[largest < np.finfo(np.float32).tiny] = 1  # a silent frame stays silent
        chroma /= largest
        return chroma


# Tuning: spectral peaks, refined by a parabola, vote for a fraction of a bin. Every step, including its precision, means what it does in
# `librosa.estimate_tuning` 0.11. What differs is the work: magnitudes only where a pitch may be, the parabola only at peaks.

_TUNING_N_FFT = 2048
_TUNING_HOP_LENGTH = 512
_LOWEST_PEAK_HZ, _HIGHEST_PEAK_HZ = 150.0, 4000.0
_LEAST_MAGNITUDE = np.float32(0.1)  # of the frame's largest
_TUNING_EDGES = np.linspace(-0.5, 0.5, 101)


def estimate_tuning(clip: np.ndarray, sample_rate: int, peak: np.float32, bins_per_octave: int) -> float:
    """How far ``clip`` is from A4 = 440 Hz: in fractions of a bin, in [-0.5, 0.5), in steps of 0.01; 0 where there is no peak (silence).

    Args:
        clip: float32, shape ``(samples,)``.
        sample_rate: in Hz.
        peak: what the clip is divided by.
        bins_per_octave: bins of the pitch scale.

    >>> time = np.arange(22050) / 22050
    >>> a_quarter_tone_above_a4 = np.sin(2 * np.pi * 440 * 2 ** (1 / 24) * time).astype(np.float32)
    >>> round(abs(estimate_tuning(a_quarter_tone_above_a4, 22050, np.float32(1), 12)), 1)
    0.5
    """
    votes = _votes(*spectral_peaks(clip, sample_rate, peak), bins_per_octave)
    # Rounding moves about one peak in 100,000 to the next class. Where that could decide, count again in double precision.
    runner_up, most = np.sort(votes)[-2:]
    if most - runner_up <= 2 + votes.sum() // 50_000:
        votes = _votes(*spectral_peaks(clip, sample_rate, peak, np.float64), bins_per_octave)
    return float(_TUNING_EDGES[np.argmax(votes)]) if votes.any() else 0.0


def spectral_peaks(
    clip: np.ndarray, sample_rate: int, peak: np.float32, precision: type[np.floating] = np.float32
) -> tuple[np.ndarray, np.ndarray]:
    """Frequencies (Hz) and magnitudes of the spectral peaks of all frames, float32, in the order of time.

    A peak is a bin between 150 and 4,000 Hz that is above its lower neighbour, not below its upper one, and above a tenth of the frame's
    largest magnitude. Where the maximum lies between bins is that of the parabola through the three magnitudes.
    """
    bins = np.arange(1 + _TUNING_N_FFT // 2)
    low, high = np.searchsorted(bins * sample_rate / _TUNING_N_FFT, [_LOWEST_PEAK_HZ, min(_HIGHEST_PEAK_HZ, sample_rate / 2)])
    frequencies, heights = [], []
    for _, _, magnitude in spectra.magnitudes(clip, _TUNING_N_FFT, _TUNING_HOP_LENGTH, peak, precision):
        inner = magnitude[:, low:high]
        is_peak = np.zeros(magnitude.shape, bool)
        candidates = is_peak[:, low:high]
        np.greater(inner, magnitude[:, low - 1 : high - 1], out=candidates)
        candidates &= inner >= magnitude[:, low + 1 : high + 1]
        candidates &= inner > _LEAST_MAGNITUDE * magnitude.max(axis=1, keepdims=True)
        where = np.flatnonzero(is_peak)
        # With y(x) = top + slope · x + curvature · x² / 2 through x = -1, 0, 1, the maximum is at -slope / curvature.
        left, top, right = (magnitude.ravel()[where + step] for step in (-1, 0, 1))
        slope = (right - left) / 2
        curvature = right + left - 2 * top
        shift = np.where(np.abs(slope) < np.abs(curvature), -slope / np.where(curvature == 0, 1, curvature), np.float32(0))
        frequencies.append(((where % magnitude.shape[1] + shift) * sample_rate / _TUNING_N_FFT).astype(np.float32))
        heights.append(top + slope * shift / 2)
    return np.concatenate(frequencies), np.concatenate(heights)


def _votes(frequencies: np.ndarray, heights: np.ndarray, bins_per_octave: int) -> np.ndarray:
    """How many of the stronger half of the peaks fall into each hundredth of a bin around the nearest bin's centre."""
    if not len(heights):
        return np.zeros(len(_TUNING_EDGES) - 1, int)
    strong = frequencies[heights >= np.median(heights)]
    offset = np.mod(bins_per_octave * np.log2(strong / np.float32(440 / 16)), np.float32(1))
    offset[offset >= 0.5] -= 1
    return np.histogram(offset, _TUNING_EDGES)[0]


# The constant-Q transform of seven octaves above C1, after Schörkhuber, Klapuri, Holighaus and Dörfler (AES 53, 2014): each octave is the
# highest one of a signal at half the rate of the octave above, with half the hop. So seven octaves need one set of filters only. With these
# as a matrix an octave is one product of matrices, which a processor does many times faster, per operation, than Fourier transforms.

_OCTAVE_CHUNK = 128  # frames
_RESAMPLED_AT_ONCE = 1 << 15  # samples
_FAINT = np.float32(1e-3)  # of the largest sample; single precision's error is 1e-7 of it

_Octaves = Iterator[tuple[int, int, np.ndarray, int]]


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

    >>> a4 = np.sin(2 * np.pi * 440 * np.arange(22050) / 22050).astype(np.float32)
    >>> pitch_classes(a4, 22050, 512, np.float32(1), 0.0)[20].argmax().item()  # C, C#, … A
    9
    """
    n_frames = spectra.frame_count(len(clip), hop_length)
    bins = np.zeros((n_frames, BINS_PER_OCTAVE), np.float32)
    chunks = list(spectra.chunks_of(n_frames, _OCTAVE_CHUNK))
    faint = _add_by_matrix(bins, _octaves(clip, hop_length, peak, chunks), wavelet_matrix(sample_rate, tuning))
    if len(faint):
        chunks_with_faint_frames = [chunks[index] for index in np.unique(faint // _OCTAVE_CHUNK)]
        for first, last in chunks_with_faint_frames:
            bins[first:last] = 0
        _add_by_definition(bins, _octaves(clip, hop_length, peak, chunks_with_faint_frames), wavelet_spectra(sample_rate, tuning))
    # A semitone's three bins are its own and its neighbours: the octave's last bin belongs to C.
    semitones: np.ndarray = np.roll(bins, 1, axis=1).reshape(n_frames, 12, -1).sum(axis=2)
    return semitones


def _add_by_matrix(bins: np.ndarray, octaves: _Octaves, matrix: np.ndarray) -> np.ndarray:
    """Adds the responses' magnitudes to ``bins``; returns the numbers of the frames for which single precision is not enough.

    Frames are normalised later. One whose responses are faint compared with the samples they are made of (a constant, a whistle above the
    highest octave) would be rounding errors made loud.
    """
    loudest = np.zeros(len(bins), np.float32)
    framed = np.empty((_OCTAVE_CHUNK, FRAME_LENGTH), np.float32)
    response = np.empty((_OCTAVE_CHUNK, BINS_PER_OCTAVE), np.complex64)
    for first, last, samples, hop in octaves:
        rows = slice(last - first)
        framed[rows] = spectra.overlapping(samples, FRAME_LENGTH, hop)  # a product of overlapping rows would make a copy each time
        np.matmul(framed[rows], matrix, out=response[rows].view(np.float32))
        bins[first:last] += np.abs(response[rows])
        np.maximum(loudest[first:last], spectra.largest_magnitude(samples), out=loudest[first:last])
    return np.flatnonzero(bins.max(axis=1) < _FAINT * loudest)


def _add_by_definition(bins: np.ndarray, octaves: _Octaves, filters: np.ndarray) -> None:
    """Adds the responses' magnitudes to ``bins``, from the frames' spectra in double precision."""
    for first, last, samples, hop in octaves:
        framed = spectra.overlapping(samples.astype(np.float64), FRAME_LENGTH, hop)
        bins[first:last] += np.abs(spectra.rfft(framed).astype(np.complex64) @ filters.T)


def _octaves(clip: np.ndarray, hop_length: int, peak: np.float32, chunks: Iterable[tuple[int, int]]) -> _Octaves:
    """The samples of all chunks of frames of all octaves, the highest first: ``(first, last, samples, hop length in this octave)``."""
    for octave in range(N_OCTAVES):
        scale, hop = None if octave else peak, hop_length >> octave
        for first, last in chunks:
            yield first, last, spectra.segment(clip, first, last, FRAME_LENGTH, hop, scale), hop
        if octave + 1 < N_OCTAVES:
            clip = halve(clip, scale)


def halve(clip: np.ndarray, peak: np.float32 | None = None) -> np.ndarray:
    """``clip / peak`` at half its sample rate, with its energy kept; computed as a stream, so that a long clip is not copied."""
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


# The filters of one octave: 36 wavelets, their spectra, and both as one matrix. Choices are those of librosa 0.11: Hann windows, magnitudes
# that sum to 1, spectra cut to the bins that hold 99 % of the magnitude. Cached by tuning, which has 100 values.

_LOWEST_HZ = 440 * 2 ** ((24 - 69) / 12)  # C1
_DISCARDED = 0.01  # of a filter's summed magnitude


def wavelets(sample_rate: int, tuning: float) -> tuple[np.ndarray, np.ndarray]:
    """The filters of the highest octave, in time.

    Args:
        sample_rate: in Hz, between 21,000 and 33,000, for which librosa too takes frames of 1,024 samples.
        tuning: in fractions of a bin.

    Returns:
        complex64 of shape ``(36, 1024)``, each row's magnitudes summing to 1, and the filters' lengths in samples (not whole numbers).
    """
    frequencies = _LOWEST_HZ * 2.0 ** (tuning / BINS_PER_OCTAVE) * 2.0 ** (N_OCTAVES - 1 + np.arange(BINS_PER_OCTAVE) / BINS_PER_OCTAVE)
    ratio = 2.0 ** (2 / BINS_PER_OCTAVE)
    quality = (ratio + 1) / (ratio - 1)
    lengths = quality * sample_rate / frequencies
    filters = np.zeros((BINS_PER_OCTAVE, FRAME_LENGTH), np.complex64)
    for row, length, frequency in zip(filters, lengths, frequencies, strict=True):
        time = np.arange(np.floor(-length / 2), np.floor(length / 2))
        wavelet = np.exp(2j * np.pi * frequency / sample_rate * time) * spectra.hann(len(time))
        begin = (FRAME_LENGTH - len(wavelet)) // 2
        row[begin : begin + len(wavelet)] = wavelet / np.abs(wavelet).sum()
    return filters, lengths


@lru_cache(maxsize=101)
def wavelet_spectra(sample_rate: int, tuning: float) -> np.ndarray:
    """What a frame's spectrum is multiplied by: complex64, shape ``(36, 513)``, mostly zeros.

    Of each filter the least magnitudes are cut, as many as sum to less than 1 %. Responses come out divided by the square root of the
    filter's length, in every octave: an octave's halvings multiply the samples by what its longer filters would divide by.
    """
    filters, lengths = wavelets(sample_rate, tuning)
    filters *= lengths[:, None] / FRAME_LENGTH
    full = np.fft.fft(filters, axis=1)[:, : 1 + FRAME_LENGTH // 2]
    magnitude = np.abs(full)
    ascending = np.sort(magnitude, axis=1)
    share = np.cumsum(ascending / magnitude.sum(axis=1, keepdims=True), axis=1)
    least_kept = np.take_along_axis(ascending, np.argmax(share >= _DISCARDED, axis=1)[:, None], axis=1)
    return np.where(magnitude >= least_kept, full / np.sqrt(lengths)[:, None], 0).astype(np.complex64)


@lru_cache(maxsize=101)
def wavelet_matrix(sample_rate: int, tuning: float) -> np.ndarray:
    """What a frame is multiplied by: float32, shape ``(1024, 72)``; its columns are real and imaginary part of the responses in turn.

    A response is the product of the filter's spectrum with the frame's. The Fourier transform is linear and symmetric, so that is the
    product of the spectrum's own transform with the frame.
    """
    sparse = wavelet_spectra(sample_rate, tuning)
    padded = np.zeros((FRAME_LENGTH, BINS_PER_OCTAVE), np.complex128)
    padded[: sparse.shape[1]] = sparse.T
    return np.fft.fft(padded, axis=0).astype(np.complex64).view(np.float32)
