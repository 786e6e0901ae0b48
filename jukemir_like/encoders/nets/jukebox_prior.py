"""Jukebox's language model over codes, the "prior" of its top level (Dhariwal et al., 2020, arXiv 2005.00341), as far as layers are taken.

A sparse transformer: 8,192 positions are 128 blocks of 64, and a position sees, by the number of its layer modulo 3, its own block, the
same place of the earlier blocks, or the whole previous block. No position sees a later one, so that the first n positions of a long clip
are those of a clip of n.

The transformer's 72 layers are 10 GB. They stay in the mapped file, matrices in half precision: :meth:`Prior.run` brings one after another
to the device, for all clips, and computes clip by clip, so that a clip's numbers do not depend on its company.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from jukemir_like.encoders.nets.jukebox_vqvae import CODES, HOP_LENGTH

SAMPLE_RATE = 44100
TIME_BINS = 128
"""Rows of each table that tells the model where in a song a position is."""

_TOTAL_SAMPLES = 62 * SAMPLE_RATE // HOP_LENGTH * HOP_LENGTH  # length of the song that the model is told
_LEAST_SECONDS, _MOST_SECONDS = 60, 600  # of the songs that it was trained on
_GELU_SLOPE = 1.702
_ROWS_AT_ONCE = 2048  # of the MLP


@dataclass(frozen=True)
class PriorShape:
    """Sizes of the model; the defaults are those of the published ``5b``.

    Args:
        width: numbers per position.
        positions: most codes of a clip.
        depth: number of the transformer's layers.
        heads: of attention.
        blocks: into which the positions are divided.
    """

    width: int = 4800
    positions: int = 8192
    depth: int = 72
    heads: int = 8
    blocks: int = 128

    @property
    def attention_width(self) -> int:
        """Numbers of a query, of a key and of a value, all heads together."""
        return self.width // 4

    @property
    def block_length(self) -> int:
        """Positions in a block."""
        return self.positions // self.blocks

    def flop(self, positions: int) -> int:
        """Floating-point operations of one layer for ``positions``: two per number of its matrices.

        >>> f"{36 * PriorShape().flop(8192):.3g}"
        '4.08e+13'
        """
        return 2 * positions * (4 * self.width * self.attention_width + 2 * self.width**2)


class Prior(nn.Module):
    """Codes → the hidden states after each layer, of unconditioned music: artist and genre unknown, the beginning of a song of 62 s."""

    def __init__(self, shape: PriorShape) -> None:
        super().__init__()
        self.shape = shape
        width = shape.width
        self.code_embedding = nn.Parameter(torch.zeros(CODES, width))
        self.position_embedding = nn.Parameter(torch.zeros(shape.positions, width))
        self.total_length_embedding = nn.Parameter(torch.zeros(TIME_BINS, width))
        self.absolute_time_embedding = nn.Parameter(torch.zeros(TIME_BINS, width))
        self.relative_time_embedding = nn.Parameter(torch.zeros(TIME_BINS, width))
        self.unknown_artist, self.unknown_genre = nn.Parameter(torch.zeros(width)), nn.Parameter(torch.zeros(width))
        self.layers = nn.ModuleList(Layer(shape, number) for number in range(shape.depth))

    @torch.inference_mode()
    def run(
        self, codes: Sequence[Tensor], last_layer: int, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32
    ) -> Iterator[tuple[int, list[Tensor]]]:
        """The states after every layer: 0 is the input of the first one, L the output of the L-th.

        Args:
            codes: of each clip, int64 of shape ``(positions,)``; what exceeds the model's positions is left out.
            last_layer: after which to stop; no later one is read.
            device: where it is computed.
            dtype: of the products; sums between layers are float32.

        Yields:
            layer, and of each clip the states ``(positions, width)``, float32 on ``device``; the list is used again for the next layer.
        """
        states = [self.inputs(of_clip[: self.shape.positions]).to(device) for of_clip in codes]
        yield 0, states
        for number in range(last_layer):
            layer = self._layer_on(number, torch.device(device))
            for clip in range(len(states)):
                states[clip] = layer(states[clip], dtype)
            yield number + 1, states

    def inputs(self, codes: Tensor) -> Tensor:
        """The input of the first layer ``(positions, width)``: each position sees the code before it, the first one the labels."""
        count = len(codes)
        embedded = torch.cat([self.labels()[None], self.code_embedding[codes[:-1].to(self.code_embedding.device)].float()])
        return embedded + self.position_embedding[:count].float() + self.times(count)

    def labels(self) -> Tensor:
        """What stands for "artist and genre unknown": ``(width,)``."""
        return self.unknown_genre.float() + self.unknown_artist.float()

    def times(self, count: int) -> Tensor:
        """What tells each of the first ``count`` positions where it is in the song: ``(count, width)``."""
        samples = torch.arange(count, dtype=torch.float64) * HOP_LENGTH
        total = torch.tensor([float(_TOTAL_SAMPLES)], dtype=torch.float64)
        most = _MOST_SECONDS * SAMPLE_RATE
        of_total = self.total_length_embedding[_bins(total, _LEAST_SECONDS * SAMPLE_RATE, most)].float()
        absolute = self.absolute_time_embedding[_bins(samples, 0, most)].float()
        return of_total + absolute + self.relative_time_embedding[_bins(samples / _TOTAL_SAMPLES, 0, 1)].float()

    def _layer_on(self, number: int, device: torch.device) -> nn.Module:
        return self.layers[number] if device.type == "cpu" else self.copied_layer(number, device)

    def copied_layer(self, number: int, device: torch.device) -> nn.Module:
        """A layer of its own on ``device`` with the numbers of layer ``number``, from 0."""
        stored = self.layers[number]
        with torch.device("meta"):
            layer = Layer(self.shape, number)
        layer.load_state_dict({name: tensor.to(device) for name, tensor in stored.state_dict().items()}, assign=True)
        return layer.requires_grad_(False)


def _bins(values: Tensor, least: float, most: float) -> Tensor:
    return ((values - least) / (most - least) * TIME_BINS).floor().long().clamp(0, TIME_BINS - 1)


class Layer(nn.Module):
    """Attention and an MLP that both add to the states; ``number``, from 0, decides what a position sees."""

    def __init__(self, shape: PriorShape, number: int) -> None:
        super().__init__()
        self.heads, self.block_length, self.kind = shape.heads, shape.block_length, number % 3
        self.norm_1, self.norm_2 = nn.LayerNorm(shape.width), nn.LayerNorm(shape.width)
        self.attention_in = Product(shape.width, 3 * shape.attention_width)
        self.attention_out = Product(shape.attention_width, shape.width)
        self.mlp_in, self.mlp_out = Product(shape.width, shape.width), Product(shape.width, shape.width)

    def forward(self, states: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
        """States of one clip ``(positions, width)`` → the same shape, float32."""
        heads = self.attention_in(self.norm_1(states), dtype)
        states = states + self.attention_out(attend(heads, self.heads, self.block_length, self.kind).float(), dtype)
        matrices = self.mlp_in.weight.to(dtype), self.mlp_out.weight.to(dtype)
        for rows in torch.split(states, _ROWS_AT_ONCE):
            hidden = self.mlp_in.multiply(self.norm_2(rows), matrices[0])
            hidden *= torch.sigmoid(_GELU_SLOPE * hidden)
            rows += self.mlp_out.multiply(hidden, matrices[1])
        return states


class Product(nn.Module):
    """A product with a stored matrix, and a bias."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.zeros(inputs, outputs)), nn.Parameter(torch.zeros(outputs))

    def forward(self, states: Tensor, dtype: torch.dtype) -> Tensor:
        """``(positions, inputs)`` → ``(positions, outputs)``, computed in ``dtype``, float32."""
        return self.multiply(states, self.weight.to(dtype))

    def multiply(self, states: Tensor, matrix: Tensor) -> Tensor:
        """The same with the matrix at hand in the type of the computation."""
        return (states.to(matrix.dtype) @ matrix).float() + self.bias.float()


