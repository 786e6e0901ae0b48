"""The random draws of a probe's training: minibatches, dropout masks and initial weights.

They come from the seed and from what a group of points shares (standardisation, hidden units, batch size, dropout), not from which
points are trained together: so a point sees the same draws alone as with others, on a CPU as on a GPU.
"""

from __future__ import annotations

import hashlib
import json
import math

import numpy as np
from numpy.typing import NDArray

from jukemir_like.probes.grid import Point


class Draws:
    """Streams of draws for the points of one group.

    Args:
        seed: of the run.
        point: any point of the group.
        n: train items.
        dimension: features.

    Attributes:
        scale: what masks hold where they are not 0.
    """

    def __init__(self, seed: int, point: Point, n: int, dimension: int):
        key = hashlib.sha256(json.dumps([seed, *point.group]).encode()).digest()
        order, inputs, hidden, weights = np.random.SeedSequence(int.from_bytes(key, "little")).spawn(4)
        self._order, self._weights = np.random.Generator(np.random.SFC64(order)), np.random.Generator(np.random.SFC64(weights))
        self._inputs, self._hidden = np.random.SFC64(inputs), np.random.SFC64(hidden)
        self._n, self._batch_size = n, point.batch_size
        self._shapes = (point.batch_size, dimension), (point.batch_size, point.hidden)
        # A byte is below the threshold with probability threshold / 256: exact for the grid's dropout of .25, .5 and .75.
        self._threshold = round(256 * point.dropout)
        self.scale = np.float32(256 / (256 - self._threshold))
        self._waiting = np.empty(0, np.int64)

    def rows(self, steps: int) -> NDArray[np.int64]:
        """Train rows of the next minibatches, (steps, batch_size): slices of one shuffle of all rows after the other."""
        wanted = steps * self._batch_size
        shuffles = [self._order.permutation(self._n) for _ in range(-(-(wanted - len(self._waiting)) // self._n))]
        rows = np.concatenate([self._waiting, *shuffles])
        self._waiting = rows[wanted:]
        return rows[:wanted].reshape(steps, -1)

    def input_mask(self, out: NDArray[np.float32]) -> None:
        """Fills ``out`` (batch_size, dimension) with the next dropout mask: 0, or 1 / (1 - dropout)."""
        self._mask(self._inputs, self._shapes[0], out)

    def hidden_mask(self, out: NDArray[np.float32]) -> None:
        """The same for the hidden layer, (batch_size, hidden)."""
        self._mask(self._hidden, self._shapes[1], out)

    def uniform(self, *shape: int, fan_in: int) -> NDArray[np.float32]:
        """Initial weights or biases of a layer with ``fan_in`` inputs: uniform within ± 1 / √fan_in, as PyTorch's linear layer has them."""
        bound = 1 / math.sqrt(fan_in)
        return self._weights.uniform(-bound, bound, shape).astype(np.float32)

    def _mask(self, stream: np.random.SFC64, shape: tuple[int, int], out: NDArray[np.float32]) -> None:
        size = shape[0] * shape[1]
        raw = stream.random_raw(-(-size // 8)).view(np.uint8)[:size].reshape(shape)
        np.multiply(raw >= self._threshold, self.scale, out=out)
