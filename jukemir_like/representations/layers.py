"""Representations with layers: one forward pass gives the frames of every layer, and a pool makes a vector of each."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from jukemir_like.core.errors import RequestError
from jukemir_like.representations.base import Representation
from jukemir_like.representations.names import parse
from jukemir_like.representations.pooling import Pool, make_pool, pooled_dimension


class LayeredRepresentation(Representation):
    """A representation whose name may choose a layer and a pool: ``NAME@layer=7@pool=max``.

    A subclass sets the attributes below, calls :meth:`choose`, and gives the frames in :meth:`feed`.

    Attributes:
        layers: names of its layers, from the input to the output.
        layer: the chosen one.
        pool: the chosen pool.
        width: numbers per frame.
    """

    layers: tuple[str, ...]
    layer: str
    pool: str
    width: int

    def choose(self, name: str, layers: Sequence[str], default_layer: str, width: int, default_pool: str = "mean") -> None:
        """Sets name, layers, layer, pool, width and dimension.

        Raises:
            RequestError: no such layer or pool.
        """
        parsed = parse(name)
        layer = default_layer if parsed.layer is None else parsed.layer
        if layer not in layers:
            raise RequestError(f"{parsed.base} has no layer {layer}: choose one of {layers[0]} … {layers[-1]}")
        self.name, self.layers, self.layer, self.width = name, tuple(layers), layer, width
        self.pool = default_pool if parsed.pool is None else parsed.pool
        self.dimension = pooled_dimension(self.pool, width)

    @abstractmethod
    def feed(self, clips: Sequence[np.ndarray], pools: Sequence[Mapping[str, Pool]]) -> None:
        """Adds the frames of each clip to its pools, chunk by chunk: ``pools[i][layer].add(frames)`` for the layers that are its keys.

        Args:
            clips: mono float32 arrays of shape ``(samples,)``, at ``sample_rate``.
            pools: of each clip, by the names of the layers that are wanted (all clips want the same).
        """

    def __call__(self, clips: Sequence[np.ndarray]) -> np.ndarray:
        """Vectors of clips, of the chosen layer: float32, shape ``(len(clips), dimension)``."""
        return self.vectors_of_layers(clips, [self.layer])[:, 0]

    def vectors_of_layers(self, clips: Sequence[np.ndarray], layers: Sequence[str]) -> np.ndarray:
        """Vectors of several layers from one forward pass: float32, shape ``(len(clips), len(layers), dimension)``."""
        pools = [{layer: make_pool(self.pool) for layer in layers} for _ in clips]
        self.feed(clips, pools)
        vectors = [np.stack([pool.vector() for pool in of_clip.values()]) for of_clip in pools]
        return np.stack(vectors) if vectors else np.empty((0, len(layers), self.dimension), np.float32)

    @property
    def choice(self) -> dict[str, Any]:
        """Layer and pool, for :attr:`parameters`."""
        return {"layer": self.layer, "pool": self.pool}
