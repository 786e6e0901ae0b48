"""Which stem is the target and which make the context.

A stem is active in a chunk if its peak there is above its own loudest peak in the track by ``silence_db``. The target is uniform over the
active stems. The context is drawn from the other active stems, of which there is at least one; the target is never among them:

=========  ===================================================================================
uniform    k is uniform in 1…n of the n others; then k of them at random (the paper's)
max        all of them
one        one of them
one-plus   one of them with probability ½, else all of them
=========  ===================================================================================
"""

from __future__ import annotations

import numpy as np


def active(peaks: np.ndarray, loudest: np.ndarray, silence_db: float) -> np.ndarray:
    """Indices of the stems that sound: ``peaks`` in the chunk against ``loudest`` in the track, both ``(stems,)``, linear."""
    return np.flatnonzero(peaks > loudest * 10 ** (silence_db / 20))


def draw(stems: np.ndarray, context: str, random: np.random.Generator) -> tuple[int, np.ndarray]:
    """Target, and the stems of the context in rising order.

    Args:
        stems: indices of the active ones, at least two.
        context: ``uniform``, ``max``, ``one`` or ``one-plus``.
        random: where the draws come from.
    """
    target = int(random.choice(stems))
    others = stems[stems != target]
    if context == "uniform":
        number = int(random.integers(1, len(others), endpoint=True))
    elif context == "one" or (context == "one-plus" and random.random() < 0.5):
        number = 1
    else:
        number = len(others)
    return target, np.sort(random.choice(others, number, replace=False))
