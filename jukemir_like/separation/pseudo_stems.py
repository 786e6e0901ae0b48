"""A recording → four channels, as if it had stems: bass, drums, other and vocals, which are silent.

What is percussive is drums; what is harmonic is bass below a frequency and other above it. These are no stems: a snare's tone is in other,
a plucked bass begins in drums, a voice is in other. But the parts sound together, sum to the mix, and can be had from any recording.

A recording is separated in blocks that overlap by as much as the filters reach, so that the result is that of the whole.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from jukemir_like.audio.stems.summing import LARGEST
from jukemir_like.audio.wav import write_wav_blocks
from jukemir_like.core.stems import STEMS
from jukemir_like.separation.harmonic_percussive import HOPS, KERNEL, percussive_mask, signal, spectra

VERSION = 1
"""Raised when the same recording would give other samples."""
METHOD = "harmonic-percussive, then low and high"

_BASS, _DRUMS, _OTHER, _ = range(len(STEMS))
_WINDOW_SECONDS = 2048 / 44100
_BLOCK_HOPS = 1024  # some 12 s
_MARGIN_HOPS = KERNEL // 2 + HOPS + 1  # what the medians reach, and half a window on both sides


@dataclass(frozen=True)
class Separation:
    """How a recording is divided.

    Args:
        bass_hz: what is harmonic is half bass and half other here; all bass half an octave below, all other half an octave above.
    """

    bass_hz: float = 200.0

    def to_json(self) -> dict[str, Any]:
        """As it is recorded."""
        masks = {"window_seconds": round(_WINDOW_SECONDS, 4), "hops_per_window": HOPS, "median_kernel": KERNEL}
        return {"method": METHOD, "version": VERSION, **masks, **asdict(self)}


def separate(mono: np.ndarray, sample_rate: int, separation: Separation) -> np.ndarray:
    """The channels of float32 ``(samples,)``: float32 ``(4, samples)``, whose sum is the input.

    Memory grows with the length: see :func:`separated_blocks`.

    >>> parts = separate(np.ones(1000, np.float32), 22050, Separation())
    >>> parts.shape, bool(np.allclose(parts.sum(axis=0), 1)), bool(parts[3].any())
    ((4, 1000), True, False)
    """
    window_samples = _window_samples(sample_rate)
    spectrum = spectra(mono, window_samples)
    percussive = spectrum * percussive_mask(np.abs(spectrum))
    low = _low_pass(separation.bass_hz, window_samples, sample_rate)
    parts = np.zeros((len(STEMS), len(mono)), np.float32)
    parts[_DRUMS] = signal(percussive, len(mono))
    parts[_BASS] = signal((spectrum - percussive) * low, len(mono))
    parts[_OTHER] = mono - parts[_DRUMS] - parts[_BASS]
    return parts


def separated_blocks(mono: np.ndarray, sample_rate: int, separation: Separation) -> Iterator[np.ndarray]:
    """:func:`separate` of int16 ``(samples,)``, some 12 s at a time.

    >>> [block.shape for block in separated_blocks(np.zeros(900_000, np.int16), 44100, Separation())]
    [(4, 524288), (4, 375712)]
    """
    hop = _window_samples(sample_rate) // HOPS
    block, margin = _BLOCK_HOPS * hop, _MARGIN_HOPS * hop
    for start in range(0, len(mono), block):
        first = max(0, start - margin)
        piece = mono[first : start + block + margin] * np.float32(1 / 32768)
        yield separate(piece, sample_rate, separation)[:, start - first : start - first + block]


def write(path: Path, mono: np.ndarray, sample_rate: int, separation: Separation) -> tuple[str, float]:
    """Writes the channels of int16 ``(samples,)`` as a WAV; returns its SHA-256, and the gain that they were given.

    Parts may exceed full scale where their sum does not. Then all are turned down by one gain, and are separated again for that.

    Raises:
        InputError: more than a WAV can hold.
        StorageError: it cannot be written.
    """
    peak = 0.0

    def blocks(gain: float) -> Iterator[np.ndarray]:
        nonlocal peak
        for parts in separated_blocks(mono, sample_rate, separation):
            peak = max(peak, float(np.abs(parts).max()))
            yield parts * np.float32(gain) if gain < 1 else parts

    digest = write_wav_blocks(path, blocks(1.0), len(STEMS), len(mono), sample_rate)
    if peak <= 1:
        return digest, 1.0
    gain = LARGEST / peak
    return write_wav_blocks(path, blocks(gain), len(STEMS), len(mono), sample_rate), gain


def _window_samples(sample_rate: int) -> int:
    """The power of two that is nearest to 46 ms: 2,048 at 44.1 and 48 kHz."""
    return max(16, int(2 ** round(np.log2(_WINDOW_SECONDS * sample_rate))))


def _low_pass(corner: float, window_samples: int, sample_rate: int) -> np.ndarray:
    """Gains of the bins: 1 below, 0 above, half a cosine of the logarithm of frequency in the octave around ``corner``."""
    bins = np.arange(window_samples // 2 + 1) * (sample_rate / window_samples)
    octaves = np.log2(np.maximum(bins, 1e-3) / corner)
    return np.asarray(0.5 - 0.5 * np.sin(np.pi * np.clip(octaves, -0.5, 0.5)), np.float32)
