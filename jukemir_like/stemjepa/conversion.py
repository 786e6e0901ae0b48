"""Converts weights that the original code trained (arXiv 2408.02514) into weights of this package.

Read are Lightning's checkpoints, weights alone and bare state dicts, as PyTorch's files or safetensors, of either predictor::

    original                            here
    encoder.*                           encoder.*
    target_encoder.*                    teacher.*
    predictor.source_embed              predictor.sources
    predictor.blocks.0, .2, .4, …       predictor.layers.0, .1, .2, …    the MLP: the numbers between are activations
    predictor.blocks.N.*                predictor.blocks.N.*             the Transformer
    predictor.predictor_embed           predictor.embed
    predictor.predictor_pred            predictor.head
    *.pos_embed                         computed: the original's first half of the channels encodes the time step

Numbers stay as they are, so vectors are those of the original, channel by channel. No code in a pickle is run, see
:mod:`jukemir_like.stemjepa.torch_files`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from jukemir_like.core import files
from jukemir_like.core.errors import RequestError
from jukemir_like.stemjepa import checkpoint, config, safetensors_file, torch_files
from jukemir_like.stemjepa.config import excerpt
from jukemir_like.stemjepa.model import Network, sincos_positions
from jukemir_like.stemjepa.tensor_shapes import tensor_shapes

State = dict[str, Tensor]

_HEADS = {width: heads for width, _, heads in config.SIZES.values()}
_PARTS = {"encoder": "encoder", "target_encoder": "teacher", "predictor": "predictor"}
_LAYERS = {"source_embed": "sources", "predictor_embed": "embed", "predictor_pred": "head"}  # of the predictor
_PATCHES = "encoder.patch_embed.proj.weight"
_POSITIONS = "pos_embed"
_COUNTERS = ("epoch", "global_step")
_POSITION_TOLERANCE = 1e-5
_PREDICTOR_HEADS = 16


@dataclass(frozen=True)
class Converted:
    """A converted network.

    Args:
        network: in evaluation mode.
        sources: names of the instruments, in the order of their numbers.
        provenance: the file and its digest, and the epoch and step where it tells them.
        notes: what the file does not tell and was taken for granted, and what was left out; a line each.
    """

    network: Network
    sources: tuple[str, ...]
    provenance: dict[str, Any]
    notes: tuple[str, ...]

    def save(self, path: Path) -> None:
        """Writes the weights, see :func:`~jukemir_like.stemjepa.checkpoint.save`."""
        checkpoint.save(path, self.network, provenance=self.provenance, sources=self.sources)


def convert(
    path: Path, *, sources: Sequence[str] | None = None, heads: int | None = None, frontend: config.Frontend | None = None
) -> Converted:
    """Converts a file of weights of the original code.

    Args:
        path: a PyTorch file (Lightning's checkpoint or a state dict) or safetensors.
        sources: names of the instruments, in the order of their numbers; None: bass, drums, other, vocals for four, else stem0, stem1, ….
        heads: attention heads of the encoder, which the weights do not show; None: as at the paper's sizes (width 192: 3, 384: 6, 768: 12).
        frontend: the log-mel that the weights were trained on, with its mean and standard deviation; None: the paper's.

    Raises:
        RequestError: the file cannot be read without running code, or the weights are not those of such a network; names the tensor.
    """
    loaded, counters = _read(path)
    state, left_out = _renamed(path, loaded)
    _check_numbers(path, state)
    positions = {key: state.pop(key) for key in list(state) if key.endswith(_POSITIONS)}
    model = _model(path, state, positions, heads, frontend or config.Frontend())
    convolution = state[_PATCHES].shape
    state = {key: tensor.flatten(1) if tensor.shape == convolution else tensor for key, tensor in state.items()}  # one matrix here
    _check_shapes(path, state, model)
    _check_positions(path, positions, model)
    network = Network(model)
    network.load_state_dict({key: tensor.float() for key, tensor in state.items()})
    names = tuple(sources) if sources is not None else checkpoint.default_sources(model)
    config.check_sources(names, model.predictor.num_sources)
    provenance = {"converted_from": "the original code of arXiv 2408.02514", "file": path.name, "sha256": files.sha256(path), **counters}
    notes = _notes(model, names if sources is None else None, left_out, told_statistics=frontend is not None)
    return Converted(network.eval(), names, provenance, notes)


def _notes(
    model: config.Model, default_sources: Sequence[str] | None, left_out: Sequence[str], *, told_statistics: bool
) -> tuple[str, ...]:
    notes = []
    if not told_statistics:
        statistics = f"{model.frontend.mean:g} and {model.frontend.std:g}"
        notes.append(f"mean and standard deviation of the log-mel are not in the file: the paper's are taken, {statistics}")
    if default_sources is not None:
        notes.append(f"names of the instruments are not in the file: {', '.join(default_sources)} are taken, in this order")
    if left_out:
        notes.append(f"left out, as no part of a Stem-JEPA: {len(left_out)} tensors ({excerpt(', '.join(left_out), 100)})")
    return tuple(notes)


# Reading


def _read(path: Path) -> tuple[State, dict[str, int]]:
    """All tensors of a file by name, and the counters beside them."""
    if path.suffix != config.SUFFIX:
        state, others = torch_files.read(path)
        return state, {name: others[name] for name in _COUNTERS if type(others.get(name)) is int}
    try:
        with safetensors_file.open_weights(path) as file:
            import safetensors.torch

            state = safetensors.torch.load(file.read())
    except RequestError:
        raise
    except Exception as error:  # safetensors raises errors of many types for damaged files
        raise RequestError(f"{path} cannot be read as weights ({type(error).__name__}): copy it again") from error
    if not state:
        raise RequestError(f"{path} holds no state dict: give a Lightning checkpoint or a saved state_dict")
    return state, {}


# Names


def _renamed(path: Path, loaded: Mapping[str, Tensor]) -> tuple[State, list[str]]:
    """The tensors under the names of this package (positions too), and the names of those that are in none of the three parts."""
    plain: State = {}
    for key, tensor in loaded.items():
        name = checkpoint.without_wrappers(key)
        if name in plain:
            raise RequestError(f"{path} holds {excerpt(name)} twice, with and without a wrapper: give the weights of one network")
        plain[name] = tensor
    prefixes = [key.removesuffix(_PATCHES) for key in plain if key == _PATCHES or key.endswith(f".{_PATCHES}")]
    if len(prefixes) != 1:
        found = excerpt(", ".join(f"{prefix}{_PATCHES}" for prefix in prefixes)) or "none"
        raise RequestError(f"{path}: one tensor {_PATCHES} was expected, found: {found}: give weights of the original Stem-JEPA")
    state, left_out = {}, []
    for key, tensor in plain.items():
        part, _, name = key.removeprefix(prefixes[0]).partition(".")
        if key.startswith(prefixes[0]) and part in _PARTS and name:
            state[f"{_PARTS[part]}.{_layer(name) if part == 'predictor' else name}"] = tensor
        else:
            left_out.append(key)
    linear = re.compile(r"predictor\.blocks\.(\d+)\.(weight|bias)")
    numbers = sorted({int(match[1]) for match in map(linear.fullmatch, state) if match})  # 10 comes after 8, not before 2
    layers = {number: layer for layer, number in enumerate(numbers)}
    return {linear.sub(lambda match: f"predictor.layers.{layers[int(match[1])]}.{match[2]}", key): state[key] for key in state}, left_out


def _layer(name: str) -> str:
    first, dot, rest = name.partition(".")
    return f"{_LAYERS.get(first, first)}{dot}{rest}"


# Configuration


def _model(path: Path, state: State, positions: State, heads: int | None, frontend: config.Frontend) -> config.Model:
    """The configuration, as far as the shapes of the tensors determine it."""
    patches, places = state[_PATCHES], positions.get(f"encoder.{_POSITIONS}")
    if patches.ndim != 4 or patches.shape[1] != 1 or 0 in patches.shape:
        raise RequestError(f"{path}: {_PATCHES} is of shape {tuple(patches.shape)}: expected is a convolution of one channel")
    width, _, mels, frames = patches.shape
    if places is None or places.ndim != 4 or places.shape[0] != 1 or places.shape[3] != width or 0 in places.shape:
        shape = "missing" if places is None else f"of shape {tuple(places.shape)}"
        raise RequestError(f"{path}: encoder.{_POSITIONS} is {shape}: expected are (1, bands, steps, {width}) positions")
    _, bands, steps, _ = places.shape
    if bands * mels != frontend.n_mels:
        raise RequestError(f"{path}: its {bands} bands of {mels} mel bands are not the front-end's {frontend.n_mels}: give its front-end")
    heads = heads or _HEADS.get(width)
    if heads is None:
        raise RequestError(f"{path}: the number of attention heads of width {width} is unknown: give --heads")
    encoder = config.Encoder(
        "custom",
        width,
        _count(state, r"encoder\.blocks\.(\d+)\."),
        heads,
        _ratio(state, width),
        mels,
        frames,
        steps * frames * frontend.hop_length / frontend.sample_rate,
        "time-first",
    )
    size = next((size for size, known in config.SIZES.items() if known == (width, encoder.depth, heads)), "custom")
    return config.Model(frontend, replace(encoder, size=size), _predictor(path, state))


def _ratio(state: State, width: int) -> float:
    hidden = state.get("encoder.blocks.0.mlp.fc1.weight")
    return hidden.shape[0] / width if hidden is not None and hidden.ndim == 2 else config.Encoder.mlp_ratio


def _predictor(path: Path, state: State) -> config.Predictor:
    embedding = state.get("predictor.sources.weight")
    if embedding is None or embedding.ndim != 2:
        raise RequestError(
            f"{path} lacks the predictor's source_embed.weight, a vector per instrument: give weights of the original Stem-JEPA"
        )
    layers = _count(state, r"predictor\.layers\.(\d+)\.")
    first = state.get("predictor.layers.0.weight" if layers else "predictor.embed.weight")
    if first is None or first.ndim != 2:
        raise RequestError(f"{path} holds no predictor, neither MLP nor Transformer: give weights of the original Stem-JEPA")
    if layers:
        return config.Predictor("mlp", len(embedding), "concat", len(first), layers - 1, initialisation="pytorch")
    blocks = _count(state, r"predictor\.blocks\.(\d+)\.")
    return config.Predictor("transformer", len(embedding), width=len(first), depth=blocks, heads=_PREDICTOR_HEADS)


def _count(state: State, pattern: str) -> int:
    """How many numbers the layers of this name have."""
    return len({match[1] for match in (re.match(pattern, key) for key in state) if match})


# Checks


def _check_numbers(path: Path, state: State) -> None:
    for key, tensor in state.items():
        if not tensor.is_floating_point():
            raise RequestError(
                f"{path}: tensor {excerpt(key)} is of {tensor.dtype}, weights are floating-point: save the state_dict as it was"
            )
        if not bool(tensor.isfinite().all()):
            raise RequestError(f"{path}: tensor {excerpt(key)} holds numbers that are infinite or NaN: these weights cannot be used")


def _check_shapes(path: Path, state: State, model: config.Model) -> None:
    """Checks the tensors of a file before a network of the size that they claim is made."""
    expected = dict(tensor_shapes(model))  # bounded: the depths were counted in the file
    sizes = {key: tuple(tensor.shape) for key, tensor in state.items()}
    wrong = sorted(key for key in expected.keys() | sizes.keys() if expected.get(key) != sizes.get(key))
    if wrong:
        difference = f"{sizes.get(wrong[0], 'missing')}, expected is {expected.get(wrong[0], 'none')}"
        raise RequestError(f"{path} is not of a known Stem-JEPA: {excerpt(wrong[0])} is {difference} ({len(wrong)} such tensors)")


def _check_positions(path: Path, positions: State, model: config.Model) -> None:
    """Positions are computed and not stored, so those of the file have to be the same."""
    parts = ["encoder", "teacher", *(["predictor"] if model.predictor.kind == "transformer" else [])]
    for name in sorted(positions.keys() | {f"{part}.{_POSITIONS}" for part in parts}):
        part, theirs = name.partition(".")[0], positions.get(name)
        width = model.predictor.width if part == "predictor" else model.encoder.width
        expected = (1, model.bands, model.steps, width)
        if part not in parts or theirs is None or theirs.shape != expected:
            shape = "missing" if theirs is None else f"of shape {tuple(theirs.shape)}"
            raise RequestError(f"{path}: {excerpt(name)} is {shape}: expected is {expected if part in parts else 'none'}")
        ours = sincos_positions(model.bands, model.steps, width, time_first=True).view(expected)
        rounding = torch.finfo(theirs.dtype).eps
        if float((theirs.float() - ours).abs().max()) > _POSITION_TOLERANCE + rounding:
            raise RequestError(f"{path}: {excerpt(name)} are not the fixed sines and cosines of a Stem-JEPA: were its positions learnt?")
