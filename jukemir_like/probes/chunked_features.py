"""Features of protocol ``jukemir`` that are on disk: minibatches are read when they are trained on, other splits in chunks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from jukemir_like.core.rows import Rows
from jukemir_like.probes.linear import Array


@dataclass(frozen=True)
class ChunkedFeatures:
    """Features (n, dimension), standardised or not, of which a part is in memory at a time.

    Args:
        rows: as they are on disk.
        standardisation: mean and scale of every feature; None: features are used as they are.
        device: where parts are needed.
    """

    rows: Rows
    standardisation: tuple[Array, Array] | None
    device: torch.device

    @property
    def shape(self) -> tuple[int, int]:
        return self.rows.shape

    def take(self, indices: NDArray[np.int64]) -> Tensor:
        """Rows ``indices`` (k,), (k, dimension)."""
        return self._prepared(self.rows.take(indices))

    def chunks(self) -> Iterator[Tensor]:
        """All rows in order."""
        return (self._prepared(chunk) for _, chunk in self.rows.chunks())

    def _prepared(self, X: NDArray[np.float32]) -> Tensor:
        if self.standardisation is not None:
            mean, scale = self.standardisation
            with np.errstate(over="ignore"):  # overflow is detected by the reader of the scores
                X = ((X - mean) / scale).astype(np.float32)
        return torch.from_numpy(X).to(self.device)


Features = Tensor | ChunkedFeatures


def take(features: Features, indices: Tensor, out: Tensor) -> None:
    """Puts rows ``indices`` (k,) of features into ``out`` (k, dimension)."""
    if isinstance(features, ChunkedFeatures):
        out.copy_(features.take(indices.cpu().numpy()))
    else:
        torch.index_select(features, 0, indices, out=out)


def outputs(of: Callable[[Tensor], Tensor], features: Features) -> Tensor:
    """What a function gives for all rows; its result for a part has these rows in its last dimension but one."""
    if isinstance(features, ChunkedFeatures):
        return torch.cat([of(chunk) for chunk in features.chunks()], -2)
    return of(features)
