"""Which fingerprints have a stretch of sound in common, among thousands, without comparing all pairs.

Codes that two items share exactly vote for their pair and for the offset between them: even through a codec, one code in three of a copy
comes out whole, while different pieces of music share next to none. What gets :data:`LEAST_VOTES` is compared bit by bit, over a window
that is moved along the common part, so that an excerpt inside another recording is found too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from jukemir_like.audit.fingerprint import FRAMES_PER_SECOND, SILENT, Codes

BIT_ERROR_RATE = 0.25
"""Below it a window counts as the same sound. Different music gives 0.5 on average; Haitsma and Kalker, who cannot tell where in the other
recording to look, allow 0.35 in 3 s."""
WINDOW_FRAMES = round(5 * FRAMES_PER_SECOND)
LEAST_FRAMES = round(2.5 * FRAMES_PER_SECOND)
"""Of what two items have in common where that is less than a window; shorter stretches are not looked for."""
LEAST_VOTES = 3

_SECOND_FRAMES = round(FRAMES_PER_SECOND)
_SECOND_ERROR_RATE = 0.35  # in one second; other sound is above 0.4
_MOST_ENTRIES = 4_000_000  # in the index; of more codes only those are taken whose hash is small, the same ones in every item
_MOST_REPEATS = 4  # of one code in one item: a loop must not crowd out the others
_MOST_NEIGHBOURS = 8  # that an entry votes for; so many copies of one recording are linked in a chain
_BUCKET_FRAMES = 4  # offsets that are counted together
_MOST_OFFSETS = 3  # that are compared bit by bit, of a pair


@dataclass(frozen=True)
class Match:
    """Two items with sound in common.

    Args:
        first, second: which; ``first`` < ``second``.
        offset_seconds: when in the first the second's beginning is, or would be: negative where it is cut off there.
        seconds: how much is in common.
        bit_error_rate: of these seconds; 0 is the very same.
    """

    first: int
    second: int
    offset_seconds: float
    seconds: float
    bit_error_rate: float


def find(fingerprints: Sequence[Codes], recordings: Sequence[int]) -> list[Match]:
    """All pairs of items with at least 5 s of sound in common (2.5 s, where less of them can overlap), sorted.

    Args:
        fingerprints: codes of each item, :func:`jukemir_like.audit.fingerprint.fingerprint`.
        recordings: a number for each item; items with the same number are known to be of one recording and are not compared.

    Memory beside the fingerprints is bounded, by the 4 million entries with 8 votes each that the index has at most.
    """
    candidates = _candidates(fingerprints, np.asarray(recordings))
    found = []
    for (first, second), offsets in candidates.items():
        compared = (_compare(fingerprints[first], fingerprints[second], offset) for offset in offsets)
        alike = [one for one in compared if one is not None]
        if alike:
            frames, error_rate, offset = max(alike, key=lambda one: (one[0], -one[1]))
            found.append(Match(first, second, offset / FRAMES_PER_SECOND, frames / FRAMES_PER_SECOND, error_rate))
    return sorted(found, key=lambda match: (match.first, match.second))


def _candidates(fingerprints: Sequence[Codes], recordings: NDArray[np.int64]) -> dict[tuple[int, int], list[int]]:
    """(first, second) → offsets in frames worth a closer look, those with most votes first."""
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
    """What got enough votes, and how many; in place, for there may be many."""
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
    """The frames of one item that go into the index: not silent, not as the frame before, and of the share of codes that is taken."""
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
    """The frames that stand one above the other, where the second begins at frame ``offset`` of the first."""
    first, second = first[max(0, offset) :], second[max(0, -offset) :]
    length = min(len(first), len(second))
    return first[:length], second[:length]


def _common(first: Codes, second: Codes) -> tuple[int, float] | None:
    """Frames of all windows that are the same sound, and the bit error rate in them; None where there is none.

    Half of such a window may still be other sound, so from its ends seconds are cut off that by themselves are not alike.
    """
    length = len(first)
    width = min(WINDOW_FRAMES, length)
    if width < LEAST_FRAMES:
        return None
    heard = (first != SILENT) & (second != SILENT)
    errors = np.bitwise_count(first ^ second) * heard
    heard_until, errors_until = _cumulated(heard), _cumulated(errors)
    heard_in = heard_until[width:] - heard_until[:-width]
    errors_in = errors_until[width:] - errors_until[:-width]
    starts = np.flatnonzero((errors_in <= BIT_ERROR_RATE * 32 * heard_in) & (2 * heard_in >= width))
    if not len(starts):
        return None
    edges = np.zeros(length + 1, np.int64)
    np.add.at(edges, starts, 1)
    np.add.at(edges, starts + width, -1)
    places = np.arange(length)
    begin, end = np.maximum(places - _SECOND_FRAMES // 2, 0), np.minimum(places + _SECOND_FRAMES // 2, length)
    alike = errors_until[end] - errors_until[begin] <= _SECOND_ERROR_RATE * 32 * (heard_until[end] - heard_until[begin])
    common = (edges.cumsum()[:-1] > 0) & alike & heard
    return (int(common.sum()), float(errors[common].sum() / (32 * common.sum()))) if common.any() else None


def _cumulated(values: np.ndarray) -> NDArray[np.int64]:
    return np.concatenate(([0], values.cumsum(dtype=np.int64)))
