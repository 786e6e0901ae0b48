"""Random streams: every draw of synthband comes from a generator that is seeded by the dataset's seed, a name and a few numbers.

Streams are independent of each other, so that song i is the same whatever else is drawn, in whatever order and process.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from typing import TypeVar

import numpy as np

Option = TypeVar("Option")


def stream(seed: int, name: str, *numbers: int) -> np.random.Generator:
    """The generator of stream ``name`` number ``numbers`` (an artist's, a song's) in the dataset with this seed."""
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, zlib.crc32(name.encode()), *numbers])))


def pick(rng: np.random.Generator, options: Sequence[Option]) -> Option:
    """One of ``options``, all equally likely. (``Generator.choice`` takes ten times as long on short lists.)"""
    return options[int(rng.random() * len(options))]


def weighted(rng: np.random.Generator, weights: Mapping[Option, float]) -> Option:
    """One key of ``weights``, as likely as its weight says."""
    level = rng.random() * sum(weights.values())
    for option, weight in weights.items():
        level -= weight
        if level < 0:
            return option
    return option


def between(rng: np.random.Generator, limits: tuple[float, float]) -> float:
    """A number between two limits, uniformly."""
    return limits[0] + (limits[1] - limits[0]) * rng.random()


def steps(rng: np.random.Generator, template: str, boost: Sequence[float] | None = None) -> list[int]:
    """The grid positions that a template gives this time.

    Args:
        rng: the stream.
        template: one character a step: ``.`` never, a digit d with probability d/9.
        boost: a factor on each step's probability (cyclic); certain steps stay certain.
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
