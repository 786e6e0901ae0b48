"""MP3 and back, by the encoder (LAME) and decoder (mpg123) in libsndfile.

Encoder and decoder together delay by 1,105 samples, and the last frame is filled up. Where a frame is large enough, LAME says in the file
how much, and the decoder removes it; where it is not, at low bit rates, it is removed here. So the result is aligned with the input.
"""

from __future__ import annotations

import io

import numpy as np

from jukemir_like import audio
from jukemir_like.audio.decoding import libsndfile_errors
from jukemir_like.core.errors import InputError, RequestError
from jukemir_like.studio.levels import Samples

SAMPLE_RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)
"""Of MPEG-1, 2 and 2.5."""

DELAY = 576 + 529
"""Samples: LAME's encoder, and what a decoder of layer III adds."""


def round_trip(samples: Samples, sample_rate: int, kilobits: int) -> Samples:
    """The samples after MP3 at a constant bit rate, as many as before.

    A sample rate that MP3 has not is changed to the next one that it has (the highest, of higher ones) and back.

    Raises:
        InputError: MP3 at this sample rate has no such bit rate.
        RequestError: the libsndfile of this machine writes no MP3.
    """
    encoded_rate = next((rate for rate in SAMPLE_RATES if rate >= sample_rate), SAMPLE_RATES[-1])
    low, high = (32, 320) if encoded_rate >= 32000 else (8, 160) if encoded_rate >= 16000 else (8, 64)
    if not low <= kilobits <= high:
        raise InputError(f"has a sample rate of {sample_rate} Hz, at which MP3 has no more than {high} kbit/s")
    given = audio.resample(samples, sample_rate, encoded_rate)
    decoded = _round_trip(given, encoded_rate, (high - kilobits) / (high - low))
    return _of_length(audio.resample(decoded, encoded_rate, sample_rate), len(samples))


def _round_trip(samples: Samples, sample_rate: int, level: float) -> Samples:
    """``level`` is libsndfile's: 0 for the highest bit rate of the sample rate, 1 for the lowest, and linear between them."""
    import soundfile

    if "MP3" not in soundfile.available_formats():
        raise RequestError("the libsndfile of this machine writes no MP3: install one from 1.1 on, or `pip install -U soundfile`")
    file = io.BytesIO()
    with libsndfile_errors():
        # Below 1 by so little that the bit rate is the lowest all the same: libsndfile refuses 1, and what is closer to it.
        options = {"bitrate_mode": "CONSTANT", "compression_level": min(level, 0.9999)}
        soundfile.write(file, samples, sample_rate, format="MP3", subtype="MPEG_LAYER_III", **options)
        file.seek(0)
        decoded, _ = soundfile.read(file, dtype="float32")
    return np.asarray(decoded if len(decoded) == len(samples) else _of_length(decoded[DELAY:], len(samples)))


def _of_length(samples: Samples, length: int) -> Samples:
    return samples[:length] if len(samples) >= length else np.pad(samples, (0, length - len(samples)))
