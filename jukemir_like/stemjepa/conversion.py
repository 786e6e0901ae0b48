"""Weights that the original code trained (arXiv 2408.02514), as a network of ours.

What is known of its files are the names of modules: a vision transformer as timm writes it (``patch_embed.proj``, a convolution;
``blocks.N.norm1``, ``attn.qkv``, ``attn.proj``, ``norm2``, ``mlp.fc1``, ``mlp.fc2``; ``norm``; ``pos_embed``), for the encoder and for the
target encoder, and a predictor: an embedding, linear layers and a LayerNorm. So encoders are found by their patch embedding, and the
predictor's layers by their shapes, in their order. Prefixes of torch.compile and Lightning are taken off. Pickles are read as tensors
only: no code in them is run.

Fixed positions are not weights here but computed. If a file has them with the channels in another order (time before frequency, say), all
weights are put into our order, which changes the order of the numbers in a vector and nothing else.
"""

from __future__ import annotations

import pickle
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from jukemir_like.errors import RequestError
from jukemir_like.stemjepa import config
from jukemir_like.stemjepa.encoder import positions
from jukemir_like.stemjepa.network import Network

State = dict[str, Tensor]

_HEADS = {width: heads for width, _, heads in config.SIZES.values()}
_WRAPPERS = {"_orig_mod", "module", "_forward_module"}
_TEACHER_WORDS = {"target", "teacher", "ema", "momentum"}
_PATCHES = "patch_embed.proj.weight"
_TOLERANCE = 1e-5  # of positions


def convert(
    path: Path,
    *,
    sources: Sequence[str],
    heads: int | None = None,
    frontend: config.Frontend | None = None,
    chunk_seconds: float | None = None,
) -> Network:
    """The network of a checkpoint or state dict of the original code; save it by :func:`~jukemir_like.stemjepa.checkpoint.save`.

    Args:
        path: a PyTorch file (Lightning's or a bare state dict) or safetensors.
        sources: names of the instruments, in the order of their numbers.
        heads: attention heads, which no weight tells; None: as at paper sizes (width 192: 3, 384: 6, 768: 12).
        frontend: the log-mel it was trained on, with its mean and standard deviation; None: the paper's.
        chunk_seconds: length of its chunks; None: as many as the file has positions for, else the paper's.

    Raises:
        RequestError: the file cannot be read without running code, or the weights are not of such a network; says which tensor.
    """
    state = _plain(_read(path))
    student, teacher = _encoders(state)
    predictor = _predictor(state)
    model = _model(student, predictor, sources, heads, frontend or config.Frontend(), chunk_seconds)
    order = _channel_order(student, model)
    converted = {f"encoder.{key}": tensor for key, tensor in _encoder(student, order).items()}
    converted |= {f"teacher.{key}": tensor for key, tensor in _encoder(teacher, order).items()}
    converted |= {f"predictor.{key}": tensor for key, tensor in _reordered_predictor(predictor, order, model).items()}
    network = Network(model)
    expected = {key: tuple(tensor.shape) for key, tensor in network.state_dict().items()}
    found = {key: tuple(tensor.shape) for key, tensor in converted.items()}
    wrong = sorted(key for key in expected.keys() | found.keys() if expected.get(key) != found.get(key))
    if wrong:
        shapes = f"{found.get(wrong[0], 'missing')}, expected is {expected.get(wrong[0], 'none')}"
        raise RequestError(f"{path} is not of a Stem-JEPA as known: {wrong[0]} is {shapes} ({len(wrong)} such tensors)")
    network.load_state_dict(converted)
    return network.eval()


