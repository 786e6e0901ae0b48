"""Converts weights that the original code trained (arXiv 2408.02514) into a network of this package.

All that is known of its files are the names of modules: a Vision Transformer as timm writes it (``patch_embed.proj``, a convolution;
``blocks.N.norm1``, ``attn.qkv``, ``attn.proj``, ``norm2``, ``mlp.fc1``, ``mlp.fc2``; ``norm``; ``pos_embed``), for the encoder and for the
target encoder, and a predictor: an embedding, linear layers and a LayerNorm. So encoders are found by their patch embedding, and the
predictor's layers by their shapes, in their order. Prefixes of torch.compile and Lightning are removed. Pickles are read as tensors only:
no code in them is run.

Fixed positions are computed here, not stored. If a file has them with the channels in another order (time before frequency, say), all
weights are reordered, which changes the order of the numbers in a vector and nothing else.
"""

from __future__ import annotations

import pickle
import re
import zipfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

import torch
from torch import Tensor

from jukemir_like.core.errors import RequestError
from jukemir_like.stemjepa import checkpoint, config, safetensors_file
from jukemir_like.stemjepa.config import excerpt
from jukemir_like.stemjepa.model import Network, sincos_positions
from jukemir_like.stemjepa.tensor_shapes import tensor_shapes

State = dict[str, Tensor]

_HEADS = {width: heads for width, _, heads in config.SIZES.values()}
_TEACHER_WORDS = {"target", "teacher", "ema", "momentum"}
_PATCHES = "patch_embed.proj.weight"
_MOST_NESTED_DICTS = 5  # around the state dict
_POSITION_TOLERANCE = 1e-5


def convert(
    path: Path,
    *,
    sources: Sequence[str],
    heads: int | None = None,
    frontend: config.Frontend | None = None,
    chunk_seconds: float | None = None,
) -> Network:
    """The network of a checkpoint or state dict of the original code; save it with :func:`~jukemir_like.stemjepa.checkpoint.save`.

    Args:
        path: a PyTorch file (Lightning's or a bare state dict) or safetensors.
        sources: names of the instruments, in the order of their numbers.
        heads: attention heads, which the weights do not show; None: as at paper sizes (width 192: 3, 384: 6, 768: 12).
        frontend: the log-mel that the weights were trained on, with its mean and standard deviation; None: the paper's.
        chunk_seconds: length of its chunks; None: from the number of positions in the file, else the paper's.

    Raises:
        RequestError: the file cannot be read without running code, or the weights are not those of such a network; names the tensor.
    """
    state = _without_wrappers(_read(path))
    student, teacher = _encoders(state)
    predictor = _predictor(state)
    for part in (student, teacher, predictor):
        _check_numbers(path, part)
    model = _model(student, predictor, sources, heads, frontend or config.Frontend(), chunk_seconds)
    order = _channel_order(student, model)
    if "pos_embed" in teacher and not torch.equal(order, _channel_order(teacher, model)):
        raise RequestError(f"{path}: encoder and target encoder have other positions: give a Stem-JEPA's weights")
    parts = {"encoder": _encoder(student), "teacher": _encoder(teacher), "predictor": predictor}
    _check_shapes(path, {f"{part}.{key}": tensor for part, state in parts.items() for key, tensor in state.items()}, model)
    parts["encoder"], parts["teacher"] = (_reordered_encoder(parts[part], order) for part in ("encoder", "teacher"))
    parts["predictor"] = _reordered_predictor(predictor, order, model)
    network = Network(model)
    network.load_state_dict({f"{part}.{key}": tensor for part, state in parts.items() for key, tensor in state.items()})
    return network.eval()


def _check_shapes(path: Path, state: State, model: config.Model) -> None:
    """Checks the tensors of a file before a network of the size that they claim is made."""
    expected = dict(tensor_shapes(model))  # bounded: the depths were counted in the file
    sizes = {key: tuple(tensor.shape) for key, tensor in state.items()}
    wrong = sorted(key for key in expected.keys() | sizes.keys() if expected.get(key) != sizes.get(key))
    if wrong:
        difference = f"{sizes.get(wrong[0], 'missing')}, expected is {expected.get(wrong[0], 'none')}"
        raise RequestError(f"{path} is not of a known Stem-JEPA: {excerpt(wrong[0])} is {difference} ({len(wrong)} such tensors)")


