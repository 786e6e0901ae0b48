"""Names and shapes of the tensors of a network, computed from its configuration by arithmetic.

No network is built, so a file that claims to hold a huge one costs nothing to check. The tensors are those of
:class:`jukemir_like.stemjepa.model.Network`, layer by layer; a test compares the two.
"""

from __future__ import annotations

from collections.abc import Iterator

from jukemir_like.stemjepa import config

Shape = tuple[int, ...]


def tensor_shapes(model: config.Model) -> Iterator[tuple[str, Shape]]:
    """Name and shape of every tensor of a network, lazily: a model of 10⁷ blocks costs nothing until they are iterated.

    >>> dict(tensor_shapes(config.Model()))["encoder.patch_embed.proj.weight"]
    (768, 256)
    """
    for part in ("encoder", "teacher"):
        for name, shape in _encoder(model.encoder):
            yield f"{part}.{name}", shape
    predictor = _mlp_predictor if model.predictor.kind == "mlp" else _transformer_predictor
    for name, shape in predictor(model.predictor, model.encoder.width):
        yield f"predictor.{name}", shape


def _encoder(encoder: config.Encoder) -> Iterator[tuple[str, Shape]]:
    yield from _linear("patch_embed.proj", encoder.patch_mels * encoder.patch_frames, encoder.width)
    yield from _blocks(encoder.depth, encoder.width, encoder.mlp_ratio)
    yield from _norm("norm", encoder.width)


def _mlp_predictor(predictor: config.Predictor, outer: int) -> Iterator[tuple[str, Shape]]:
    if predictor.conditioning != "none":
        yield from _instruments(predictor, outer)
    for layer in range(predictor.depth + 1):
        inputs = (predictor.width if layer else outer) + outer * (layer < predictor.concatenated)
        yield from _linear(f"layers.{layer}", inputs, predictor.width if layer < predictor.depth else outer)
    if predictor.conditioning == "film":
        yield from _linear("modulation", outer, 2 * predictor.width * predictor.depth)
    yield from _norm("norm", outer)


def _transformer_predictor(predictor: config.Predictor, outer: int) -> Iterator[tuple[str, Shape]]:
    yield from _linear("embed", outer, predictor.width)
    yield from _instruments(predictor, predictor.width)
    yield from _blocks(predictor.depth, predictor.width, 4.0)
    yield from _norm("norm", predictor.width)
    yield from _linear("head", predictor.width, outer)


def _instruments(predictor: config.Predictor, width: int) -> Iterator[tuple[str, Shape]]:
    if predictor.instruments == "classes":
        yield "sources.weight", (predictor.num_sources, width)
        return
    yield "sources.parts.weight", (predictor.text_buckets, predictor.text_width)
    yield from _linear("sources.fc1", predictor.text_width, width)
    yield from _linear("sources.fc2", width, width)


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
