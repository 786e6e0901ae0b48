"""Curves at the rate of control: a value every hop of samples, straight lines between them.

A gain or a delay changes slowly. Computed once in 1.5 ms and drawn out linearly, it costs a thirtieth of what it would sample by sample.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from jukemir_like.studio.levels import Samples

_SECONDS = 1.5e-3


def hop_samples(sample_rate: int) -> int:
    """Samples between two values, a power of two: about 1.5 ms.

    >>> hop_samples(22050), hop_samples(44100)
    (32, 64)
    """
    return int(2 ** max(0, round(np.log2(sample_rate * _SECONDS))))


def hops(samples: int, hop: int) -> int:
    """How many hops ``samples`` take, the last one filled up.

    >>> hops(65, 32)
    3
    """
    return -(-samples // hop)


def drawn_out(nodes: NDArray[np.float64], hop: int, samples: int) -> Samples:
    """A curve at every sample: node ``i`` at sample ``i * hop``, straight lines between.

    Args:
        nodes: ``(hops + 1,)``.
        hop: samples between two of them.
        samples: length of the result.

    >>> drawn_out(np.array([0.0, 1.0, 1.0]), 4, 6)
    array([0.  , 0.25, 0.5 , 0.75, 1.  , 1.  ], dtype=float32)
    """
    given = nodes.astype(np.float32)
    ramp = np.arange(hop, dtype=np.float32) / np.float32(hop)
    curve = np.diff(given)[:, None] * ramp
    curve += given[:-1, None]
    return curve.ravel()[:samples]


def peaks(samples: Samples, hop: int) -> NDArray[np.float32]:
    """Largest magnitude in each hop: ``(samples,)`` → ``(hops,)``.

    >>> peaks(np.float32([0.1, -0.5, 0.2]), 2)
    array([0.5, 0.2], dtype=float32)
    """
    if not len(samples):
        return np.zeros(0, np.float32)
    return np.maximum.reduceat(np.abs(samples), np.arange(0, len(samples), hop))


def powers(samples: Samples, hop: int) -> NDArray[np.float32]:
    """Mean square in each hop: ``(samples,)`` → ``(hops,)``; the last one counts as if silence filled it up.

    >>> powers(np.float32([0.5, -0.5, 1]), 2)
    array([0.25, 0.5 ], dtype=float32)
    """
    whole = len(samples) // hop
    frames = samples[: whole * hop].reshape(whole, hop)
    found = np.einsum("ij,ij->i", frames, frames)
    rest = samples[whole * hop :]
    if len(rest):
        found = np.append(found, np.einsum("i,i", rest, rest))
    return np.asarray(found / np.float32(hop), np.float32)
