"""Samples → MP3 by LAME in libsndfile: every browser and phone plays it.

Encoder and decoder together delay by 1,105 samples. LAME notes in the first frame how many are to be left out, and decoders that read it
leave them out. At constant bit rates that frame may have no room for the note (48 kbit/s at 44.1 kHz), and such a stem would come later
than its mix. At variable bit rates it always has; and as all sounds of a page have the same sample rate, they stay in time also where a
decoder does not read it.
"""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray

from jukemir_like.audio.decoding import libsndfile_errors
from jukemir_like.core.errors import RequestError

SAMPLE_RATE = 32_000
"""In Hz: sounds reach 15 kHz."""

LEVEL = 0.6
"""Of compression, from 0 to 1, LAME's V6: 30 s of music are 100 to 180 kB, of white noise 190 kB."""

Mono = NDArray[np.float32]


def to_mp3(samples: Mono) -> bytes:
    """Mono ``(samples,)`` at :data:`SAMPLE_RATE`, full scale 1, as MP3. Same samples, same bytes.

    Raises:
        RequestError: the libsndfile of this machine writes no MP3.

    >>> len(to_mp3(np.zeros(32000, np.float32))) < 9000
    True
    """
    import soundfile

    if "MP3" not in soundfile.available_formats():
        raise RequestError("the libsndfile of this machine writes no MP3: install one from 1.1 on, or `pip install -U soundfile`")
    file = io.BytesIO()
    options = {"bitrate_mode": "VARIABLE", "compression_level": LEVEL}
    with libsndfile_errors():
        soundfile.write(file, samples, SAMPLE_RATE, format="MP3", subtype="MPEG_LAYER_III", **options)
    return file.getvalue()
