"""Nets of ``transformers`` with published weights: read as tensors only, every name accounted for, and run chunk by chunk.

Nothing here opens a connection: a net is made from its configuration and a dictionary of tensors. Names of older checkpoints
(``weight_g``, the attention of AST) are translated by ``transformers``. It would start a net with random numbers where tensors are missing,
so its account of missing and unexpected names is checked here.
"""

from __future__ import annotations

import logging
import pickle
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from jukemir_like.core.errors import RequestError
from jukemir_like.encoders.model_types import INSTALL, Model

_MAY_BE_MISSING = {"masked_spec_embed", "inv_freq"}  # used in training alone; computed from the configuration


def read_tensors(paths: Sequence[Path]) -> dict[str, Tensor]:
    """The tensors in files of weights, memory-mapped; nothing in a file is run.

    Args:
        paths: ``.safetensors``, or what ``torch.save`` writes of tensors.

    Raises:
        RequestError: a file is damaged, holds anything but tensors, or two have a tensor of one name.
    """
    tensors: dict[str, Tensor] = {}
    for path in paths:
        found = _safetensors(path) if path.suffix == ".safetensors" else _pickled_tensors(path)
        if twice := sorted(found.keys() & tensors.keys()):
            raise RequestError(f"{path} has the tensor {twice[0]}, as another file of the same weights has: download them again")
        tensors |= found
    return tensors


def _safetensors(path: Path) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise RequestError(f"{path} is no file of safetensors ({_first_line(error)}): download it again") from error


def _pickled_tensors(path: Path) -> dict[str, Tensor]:
    try:
        with open(path, "rb") as file:
            is_zip = file.read(2) == b"PK"
        value = torch.load(path, map_location="cpu", weights_only=True, mmap=is_zip)
    except pickle.UnpicklingError as error:
        raise RequestError(
            f"{path} holds more than tensors, and reading it would run code: it is not read; give weights as safetensors"
        ) from error
    except (OSError, RuntimeError, ValueError, EOFError, KeyError, AttributeError, TypeError) as error:
        raise RequestError(f"{path} holds no tensors of torch ({_first_line(error)}): download it again") from error
    for name in ("state_dict", "model"):  # as training programs write them, beside other values
        if isinstance(value, Mapping) and isinstance(value.get(name), Mapping):
            value = value[name]
    if not isinstance(value, Mapping) or not value or not all(isinstance(tensor, Tensor) for tensor in value.values()):
        raise RequestError(f"{path} holds no dictionary of tensors: give the file of weights")
    return {str(name): tensor for name, tensor in value.items()}


def convert(model: Model, tensors: Mapping[str, Tensor], unused: Sequence[str] = ()) -> dict[str, Tensor]:
    """The tensors of the encoder by the names that the net has in this version of ``transformers``, in float32.

    Args:
        model: what they are of.
        tensors: as published.
        unused: patterns of names that may be left out, besides those of its type.

    Raises:
        RequestError: a tensor is missing, left over, of another shape, or not finite.
    """
    patterns = (*model.how.unused, *unused)
    wanted = {name: tensor for name, tensor in tensors.items() if not any(fnmatchcase(name, pattern) for pattern in patterns)}
    if model.how.takes == "whisper":
        wanted = {name.removeprefix("model.").removeprefix("encoder."): tensor for name, tensor in wanted.items()}
    net = _conformer(model, wanted) if model.how.takes == "conformer" else _pretrained(model, wanted, patterns)
    converted = {name: tensor.float() for name, tensor in _encoder(model, net).state_dict().items()}
    for name, tensor in converted.items():
        if not torch.isfinite(tensor).all():
            raise RequestError(f"the weights of {model.where} are damaged: tensor {name} holds numbers that are infinite or NaN")
    return converted


def build(model: Model) -> nn.Module:
    """The encoder with any numbers, on the processor.

    Raises:
        RequestError: ``transformers`` is not installed, or does not accept the configuration.
    """
    with _quiet(), _without_initialisation():
        return _encoder(model, _music_conformer(model) if model.how.takes == "conformer" else _class(model)(configuration(model)))


def with_tensors(net: nn.Module, tensors: Mapping[str, Tensor]) -> nn.Module:
    """``net`` with converted ``tensors``, which fit, ready to use."""
    kinds = {name: tensor.dtype for name, tensor in net.state_dict().items()}  # counters and indices are converted as floats
    net.load_state_dict({name: tensor.to(kinds[name]) for name, tensor in tensors.items()}, assign=True)
    return net.eval().requires_grad_(False)


def configuration(model: Model) -> Any:
    """The configuration as an object of ``transformers``.

    Raises:
        RequestError: ``transformers`` is not installed, or does not accept it.
    """
    library = _library()
    try:
        values = {name: value for name, value in model.config.items() if name not in ("auto_map", "model_type")}
        config = getattr(library, model.how.config_class).from_dict(values)
    except Exception as error:  # whatever it finds wrong in what others have written
        raise RequestError(f"config.json of {model.where} is not accepted by transformers ({_first_line(error)})") from error
    return config.audio_config if model.how.takes == "clap" else config


