"""Acoustic fingerprints, and the pairs of items that share a stretch of sound.

A fingerprint has 32 bits for every 12 ms of sound. The method is that of Haitsma and Kalker, "A Highly Robust Audio Fingerprinting
System" (ISMIR 2002). A frame of 0.37 s gives the energies of 33 bands, spaced evenly in log frequency from 300 to 2,000 Hz. Bit m of
frame n is the sign of a difference along frequency and time::

    (E[n, m] - E[n, m + 1]) - (E[n - 1, m] - E[n - 1, m + 1]) > 0

Loudness cancels out, the rest of the spectrum has no influence, and frames overlap by 31/32, so that it does not matter where a copy
begins: the signs survive a codec, another sample rate or a gain.

Pairs are found without comparing all of them (:func:`find_matches`). Codes that two items share exactly vote for their pair and for the
offset between them: even through a codec, one code in three of a copy is unchanged, while different pieces of music share next to none.
Pairs with :data:`LEAST_VOTES` are compared bit by bit, over a window that moves along the overlap, so that an excerpt inside another
recording is found too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

SAMPLE_RATE = 5_500
"""In Hz; the bands end at 2,000 Hz."""
FRAME_SAMPLES = 2_048
HOP_SAMPLES = 64
FRAMES_PER_SECOND = SAMPLE_RATE / HOP_SAMPLES
SILENT = 0
"""The code of a silent frame: it matches nothing."""

_BANDS = 33
_LOWEST, _HIGHEST = 300.0, 2_000.0
_BLOCK_FRAMES = 512
_SILENCE_DB = -80.0  # of the bands together, against full scale; what 16-bit rounding leaves there is below -100

Codes = NDArray[np.uint32]


def fingerprint(samples: np.ndarray) -> Codes:
    """The fingerprint of a clip: one 32-bit code per frame.

    Args:
        samples: mono float32 of shape (samples,) at :data:`SAMPLE_RATE`, full scale 1.

    Returns:
        uint32 of shape (frames,), :data:`FRAMES_PER_SECOND` per second; bit 31 is the lowest pair of bands. Empty for less than two frames.

    >>> fingerprint(np.zeros(SAMPLE_RATE, np.float32))[:3]
    array([0, 0, 0], dtype=uint32)
    """
    energies = _energies(samples)
    if len(energies) < 2:
        return np.zeros(0, np.uint32)
    along_frequency = energies[:, :-1] - energies[:, 1:]
    signs = np.packbits(along_frequency[1:] > along_frequency[:-1], axis=1)
    codes = np.ascontiguousarray(signs).view(">u4")[:, 0].astype(np.uint32)
    audible = energies.sum(1) > _silence()
    codes[~(audible[1:] & audible[:-1])] = SILENT
    return codes


def _energies(samples: np.ndarray) -> NDArray[np.float32]:
    """Energies of the bands, (frames, 33); in blocks of frames, so that memory does not grow with the recording."""
    from scipy.fft import rfft

    if len(samples) < FRAME_SAMPLES:
        return np.zeros((0, _BANDS), np.float32)
    frames = np.lib.stride_tricks.sliding_window_view(np.asarray(samples, np.float32), FRAME_SAMPLES)[::HOP_SAMPLES]
    edges, window = _edges(), _window()
    energies = np.empty((len(frames), _BANDS), np.float32)
    for start in range(0, len(frames), _BLOCK_FRAMES):
        spectrum = rfft(frames[start : start + _BLOCK_FRAMES] * window)[:, edges[0] : edges[-1]]
        power = spectrum.real**2 + spectrum.imag**2
        energies[start : start + len(power)] = np.add.reduceat(power, edges[:-1] - edges[0], axis=1)
    return energies


def _edges() -> NDArray[np.int64]:
    """The first spectral bin of each band, and the one after the last band; no bin is in two bands."""
    hertz = np.geomspace(_LOWEST, _HIGHEST, _BANDS + 1)
    return np.rint(hertz * FRAME_SAMPLES / SAMPLE_RATE).astype(np.int64)


def _window() -> NDArray[np.float32]:
    return np.hanning(FRAME_SAMPLES + 1)[:-1].astype(np.float32)


def _silence() -> float:
    """The energy of a sine at the level of silence, as :func:`_energies` counts it."""
    return float(10 ** (_SILENCE_DB / 10) * (_window() ** 2).sum() * FRAME_SAMPLES / 4)


BIT_ERROR_RATE = 0.25
"""Below it a window counts as the same sound. Different music gives 0.5 on average; Haitsma and Kalker, who search without a known offset,
allow 0.35 in 3 s."""
WINDOW_FRAMES = round(5 * FRAMES_PER_SECOND)
LEAST_FRAMES = round(2.5 * FRAMES_PER_SECOND)
"""The shortest overlap of two items that is compared."""
LEAST_VOTES = 3

_SECOND_FRAMES = round(FRAMES_PER_SECOND)
_SECOND_ERROR_RATE = 0.35  # in one second; different sound is above 0.4
_MOST_ENTRIES = 4_000_000  # in the index; beyond it codes are sampled by their hash, the same codes in every item
_MOST_REPEATS = 4  # of one code in one item, so that a loop does not fill the index
_MOST_NEIGHBOURS = 8  # that an entry votes for; more copies of one recording are linked in a chain
_BUCKET_FRAMES = 4  # offsets that are counted together
_MOST_OFFSETS = 3  # that are compared bit by bit, of a pair


@dataclass(frozen=True)
class Match:
    """Two items with sound in common.

    Args:
        first, second: indices of the items; ``first`` < ``second``.
        offset_seconds: where the second item begins in the first; negative if its beginning is cut off there.
        seconds: length of the common part.
        bit_error_rate: share of differing bits in the common part; 0 for identical fingerprints.
    """

    first: int
    second: int
    offset_seconds: float
    seconds: float
    bit_error_rate: float


def find_matches(fingerprints: Sequence[Codes], recordings: Sequence[int]) -> list[Match]:
    """All pairs of items with at least 5 s of sound in common (2.5 s, where less of them can overlap), sorted.

    Args:
        fingerprints: codes of each item, of :func:`fingerprint`.
        recordings: a number for each item; items with the same number are known to be of one recording and are not compared.

    Memory beside the fingerprints is bounded, by the 4 million entries with 8 votes each that the index has at most.
    """
    candidates = _candidates(fingerprints, np.asarray(recordings))
    matches = []
    for (first, second), offsets in candidates.items():
        compared = (_compare(fingerprints[first], fingerprints[second], offset) for offset in offsets)
        alike = [one for one in compared if one is not None]
        if alike:
            frames, error_rate, offset = max(alike, key=lambda one: (one[0], -one[1]))
            matches.append(Match(first, second, offset / FRAMES_PER_SECOND, frames / FRAMES_PER_SECOND, error_rate))
    return sorted(matches, key=lambda match: (match.first, match.second))


def _candidates(fingerprints: Sequence[Codes], recordings: NDArray[np.int64]) -> dict[tuple[int, int], list[int]]:
    """(first, second) → offsets in frames to compare bit by bit, those with most votes first."""
    code, item, frame = _index(fingerprints)
    number, longest = len(fingerprints), max(map(len, fingerprints), default=0)
    span = 2 * longest // _BUCKET_FRAMES + 2
    votes = []
    for lag in range(1, _MOST_NEIGHBOURS + 1):
        same = np.flatnonzero(code[lag:] == code[:-lag])
        if not len(same):
            break
        same = same[recordings[item[same]] != recordings[item[same + lag]]]
        first, second = item[same], item[same + lag]
        bucket = (frame[same] - frame[same + lag] + longest) // _BUCKET_FRAMES
        votes.append((first.astype(np.int64) * number + second) * span + bucket)
    if not votes:
        return {}
    keys, counts = _counted(np.concatenate(votes))
    candidates: dict[tuple[int, int], list[int]] = {}
    for key in keys[np.argsort(-counts, kind="stable")].tolist():
        pair, bucket = divmod(key, span)
        offsets = candidates.setdefault(divmod(pair, number), [])
        if len(offsets) < _MOST_OFFSETS:
            offsets.append(bucket * _BUCKET_FRAMES - longest)
    return candidates


def _counted(votes: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Keys with enough votes, and their counts. Sorts in place: there may be many."""
    votes.sort()
    starts = np.flatnonzero(np.concatenate(([True], votes[1:] != votes[:-1])))
    counts = np.diff(starts, append=len(votes))
    return votes[starts[counts >= LEAST_VOTES]], counts[counts >= LEAST_VOTES]