def attend(projected: Tensor, heads: int, block_length: int, kind: int) -> Tensor:
    """Attention over blocks of positions.

    Args:
        projected: queries, keys and values side by side: ``(positions, 3 · width)``.
        heads: that divide each of the three.
        block_length: positions in a block; the last block may be shorter.
        kind: 0: a position sees those of its block up to itself; 1: the same place of all blocks up to its own; 2: all of the previous
            block, and in the first block zeros.

    Returns:
        ``(positions, width)``.
    """
    count, width = len(projected), projected.shape[1] // 3
    # Positions that complete the last block come after all others, and nothing looks ahead: they change no position that is there.
    padded = functional.pad(projected, (0, 0, 0, -count % block_length))
    # (blocks, places, three, heads, numbers) → three of (blocks, heads, places, numbers), or (places, heads, blocks, numbers)
    parts = padded.view(-1, block_length, 3, heads, width // heads)
    query, key, value = parts.permute(2, 1, 3, 0, 4) if kind == 1 else parts.permute(2, 0, 3, 1, 4)
    if kind == 2:
        key, value = (functional.pad(part[:-1], (0, 0, 0, 0, 0, 0, 1, 0)) for part in (key, value))
    seen = functional.scaled_dot_product_attention(query, key, value, is_causal=kind != 2)
    return (seen.permute(2, 0, 1, 3) if kind == 1 else seen.permute(0, 2, 1, 3)).reshape(-1, width)[:count]