def states(model: Model, net: nn.Module, inputs: Tensor) -> tuple[Tensor, ...]:
    """The states of every layer for inputs of equal length: each ``(batch, time, width)``, layer 0 first.

    Of AST those of the patches, averaged over frequency; of CLAP the embedding, one state per chunk.
    """
    takes = model.how.takes
    if takes == "conformer":
        found: tuple[Tensor, ...] = net(inputs)
    elif takes == "codec":
        found = (net(inputs[:, None]).transpose(1, 2),)
    elif takes == "clap":
        is_longer = torch.zeros(len(inputs), 1, dtype=torch.bool, device=inputs.device)
        found = (net(inputs[:, None], is_longer=is_longer).audio_embeds[:, None],)
    else:
        found = net(inputs, output_hidden_states=True).hidden_states
    if takes == "spectrogram":  # two tokens come first; patches follow, frequency by frequency
        config = configuration(model)
        bands = 1 + (config.num_mel_bins - config.patch_size) // config.frequency_stride
        found = tuple(layer[:, 2:].view(len(layer), bands, -1, layer.shape[-1]).mean(dim=1) for layer in found)
    return found


def _encoder(model: Model, net: nn.Module) -> nn.Module:
    encoder: nn.Module = net.encoder if model.how.takes == "codec" else net  # type: ignore[assignment]
    return encoder


def _pretrained(model: Model, tensors: dict[str, Tensor], unused: Sequence[str]) -> nn.Module:
    config = configuration(model)
    try:
        with _quiet():
            net, account = _class(model).from_pretrained(
                None, config=config, state_dict=dict(tensors), output_loading_info=True, dtype=torch.float32, ignore_mismatched_sizes=True
            )
    except Exception as error:  # whatever it finds wrong in what others have written
        raise RequestError(f"the weights of {model.where} are not accepted by transformers ({_first_line(error)})") from error
    unexpected = {name for name in account["unexpected_keys"] if not any(fnmatchcase(name, pattern) for pattern in unused)}
    missing = {name for name in account["missing_keys"] if name.rpartition(".")[2] not in _MAY_BE_MISSING}
    for kind, names in (
        ("no", missing),
        ("a needless", unexpected),
        ("another shape of", {str(name[0]) for name in account["mismatched_keys"]}),
    ):
        if names:
            raise RequestError(_difference(model, kind, names))
    return net  # type: ignore[no-any-return]


def _conformer(model: Model, tensors: dict[str, Tensor]) -> nn.Module:
    net = _music_conformer(model)
    names = {name.removeprefix("model."): tensor for name, tensor in tensors.items()}
    for old, new in (("weight_g", "parametrizations.weight.original0"), ("weight_v", "parametrizations.weight.original1")):
        names = {name.replace(f".{old}", f".{new}"): tensor for name, tensor in names.items()}
    expected = {
        name: tensor.shape
        for name, tensor in net.state_dict().items()
        if name.rpartition(".")[2] not in ("inv_freq", "num_batches_tracked")
    }
    needless = {name for name in names.keys() - expected.keys() if not name.endswith("num_batches_tracked")}
    wrong = {name for name in expected.keys() & names.keys() if names[name].shape != expected[name]}
    for kind, found in (("no", expected.keys() - names.keys()), ("a needless", needless), ("another shape of", wrong)):
        if found:
            raise RequestError(_difference(model, kind, set(found)))
    net.load_state_dict(names, strict=False)
    return net


def _difference(model: Model, kind: str, names: set[str]) -> str:
    more = f" and {len(names) - 1} more" if len(names) > 1 else ""
    return f"the weights of {model.where} have {kind} tensor {min(names)}{more}: they are of another model than config.json says"


def _music_conformer(model: Model) -> nn.Module:
    _library()
    from jukemir_like.encoders.nets.conformer import MusicConformer

    return MusicConformer(model.config)


def _class(model: Model) -> Any:
    if model.how.model_class == "WhisperEncoder":
        from transformers.models.whisper.modeling_whisper import WhisperEncoder

        return WhisperEncoder
    return getattr(_library(), model.how.model_class)


def _library() -> Any:
    try:
        import transformers
    except ImportError as error:
        raise RequestError(INSTALL) from error
    return transformers


def _without_initialisation() -> AbstractContextManager[None]:
    """Nets are made without drawing random numbers, which takes seconds; all of their tensors are loaded afterwards."""
    _library()
    from transformers.initialization import no_init_weights

    context: AbstractContextManager[None] = no_init_weights()
    return context


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the progress bars and reports of ``transformers``: what is wrong is one line of this package."""
    library = _library()
    level, had_bars = library.utils.logging.get_verbosity(), library.utils.logging.is_progress_bar_enabled()
    library.utils.logging.set_verbosity(logging.CRITICAL)
    library.utils.logging.disable_progress_bar()
    try:
        yield
    finally:
        library.utils.logging.set_verbosity(level)
        if had_bars:
            library.utils.logging.enable_progress_bar()


def _first_line(error: BaseException) -> str:
    return (" ".join(str(error).split()) or type(error).__name__)[:150]
