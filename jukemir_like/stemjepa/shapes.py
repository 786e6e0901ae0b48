"""Which tensors a Stem-JEPA has, told from its configuration by arithmetic: no network is made, whatever size a file claims.

They are those of :class:`~jukemir_like.stemjepa.network.Network`, layer by layer.
"""

from __future__ import annotations

from collections.abc import Iterator

from jukemir_like.stemjepa import config

Shape = tuple[int, ...]


def of(model: config.Model) -> Iterator[tuple[str, Shape]]:
    """Name and shape of every tensor, one after another: a depth of 10⁷ costs nothing where the second is missing already."""
    for part in ("encoder", "teacher"):
        for name, shape in _encoder(model.encoder):
            yield f"{part}.{name}", shape
    predictor = _mlp if model.predictor.kind == "mlp" else _transformer
    for name, shape in predictor(model.predictor, model.encoder.width):
        yield f"predictor.{name}", shape


def _encoder(shape: config.Encoder) -> Iterator[tuple[str, Shape]]:
    yield from _linear("patch_embed.proj", shape.patch_mels * shape.patch_frames, shape.width)
    yield from _blocks(shape.depth, shape.width, shape.mlp_ratio)
    yield from _norm("norm", shape.width)


def _mlp(shape: config.Predictor, outer: int) -> Iterator[tuple[str, Shape]]:
    if shape.conditioning != "none":
        yield "sources.weight", (shape.num_sources, outer)
    for layer in range(shape.depth + 1):
        inputs = (shape.width if layer else outer) + outer * (layer < shape.concatenated)
        yield from _linear(f"layers.{layer}", inputs, shape.width if layer < shape.depth else outer)
    if shape.conditioning == "film":
        yield from _linear("modulation", outer, 2 * shape.width * shape.depth)
    yield from _norm("norm", outer)


def _transformer(shape: config.Predictor, outer: int) -> Iterator[tuple[str, Shape]]:
    yield from _linear("embed", outer, shape.width)
    yield "sources.weight", (shape.num_sources, shape.width)
    yield from _blocks(shape.depth, shape.width, 4.0)
    yield from _norm("norm", shape.width)
    yield from _linear("head", shape.width, outer)


def _blocks(depth: int, width: int, mlp_ratio: float) -> Iterator[tuple[str, Shape]]:
    hidden = round(width * mlp_ratio)
    for block in range(depth):
        yield from _norm(f"blocks.{block}.norm1", width)
        yield from _linear(f"blocks.{block}.attn.qkv", width, 3 * width)
        yield from _linear(f"blocks.{block}.attn.proj", width, width)
        yield from _norm(f"blocks.{block}.norm2", width)
        yield from _linear(f"blocks.{block}.mlp.fc1", width, hidden)
        yield from _linear(f"blocks.{block}.mlp.fc2", hidden, width)


def _linear(name: str, inputs: int, outputs: int) -> Iterator[tuple[str, Shape]]:
    yield f"{name}.weight", (outputs, inputs)
    yield f"{name}.bias", (outputs,)


def _norm(name: str, width: int) -> Iterator[tuple[str, Shape]]:
    yield f"{name}.weight", (width,)
    yield f"{name}.bias", (width,)
