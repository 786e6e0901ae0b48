"""The stems of a song whose every stem is the sum of several files: instruments, microphones or tracks of a mixer.

The sums of a song can exceed full scale although its files do not, and a 16-bit file would clip them. All stems of such a song are turned
down by one gain, so that they still add up to the same mix; the gain is given back, to be recorded.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from jukemir_like import audio
from jukemir_like.audio import Audio
from jukemir_like.audio.conversion import mix_down
from jukemir_like.audio.stems.tracks import common_sample_rate
from jukemir_like.core.errors import InputError

StemFiles = tuple[tuple[str, ...], ...]
"""For each stem the files that it is the sum of, as paths relative to the song's folder; none: the stem is silent."""

LARGEST = 32767 / 32768
"""The largest sample of a 16-bit file."""


@dataclass(frozen=True)
class SummedStems:
    """The stems of a song.

    Args:
        audio: samples of shape ``(stems, samples)``, within full scale.
        gain: what the sums were multiplied by: 1, or less where one of them exceeded full scale.
    """

    audio: Audio
    gain: float


def decode(folder: Path, files: StemFiles) -> SummedStems:
    """Reads the files and sums them stem by stem, each as the plain mean of its channels; shorter ones end in silence.

    Args:
        folder: of the song.
        files: of each stem, at least one in all.

    Raises:
        InputError: a file is missing, cannot be decoded, or has another sample rate than the others.

    >>> song = decode(Path(), (("song.wav", "song.wav"), (), ("song.wav",)))
    >>> song.audio.samples.shape, bool((song.audio.samples[0] == 2 * song.audio.samples[2]).all()), round(song.gain, 2)
    ((3, 264600), True, 0.81)
    """
    stems: list[np.ndarray] = []
    rates = set()
    for names in files:
        total = np.zeros(0, np.float32)
        for name in names:
            decoded = _decode(folder, name)
            rates.add(decoded.sample_rate)
            total = _sum(total, mix_down(decoded.samples))
        stems.append(total)
    sample_rate = common_sample_rate(rates)
    samples = np.zeros((len(stems), max(map(len, stems))), np.float32)
    for row, stem in zip(samples, stems, strict=True):
        row[: len(stem)] = stem
    gain = within_full_scale(samples)
    return SummedStems(Audio(samples, sample_rate), gain)


def within_full_scale(samples: np.ndarray) -> float:
    """Turns all stems ``(stems, samples)`` down, in place, by one gain where one of them exceeds full scale; returns the gain.

    >>> samples = np.array([[0.5], [-2.0]], np.float32)
    >>> round(within_full_scale(samples), 3), samples.round(3).tolist()
    (0.5, [[0.25], [-1.0]])
    """
    peak = float(max(samples.max(initial=0), -samples.min(initial=0)))
    gain = 1.0 if peak <= 1 else LARGEST / peak
    if gain < 1:
        samples *= np.float32(gain)
    return gain


def digest(folder: Path, files: StemFiles) -> str:
    """SHA-256 over the digests of all files, stem by stem.

    Raises:
        InputError: a file is missing, or cannot be read.
    """
    lines = [f"{stem} {_digest(folder, name)}\n" for stem, names in enumerate(files) for name in names]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def files_below(folder: Path, files: Sequence[Sequence[str]]) -> list[Path]:
    """All files, each once, in the order of the stems."""
    return list(dict.fromkeys(folder / name for names in files for name in names))


def _sum(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    longer, shorter = (one, other) if len(one) >= len(other) else (other, one)
    longer = longer.copy()
    longer[: len(shorter)] += shorter
    return longer


def _decode(folder: Path, name: str) -> Audio:
    try:
        return audio.decode(folder / name)
    except InputError as error:
        raise InputError(f"{name} {error}") from error


def _digest(folder: Path, name: str) -> str:
    try:
        return audio.digest(folder / name)
    except InputError as error:
        raise InputError(f"{name} {error}") from error
