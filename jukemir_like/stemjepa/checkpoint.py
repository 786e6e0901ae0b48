"""Files of weights: safetensors, with the model's configuration, its instruments and the origin of the weights in the header.

The header is read without torch, so that the size and the digest of weights cost milliseconds. Files are written here and not by the
safetensors package, whose header changes its order from process to process: same network, same bytes, same digest.
"""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jukemir_like.core import files
from jukemir_like.core.atomic import atomic_write
from jukemir_like.core.cache import Cache
from jukemir_like.core.errors import RequestError
from jukemir_like.core.stems import STEMS
from jukemir_like.core.version import __version__
from jukemir_like.stemjepa import config, safetensors_file
from jukemir_like.stemjepa.config import excerpt, is_name
from jukemir_like.stemjepa.safetensors_file import REMEDY
from jukemir_like.stemjepa.tensor_shapes import tensor_shapes

if TYPE_CHECKING:
    import torch

    from jukemir_like.stemjepa.model import Network

EMBEDDED = "free-music"
"""The name of the weights in the package, which are used where none are named."""

SUFFIX = config.SUFFIX
FORMAT = "jukemir-like stemjepa 1"
FOLDER = Path(__file__).parent / "weights"

_PYTORCH_SUFFIXES = (".ckpt", ".pt", ".pth")
_WRAPPERS = {"_orig_mod", "module", "_forward_module"}  # of torch.compile, DistributedDataParallel and Lightning Fabric
_MOST_HEARD = 100_000  # names; far more than any language has for instruments
_ALIGNMENT = 8  # bytes; the header is padded so that the tensors begin at a multiple of it


@dataclass(frozen=True)
class Header:
    """The header of a file of weights.

    Args:
        model: the configuration of the network.
        sources: names of the instruments, in the order of their numbers.
        provenance: how the weights were made (JSON values).
        versions: of the software that wrote the file.
        digest: SHA-256 of the file, hexadecimal.
        heard: names of instruments that training has heard, where the predictor is conditioned by text.
    """

    model: config.Model
    sources: tuple[str, ...]
    provenance: dict[str, Any]
    versions: dict[str, str]
    digest: str
    heard: tuple[str, ...] = ()


@dataclass(frozen=True)
class Checkpoint:
    """A network with its weights; the rest is as in :class:`Header`."""

    network: Network
    model: config.Model
    sources: tuple[str, ...]
    provenance: dict[str, Any]
    digest: str


def names(cache: Cache | None = None) -> list[str]:
    """Names of weights, sorted: those in the package, and with ``cache`` those in its ``checkpoints/`` too.

    >>> names()
    ['free-music']
    """
    checkpoints = cache.checkpoint("*").parent if cache else FOLDER
    return sorted({path.name.removesuffix(SUFFIX) for folder in (FOLDER, checkpoints) for path in folder.glob(f"[!.]*{SUFFIX}")})


def names_with_remarks(cache: Cache) -> list[str]:
    """:func:`names`, with "(unusable)" after those whose header is not one of weights (their tensors are not read)."""
    names_to_show = []
    for name in names(cache):
        try:
            path = resolve(name, cache)
            with safetensors_file.open_weights(path) as file:
                _parse_header(path, safetensors_file.read_table(path, file))
            names_to_show.append(name)
        except RequestError:
            names_to_show.append(f"{excerpt(name)} (unusable)")
    return names_to_show


def resolve(weights: str | Path | None = None, cache: Cache | None = None) -> Path:
    """The path of the file of ``weights``.

    Args:
        weights: a name (of weights in the package, else of ``checkpoints/<name>.safetensors`` in the cache), or a path, which has a ``/``
            or the suffix ``.safetensors``; None: the weights of the package.
        cache: where named weights are looked up; None: the default cache.

    Raises:
        RequestError: there are no weights of this name, or the system refuses access. (A path is not checked.)

    >>> resolve().name, resolve("my/weights.safetensors").name
    ('free-music.safetensors', 'weights.safetensors')
    """
    cache = cache or Cache.default()
    if weights is not None and (isinstance(weights, Path) or "/" in weights or weights.endswith(SUFFIX)):
        return Path(weights)
    name = EMBEDDED if weights is None else weights
    if is_name(name):
        for path in (FOLDER / f"{name}{SUFFIX}", *([cache.checkpoint(name)] if weights is not None else [])):
            try:
                path.lstat()  # a link to nowhere or a folder is found too: whoever opens it reports what is wrong with it
            except (FileNotFoundError, NotADirectoryError):
                continue
            except OSError as error:
                raise RequestError(
                    f"weights {excerpt(name, 60)!r}: the file {files.refusal(error)}: choose others, or give a path"
                ) from error
            return path
    known = ", ".join(map(excerpt, names(cache))) or "none"
    remedy = f"choose one of them, or give the path of a {SUFFIX} file"
    if name.endswith(_PYTORCH_SUFFIXES):
        remedy = f"convert those of the original code (jukemir-like convert {excerpt(name, 60)}), and name what comes out"
    raise RequestError(f"no weights are called {excerpt(name, 60)!r} (known: {known}): {remedy}")