def _read(path: Path) -> State:
    """All tensors of a file by name."""
    try:
        with safetensors_file.open_weights(path) as file:
            if path.suffix == ".safetensors":
                import safetensors.torch

                loaded = safetensors.torch.load(file.read())
                return {key: loaded[key] for key in sorted(loaded, key=_natural)}
            _refuse_compressed(path, file)
            values = torch.load(file, map_location="cpu", weights_only=True)
    except RequestError:
        raise
    except pickle.UnpicklingError as error:
        raise RequestError(
            f"{path} holds Python objects other than tensors, or none at all, and is not run: save its state_dict alone with torch.save"
        ) from error
    except Exception as error:  # torch and safetensors raise errors of many types for damaged files
        raise RequestError(f"{path} cannot be read as weights ({type(error).__name__}): copy it again") from error
    for _ in range(_MOST_NESTED_DICTS):
        if not isinstance(values, dict) or any(isinstance(value, Tensor) for value in values.values()):
            break
        inner = [values[key] for key in ("state_dict", "model_state_dict", "model") if isinstance(values.get(key), dict)]
        values = inner[0] if inner else {}
    tensors = {key: value for key, value in values.items() if isinstance(value, Tensor)} if isinstance(values, dict) else {}
    if not tensors:
        raise RequestError(f"{path} holds no state dict: give a Lightning checkpoint or a saved state_dict")
    for key, tensor in tensors.items():
        if not isinstance(key, str) or not _is_stored(tensor):
            raise RequestError(
                f"{path}: {excerpt(key)} is not the name of a tensor, or its tensor is not stored number by number: save it dense"
            )
    return tensors


def _refuse_compressed(path: Path, file: BinaryIO) -> None:
    """PyTorch does not compress; a compressed archive could unpack to a thousand times the size of the file."""
    if zipfile.is_zipfile(file):
        with zipfile.ZipFile(file) as archive:
            if any(member.compress_type != zipfile.ZIP_STORED for member in archive.infolist()):
                raise RequestError(f"{path} is a compressed archive, not a PyTorch file: unpack it, and give the file in it")
    file.seek(0)


def _is_stored(tensor: Tensor) -> bool:
    """Whether each of its numbers is in the file: with strides of 0, one number can claim to be terabytes."""
    dense = tensor.layout == torch.strided and not tensor.is_quantized and not tensor.is_meta
    return dense and tensor.numel() * tensor.element_size() <= tensor.untyped_storage().nbytes()


def _check_numbers(path: Path, state: State) -> None:
    for key, tensor in state.items():
        if not tensor.is_floating_point():
            raise RequestError(
                f"{path}: tensor {excerpt(key)} is of {tensor.dtype}, weights are floating-point: save the state_dict as it was"
            )
        if not bool(tensor.isfinite().all()):
            raise RequestError(f"{path}: tensor {excerpt(key)} holds numbers that are infinite or NaN: these weights cannot be used")


def _without_wrappers(state: State) -> State:
    """Names without the prefixes of wrappers, floating-point values in float32."""
    return {checkpoint.without_wrappers(key): tensor.float() if tensor.is_floating_point() else tensor for key, tensor in state.items()}


def _encoders(state: State) -> tuple[State, State]:
    """The tensors of the encoder and of the target encoder, by their names below it; a file with one encoder gives it twice."""
    prefixes = [key.removesuffix(_PATCHES) for key in state if key.endswith(_PATCHES)]
    teachers = [prefix for prefix in prefixes if _TEACHER_WORDS & set(re.split("[._]", prefix.lower()))]
    students = [prefix for prefix in prefixes if prefix not in teachers]
    if len(students) != 1 or len(teachers) > 1:
        names = ", ".join(f"{prefix}{_PATCHES}" for prefix in prefixes) or "none"
        raise RequestError(f"one encoder and one target encoder were expected, found are {names}: give a Stem-JEPA's weights")
    return _with_prefix(state, students[0]), _with_prefix(state, (teachers or students)[0])


def _with_prefix(state: State, prefix: str) -> State:
    """The tensors of the Vision Transformer whose names begin with ``prefix``, without it."""
    own = ("patch_embed.", "blocks.", "norm.", "pos_embed", "cls_token")
    return {
        key.removeprefix(prefix): tensor for key, tensor in state.items() if key.startswith(prefix) and key[len(prefix) :].startswith(own)
    }


