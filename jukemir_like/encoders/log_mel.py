"""Spectra that pretrained encoders take: log-mel in the conventions of Kaldi, Whisper, CLAP and torchaudio, in NumPy.

Each function has the conventions of one family. They differ in window, padding, scale of the filters and floor of the logarithm, and a net
that was trained with one does not understand another. Tests compare them with the feature extractors of ``transformers``.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np

from jukemir_like.audio import mel

_KALDI_FLOOR = np.float32(np.finfo(np.float32).eps)
_LEAST = 1e-10


def normalised(samples: np.ndarray) -> np.ndarray:
    """``samples`` with mean 0 and variance 1, as wav2vec 2.0 and its kin take them: float32 of the same shape.

    >>> normalised(np.array([0.0, 2.0], np.float32)).round(3).tolist()
    [-1.0, 1.0]
    """
    samples = samples.astype(np.float32)
    return np.asarray((samples - samples.mean()) / np.sqrt(samples.var() + 1e-7), np.float32)


def whisper(samples: np.ndarray, length: int, n_mels: int = 80) -> np.ndarray:
    """Whisper's input: 25 ms frames every 10 ms at 16 kHz, zeros behind the clip, the lowest 8 decades below the maximum cut off.

    Args:
        samples: shape ``(samples,)`` at 16 kHz.
        length: to which zeros are appended.
        n_mels: bands.

    Returns:
        float32, shape ``(n_mels, length // 160)``.
    """
    power = _power(np.pad(samples, (0, length - len(samples))), _hann(400), 160)[:, :-1]
    log = np.log10(np.maximum(mel.filters(16000, 400, n_mels, 0, 8000) @ power, _LEAST))
    return np.asarray((np.maximum(log, log.max() - 8) + 4) / 4, np.float32)


def clap(samples: np.ndarray, length: int, n_mels: int = 64, hop_length: int = 480, f_min: float = 50, f_max: float = 14000) -> np.ndarray:
    """The input of CLAP without fusion: decibels of 1,024-sample frames at 48 kHz.

    A shorter clip is repeated as often as it fits, then padded with zeros.

    Returns:
        float32, shape ``(1 + length // hop_length, n_mels)``.
    """
    repeated = np.tile(samples, max(1, length // len(samples)))
    power = _power(np.pad(repeated, (0, length - len(repeated))), _hann(1024), hop_length)
    return _decibels(mel.filters(48000, 1024, n_mels, f_min, f_max) @ power).T


def torchaudio(samples: np.ndarray, sample_rate: int = 24000, n_fft: int = 2048, hop_length: int = 240, n_mels: int = 128) -> np.ndarray:
    """Decibels by torchaudio's defaults, as MusicFM and MuQ take them: HTK's scale, triangles of height 1, the last frame left out.

    Returns:
        float32, shape ``(n_mels, len(samples) // hop_length)``.
    """
    power = _power(samples, _hann(n_fft), hop_length)[:, :-1]
    return _decibels(_triangles("htk", sample_rate, n_fft, n_mels, 0.0) @ power)


def kaldi(samples: np.ndarray, n_mels: int, window: str) -> np.ndarray:
    """Kaldi's filter bank at 16 kHz: 25 ms frames every 10 ms without padding, each without its mean and pre-emphasised.

    Args:
        samples: shape ``(samples,)``, at least 400.
        n_mels: bands from 20 Hz to 8 kHz.
        window: ``hann`` or ``povey``.

    Returns:
        natural logarithms, float32, shape ``(1 + (len(samples) - 400) // 160, n_mels)``.
    """
    frames = np.lib.stride_tricks.sliding_window_view(samples.astype(np.float64), 400)[::160]
    frames = frames - frames.mean(axis=1, keepdims=True)
    emphasised = frames - 0.97 * np.concatenate([frames[:, :1], frames[:, :-1]], axis=1)
    shape = np.hanning(400) if window == "hann" else np.hanning(400) ** 0.85
    power = np.abs(np.fft.rfft(emphasised * shape, 512)) ** 2
    bands = power @ _triangles("kaldi", 16000, 512, n_mels, 20.0).T
    return np.asarray(np.log(np.maximum(bands, _KALDI_FLOOR)), np.float32)


def stacked(frames: np.ndarray) -> np.ndarray:
    """The input of wav2vec 2.0 BERT: bands with mean 0 and variance 1 over time, two frames side by side, an odd last one left out.

    ``(time, n_mels)`` → float32 ``(time // 2, 2 * n_mels)``
    """
    normal = (frames - frames.mean(axis=0)) / np.sqrt(frames.var(axis=0, ddof=1) + 1e-7)
    return np.asarray(normal[: len(frames) // 2 * 2].reshape(len(frames) // 2, -1), np.float32)


def _power(samples: np.ndarray, window: np.ndarray, hop_length: int) -> np.ndarray:
    """Power of centred frames, the signal reflected at its ends: shape ``(1 + n_fft // 2, 1 + len(samples) // hop_length)``."""
    n_fft = len(window)
    padded = np.pad(samples.astype(np.float64), n_fft // 2, mode="reflect")
    frames = np.lib.stride_tricks.sliding_window_view(padded, n_fft)[::hop_length]
    return np.asarray(np.abs(np.fft.rfft(frames * window)).T ** 2)


def _decibels(power: np.ndarray) -> np.ndarray:
    return np.asarray(10 * np.log10(np.maximum(power, _LEAST)), np.float32)


def _hann(length: int) -> np.ndarray:
    """A periodic Hann window."""
    return np.hanning(length + 1)[:-1]


_SCALES: dict[str, tuple[Callable[[np.ndarray], np.ndarray], Callable[[np.ndarray], np.ndarray]]] = {
    "htk": (lambda hertz: 2595 * np.log10(1 + hertz / 700), lambda mels: 700 * (10 ** (mels / 2595) - 1)),
    "kaldi": (lambda hertz: 1127 * np.log(1 + hertz / 700), lambda mels: mels),
}
"""Hz → mel, and mel → that in which a filter is a triangle: Hz of HTK's filters, mel of Kaldi's."""


@cache
def _triangles(scale: str, sample_rate: int, n_fft: int, n_mels: int, f_min: float) -> np.ndarray:
    """Filters of height 1 up to half the sample rate: shape ``(n_mels, 1 + n_fft // 2)``."""
    to_mel, to_axis = _SCALES[scale]
    lowest, highest = to_mel(np.array([f_min, sample_rate / 2]))
    edges = to_axis(np.linspace(lowest, highest, n_mels + 2))
    hertz = np.arange(1 + n_fft // 2) * sample_rate / n_fft
    bins = to_mel(hertz) if scale == "kaldi" else hertz
    lower, centre, upper = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    return np.asarray(np.maximum(0, np.minimum((bins - lower) / (centre - lower), (upper - bins) / (upper - centre))))