def _index(fingerprints: Sequence[Codes]) -> tuple[Codes, NDArray[np.int32], NDArray[np.int32]]:
    """Code, item and frame of every entry, sorted by code, then by item and frame."""
    share = min(1.0, _MOST_ENTRIES / max(1, sum(map(len, fingerprints))))
    frames = [_entries(codes, share) for codes in fingerprints]
    sizes = [len(one) for one in frames]
    if not sum(sizes):
        return np.zeros(0, np.uint32), np.zeros(0, np.int32), np.zeros(0, np.int32)
    frame = np.concatenate(frames)
    item = np.repeat(np.arange(len(fingerprints), dtype=np.int32), sizes)
    code = np.concatenate([codes[one] for codes, one in zip(fingerprints, frames, strict=True)])
    keys = code.astype(np.uint64) << np.uint64(32) | np.arange(len(code), dtype=np.uint64)
    keys.sort()
    order = (keys & np.uint64(0xFFFFFFFF)).astype(np.int64)
    code, item, frame = code[order], item[order], frame[order]
    far = slice(_MOST_REPEATS, None), slice(None, -_MOST_REPEATS)
    kept = np.ones(len(code), bool)
    kept[_MOST_REPEATS:] = (code[far[0]] != code[far[1]]) | (item[far[0]] != item[far[1]])
    return code[kept], item[kept], frame[kept]