def _predictor(state: State) -> State:
    """The MLP's tensors under the names of this package: linear layers in their order, the embedding, the LayerNorm."""
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
    others = len(modules) - len(linear) - len(embeddings) - len(norms)
    if len(linear) < 2 or len(embeddings) > 1 or len(norms) != 1 or others:
        counts = f"{len(linear)} linear layers, {len(embeddings)} embeddings, {len(norms)} norms, {others} others"
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
    """The configuration, as far as the shapes of the tensors determine it."""
    patches = encoder[_PATCHES]
    if patches.ndim != 4 or patches.shape[1] != 1 or 0 in patches.shape:
        raise RequestError(f"{_PATCHES} is of shape {tuple(patches.shape)}: expected is a convolution of one channel")
    if "cls_token" in encoder:
        raise RequestError("the encoder has a class token, which Stem-JEPA's does not: give a Stem-JEPA's weights")
    width, _, mels, frames = patches.shape
    if frontend.n_mels % mels:
        raise RequestError(f"{_PATCHES} covers {mels} mel bands, which do not divide the front-end's {frontend.n_mels}")
    heads = heads or _HEADS.get(width)
    if heads is None:
        raise RequestError(f"the number of attention heads of width {width} is unknown: give heads")
    depth = len({key.split(".")[1] for key in encoder if key.startswith("blocks.")})
    shape = config.Encoder("custom", width, depth, heads, patch_mels=mels, patch_frames=frames)
    shape = replace(shape, size=next((size for size, known in config.SIZES.items() if known == (width, depth, heads)), "custom"))
    hidden = encoder.get("blocks.0.mlp.fc1.weight")
    if hidden is not None and hidden.ndim == 2:
        shape = replace(shape, mlp_ratio=hidden.shape[0] / width)
    if chunk_seconds is None and "pos_embed" in encoder and encoder["pos_embed"].ndim > 1:
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
    """For each channel of this package, the number of the same channel in the file: the one with the same sine or cosine positions."""
    width = model.encoder.width
    if "pos_embed" not in encoder:
        return torch.arange(width)
    theirs = encoder["pos_embed"]
    count = theirs.numel() // width
    if theirs.ndim < 2 or theirs.shape[-1] != width or not count or count % model.bands:
        expected = (count // model.bands * model.bands, width)
        raise RequestError(f"pos_embed is of shape {tuple(theirs.shape)}: expected are {expected} positions")
    theirs = theirs.reshape(-1, width)
    ours = sincos_positions(model.bands, count // model.bands, width)
    remaining = list(range(width))  # two channels may have the same positions, so each is used once
    order = []
    for channel in ours.T:
        distances = (theirs.T[remaining] - channel).abs().amax(1)
        order.append(remaining.pop(int(distances.argmin())))
        if float(distances.min()) > _POSITION_TOLERANCE:
            raise RequestError("pos_embed are not the fixed sines and cosines of a Stem-JEPA: were its positions learnt?")
    return torch.tensor(order)


def _encoder(encoder: State) -> State:
    """The tensors under the names and in the shapes of this package."""
    return {
        key: tensor.flatten(1) if key == _PATCHES and tensor.ndim == 4 else tensor for key, tensor in encoder.items() if key != "pos_embed"
    }


def _reordered_encoder(encoder: State, order: Tensor) -> State:
    """The tensors with their outer channels reordered."""
    converted = {}
    for key, tensor in encoder.items():
        if re.search(r"(qkv|fc1)\.weight$", key):
            tensor = tensor[:, order]
        if re.search(r"(patch_embed\.proj|attn\.proj|fc2|norm\d?)\.(weight|bias)$", key):
            tensor = tensor[order]
        converted[key] = tensor
    return converted


def _reordered_predictor(predictor: State, order: Tensor, model: config.Model) -> State:
    """The tensors with the channels of context and prediction reordered; those of the embedding are the predictor's own."""
    width, last = len(order), model.predictor.depth
    first = predictor["layers.0.weight"]
    changed = {"layers.0.weight": torch.cat([first[:, :width][:, order], first[:, width:]], dim=1)}
    changed |= {key: predictor[key][order] for key in (f"layers.{last}.weight", f"layers.{last}.bias", "norm.weight", "norm.bias")}
    return predictor | changed


def _natural(key: str) -> list[tuple[int, str]]:
    """Sorts layer 10 after layer 9."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in key.split(".")]
