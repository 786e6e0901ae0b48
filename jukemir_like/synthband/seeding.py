"""Random streams: every random choice of synthband comes from a generator seeded by the dataset's seed, a name and a few numbers.

Streams are independent of each other, so song i is the same regardless of which others are generated, in which order and in which process.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from typing import TypeVar

import numpy as np

Option = TypeVar("Option")


def stream(seed: int, name: str, *numbers: int) -> np.random.Generator:
    """The generator of stream ``name`` with ``numbers`` (of an artist, of a song) in the dataset with this seed.

    >>> stream(0, "plan", 5).random() == stream(0, "plan", 5).random()
    True
    """
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, zlib.crc32(name.encode()), *numbers])))


def pick(rng: np.random.Generator, options: Sequence[Option]) -> Option:
    """One of ``options``, all equally likely. (``Generator.choice`` takes ten times as long on short lists.)"""
    return options[int(rng.random() * len(options))]


def pick_weighted(rng: np.random.Generator, weights: Mapping[Option, float]) -> Option:
    """One key of ``weights``, with a probability proportional to its weight."""
    level = rng.random() * sum(weights.values())
    for option, weight in weights.items():
        level -= weight
        if level < 0:
            return option
    return option


def uniform(rng: np.random.Generator, limits: tuple[float, float]) -> float:
    """A number between two limits, uniformly."""
    return limits[0] + (limits[1] - limits[0]) * rng.random()


def pick_steps(rng: np.random.Generator, template: str, boost: Sequence[float] | None = None) -> list[int]:
    """Positions on the grid, sampled from a template of probabilities.

    Args:
        rng: the stream.
        template: one character per step: ``.`` never, a digit d with probability d/9.
        boost: a factor on the probability of each step (cyclic); certain steps stay certain.

    >>> pick_steps(stream(0, "example"), "9...9...")
    [0, 4]
    """
    chosen = []
    for step, character in enumerate(template):
        if character != ".":
            probability = int(character) / 9
            if boost is not None and probability < 1:
                probability *= boost[step % len(boost)]
            if rng.random() < probability:
                chosen.append(step)
    return chosen
