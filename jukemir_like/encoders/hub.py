"""Cards of models of the Hugging Face hub: which files of a repository are needed, for a card that names one, and for ``hf:ORG/NAME``.

Configurations are read before anything large is downloaded: what cannot be run is refused first. The card with commit, files and digests is
written to ``<cache>/weights/<encoder>/card.toml`` once its weights are converted, and counts from then on; to take a newer commit, remove
that folder. What the user's own folder has, or the cache of Hugging Face's own library, is taken from there, and the hub is not asked.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from jukemir_like.core import jsonfiles
from jukemir_like.core.atomic import write_bytes
from jukemir_like.core.cache import Cache
from jukemir_like.core.errors import RequestError
from jukemir_like.encoders import card as cards
from jukemir_like.encoders.card import RESOLVED, Card, WeightFile
from jukemir_like.encoders.model_types import Model
from jukemir_like.encoders.repositories import CONFIG, PREPROCESSOR, WEIGHT_SUFFIXES, Repository, of_folder, on_the_hub, snapshot
from jukemir_like.representations.names import RepresentationName, parse

UNKNOWN_LICENCE = "not known: see its card on the hub"

_CHOOSING = ("config", "model_type", "statistics_file", "unused", "weights_file")  # settings on which files and conversion depend
_WEIGHTS = ("model.safetensors", "pytorch_model.bin")  # in the order of preference; in parts, an index beside them names these
_NAME = re.compile(r"hf:(?P<hub>[A-Za-z0-9][A-Za-z0-9._-]*/[A-Za-z0-9][A-Za-z0-9._-]*)")
_SMALL_BYTES = 32 << 20


def name_of(base: str) -> str:
    """``ORG/NAME`` of ``hf:ORG/NAME``; :class:`RequestError` where it is none.

    >>> name_of("hf:facebook/hubert-base-ls960")
    'facebook/hubert-base-ls960'
    """
    match = _NAME.fullmatch(base)
    if match is None:
        raise RequestError(f"{base} names no model of the Hugging Face hub: hf:ORG/NAME does")
    return match["hub"]


def resolve(name: str, cache: Cache, own_copy: Path | None = None) -> Card:
    """The card of ``hf:ORG/NAME``, with its files.

    Args:
        name: with or without options.
        cache: where an earlier download wrote the card.
        own_copy: a folder that has the files.

    Raises:
        RequestError: no such repository, the hub cannot be asked, or the model cannot be run.
    """
    parsed = parse(name)
    repository_name = name_of(parsed.base)
    before = _pinned(_folder(parsed.base), cache, own_copy)
    if before is not None:
        return before
    repository = _find(repository_name, None, {}, own_copy)
    config, preprocessor = _json(repository, CONFIG), _json(repository, PREPROCESSOR) if PREPROCESSOR in repository.files else {}
    model = Model(str(config.get("model_type")), config, preprocessor, repository_name)
    if model.sample_rate is None:
        raise RequestError(
            f"{repository_name} does not say its sample rate (no {PREPROCESSOR}): write a card for it, and give it with --card"
        )
    licence = repository.licence or UNKNOWN_LICENCE
    card = Card(
        name=_folder(parsed.base),
        title=repository_name.partition("/")[2],
        family="transformers",
        licence=licence,
        commercial="-nc" not in licence.lower(),
        sample_rate=model.sample_rate,
        width=model.width,
        layers=model.layers,
        layer=str(model.layers // 2),
        hub=repository_name,
        settings={"chunk_seconds": model.chunk_seconds},
    )
    return _resolved(card, repository)


def _folder(base: str) -> str:
    return RepresentationName(base).folder


def with_files(card: Card, cache: Cache, own_copy: Path | None = None) -> Card:
    """``card`` with the files of its repository; itself, where it names none, or all files already.

    Raises:
        RequestError: no such repository, or the hub cannot be asked.
    """
    if card.hub is None or card.files:
        return card
    before = _pinned(card.name, cache, own_copy)
    if before is not None and (before.hub, choice(before)) == (card.hub, choice(card)) and card.revision in (None, before.revision):
        return replace(card, revision=before.revision, files=before.files)
    return _resolved(card, _find(card.hub, card.revision, card.settings, own_copy))


def pin(card: Card, cache: Cache) -> None:
    """Writes down the card of what was downloaded and converted, if it is a user's own or of the hub; from then on it counts."""
    path, data = cache.weights(card.name) / RESOLVED, cards.to_toml(card).encode()
    is_known = card.hub is None and card.name in cards.names()
    if not is_known and not (path.exists() and path.read_bytes() == data):
        write_bytes(path, data)


