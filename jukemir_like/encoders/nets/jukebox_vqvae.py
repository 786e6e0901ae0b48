"""Jukebox's encoder of audio into codes: the top level of its VQ-VAE (Dhariwal et al., 2020, arXiv 2005.00341).

Seven convolutions that halve the time, with four dilated residual layers behind each, make one vector of 64 numbers of 128 samples; its
code is the number of the nearest of 2,048 vectors.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

DOWNS = (3, 2, 2)
"""Halvings of the time in each of the encoder's stages."""

WIDTH, CODE_WIDTH, CODES = 32, 64, 2048
HOP_LENGTH = 2 ** sum(DOWNS)
"""Samples per code."""

DILATIONS = (1, 3, 9, 27)
_VECTORS_AT_ONCE = 2048  # whose distances to all codes are computed


class VQVAEEncoder(nn.Module):
    """Waveforms → codes."""

    def __init__(self) -> None:
        super().__init__()
        self.stages = nn.ModuleList(Stage(1 if number == 0 else CODE_WIDTH, downs) for number, downs in enumerate(DOWNS))
        self.codebook = nn.Parameter(torch.zeros(CODES, CODE_WIDTH))

    @torch.inference_mode()
    def forward(self, waveform: Tensor) -> Tensor:
        """The codes of one waveform in [-1, 1]: ``(samples,)`` → int64 ``(samples // 128,)``, in [0, 2048)."""
        maps = waveform[None, None]
        with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):  # whose 10 bits of mantissa would choose other codes
            for stage in self.stages:
                maps = stage(maps)
        return torch.cat([self._nearest(vectors) for vectors in torch.split(maps[0].T, _VECTORS_AT_ONCE)])

    def _nearest(self, vectors: Tensor) -> Tensor:
        # The vector's squared length is the same for all codes; without it, other roundings could decide between two that are close.
        distances = vectors.square().sum(1, keepdim=True) - 2 * vectors @ self.codebook.T + self.codebook.square().sum(1)
        return distances.argmin(1)


class Stage(nn.Module):
    """Halvings, each with its residual layers, and a convolution to 64 channels."""

    def __init__(self, inputs: int, downs: int) -> None:
        super().__init__()
        self.downs = nn.ModuleList(Down(inputs if number == 0 else WIDTH) for number in range(downs))
        self.out = nn.Conv1d(WIDTH, CODE_WIDTH, 3, padding=1)

    def forward(self, maps: Tensor) -> Tensor:
        """``(batch, inputs, time)`` → ``(batch, 64, time // 2^downs)``."""
        for down in self.downs:
            maps = down(maps)
        return self.out(maps)  # type: ignore[no-any-return]


class Down(nn.Module):
    """A convolution of stride 2 and four residual layers of growing dilation."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.convolution = nn.Conv1d(inputs, WIDTH, 4, stride=2, padding=1)
        self.residuals = nn.ModuleList(Residual(dilation) for dilation in DILATIONS)

    def forward(self, maps: Tensor) -> Tensor:
        """``(batch, inputs, time)`` → ``(batch, 32, time // 2)``."""
        maps = self.convolution(maps)
        for residual in self.residuals:
            maps = residual(maps)
        return maps


class Residual(nn.Module):
    """ReLU, dilated convolution, ReLU, pointwise convolution, added to the input."""

    def __init__(self, dilation: int) -> None:
        super().__init__()
        self.dilated = nn.Conv1d(WIDTH, WIDTH, 3, padding=dilation, dilation=dilation)
        self.pointwise = nn.Conv1d(WIDTH, WIDTH, 1)

    def forward(self, maps: Tensor) -> Tensor:
        """The same shape."""
        hidden = self.dilated(functional.relu(maps))
        return maps + self.pointwise(functional.relu(hidden))  # type: ignore[no-any-return]