def _read(path: Path) -> State:
    """All tensors of a file by name."""
    try:
        if path.suffix == ".safetensors":
            import safetensors.torch

            loaded = safetensors.torch.load_file(path)
            return {key: loaded[key] for key in sorted(loaded, key=_natural)}
        values = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise RequestError(f"the file of weights {path} is not there: check the path") from error
    except pickle.UnpicklingError as error:
        raise RequestError(
            f"{path} holds other Python objects than tensors, or none, and is not run: save its state_dict alone with torch.save"
        ) from error
    except Exception as error:  # what torch and safetensors raise of damaged files is of many kinds
        raise RequestError(f"{path} cannot be read as weights ({type(error).__name__}): copy it again") from error
    while isinstance(values, dict) and not any(isinstance(value, Tensor) for value in values.values()):
        inner = [values[key] for key in ("state_dict", "model_state_dict", "model") if isinstance(values.get(key), dict)]
        if not inner:
            break
        values = inner[0]
    tensors = {key: value for key, value in values.items() if isinstance(value, Tensor)} if isinstance(values, dict) else {}
    if not tensors:
        raise RequestError(f"{path} holds no state dict: give a Lightning checkpoint or a saved state_dict")
    return tensors


def _plain(state: State) -> State:
    """Names without wrappers, values in float32."""
    return {".".join(part for part in key.split(".") if part not in _WRAPPERS): tensor.float() for key, tensor in state.items()}


def _encoders(state: State) -> tuple[State, State]:
    """The tensors of the encoder and of the target encoder, by their names below it; a file with one encoder gives it twice."""
    prefixes = [key.removesuffix(_PATCHES) for key in state if key.endswith(_PATCHES)]
    teachers = [prefix for prefix in prefixes if _TEACHER_WORDS & set(re.split("[._]", prefix.lower()))]
    students = [prefix for prefix in prefixes if prefix not in teachers]
    if len(students) != 1 or len(teachers) > 1:
        found = ", ".join(f"{prefix}{_PATCHES}" for prefix in prefixes) or "none"
        raise RequestError(f"one encoder and one target encoder were expected, found are {found}: give a Stem-JEPA's weights")
    return _below(state, students[0]), _below(state, (teachers or students)[0])


def _below(state: State, prefix: str) -> State:
    own = ("patch_embed.", "blocks.", "norm.", "pos_embed", "cls_token")
    return {
        key.removeprefix(prefix): tensor for key, tensor in state.items() if key.startswith(prefix) and key[len(prefix) :].startswith(own)
    }


def _predictor(state: State) -> State:
    """The MLP's tensors by our names: linear layers in their order, the embedding, the LayerNorm."""
    modules: dict[str, State] = {}
    for key, tensor in state.items():
        module, _, kind = key.rpartition(".")
        if "predictor" in key:
            modules.setdefault(module, {})[kind] = tensor
    if any(re.search(r"\bblocks\.\d", module) for module in modules):
        raise RequestError("the predictor is a transformer: only weights with the MLP predictor can be converted")
    linear = [tensors for tensors in modules.values() if tensors.keys() == {"weight", "bias"} and tensors["weight"].ndim == 2]
    embeddings = [tensors["weight"] for tensors in modules.values() if tensors.keys() == {"weight"} and tensors["weight"].ndim == 2]
    norms = [tensors for tensors in modules.values() if tensors.keys() == {"weight", "bias"} and tensors["weight"].ndim == 1]
    if len(linear) < 2 or len(embeddings) > 1 or len(norms) != 1:
        counts = f"{len(linear)} linear layers, {len(embeddings)} embeddings, {len(norms)} norms"
        raise RequestError(f"the predictor has {counts}: expected is an MLP with one embedding and one norm")
    converted = {f"layers.{number}.{kind}": tensor for number, layer in enumerate(linear) for kind, tensor in layer.items()}
    converted |= {f"norm.{kind}": tensor for kind, tensor in norms[0].items()}
    return converted | ({"sources.weight": embeddings[0]} if embeddings else {})


