"""The network of Choi, Fazekas, Sandler and Cho (ISMIR 2017, arXiv 1703.09179): five blocks of 32 maps, some 38,000 parameters.

A block is convolution 3 × 3 → batch normalisation → ELU → max-pooling, over frequency and time. What a batch normalisation subtracts and
divides by is no weight of this network: the published program takes it from the batch at hand, this package from a declared set of songs
(:mod:`jukemir_like.encoders.choi_statistics`). So it is an argument here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from jukemir_like.core.errors import RequestError

MAPS = 32
POOLS = ((2, 4), (3, 4), (2, 5), (2, 4), (4, 4))
"""What is pooled in each block: bands, frames."""

_EPSILON = 1e-3  # Keras's
_GROUP = "ConvBNEluDr"  # of the published file


class Block(nn.Module):
    """One block: ``(batch, maps in, bands, frames)`` → ``(batch, 32, bands / pool, frames / pool)``, rounded down."""

    def __init__(self, maps_in: int, pool: tuple[int, int]) -> None:
        super().__init__()
        self.conv = nn.Conv2d(maps_in, MAPS, 3, padding=1)
        self.gamma = nn.Parameter(torch.ones(MAPS))
        self.beta = nn.Parameter(torch.zeros(MAPS))
        self.pool = pool

    def forward(self, maps: Tensor, mean: Tensor, variance: Tensor) -> Tensor:
        """The block's output, normalised with ``mean`` and ``variance`` of its convolution, each ``(32,)``."""
        # Both are known, so that normalising is part of the convolution; ELU does not change which is largest, so it can be taken of the
        # pooled maps, which are 8 to 16 times fewer. Maps are kept innermost (channels last), for which torch pools 20 times as fast.
        scale = self.gamma * torch.rsqrt(variance + _EPSILON)
        weight = self.conv.weight * scale[:, None, None, None]
        bias = (self.bias - mean) * scale + self.beta
        normalised = _convolve_one(maps, weight, bias) if maps.shape[1] == 1 else functional.conv2d(maps, weight, bias, padding=1)
        return functional.elu(functional.max_pool2d(normalised, self.pool))

    @property
    def bias(self) -> Tensor:
        """Of the convolution."""
        bias = self.conv.bias
        assert bias is not None  # noqa: S101
        return bias


def _convolve_one(maps: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """``conv2d(maps, weight, bias, padding=1)`` of maps ``(batch, 1, bands, frames)``, as one product: three times as fast."""
    batch, _, bands, frames = maps.shape
    neighbours = functional.pad(maps[:, 0], (1, 1, 1, 1)).unfold(1, 3, 1).unfold(2, 3, 1)
    products = torch.addmm(bias, neighbours.reshape(-1, 9), weight.reshape(-1, 9).T)
    return products.view(batch, bands, frames, len(bias)).permute(0, 3, 1, 2)


class ChoiNet(nn.Module):
    """All five blocks."""

    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(Block(MAPS if index else 1, pool) for index, pool in enumerate(POOLS))

    def forward(self, decibels: Tensor, mean: Tensor, variance: Tensor) -> Tensor:
        """Means of all blocks' maps.

        Args:
            decibels: shape ``(batch, bands, frames)``, relative to the reference, from −80.
            mean, variance: of the blocks' convolutions, each of shape ``(5, 32)``.

        Returns:
            shape ``(batch, 160)``: 32 means of the first block, 32 of the second, …
        """
        maps, means = decibels[:, None], []
        for block, mean_of_block, variance_of_block in zip(self.blocks, mean, variance, strict=True):
            maps = block(maps, mean_of_block, variance_of_block)
            means.append(maps.mean(dim=(2, 3)))
        return torch.cat(means, dim=1)


def batch_statistics(net: ChoiNet, batch: Callable[[], Iterable[Tensor]]) -> tuple[np.ndarray, np.ndarray]:
    """Mean and variance of each block's convolution over a whole batch, which need not fit into memory.

    Args:
        net: with its weights.
        batch: gives the clips again each time it is called: their decibels, each of shape ``(bands, frames)``. It is called ten times.

    Returns:
        two float64 arrays of shape ``(5, 32)``: means and population variances over clips, bands and frames.
    """
    mean, variance = np.zeros((2, len(POOLS), MAPS))
    for index, block in enumerate(cast("Iterable[Block]", net.blocks)):
        mean[index] = _moment(net, batch, index, block, mean, variance, lambda maps, _: maps)
        variance[index] = _moment(net, batch, index, block, mean, variance, lambda maps, centre: (maps - centre) ** 2)
    return mean, variance


def _moment(
    net: ChoiNet,
    batch: Callable[[], Iterable[Tensor]],
    index: int,
    block: Block,
    mean: np.ndarray,
    variance: np.ndarray,
    term: Callable[[Tensor, Tensor], Tensor],
) -> np.ndarray:
    """Mean over the batch of ``term(convolution, its mean)`` in block ``index``, by the statistics of the blocks before it."""
    total, count = torch.zeros(MAPS, dtype=torch.float64), 0
    means, variances = torch.from_numpy(mean).float(), torch.from_numpy(variance).float()
    centre = torch.from_numpy(mean[index])[:, None, None]
    with torch.inference_mode():
        for decibels in batch():
            maps = decibels[None, None]
            for before, earlier in enumerate(list(net.blocks)[:index]):
                maps = earlier(maps, means[before], variances[before])
            convolved = block.conv(maps)[0].double()
            total += term(convolved, centre).sum(dim=(1, 2))
            count += convolved[0].numel()
    return np.asarray(total.numpy() / count)


def convert(file: Path) -> dict[str, Tensor]:
    """The tensors of :class:`ChoiNet` from the published HDF5 file of Keras 1 with Theano.

    Theano flips kernels as it convolves and torch does not, so they are flipped here. The file's front-end (``melgram``) and its last layer
    (``dense_1``, tags) are left out, and so are its running means and deviations, which are 0 and 1.

    Raises:
        RequestError: it is no such file; or h5py, which reads it, is not installed.
    """
    try:
        import h5py
    except ImportError as error:
        raise RequestError(f"{file.name} is read by h5py, which is not installed: pip install 'jukemir-like[encoders]'") from error
    tensors: dict[str, Tensor] = {}
    try:
        with h5py.File(file, "r") as published:
            group = published[_GROUP]
            for index in range(len(POOLS)):
                kernels = _read(group, f"convolution2d_{index + 1}_W", (MAPS, MAPS if index else 1, 3, 3))
                tensors[f"blocks.{index}.gamma"] = _read(group, f"batchnormalization_{index + 1}_gamma", (MAPS,))
                tensors[f"blocks.{index}.beta"] = _read(group, f"batchnormalization_{index + 1}_beta", (MAPS,))
                tensors[f"blocks.{index}.conv.weight"] = kernels.flip(2, 3)
                tensors[f"blocks.{index}.conv.bias"] = _read(group, f"convolution2d_{index + 1}_b", (MAPS,))
    except (OSError, KeyError, ValueError, RuntimeError) as error:
        reason = str(error).strip("'\"").partition("\n")[0]
        raise RequestError(f"{file} holds no weights of choi ({reason}): download them again") from error
    return tensors


def _read(group: Mapping[str, np.ndarray], name: str, shape: tuple[int, ...]) -> Tensor:
    values = np.asarray(group[name][()], dtype=np.float32)
    if values.shape != shape or not np.isfinite(values).all():
        raise ValueError(f"{name} has shape {values.shape} where {shape} is expected, or is not finite")
    return torch.from_numpy(values)