def save(path: Path, network: Network, *, provenance: Mapping[str, Any], sources: Sequence[str] | None = None, half: bool = False) -> None:
    """Writes encoder, teacher and predictor, completely or not at all. Same arguments, same bytes.

    Args:
        path: should end in ``.safetensors``.
        network: may be compiled or wrapped, as a whole or in parts; the names in the file do not show it.
        provenance: how the weights were made (JSON values).
        sources: names of the instruments, in the order of their numbers; None: see :func:`default_sources`.
        half: store float16 (half the size, about 0.05 % of precision) instead of float32.

    Raises:
        RequestError: another number of names than of instruments, or weights that float16 cannot hold.
        StorageError: the file cannot be written; one that existed before is kept.
    """
    import torch

    model: config.Model = _unwrapped(network).settings
    source_names = default_sources(model) if sources is None else tuple(sources)
    config.check_sources(source_names, model.predictor.num_sources)
    dtype = torch.float16 if half else torch.float32
    state = _unwrapped(network).state_dict()
    tensors = {without_wrappers(key): tensor.detach().to("cpu", dtype).contiguous() for key, tensor in sorted(state.items())}
    metadata = {
        "format": FORMAT,
        "model": json.dumps(model.to_dict()),
        "sources": json.dumps(source_names),
        "provenance": json.dumps(dict(provenance), allow_nan=False),
        "versions": json.dumps({"jukemir-like": __version__, "torch": torch.__version__, "python": platform.python_version()}),
    }
    if model.predictor.instruments == "text":
        metadata["heard"] = json.dumps(_unwrapped(network).predictor.sources.heard_names or source_names)
    entries: dict[str, Any] = {"__metadata__": metadata}
    end = 0
    for key, tensor in tensors.items():
        if half and bool(torch.isinf(tensor).any()):
            raise RequestError(f"{key} holds values beyond float16's range: save these weights as float32")
        begin, end = end, end + tensor.nbytes
        entries[key] = {"dtype": "F16" if half else "F32", "shape": list(tensor.shape), "data_offsets": [begin, end]}
    encoded = json.dumps(entries).encode()
    encoded += b" " * (-len(encoded) % _ALIGNMENT)
    with atomic_write(path) as temporary, open(temporary, "wb") as file:
        file.write(len(encoded).to_bytes(8, "little") + encoded)
        for tensor in tensors.values():
            file.write(tensor.numpy().astype("<f2" if half else "<f4", copy=False).data)


def load(path: Path, device: str | torch.device = "cpu") -> Checkpoint:
    """The network of a file of weights: float32 on ``device``, in evaluation mode. The file is read once.

    Raises:
        RequestError: as :func:`header`.

    >>> checkpoint = load(resolve())
    >>> checkpoint.network.training
    False
    """
    import torch

    from jukemir_like.stemjepa.model import Network

    tensor_bytes: dict[str, bytearray] = {}
    loaded, table = _read(path, tensor_bytes)
    dtypes = {"F16": torch.float16, "BF16": torch.bfloat16, "F32": torch.float32, "F64": torch.float64}
    with _without_initialisation():
        network = Network(loaded.model)
    network.load_state_dict(
        {
            name: torch.frombuffer(tensor_bytes[name], dtype=dtypes[tensor.dtype]).view(tensor.shape)
            for name, tensor in table.tensors.items()
        }
    )
    network.name_instruments(loaded.sources, heard=loaded.heard)
    return Checkpoint(network.to(device).eval(), loaded.model, loaded.sources, loaded.provenance, loaded.digest)


def header(path: Path) -> Header:
    """Reads the header of a file of weights and checks that the file is complete, without making a network and without torch.

    Raises:
        RequestError: no such file, not safetensors, cut short, without the configuration of a Stem-JEPA, or with tensors that are not those
            of the model that the configuration describes, or are not finite.

    >>> header(resolve()).sources
    ('bass', 'drums', 'other', 'vocals')
    """
    return _read(path)[0]


def default_sources(model: config.Model) -> tuple[str, ...]:
    """Names of the instruments where none are given: bass, drums, other, vocals for four, else stem0, stem1, ….

    >>> default_sources(config.Model(predictor=config.Predictor(num_sources=2)))
    ('stem0', 'stem1')
    """
    count = model.predictor.num_sources
    return STEMS if count == len(STEMS) else tuple(f"stem{number}" for number in range(count))


