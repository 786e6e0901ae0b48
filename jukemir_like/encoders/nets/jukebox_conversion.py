"""Jukebox's published files → the tensors of :class:`JukeboxNet`, mapped into memory: they are read when they are written.

Names are those of the original program's state dicts, which its networks of any size have; ``module.`` before them, which training on
several devices leaves, is removed. Of ``vqvae.pth.tar`` only the encoder of the top level is taken, of ``prior_level_2.pth.tar`` all but
what predicts codes, and of artists and genres only "unknown". Numbers stay as they are stored: of the published files, matrices of blocks
in float16 and all else in float32.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from jukemir_like.core.errors import RequestError
from jukemir_like.encoders.nets.jukebox_prior import Prior, PriorShape
from jukemir_like.encoders.nets.jukebox_vqvae import DILATIONS, DOWNS, VQVAEEncoder
from jukemir_like.stemjepa.torch_files import read_tensors

_TOP = len(DOWNS) - 1
_NOT_NEEDED = re.compile(r"(encoders|decoders|bottleneck)\..*|prior\.x_out\.weight")
_PRIOR = {
    "prior.x_emb.weight": "code_embedding",
    "prior.pos_emb.pos_emb": "position_embedding",
    "y_emb.total_length_emb.emb.weight": "total_length_embedding",
    "y_emb.absolute_pos_emb.emb.weight": "absolute_time_embedding",
    "y_emb.relative_pos_emb.emb.weight": "relative_time_embedding",
}
_UNKNOWN = {"y_emb.artist_emb.emb.weight": "unknown_artist", "y_emb.bow_genre_emb.emb.weight": "unknown_genre"}
_LAYER = {"ln_0": "norm_1", "attn.c_attn": "attention_in", "attn.c_proj": "attention_out", "ln_1": "norm_2"}
_LAYER |= {"mlp.c_fc": "mlp_in", "mlp.c_proj": "mlp_out"}


class JukeboxNet(nn.Module):
    """Encoder of audio into codes, and model of codes."""

    def __init__(self, shape: PriorShape) -> None:
        super().__init__()
        self.vqvae, self.prior = VQVAEEncoder(), Prior(shape)


def convert(vqvae: Path, prior: Path, shape: PriorShape) -> dict[str, Tensor]:
    """The tensors of ``JukeboxNet(shape)``, views of the two mapped files.

    Raises:
        RequestError: a file is damaged, or not of such a network; names the tensor.
    """
    with torch.device("meta"):
        expected = {name: tuple(tensor.shape) for name, tensor in JukeboxNet(shape).state_dict().items()}
    tensors = _renamed(vqvae, dict(_vqvae_names()), expected) | _renamed(prior, dict(_prior_names(shape.depth)), expected)
    return {name: tensors[name] for name in expected}


def _vqvae_names() -> Iterator[tuple[str, str]]:
    """Published name → name here."""
    yield f"bottleneck.level_blocks.{_TOP}.k", "vqvae.codebook"
    for stage, downs in enumerate(DOWNS):
        theirs, ours = f"encoders.{_TOP}.level_blocks.{stage}.model", f"vqvae.stages.{stage}"
        for kind in ("weight", "bias"):
            yield f"{theirs}.{downs}.{kind}", f"{ours}.out.{kind}"
            for down in range(downs):
                yield f"{theirs}.{down}.0.{kind}", f"{ours}.downs.{down}.convolution.{kind}"
                for number in range(len(DILATIONS)):
                    for place, name in ((1, "dilated"), (3, "pointwise")):
                        yield (
                            f"{theirs}.{down}.1.model.{number}.model.{place}.{kind}",
                            f"{ours}.downs.{down}.residuals.{number}.{name}.{kind}",
                        )


def _prior_names(depth: int) -> Iterator[tuple[str, str]]:
    """Published name → name here."""
    for theirs, ours in (_PRIOR | _UNKNOWN).items():
        yield theirs, f"prior.{ours}"
    for number in range(depth):
        for theirs, ours in _LAYER.items():
            weight, bias = ("weight", "bias") if theirs.startswith("ln") else ("w", "b")
            for kind, name in ((weight, "weight"), (bias, "bias")):
                yield f"prior.transformer._attn_mods.{number}.{theirs}.{kind}", f"prior.layers.{number}.{ours}.{name}"


def _renamed(path: Path, names: Mapping[str, str], expected: Mapping[str, tuple[int, ...]]) -> dict[str, Tensor]:
    stored = {name.removeprefix("module."): tensor for name, tensor in read_tensors(path).items()}
    unknown = sorted(name for name in stored if name not in names and not _NOT_NEEDED.fullmatch(name))
    if unknown:
        raise RequestError(f"{path} is of another network: it has the tensor {unknown[0][:80]!r} ({len(unknown)} such)")
    tensors = {}
    for theirs, ours in names.items():
        tensor = stored.get(theirs)
        if tensor is not None and theirs in _UNKNOWN:
            tensor = tensor[0]
        if tensor is None or tuple(tensor.shape) != expected[ours] or not tensor.is_floating_point():
            found = "missing" if tensor is None else f"{tensor.dtype} of shape {tuple(tensor.shape)}"
            raise RequestError(f"{path} is of another network: tensor {theirs} is {found}, expected is the shape {expected[ours]}")
        tensors[ours] = tensor
    return tensors
