"""An acoustic fingerprint: 32 bits for every 12 ms of sound, in the manner of Haitsma and Kalker.

The method is that of "A Highly Robust Audio Fingerprinting System" (ISMIR 2002). A frame of 0.37 s gives the energies of 33 bands, spaced
evenly in log frequency from 300 to 2,000 Hz. Bit m of frame n tells the sign of a difference along frequency and time::

    (E[n, m] - E[n, m + 1]) - (E[n - 1, m] - E[n - 1, m + 1]) > 0

Loudness cancels out, the rest of the spectrum is not looked at, and frames overlap by 31/32, so that it does not matter where a copy
begins: what survives a codec, another sample rate or a gain is the signs.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

SAMPLE_RATE = 5_500
"""In Hz; what lies above 2,000 Hz is not looked at."""
FRAME_SAMPLES = 2_048
HOP_SAMPLES = 64
FRAMES_PER_SECOND = SAMPLE_RATE / HOP_SAMPLES
SILENT = 0
"""The code of a frame in which there is nothing to hear: it says nothing about being alike."""

_BANDS = 33
_LOWEST, _HIGHEST = 300.0, 2_000.0
_BLOCK_FRAMES = 512
_SILENCE_DB = -80.0  # of the bands together, against full scale; what 16-bit rounding leaves there is below -100

Codes = NDArray[np.uint32]


def fingerprint(samples: np.ndarray) -> Codes:
    """The codes of a sound.

    Args:
        samples: mono float32 of shape (samples,) at :data:`SAMPLE_RATE`, full scale 1.

    Returns:
        uint32 of shape (frames,), :data:`FRAMES_PER_SECOND` a second; bit 31 is the lowest pair of bands. Empty for less than two frames.
    """
    energies = _energies(samples)
    if len(energies) < 2:
        return np.zeros(0, np.uint32)
    along_frequency = energies[:, :-1] - energies[:, 1:]
    signs = np.packbits(along_frequency[1:] > along_frequency[:-1], axis=1)
    codes = np.ascontiguousarray(signs).view(">u4")[:, 0].astype(np.uint32)
    heard = energies.sum(1) > _silence()
    codes[~(heard[1:] & heard[:-1])] = SILENT
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
    """The first spectral bin of each band, and the one after the last band; no bin stands in two bands."""
    hertz = np.geomspace(_LOWEST, _HIGHEST, _BANDS + 1)
    return np.rint(hertz * FRAME_SAMPLES / SAMPLE_RATE).astype(np.int64)


def _window() -> NDArray[np.float32]:
    return np.hanning(FRAME_SAMPLES + 1)[:-1].astype(np.float32)


def _silence() -> float:
    """The energy of a sine at the level of silence, as :func:`_energies` counts it."""
    return float(10 ** (_SILENCE_DB / 10) * (_window() ** 2).sum() * FRAME_SAMPLES / 4)
