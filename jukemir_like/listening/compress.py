"""Samples → MP3 by LAME in libsndfile: every browser and phone plays it.

All sounds of a page have the same sample rate, so that what encoder and decoder add in front is the same for all of them and they stay in
time. At :data:`SAMPLE_RATE` a frame of either bit rate has room for LAME's note of how much that is, and decoders that read it remove it;
at 44.1 kHz the lower bit rate has no such room, and a stem would be 1,105 samples behind its mix.
"""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray

from jukemir_like.audio.decoding import libsndfile_errors
from jukemir_like.core.errors import RequestError

SAMPLE_RATE = 32_000
"""In Hz; with it sounds reach 15 kHz, about as far as the bit rates let them."""

KILOBITS = {"mix": 64, "stem": 48}
"""Per second, of a mix and of one stem."""

_LOWEST, _HIGHEST = 32, 320  # kbit/s, between which libsndfile's level of compression is linear

Mono = NDArray[np.float32]


def to_mp3(samples: Mono, kilobits: int) -> bytes:
    """Mono ``(samples,)`` at :data:`SAMPLE_RATE`, full scale 1, as MP3 at a constant bit rate. Same samples, same bytes.

    Raises:
        RequestError: the libsndfile of this machine writes no MP3.

    >>> len(to_mp3(np.zeros(32000, np.float32), 48)) < 7000
    True
    """
    import soundfile

    if "MP3" not in soundfile.available_formats():
        raise RequestError("the libsndfile of this machine writes no MP3: install one from 1.1 on, or `pip install -U soundfile`")
    file = io.BytesIO()
    level = (_HIGHEST - kilobits) / (_HIGHEST - _LOWEST)
    with libsndfile_errors():
        soundfile.write(
            file, samples, SAMPLE_RATE, format="MP3", subtype="MPEG_LAYER_III", bitrate_mode="CONSTANT", compression_level=level
        )
    return file.getvalue()
