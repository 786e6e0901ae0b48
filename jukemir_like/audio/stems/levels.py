"""How loud a track can be: what is beyond it, or is no number, sets that track aside.

One such track would spoil the statistics of all others, and 1e30 leaves nothing finite behind the spectrum's squares.
"""

from __future__ import annotations

import numpy as np

from jukemir_like.core.errors import InputError

MOST = 1024.0
"""Times full scale, 60 dB above it: no mix is so hot. Integers of 16 bits that were written as floats are 30 dB above this."""


def check(peak: float) -> None:
    """Refuses the largest absolute sample of a track.

    Raises:
        InputError: it is NaN or infinite, or above :data:`MOST`.
    """
    if not np.isfinite(peak):
        raise InputError("holds samples that are NaN or infinite")
    if peak > MOST:
        raise InputError(f"holds samples of {peak:.3g} times full scale: write it with samples from -1 to 1")
