"""Context patches and an instrument → the missing stem's patches."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from jukemir_like.stemjepa import config
from jukemir_like.stemjepa.encoder import Block, initialise, positions


class MlpPredictor(nn.Module):
    """Predicts each patch from the context's patch at its place and the instrument (paper, section 3).

    Shape:
        - context: ``(batch, patches, width)``.
        - source: ``(batch,)``, the instrument's number, from 0.
        - output: ``(batch, patches, width)``.
    """

    def __init__(self, settings: config.Model) -> None:
        super().__init__()
        shape = settings.predictor
        outer, hidden, depth = settings.encoder.width, shape.width, shape.depth
        self.concatenated, self.film = shape.concatenated, shape.conditioning == "film"
        self.sources = nn.Embedding(shape.num_sources, outer) if shape.conditioning != "none" else None
        inputs = [outer, *[hidden] * depth]
        self.layers = nn.ModuleList(
            nn.Linear(size + outer * (layer < self.concatenated), output)
            for layer, (size, output) in enumerate(zip(inputs, [*inputs[1:], outer], strict=True))
        )
        self.modulation = nn.Linear(outer, 2 * hidden * depth) if self.film else None
        self.norm = nn.LayerNorm(outer)
        initialise(self)
        if self.modulation is not None:  # every instrument begins as the plain MLP
            nn.init.zeros_(self.modulation.weight)

    def forward(self, context: Tensor, source: Tensor) -> Tensor:
        instrument = self.sources(source) if self.sources is not None else None
        beside = instrument[:, None].expand(-1, context.shape[1], -1) if instrument is not None else None
        scales = self.modulation(instrument)[:, None].chunk(2 * (len(self.layers) - 1), dim=-1) if self.modulation is not None else ()
        hidden = context
        for number, layer in enumerate(self.layers):
            hidden = layer(torch.cat([hidden, beside], dim=-1) if number < self.concatenated and beside is not None else hidden)
            if number < len(self.layers) - 1:
                if scales:
                    hidden = hidden * (1 + scales[2 * number]) + scales[2 * number + 1]
                hidden = F.relu(hidden)
        predicted: Tensor = self.norm(hidden)
        return predicted


class TransformerPredictor(nn.Module):
    """Predicts patches that see one another; the instrument is a token before them. Shapes are those of :class:`MlpPredictor`."""

    positions: Tensor

    def __init__(self, settings: config.Model) -> None:
        super().__init__()
        shape = settings.predictor
        outer, width = settings.encoder.width, shape.width
        self.bands, self.steps, self.width = settings.bands, settings.steps, width
        self.embed = nn.Linear(outer, width)
        self.sources = nn.Embedding(shape.num_sources, width)
        self.register_buffer("positions", positions(self.bands, self.steps, width), persistent=False)
        self.blocks = nn.ModuleList(Block(width, shape.heads) for _ in range(shape.depth))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, outer)
        initialise(self)

    def forward(self, context: Tensor, source: Tensor) -> Tensor:
        steps = context.shape[1] // self.bands
        at = self.positions.view(self.bands, self.steps, self.width)[:, :steps].reshape(1, -1, self.width)
        tokens = torch.cat([self.sources(source)[:, None], self.embed(context) + at], dim=1)
        for block in self.blocks:
            tokens = block(tokens)
        predicted: Tensor = self.head(self.norm(tokens[:, 1:]))
        return predicted


def build(settings: config.Model) -> MlpPredictor | TransformerPredictor:
    """The predictor that ``settings`` name."""
    return MlpPredictor(settings) if settings.predictor.kind == "mlp" else TransformerPredictor(settings)
