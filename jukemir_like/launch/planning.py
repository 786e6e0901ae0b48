"""From a stage's command, as it was parsed here, to the container that does the same."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click

from jukemir_like.core import cache as cache_room
from jukemir_like.core.cache import Cache
from jukemir_like.core.errors import RequestError
from jukemir_like.launch import arguments, images
from jukemir_like.launch.container import Container
from jukemir_like.launch.paths import Paths

INPUT, OUTPUT, CACHE = "/input", "/output", "/cache"  # of the contract of a representation's image
BATCH_VARIABLES = ("SLURM_ARRAY_TASK_ID", "JOB_COMPLETION_INDEX")

_OF_THE_CONTRACT = {"batch_size", "batch_idx"}
_OWN_CONFIGS = "configs"  # of training, where the command is called
_DECLARATIONS = "JUKEMIR_LIKE_DECLARATIONS"
_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")
_CERTIFICATES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")


def plan(context: click.Context) -> Container:
    """The container of the stage whose command was parsed into ``context``.

    Raises:
        RequestError: no image can do this.
        click.UsageError: as the command itself.
    """
    if context.command.name == "extract":
        return extraction(**context.params)
    return _stage(context)


def extraction(
    representation: str, input: str | None, output: str | None, dataset: str | None = None, cache: str | None = None,  # noqa: A002
    weights: str | None = None, **options: Any,
) -> Container:  # fmt: skip
    """The container that extracts ``representation``; the arguments are those of the command.

    Raises:
        RequestError: no such folder or weights, or an option that the image does not take.
    """
    from jukemir_like import extract  # imports NumPy, which --help does without

    folders = Cache.default(cache)
    source, target = extract.folders(representation, input, output, dataset, folders)
    stage = images.of_representation(representation)
    options = {name: value for name, value in options.items() if value is not None}
    paths = Paths()
    if images.is_stemjepa(representation):
        options |= _weights(representation, weights, folders, paths)
    elif weights is not None:
        options["weights"] = weights  # refused, as it is outside
    refused = set() if images.is_ours(representation) else options.keys() - _OF_THE_CONTRACT
    if refused:
        raise RequestError(f"the image of {representation} takes --batch_size and --batch_idx: leave out --{min(refused)}")
    if not source.is_dir():
        raise RequestError(f"{source} is not a folder: give the folder of audio files")
    paths.mount(source, INPUT)
    paths.mount(target, OUTPUT, written=True)
    words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    entrypoint = None
    if images.is_stemjepa(representation) and representation != "stemjepa":
        entrypoint = (images.PROGRAM, "extract")
        words = [representation, INPUT, OUTPUT, *words]
    return Container(
        images.reference(stage.image),
        tuple(words),
        entrypoint,
        tuple(paths.mounts.values()),
        environment={name: os.environ[name] for name in BATCH_VARIABLES if os.environ.get(name)},
        gpu=stage.gpu,
    )


def _weights(representation: str, weights: str | None, cache: Cache, paths: Paths) -> dict[str, str]:
    """Shows the weights that the representation has, where they are not in the package; returns what is to be said of them."""
    from jukemir_like.stemjepa import checkpoint

    if weights is not None and arguments.is_path(weights):
        return {"weights": paths.read(weights)}
    name = weights
    if name is None:
        name = representation.removeprefix("stemjepa").removesuffix("-untrained").removeprefix("-") or None
    file = checkpoint.resolve(name, cache)
    if file.parent != checkpoint.FOLDER:
        paths.mount(file, str(Cache(Path(CACHE)).checkpoint(str(name))))
    return {} if weights is None else {"weights": weights}


def _stage(context: click.Context) -> Container:
    name = str(context.command.name)
    stage = images.STAGES[name]
    paths = Paths.from_here()
    environment = {cache_room.ENVIRONMENT_VARIABLE: paths.write(Cache.default(context.params.get("cache")).root)}
    if _DECLARATIONS in os.environ:
        environment[_DECLARATIONS] = paths.read(os.environ[_DECLARATIONS])
    network = name == "download" and _downloads(context.params)
    if network:
        environment |= _way_out(paths)
    if name == "train":
        paths.read(_OWN_CONFIGS)
    words = tuple(arguments.given(context, paths))
    return Container(
        images.reference(stage.image),
        words,
        (images.PROGRAM, name),
        tuple(paths.mounts.values()),
        environment,
        network=network,
        gpu=stage.gpu,
        shared_memory=stage.shared_memory,
        folder=None if paths.here is None else str(paths.here),
    )


def _downloads(params: dict[str, Any]) -> bool:
    """Whether the network is needed: neither for an own copy nor for the dataset that is composed."""
    from jukemir_like import datasets

    name = params["dataset"]
    return params["own_copy"] is None and not (datasets.is_known(name) and datasets.assets(name) == "synthband")


def _way_out(paths: Paths) -> dict[str, str]:
    """The proxies of this machine and the certificates that it trusts."""
    names = [name for proxy in _PROXIES for name in (proxy, proxy.lower()) if name in os.environ]
    return {name: os.environ[name] for name in names} | {
        name: paths.read(os.environ[name]) for name in _CERTIFICATES if os.environ.get(name)
    }
