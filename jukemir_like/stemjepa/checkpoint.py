"""Weights in a file: safetensors, with the model's configuration, its sources and where it comes from in the header.

What the header says is read without torch, so that the size and the digest of weights cost milliseconds. The file is written here and not
by the safetensors package, whose header changes its order from process to process: same network, same bytes, same digest.
"""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jukemir_like import __version__
from jukemir_like.core import files
from jukemir_like.core.atomic import atomic_write
from jukemir_like.core.cache import Cache
from jukemir_like.core.errors import RequestError
from jukemir_like.stemjepa import config, shapes, tensorfile
from jukemir_like.stemjepa.config import is_name, shown
from jukemir_like.stemjepa.tensorfile import REMEDY

if TYPE_CHECKING:
    import torch

    from jukemir_like.stemjepa.network import Network

EMBEDDED = "synthband"
"""The weights that are meant where none are named."""

SUFFIX = config.SUFFIX
FORMAT = "jukemir-like stemjepa 1"
FOLDER = Path(__file__).parent / "weights"

_WRAPPERS = {"_orig_mod", "module"}  # torch.compile's and DistributedDataParallel's
_ALIGNED = 8  # bytes; the header is filled up so that the tensors begin at a multiple of it


@dataclass(frozen=True)
class Header:
    """What a file of weights says of itself.

    Args:
        model: what the network is made of.
        sources: names of the instruments, in the order of their numbers.
        provenance: how the weights came about (JSON values).
        versions: of the software that wrote the file.
        digest: SHA-256 of the file, hexadecimal.
    """

    model: config.Model
    sources: tuple[str, ...]
    provenance: dict[str, Any]
    versions: dict[str, str]
    digest: str


@dataclass(frozen=True)
class Loaded:
    """A network with its weights; the rest is as in :class:`Header`."""

    network: Network
    model: config.Model
    sources: tuple[str, ...]
    provenance: dict[str, Any]
    digest: str


def names(cache: Cache | None = None) -> list[str]:
    """Names of weights, sorted: those in the package, and with ``cache`` those in its ``checkpoints/`` too."""
    everywhere = cache.checkpoint("*").parent if cache else FOLDER
    return sorted({path.name.removesuffix(SUFFIX) for folder in (FOLDER, everywhere) for path in folder.glob(f"[!.]*{SUFFIX}")})


def listed(cache: Cache) -> list[str]:
    """:func:`names`, with a word behind those whose header is not one of weights (their tensors are not read)."""
    told = []
    for name in names(cache):
        try:
            path = resolve(name, cache)
            with tensorfile.opened(path) as file:
                _described(path, tensorfile.table(path, file))
            told.append(name)
        except RequestError:
            told.append(f"{shown(name)} (unusable)")
    return told


def resolve(weights: str | Path | None = None, cache: Cache | None = None) -> Path:
    """The file that ``weights`` mean.

    Args:
        weights: a name (of the package's own weights, else of ``checkpoints/<name>.safetensors`` in the cache), or a path, which has a
            ``/`` or the suffix ``.safetensors``; None: the package's own.
        cache: where named weights are looked for; None: the default cache.

    Raises:
        RequestError: no weights are called so, or the system refuses to look. (A path is taken as it is.)
    """
    cache = cache or Cache.default()
    if weights is not None and (isinstance(weights, Path) or "/" in weights or weights.endswith(SUFFIX)):
        return Path(weights)
    name = EMBEDDED if weights is None else weights
    if is_name(name):
        for path in (FOLDER / f"{name}{SUFFIX}", *([cache.checkpoint(name)] if weights is not None else [])):
            try:
                path.lstat()  # whatever it is: what is wrong with it is said where it is opened
            except (FileNotFoundError, NotADirectoryError):
                continue
            except OSError as error:
                raise RequestError(
                    f"weights {shown(name, 60)!r}: the file {files.refusal(error)}: choose others, or give a path"
                ) from error
            return path
    known = ", ".join(map(shown, names(cache))) or "none are there"
    raise RequestError(
        f"no weights are called {shown(name, 60)!r} (known: {known}): choose one of them, or give the path of a {SUFFIX} file"
    )


def save(path: Path, network: Network, *, provenance: Mapping[str, Any], sources: Sequence[str] | None = None, half: bool = False) -> None:
    """Writes encoder, teacher and predictor, whole or not at all. Same arguments, same bytes.

    Args:
        path: should end in ``.safetensors``.
        network: may be compiled or wrapped, as a whole or in parts; the names in the file do not show it.
        provenance: how the weights came about (JSON values).
        sources: names of the instruments, in the order of their numbers; None: see :func:`default_sources`.
        half: store float16 (half the size, about 0.05 % of precision) instead of float32.

    Raises:
        RequestError: not as many names as the model has sources, or weights that float16 cannot hold.
        StorageError: the file cannot be written; one that stood there before is kept.
    """
    import torch

    model: config.Model = _bare(network).settings
    names_of_sources = default_sources(model) if sources is None else tuple(sources)
    config.check_sources(names_of_sources, model.predictor.num_sources)
    kind = torch.float16 if half else torch.float32
    tensors = {_plain(key): tensor.detach().to("cpu", kind).contiguous() for key, tensor in sorted(_bare(network).state_dict().items())}
    metadata = {
        "format": FORMAT,
        "model": json.dumps(model.to_dict()),
        "sources": json.dumps(names_of_sources),
        "provenance": json.dumps(dict(provenance), allow_nan=False),
        "versions": json.dumps({"jukemir-like": __version__, "torch": torch.__version__, "python": platform.python_version()}),
    }
    header: dict[str, Any] = {"__metadata__": metadata}
    end = 0
    for key, tensor in tensors.items():
        if half and bool(torch.isinf(tensor).any()):
            raise RequestError(f"{key} holds values beyond float16's range: save these weights as float32")
        begin, end = end, end + tensor.nbytes
        header[key] = {"dtype": "F16" if half else "F32", "shape": list(tensor.shape), "data_offsets": [begin, end]}
    encoded = json.dumps(header).encode()
    encoded += b" " * (-len(encoded) % _ALIGNED)
    with atomic_write(path) as temporary, open(temporary, "wb") as file:
        file.write(len(encoded).to_bytes(8, "little") + encoded)
        for tensor in tensors.values():
            file.write(tensor.numpy().astype("<f2" if half else "<f4", copy=False).data)


