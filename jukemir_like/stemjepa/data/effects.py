"""Cheap effects that make a stem sound as in a recording: saturation, a small room, noise, a band limit.

Each takes and returns mono float32 ``(samples,)``. Room, noise and band are the studio's; its saturation takes ten times as long as the one
here, and does not keep the peak.
"""

from __future__ import annotations

import numpy as np

from jukemir_like.studio import convolution, noises, rooms, spectrum
from jukemir_like.studio.levels import Samples, power, ratio

_ORDER = 8  # of the band limit: 48 dB in an octave


def saturate(samples: Samples, drive_db: float) -> Samples:
    """Soft clipping p·tanh(g·x/p) / tanh(g) with g = 10^(``drive_db``/20) - 1 and the peak p, which stays as it was.

    Quiet samples are turned up by g / tanh(g); 0 dB changes nothing.

    >>> saturate(np.float32([0.1, -0.5, 1.0]), 12.0).round(3)
    array([ 0.291, -0.908,  1.   ], dtype=float32)
    """
    peak = np.float32(np.abs(samples).max(initial=0))
    gain = np.float32(10 ** (drive_db / 20) - 1)
    if peak == 0 or gain <= 0:
        return samples
    return np.asarray(np.tanh(samples * (gain / peak)) * (peak / np.tanh(gain)), np.float32)


def add_room(samples: Samples, sample_rate: int, seconds: float, level_db: float, random: np.random.Generator) -> Samples:
    """Adds the tail of :func:`jukemir_like.studio.rooms.impulse_response`; as many samples as before.

    Before the first sample is silence.

    Args:
        samples: the dry sound, which stays.
        sample_rate: in Hz.
        seconds: reverberation time.
        level_db: energy of the tail, relative to that of the dry sound.
        random: gives the tail.
    """
    response = rooms.impulse_response(seconds, sample_rate, random)
    response[1:] *= np.float32(ratio(level_db))
    return convolution.convolve(samples, response)


def add_noise(samples: Samples, snr_db: float, random: np.random.Generator) -> Samples:
    """Adds white noise whose power is ``snr_db`` below that of the samples; silence stays silence.

    >>> silence = np.zeros(3, np.float32)
    >>> add_noise(silence, 20.0, np.random.default_rng(0))
    array([0., 0., 0.], dtype=float32)
    """
    noise = noises.hiss(len(samples), -snr_db, random)
    noise *= np.float32(power(samples) ** 0.5)
    noise += samples
    return noise


def band_limit(samples: Samples, sample_rate: int, hertz: float) -> Samples:
    """A Butterworth low-pass of 48 dB in an octave, 3 dB down at ``hertz``; nothing where that is above 0.45 of the sample rate."""
    sections = spectrum.low_pass(hertz, _ORDER, sample_rate)
    if not len(sections):
        return samples
    from scipy.signal import sosfilt

    return np.asarray(sosfilt(sections, samples), np.float32)