def _model(
    encoder: State,
    predictor: State,
    sources: Sequence[str],
    heads: int | None,
    frontend: config.Frontend,
    chunk_seconds: float | None,
) -> config.Model:
    """The configuration that the shapes tell."""
    patches = encoder[_PATCHES]
    if patches.ndim != 4 or patches.shape[1] != 1:
        raise RequestError(f"{_PATCHES} is of shape {tuple(patches.shape)}: expected is a convolution of one channel")
    if "cls_token" in encoder:
        raise RequestError("the encoder has a class token, which Stem-JEPA's has not: give a Stem-JEPA's weights")
    width, _, mels, frames = patches.shape
    heads = heads or _HEADS.get(width)
    if heads is None:
        raise RequestError(f"the number of attention heads of width {width} is unknown: say how many heads")
    depth = len({key.split(".")[1] for key in encoder if key.startswith("blocks.")})
    shape = config.Encoder("custom", width, depth, heads, patch_mels=mels, patch_frames=frames)
    shape = replace(shape, size=next((size for size, known in config.SIZES.items() if known == (width, depth, heads)), "custom"))
    if "blocks.0.mlp.fc1.weight" in encoder:
        shape = replace(shape, mlp_ratio=encoder["blocks.0.mlp.fc1.weight"].shape[0] / width)
    if chunk_seconds is None and "pos_embed" in encoder:
        steps = encoder["pos_embed"].shape[-2] // (frontend.n_mels // mels)
        chunk_seconds = steps * frames * frontend.hop_length / frontend.sample_rate
    shape = replace(shape, chunk_seconds=chunk_seconds or shape.chunk_seconds)
    layers = sum(key.endswith(".bias") for key in predictor if key.startswith("layers."))
    embedding = predictor.get("sources.weight")
    if embedding is not None and len(embedding) != len(sources):
        raise RequestError(f"the predictor knows {len(embedding)} instruments, {len(sources)} were named: name as many")
    conditioning = "none" if embedding is None else "concat"
    mlp = config.Predictor("mlp", len(sources), conditioning, predictor["layers.0.weight"].shape[0], layers - 1)
    return config.Model(frontend, shape, mlp)


def _channel_order(encoder: State, model: config.Model) -> Tensor:
    """Where in the file's channels those of ours are, as the fixed positions tell."""
    width = model.encoder.width
    if "pos_embed" not in encoder:
        return torch.arange(width)
    theirs = encoder["pos_embed"].reshape(-1, encoder["pos_embed"].shape[-1])
    ours = positions(model.bands, len(theirs) // model.bands, width)
    if theirs.shape != ours.shape:
        raise RequestError(f"pos_embed is of shape {tuple(encoder['pos_embed'].shape)}: expected are {tuple(ours.shape)} positions")
    left = list(range(width))
    order = []
    for channel in ours.T:
        distances = (theirs.T[left] - channel).abs().amax(1)
        order.append(left.pop(int(distances.argmin())))
        if float(distances.min()) > _TOLERANCE:
            raise RequestError("pos_embed are not the fixed sines and cosines of a Stem-JEPA: were its positions learnt?")
    return torch.tensor(order)


def _encoder(encoder: State, order: Tensor) -> State:
    """The tensors by our names, their outer channels in our order."""
    converted = {}
    for key, tensor in encoder.items():
        if re.search(r"(qkv|fc1)\.weight$", key) and tensor.shape[-1] == len(order):
            tensor = tensor[:, order]
        if re.search(r"(patch_embed\.proj|attn\.proj|fc2|norm\d?)\.(weight|bias)$", key) and len(tensor) == len(order):
            tensor = tensor[order]
        converted[key] = tensor.flatten(1) if key == _PATCHES else tensor
    converted.pop("pos_embed", None)
    return converted


def _reordered_predictor(predictor: State, order: Tensor, model: config.Model) -> State:
    """The tensors with the context's and the prediction's channels in our order; those of the embedding are the predictor's own."""
    width, last = len(order), model.predictor.depth
    first = predictor["layers.0.weight"]
    outer = {len(predictor[key]) for key in (f"layers.{last}.weight", "norm.weight")}
    if first.shape[1] != width * (1 + ("sources.weight" in predictor)) or outer != {width}:
        raise RequestError(f"the predictor goes from {first.shape[1]} to {sorted(outer)} channels: expected are patches of {width}")
    changed = {"layers.0.weight": torch.cat([first[:, :width][:, order], first[:, width:]], dim=1)}
    changed |= {key: predictor[key][order] for key in (f"layers.{last}.weight", f"layers.{last}.bias", "norm.weight", "norm.bias")}
    return predictor | changed


def _natural(key: str) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdigit() else (-1, part) for part in key.split(".")]