def load(path: Path, device: str | torch.device = "cpu") -> Loaded:
    """The network of a file of weights: float32 on ``device``, set to evaluation. The file is read once.

    Raises:
        RequestError: as :func:`header`.
    """
    import torch

    from jukemir_like.stemjepa.network import Network

    parts: dict[str, bytearray] = {}
    found, table = _read(path, parts)
    kinds = {"F16": torch.float16, "BF16": torch.bfloat16, "F32": torch.float32, "F64": torch.float64}
    with _without_draws():
        network = Network(found.model)
    network.load_state_dict(
        {name: torch.frombuffer(parts[name], dtype=kinds[tensor.dtype]).view(tensor.shape) for name, tensor in table.tensors.items()}
    )
    return Loaded(network.to(device).eval(), found.model, found.sources, found.provenance, found.digest)


def header(path: Path) -> Header:
    """What the file says of itself, and that it is whole: no network is made, and torch is not needed.

    Raises:
        RequestError: no such file, not safetensors, cut short, without the configuration of a Stem-JEPA, or its tensors are not those of
            the model that the configuration describes, or not finite.
    """
    return _read(path)[0]


def _read(path: Path, parts: dict[str, bytearray] | None = None) -> tuple[Header, tensorfile.Table]:
    """Header and table of a file that is whole; ``parts`` takes up the tensors' bytes."""
    with tensorfile.opened(path) as file:
        table = tensorfile.table(path, file)
        found = _described(path, table)
        digest = hashlib.sha256(table.head)
        for name, tensor in table.tensors.items():
            for block in tensorfile.blocks(path, file, name, tensor):
                digest.update(block)
                if parts is not None:
                    parts.setdefault(name, bytearray()).extend(block)
    return replace(found, digest=digest.hexdigest()), table


def _described(path: Path, table: tensorfile.Table) -> Header:
    """What a table says, without the digest, once it has the tensors of the model that it describes."""
    metadata = table.metadata
    if "model" not in metadata:
        raise RequestError(f"{shown(path)} holds no configuration of a Stem-JEPA in its header: {REMEDY}")
    if metadata.get("format") != FORMAT:
        other = shown(repr(metadata.get("format")), 60)
        raise RequestError(f"{shown(path)} is of format {other}, this version reads {FORMAT!r}: use the version that wrote it")
    try:
        model = config.Model.from_dict(tensorfile.parse(metadata["model"]))
        sources = json.loads(metadata["sources"])
        config.check_sources(sources, model.predictor.num_sources)
        provenance, versions = (tensorfile.parse(metadata.get(key, "{}")) for key in ("provenance", "versions"))
        if not all(isinstance(version, str) for version in versions.values()):
            raise ValueError("versions are no strings")
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError, RequestError) as error:
        raise RequestError(f"the header of {shown(path)} describes no Stem-JEPA ({shown(error)}): {REMEDY}") from error
    _check_tensors(path, table.tensors, model)
    return Header(model, tuple(sources), provenance, versions, digest="")


def default_sources(model: config.Model) -> tuple[str, ...]:
    """Names of the instruments where nobody named them: bass, drums, other, vocals for four, else stem0, stem1, …."""
    count = model.predictor.num_sources
    return config.SOURCES if count == len(config.SOURCES) else tuple(f"stem{number}" for number in range(count))


def _check_tensors(path: Path, there: Mapping[str, tensorfile.Tensor], model: config.Model) -> None:
    """A model that claims more than the file has costs no more than looking at what the file has."""
    expected = set()
    for name, shape in shapes.of(model):
        if name not in there:
            raise RequestError(f"{shown(path)} lacks tensor {name} of the model that its header describes: {REMEDY}")
        if there[name].shape != shape:
            sizes = f"{shown(there[name].shape, 60)}, its header's model has {shown(shape, 60)}"
            raise RequestError(f"{shown(path)}: tensor {name} is of size {sizes}: {REMEDY}")
        expected.add(name)
    unknown = there.keys() - expected
    if unknown:
        word = f"holds unknown tensor {shown(min(unknown))} ({len(unknown)} in all)"
        raise RequestError(f"{shown(path)} {word}, not of the model that its header describes: {REMEDY}")


def _bare(network: Any) -> Any:
    """The network in its wrappers."""
    while type(network).__name__ in ("OptimizedModule", "DistributedDataParallel"):
        network = network._orig_mod if type(network).__name__ == "OptimizedModule" else network.module
    return network


def _plain(key: str) -> str:
    return ".".join(part for part in key.split(".") if part not in _WRAPPERS)


def _without_draws() -> Any:
    """A context in which new layers draw no initial weights: seconds at base size, and the random state stays as it was."""
    import torch
    from torch.overrides import TorchFunctionMode

    initial = torch.nn.init
    draws = {torch.Tensor.uniform_, torch.Tensor.normal_, initial.uniform_, initial.normal_, initial.kaiming_uniform_}

    class WithoutDraws(TorchFunctionMode):
        def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            return None if function in draws else function(*args, **(kwargs or {}))

    return WithoutDraws()
