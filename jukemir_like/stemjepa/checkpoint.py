"""Weights in a file: safetensors, with the model's configuration, its sources and where it comes from in the header.

What the header says is read without torch, so that the size and the digest of weights cost milliseconds. The file is written here and not
by the safetensors package, whose header changes its order from process to process: same network, same bytes, same digest.
"""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jukemir_like import __version__
from jukemir_like.cache import Cache, atomic
from jukemir_like.errors import RequestError
from jukemir_like.stemjepa import config

if TYPE_CHECKING:
    import torch

    from jukemir_like.stemjepa.network import Network

EMBEDDED = "synthband"
"""The weights that are meant where none are named."""

FORMAT = "jukemir-like stemjepa 1"
SUFFIX = ".safetensors"
FOLDER = Path(__file__).parent / "weights"

_WRAPPERS = {"_orig_mod", "module"}  # torch.compile's and DistributedDataParallel's
_LENGTH_BYTES, _MOST_HEADER_BYTES = 8, 100_000_000  # of the format


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


def resolve(weights: str | Path | None = None, cache: Cache | None = None) -> Path:
    """The file that ``weights`` mean.

    Args:
        weights: a name (of the package's own weights, else of ``checkpoints/<name>.safetensors`` in the cache), or a path, which has a
            ``/`` or the suffix ``.safetensors``; None: the package's own.
        cache: where named weights are looked for; None: the default cache.

    Raises:
        RequestError: no weights are called so. (A path is taken as it is.)
    """
    cache = cache or Cache.default()
    if weights is not None and (isinstance(weights, Path) or "/" in weights or weights.endswith(SUFFIX)):
        return Path(weights)
    name = EMBEDDED if weights is None else weights
    for path in (FOLDER / f"{name}{SUFFIX}", *([cache.checkpoint(name)] if weights is not None else [])):
        if path.is_file():
            return path
    known = ", ".join(names(cache)) or "none are there"
    raise RequestError(f"no weights are called {name!r} (known: {known}): choose one of them, or give the path of a {SUFFIX} file")


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
    check_sources(names_of_sources, model)
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
    encoded += b" " * (-len(encoded) % _LENGTH_BYTES)  # tensors begin at a multiple of 8
    with atomic(path) as temporary, open(temporary, "wb") as file:
        file.write(len(encoded).to_bytes(_LENGTH_BYTES, "little") + encoded)
        for tensor in tensors.values():
            file.write(tensor.numpy().astype("<f2" if half else "<f4", copy=False).data)


def load(path: Path, device: str | torch.device = "cpu") -> Loaded:
    """The network of a file of weights: float32 on ``device``, set to evaluation.

    Raises:
        RequestError: as :func:`header`; or the tensors are not those of the model that the header describes.
    """
    import safetensors.torch
    from safetensors import SafetensorError

    from jukemir_like.stemjepa.network import Network

    found = header(path)
    try:
        tensors = safetensors.torch.load_file(path)
    except (SafetensorError, OSError, ValueError) as error:
        raise RequestError(f"{path} is no whole safetensors file ({error}): {_REMEDY}") from error
    with _without_draws():
        network = Network(found.model)
    _check_tensors(path, {key: tuple(tensor.shape) for key, tensor in tensors.items()}, network)
    network.load_state_dict(tensors)
    return Loaded(network.to(device).eval(), found.model, found.sources, found.provenance, found.digest)


_REMEDY = "give weights that jukemir-like trained, or convert others first"


def header(path: Path) -> Header:
    """What the file says of itself, without its tensors and without torch.

    Raises:
        RequestError: no such file, not safetensors, cut short, or without the configuration of a Stem-JEPA.
    """
    try:
        with open(path, "rb") as file:
            values = _json_header(path, file.read(_LENGTH_BYTES), file, path.stat().st_size)
            file.seek(0)
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        reason = "is not there" if isinstance(error, FileNotFoundError) else f"cannot be read ({(error.strerror or 'error').lower()})"
        raise RequestError(f"the file of weights {path} {reason}: check the path") from error
    metadata = values.get("__metadata__", {})
    if not isinstance(metadata, dict) or "model" not in metadata:
        raise RequestError(f"{path} holds no configuration of a Stem-JEPA in its header: {_REMEDY}")
    if metadata.get("format") != FORMAT:
        raise RequestError(f"{path} is of format {metadata.get('format')!r}, this version reads {FORMAT!r}: use the version that wrote it")
    try:
        model = config.Model.from_dict(json.loads(metadata["model"]))
        sources = tuple(json.loads(metadata["sources"]))
        check_sources(sources, model)
        provenance, versions = (json.loads(metadata.get(key, "{}")) for key in ("provenance", "versions"))
    except (ValueError, TypeError, KeyError, AttributeError, RequestError) as error:
        raise RequestError(f"the header of {path} describes no Stem-JEPA ({error}): {_REMEDY}") from error
    return Header(model, sources, provenance, versions, digest)


def default_sources(model: config.Model) -> tuple[str, ...]:
    """Names of the instruments where nobody named them: bass, drums, other, vocals for four, else stem0, stem1, …."""
    count = model.predictor.num_sources
    return config.SOURCES if count == len(config.SOURCES) else tuple(f"stem{number}" for number in range(count))


def check_sources(sources: Sequence[str], model: config.Model) -> None:
    """:class:`RequestError` where these cannot be the names of the model's instruments."""
    count = model.predictor.num_sources
    if len(sources) != count or len(set(sources)) != count or not all(isinstance(name, str) and name for name in sources):
        raise RequestError(f"sources {', '.join(map(str, sources))}: the model has {count}, give as many different names")


def _json_header(path: Path, length_bytes: bytes, file: Any, size: int) -> dict[str, Any]:
    length = int.from_bytes(length_bytes, "little")
    # A header's length may begin with these bytes too, but is not as large as they would make it.
    if length > _MOST_HEADER_BYTES and (length_bytes[:2] == b"PK" or length_bytes[:1] == b"\x80"):
        raise RequestError(f"{path} is a pickle of PyTorch's, not safetensors: {_REMEDY}")
    try:
        if len(length_bytes) < _LENGTH_BYTES or not 2 <= length <= min(size, _MOST_HEADER_BYTES):
            raise ValueError
        values = json.loads(file.read(length))
        promised = max((entry["data_offsets"][1] for key, entry in values.items() if key != "__metadata__"), default=0)
    except (ValueError, TypeError, KeyError, IndexError, AttributeError) as error:
        raise RequestError(f"{path} is not a safetensors file: {_REMEDY}") from error
    if _LENGTH_BYTES + length + promised != size:
        there = size - _LENGTH_BYTES - length
        raise RequestError(f"{path} is cut short or damaged ({there:,} bytes of tensors where {promised:,} are promised): copy it again")
    return dict(values)


def _check_tensors(path: Path, found: Mapping[str, tuple[int, ...]], network: Network) -> None:
    expected = {key: tuple(tensor.shape) for key, tensor in network.state_dict().items()}
    for word, keys in (("lacks", expected.keys() - found.keys()), ("holds unknown", found.keys() - expected.keys())):
        if keys:
            raise RequestError(f"{path} {word} tensor {min(keys)} ({len(keys)} in all) of the model that its header describes: {_REMEDY}")
    for key, shape in expected.items():
        if found[key] != shape:
            raise RequestError(f"{path}: tensor {key} is of size {found[key]}, its header's model has {shape}: {_REMEDY}")


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
