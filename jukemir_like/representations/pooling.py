"""From the frames of a layer to one vector: mean, mean and standard deviation, or maximum over time.

Frames come in chunks, as a model takes them; each frame counts once, so a short last chunk weighs as many frames as it has. Sums are of
float64: the vector does not depend, beyond 1e-7, on where chunks end.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

import numpy as np

from jukemir_like.core.cache import POOLS
from jukemir_like.core.errors import InputError

if TYPE_CHECKING:
    import torch


class Pool(ABC):
    """Takes the frames of a clip, chunk by chunk, and gives its vector.

    >>> pool = make_pool("mean+std")
    >>> pool.add(np.array([[1.0, 0.0], [3.0, 0.0]], np.float32))
    >>> pool.vector()
    array([2., 0., 1., 0.], dtype=float32)
    """

    def __init__(self) -> None:
        self.frames = 0

    def add(self, frames: np.ndarray | torch.Tensor) -> None:
        """Adds frames of shape ``(time, width)``, float32 of NumPy, or any floats of torch on any device."""
        if not isinstance(frames, np.ndarray):
            frames = frames.detach().float().cpu().numpy()
        if len(frames):
            self._add(frames)
            self.frames += len(frames)

    def vector(self) -> np.ndarray:
        """The vector of all frames added: float32, of :func:`pooled_dimension` numbers.

        Raises:
            InputError: no frame was added.
        """
        if not self.frames:
            raise InputError("is too short for one frame")
        return np.asarray(self._vector(), np.float32)

    @abstractmethod
    def _add(self, frames: np.ndarray) -> None: ...

    @abstractmethod
    def _vector(self) -> np.ndarray: ...


class _Mean(Pool):
    _sum: np.ndarray | float = 0.0

    def _add(self, frames: np.ndarray) -> None:
        self._sum = self._sum + frames.sum(axis=0, dtype=np.float64)

    def _vector(self) -> np.ndarray:
        return np.asarray(self._sum / self.frames)


class _MeanAndDeviation(Pool):
    """The population's standard deviation; chunks are combined as by Chan, Golub and LeVeque (1979): a sum of squares loses digits."""

    _mean: np.ndarray | float = 0.0
    _squares: np.ndarray | float = 0.0

    def _add(self, frames: np.ndarray) -> None:
        values = frames.astype(np.float64)
        mean = values.mean(axis=0)
        difference, total = mean - self._mean, self.frames + len(values)
        self._squares = self._squares + ((values - mean) ** 2).sum(axis=0) + difference**2 * (self.frames * len(values) / total)
        self._mean = self._mean + difference * (len(values) / total)

    def _vector(self) -> np.ndarray:
        return np.concatenate([np.asarray(self._mean), np.sqrt(np.asarray(self._squares) / self.frames)])


class _Maximum(Pool):
    _maximum: np.ndarray | float = -np.inf

    def _add(self, frames: np.ndarray) -> None:
        largest = frames.max(axis=0)
        self._maximum = np.maximum(self._maximum, largest)

    def _vector(self) -> np.ndarray:
        return np.asarray(self._maximum)


_CLASSES: dict[str, type[Pool]] = dict(zip(POOLS, (_Mean, _MeanAndDeviation, _Maximum), strict=True))


def make_pool(name: str) -> Pool:
    """An empty pool of this name, one of :data:`~jukemir_like.core.cache.POOLS`."""
    return _CLASSES[name]()


def pooled_dimension(name: str, width: int) -> int:
    """Length of the vector of frames of ``width`` numbers.

    >>> pooled_dimension("mean", 768), pooled_dimension("mean+std", 768)
    (768, 1536)
    """
    return 2 * width if name == "mean+std" else width
