"""Cheap effects that make a stem sound as in a recording: saturation, a small room, noise, a band limit.

Each takes and returns mono float32 ``(samples,)``.
"""

from __future__ import annotations

import numpy as np

_DECAY = np.log(1000)  # 60 dB
_ORDER = 8  # of the band limit: 48 dB in an octave


def saturate(samples: np.ndarray, drive_db: float) -> np.ndarray:
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


def add_room(samples: np.ndarray, sample_rate: float, seconds: float, level_db: float, random: np.random.Generator) -> np.ndarray:
    """Adds reverberation: the samples convolved with noise that falls by 60 dB in ``seconds``; as many samples as before.

    Before the first sample is silence.

    Args:
        samples: the dry sound, which stays.
        sample_rate: in Hz.
        seconds: reverberation time.
        level_db: energy of the tail, relative to that of the dry sound.
        random: gives the tail.
    """
    from scipy import fft

    length = max(1, round(seconds * sample_rate))
    tail = random.standard_normal(length, np.float32) * np.exp(np.arange(length, dtype=np.float32) * np.float32(-_DECAY / length))
    tail *= np.float32(10 ** (level_db / 20) / np.sqrt(np.sum(tail**2)))
    size = fft.next_fast_len(len(samples) + length, real=True)
    # A sample later: the tail begins after the sound itself.
    wet = fft.irfft(fft.rfft(samples, size) * fft.rfft(tail, size), size)[: len(samples) - 1]
    return np.asarray(samples + np.concatenate([np.zeros(1, np.float32), wet]), np.float32)


def add_noise(samples: np.ndarray, snr_db: float, random: np.random.Generator) -> np.ndarray:
    """Adds white noise whose power is ``snr_db`` below that of the samples; silence stays silence.

    >>> silence = np.zeros(3, np.float32)
    >>> add_noise(silence, 20.0, np.random.default_rng(0))
    array([0., 0., 0.], dtype=float32)
    """
    level = np.sqrt(np.mean(samples**2, dtype=np.float64)) * 10 ** (-snr_db / 20)
    return np.asarray(samples + random.standard_normal(len(samples), np.float32) * np.float32(level))


def band_limit(samples: np.ndarray, sample_rate: float, hertz: float) -> np.ndarray:
    """A Butterworth low-pass of 48 dB in an octave, 3 dB down at ``hertz``; nothing where that is near half the sample rate or above it."""
    if hertz >= 0.49 * sample_rate:
        return samples
    from scipy.signal import butter, sosfilt

    return np.asarray(sosfilt(butter(_ORDER, hertz, output="sos", fs=sample_rate), samples), np.float32)