def _read(path: Path, tensor_bytes: dict[str, bytearray] | None = None) -> tuple[Header, safetensors_file.Table]:
    """Header and table of a complete file; ``tensor_bytes`` is filled with the bytes of the tensors by name."""
    with safetensors_file.open_weights(path) as file:
        table = safetensors_file.read_table(path, file)
        without_digest = _parse_header(path, table)
        digest = hashlib.sha256(table.header_bytes)
        for name, tensor in table.tensors.items():
            for block in safetensors_file.read_blocks(path, file, name, tensor):
                digest.update(block)
                if tensor_bytes is not None:
                    tensor_bytes.setdefault(name, bytearray()).extend(block)
    return replace(without_digest, digest=digest.hexdigest()), table


def _parse_header(path: Path, table: safetensors_file.Table) -> Header:
    """The header of a file without the digest, after a check that the tensors are those of the model that it describes."""
    metadata = table.metadata
    if "model" not in metadata:
        raise RequestError(f"{excerpt(path)} holds no configuration of a Stem-JEPA in its header: {REMEDY}")
    if metadata.get("format") != FORMAT:
        other = excerpt(repr(metadata.get("format")), 60)
        raise RequestError(f"{excerpt(path)} is of format {other}, this version reads {FORMAT!r}: use the version that wrote it")
    try:
        model = config.Model.from_dict(safetensors_file.parse_object(metadata["model"]))
        sources = json.loads(metadata["sources"])
        config.check_sources(sources, model.predictor.num_sources)
        provenance, versions = (safetensors_file.parse_object(metadata.get(key, "{}")) for key in ("provenance", "versions"))
        if not all(isinstance(version, str) for version in versions.values()):
            raise ValueError("versions are not strings")
        heard = _heard(json.loads(metadata.get("heard", "[]"))) if model.predictor.instruments == "text" else ()
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError, RequestError) as error:
        raise RequestError(f"the header of {excerpt(path)} describes no Stem-JEPA ({excerpt(error)}): {REMEDY}") from error
    _check_tensors(path, table.tensors, model)
    return Header(model, tuple(sources), provenance, versions, "", heard)


def _heard(names: Any) -> tuple[str, ...]:
    strings = isinstance(names, list) and all(isinstance(name, str) and len(name) <= config.LONGEST_SOURCE for name in names)
    if not strings or len(names) > _MOST_HEARD:
        raise ValueError("heard is no list of names")
    return tuple(names)


def _check_tensors(path: Path, tensors: Mapping[str, safetensors_file.Tensor], model: config.Model) -> None:
    """The cost is bounded by the tensors in the file: a model that claims more is refused at its first missing tensor."""
    expected = set()
    for name, shape in tensor_shapes(model):
        if name not in tensors:
            raise RequestError(f"{excerpt(path)} lacks tensor {name} of the model that its header describes: {REMEDY}")
        if tensors[name].shape != shape:
            sizes = f"{excerpt(tensors[name].shape, 60)}, its header's model has {excerpt(shape, 60)}"
            raise RequestError(f"{excerpt(path)}: tensor {name} is of size {sizes}: {REMEDY}")
        expected.add(name)
    unknown = tensors.keys() - expected
    if unknown:
        tensor = f"unknown tensor {excerpt(min(unknown))} ({len(unknown)} in all)"
        raise RequestError(f"{excerpt(path)} holds {tensor}, not of the model that its header describes: {REMEDY}")


def _unwrapped(network: Any) -> Any:
    """The network without the wrappers of torch.compile and DistributedDataParallel."""
    while type(network).__name__ in ("OptimizedModule", "DistributedDataParallel"):
        network = network._orig_mod if type(network).__name__ == "OptimizedModule" else network.module
    return network


def without_wrappers(key: str) -> str:
    """The name of a tensor without the parts that torch.compile, DistributedDataParallel and Lightning Fabric add.

    >>> without_wrappers("module.encoder._orig_mod.norm.weight")
    'encoder.norm.weight'
    """
    return ".".join(part for part in key.split(".") if part not in _WRAPPERS)


def _without_initialisation() -> Any:
    """A context in which new layers keep uninitialised weights. It saves seconds at base size, and torch's random state stays as it was."""
    import torch
    from torch.overrides import TorchFunctionMode

    initial = torch.nn.init
    initialisers = {torch.Tensor.uniform_, torch.Tensor.normal_, initial.uniform_, initial.normal_, initial.kaiming_uniform_}

    class WithoutInitialisation(TorchFunctionMode):
        def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            return None if function in initialisers else function(*args, **(kwargs or {}))

    return WithoutInitialisation()