def _entries(codes: Codes, share: float) -> NDArray[np.int32]:
    """The frames of one item that go into the index: not silent, different from the frame before, and in the sampled share of codes."""
    taken = codes != SILENT
    taken[1:] &= codes[1:] != codes[:-1]
    if share < 1:
        taken &= codes * np.uint32(2654435761) < np.uint32(share * 0xFFFFFFFF)  # Knuth's multiplicative hash
    return np.flatnonzero(taken).astype(np.int32)


def _compare(first: Codes, second: Codes, offset: int) -> tuple[int, float, int] | None:
    """Frames in common, their bit error rate and the exact offset, near ``offset``; None for different sounds."""
    near = range(offset - 1, offset + _BUCKET_FRAMES + 1)
    overlaps = [_overlap(first, second, exact) for exact in near]
    rates = [float(np.bitwise_count(one ^ other).mean()) if len(one) else np.inf for one, other in overlaps]
    best = int(np.argmin(rates))
    common = _common(*overlaps[best])
    return None if common is None else (*common, near[best])


def _overlap(first: Codes, second: Codes, offset: int) -> tuple[Codes, Codes]:
    """The overlapping frames of both, if the second begins at frame ``offset`` of the first."""
    first, second = first[max(0, offset) :], second[max(0, -offset) :]
    length = min(len(first), len(second))
    return first[:length], second[:length]


def _common(first: Codes, second: Codes) -> tuple[int, float] | None:
    """Frames of all windows that are the same sound, and the bit error rate in them; None where there is none.

    Half of such a window may still be different sound, so seconds at its ends that do not match by themselves are cut off.
    """
    length = len(first)
    width = min(WINDOW_FRAMES, length)
    if width < LEAST_FRAMES:
        return None
    audible = (first != SILENT) & (second != SILENT)
    errors = np.bitwise_count(first ^ second) * audible
    audible_until, errors_until = _cumulated(audible), _cumulated(errors)
    audible_in = audible_until[width:] - audible_until[:-width]
    errors_in = errors_until[width:] - errors_until[:-width]
    starts = np.flatnonzero((errors_in <= BIT_ERROR_RATE * 32 * audible_in) & (2 * audible_in >= width))
    if not len(starts):
        return None
    edges = np.zeros(length + 1, np.int64)
    np.add.at(edges, starts, 1)
    np.add.at(edges, starts + width, -1)
    places = np.arange(length)
    begin, end = np.maximum(places - _SECOND_FRAMES // 2, 0), np.minimum(places + _SECOND_FRAMES // 2, length)
    alike = errors_until[end] - errors_until[begin] <= _SECOND_ERROR_RATE * 32 * (audible_until[end] - audible_until[begin])
    common = (edges.cumsum()[:-1] > 0) & alike & audible
    return (int(common.sum()), float(errors[common].sum() / (32 * common.sum()))) if common.any() else None


def _cumulated(values: np.ndarray) -> NDArray[np.int64]:
    return np.concatenate(([0], values.cumsum(dtype=np.int64)))
