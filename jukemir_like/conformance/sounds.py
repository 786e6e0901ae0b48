"""Audio to test with: tones and noise, the same samples on every machine."""

from __future__ import annotations

import io
import wave
from functools import cache

SAMPLE_RATE = 22050


@cache
def wav(seed: int, *, seconds: float = 2.0, sample_rate: int = SAMPLE_RATE, channels: int = 1) -> bytes:
    """A WAV file, 16-bit PCM: three tones of the tempered scale and some noise; another ``seed``, other tones."""
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(sample_rate)
        file.writeframes(_samples(seed, seconds, sample_rate, channels))
    return buffer.getvalue()


@cache
def encoded(seed: int, format: str, *, seconds: float = 2.0, sample_rate: int = SAMPLE_RATE, channels: int = 1) -> bytes:  # noqa: A002
    """The samples of :func:`wav` as FLAC, OGG or MP3. The bytes may differ from call to call: Ogg streams have a random number."""
    import numpy as np
    import soundfile

    samples = np.frombuffer(_samples(seed, seconds, sample_rate, channels), "<i2").reshape(-1, channels)
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, sample_rate, format=format)
    return buffer.getvalue()


def _samples(seed: int, seconds: float, sample_rate: int, channels: int) -> bytes:
    """Interleaved 16-bit samples, little-endian. Channels have the tones in common and noise of their own."""
    import numpy as np

    random = np.random.default_rng(seed)
    time = np.arange(round(seconds * sample_rate)) / sample_rate
    tones = sum(np.sin(2 * np.pi * 110 * 2 ** (step / 12) * time) for step in random.choice(36, 3, replace=False))
    samples = 0.2 * np.asarray(tones)[:, None] + 0.02 * random.standard_normal((len(time), channels))
    return bytes(np.round(samples.clip(-1, 1) * 32767).astype("<i2").tobytes())
