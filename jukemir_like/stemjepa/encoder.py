"""Log-mel → one vector a patch: a Vision Transformer without class token.

Pre-norm blocks (Xiong et al. 2020), exact GELU, fixed two-dimensional sine and cosine positions (Dosovitskiy et al. 2021; He et al. 2022).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from jukemir_like.stemjepa import config


class Attention(nn.Module):
    """Multi-head self-attention (Vaswani et al. 2017). Shape: ``(batch, tokens, width)`` in and out."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, tokens: Tensor) -> Tensor:
        batch, length, width = tokens.shape
        query, key, value = self.qkv(tokens).view(batch, length, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(query, key, value)
        attended: Tensor = self.proj(mixed.transpose(1, 2).reshape(batch, length, width))
        return attended


class Mlp(nn.Module):
    """Two layers on each token by itself. Shape: ``(*, width)`` in and out."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, hidden)
        self.fc2 = nn.Linear(hidden, width)

    def forward(self, tokens: Tensor) -> Tensor:
        mapped: Tensor = self.fc2(F.gelu(self.fc1(tokens)))
        return mapped


class Block(nn.Module):
    """Attention, then the MLP, each on normalised tokens and added to them. Shape: ``(batch, tokens, width)`` in and out."""

    def __init__(self, width: int, heads: int, mlp_ratio: float = 4.0) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.attn = Attention(width, heads)
        self.norm2 = nn.LayerNorm(width)
        self.mlp = Mlp(width, round(width * mlp_ratio))

    def forward(self, tokens: Tensor) -> Tensor:
        tokens = tokens + self.attn(self.norm1(tokens))
        added: Tensor = tokens + self.mlp(self.norm2(tokens))
        return added


class PatchEmbedding(nn.Module):
    """Cuts a log-mel into patches and projects each.

    Shape: ``(batch, n_mels, frames)`` → ``(batch, bands · steps, width)``, the bands of a time step apart by ``steps`` tokens.
    """

    def __init__(self, width: int, patch_mels: int, patch_frames: int) -> None:
        super().__init__()
        self.patch = (patch_mels, patch_frames)
        self.proj = nn.Linear(patch_mels * patch_frames, width)

    def forward(self, log_mel: Tensor) -> Tensor:
        batch, mels, frames = log_mel.shape
        bands, steps = mels // self.patch[0], frames // self.patch[1]
        cut = log_mel.view(batch, bands, self.patch[0], steps, self.patch[1]).permute(0, 1, 3, 2, 4)
        projected: Tensor = self.proj(cut.reshape(batch, bands * steps, -1))
        return projected


class Encoder(nn.Module):
    """The Vision Transformer.

    Shape:
        - input: ``(batch, n_mels, frames)``, frames a multiple of ``patch_frames``, at most those of a chunk.
        - output: ``(batch, bands · steps, width)``, band by band.
    """

    positions: Tensor

    def __init__(self, settings: config.Model) -> None:
        super().__init__()
        shape = settings.encoder
        width, depth, heads = shape.width, shape.depth, shape.heads
        self.bands, self.steps, self.width = settings.bands, settings.steps, width
        self.patch_embed = PatchEmbedding(width, shape.patch_mels, shape.patch_frames)
        self.register_buffer("positions", positions(self.bands, self.steps, width), persistent=False)
        self.blocks = nn.ModuleList(Block(width, heads, shape.mlp_ratio) for _ in range(depth))
        self.norm = nn.LayerNorm(width)
        initialise(self)

    def forward(self, log_mel: Tensor) -> Tensor:
        tokens = self.patch_embed(log_mel)
        steps = tokens.shape[1] // self.bands
        at = self.positions.view(self.bands, self.steps, self.width)[:, :steps].reshape(1, -1, self.width)
        tokens = tokens + at
        for block in self.blocks:
            tokens = block(tokens)
        encoded: Tensor = self.norm(tokens)
        return encoded


def positions(bands: int, steps: int, width: int) -> Tensor:
    """Fixed positions: float32 of shape ``(bands · steps, width)``; half of the channels tell the band, the other half the time step."""
    half = width // 2
    by_band, by_step = _waves(bands, half), _waves(steps, half)
    return torch.cat([by_band[:, None].expand(-1, steps, -1), by_step[None].expand(bands, -1, -1)], dim=-1).reshape(-1, width)


def _waves(length: int, channels: int) -> Tensor:
    rates = torch.exp(torch.arange(channels // 2, dtype=torch.float64) * (-math.log(10_000.0) / (channels / 2)))
    angles = torch.arange(length, dtype=torch.float64)[:, None] * rates
    return torch.cat([angles.sin(), angles.cos()], dim=-1).float()


def initialise(network: nn.Module) -> None:
    """Xavier-uniform weights and zero biases for every linear layer."""
    for layer in network.modules():
        if isinstance(layer, nn.Linear):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)