def choice(card: Card) -> str | None:
    """Digest of the settings on which the chosen files and their conversion depend; None: it has none of them."""
    chosen = {name: card.settings[name] for name in _CHOOSING if name in card.settings}
    return hashlib.sha256(json.dumps(chosen, sort_keys=True).encode()).hexdigest() if chosen else None


def _pinned(name: str, cache: Cache, own_copy: Path | None) -> Card | None:
    """The card that an earlier download wrote; None: there is none, or it is of a user's folder, and another one is given."""
    path = cache.weights(name) / RESOLVED
    if not path.exists():
        return None
    before = cards.read_file(path)
    return before if own_copy is None or all(file.urls for file in before.files) else None


def _resolved(card: Card, repository: Repository) -> Card:
    files = tuple(_declare(repository, name) for name in _needed(card.settings, repository))
    return replace(card, revision=repository.revision, files=files)


def _needed(settings: Mapping[str, Any], repository: Repository) -> list[str]:
    """Names of the files that an encoder needs: descriptions, and weights, as safetensors where there are such."""
    described = [] if "config" in settings else [CONFIG]
    wanted = [*described, settings.get("statistics_file")]
    named = [name for name in (*wanted, settings.get("weights_file")) if name is not None]
    if outside := [name for name in named if name.startswith("/") or any(part in ("", ".", "..") for part in name.split("/"))]:
        raise RequestError(f"{outside[0]!r} is no file of a repository: correct the card of {repository.hub}")
    if missing := [name for name in wanted if name is not None and name not in repository.files]:
        raise RequestError(f"{repository.hub} has no {missing[0]}: it is no model that can be run")
    optional = [PREPROCESSOR] if PREPROCESSOR in repository.files else []
    return [*(name for name in wanted if name is not None), *optional, *_weights(settings.get("weights_file"), repository)]


def _weights(chosen: str | None, repository: Repository) -> list[str]:
    for name in _WEIGHTS if chosen is None else (chosen,):
        if name in repository.files:
            return [name]
        if f"{name}.index.json" in repository.files:
            parts = _json(repository, f"{name}.index.json").get("weight_map")
            names = sorted(set(parts.values())) if isinstance(parts, dict) else []
            if names and all(isinstance(part, str) and part in repository.files and "/" not in part for part in names):
                return names
            raise RequestError(f"{repository.hub}: {name}.index.json names files that are not there")
    has = ", ".join(name for name in sorted(repository.files) if name.endswith((*WEIGHT_SUFFIXES, ".h5", ".msgpack", ".onnx", ".pkl")))
    raise RequestError(f"{repository.hub} has no {' or '.join(_WEIGHTS if chosen is None else (chosen,))} (it has {has or 'no weights'})")


def _declare(repository: Repository, name: str) -> WeightFile:
    file = repository.files[name]
    sha256, size, url = file.sha256, file.size, repository.url(name)
    if sha256 is None and (size is None or size <= _SMALL_BYTES):
        data = repository.read(name)
        sha256, size = hashlib.sha256(data).hexdigest(), len(data)
    return WeightFile(name, () if url is None else (url,), sha256=sha256, size=size)


def _json(repository: Repository, name: str) -> dict[str, Any]:
    if name not in repository.files:
        raise RequestError(f"{repository.hub} has no {name}: it is no model that can be run")
    try:
        value = jsonfiles.parse(repository.read(name))
        if not isinstance(value, dict):
            raise ValueError("is no JSON object")
    except ValueError as error:
        raise RequestError(f"{repository.hub}: {name} {error}") from error
    return value


def _find(hub: str, revision: str | None, settings: Mapping[str, Any], own_copy: Path | None) -> Repository:
    """The repository in the user's folder, in the cache of Hugging Face's library if all that is needed is there, or on the hub."""
    if own_copy is not None:
        return of_folder(hub, own_copy, revision)
    folder = snapshot(hub, revision)
    if folder is not None:
        repository = of_folder(hub, folder, revision)
        with suppress(RequestError):
            if all(name in repository.files for name in _needed(settings, repository)):
                return repository
    return on_the_hub(hub, revision or "main")
