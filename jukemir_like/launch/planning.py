"""From a stage's command, as it was parsed here, to the container that does the same.

The image of a representation may be anyone's: it knows two folders, under the names of its contract, ``/input`` and ``/output``. All other
stages are this package's own, and see every folder under the path that it has here.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click

from jukemir_like.core import cache as cache_module
from jukemir_like.core.cache import Cache
from jukemir_like.core.errors import RequestError
from jukemir_like.launch import images
from jukemir_like.launch.images import Container
from jukemir_like.launch.paths import PathMapping, command_arguments, is_path_of_weights

INPUT, OUTPUT, CACHE = "/input", "/output", "/cache"  # of the contract of a representation's image

_OPTIONS_OF_THE_CONTRACT = {"batch_size", "batch_idx"}
_OWN_CONFIGS = "configs"  # training's, in the folder where the command is called
_DECLARATIONS = "JUKEMIR_LIKE_DECLARATIONS"
_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")
_CERTIFICATES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")


def plan(context: click.Context) -> Container:
    """The container of the stage whose command was parsed into ``context``.

    Raises:
        RequestError: no image can do this.
        click.UsageError: the command itself would raise it.
    """
    if context.command.name == "extract":
        return extraction(**context.params)
    return _stage(context)


def extraction(
    representation: str, input: str | None, output: str | None, dataset: str | None = None, cache: str | None = None,  # noqa: A002
    weights: str | None = None, **options: Any,
) -> Container:  # fmt: skip
    """The container that extracts ``representation``; the arguments are those of the command ``extract``.

    Raises:
        RequestError: the folder or the weights are missing, or the image does not take one of the options.
    """
    from jukemir_like import extract  # imports NumPy, which --help does without

    folders = Cache.default(cache)
    source, target = extract.folders(representation, input, output, dataset, folders)
    stage = images.for_representation(representation)
    options = {name: value for name, value in options.items() if value is not None}
    paths = PathMapping()
    if images.is_stemjepa(representation):
        options |= _weights(representation, weights, folders, paths)
    elif weights is not None:
        options["weights"] = weights  # the command inside refuses it, as the one outside does
    refused = set() if images.runs_own_extract(representation) else options.keys() - _OPTIONS_OF_THE_CONTRACT
    if refused:
        raise RequestError(f"the image of {representation} takes --batch_size and --batch_idx: leave out --{min(refused)}")
    if not source.is_dir():
        raise RequestError(f"{source} is not a folder: give the folder of audio files")
    paths.mount(source, INPUT)
    paths.mount(target, OUTPUT, writable=True)
    words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    entrypoint = None
    if images.is_stemjepa(representation) and representation != "stemjepa":
        # The image's own entry point extracts plain stemjepa; a variant is named to the program instead.
        entrypoint = (images.PROGRAM, "extract")
        words = [representation, INPUT, OUTPUT, *words]
    return Container(
        images.reference(stage.image),
        tuple(words),
        entrypoint,
        tuple(paths.mounts.values()),
        environment={name: os.environ[name] for name in extract.BATCH_VARIABLES if os.environ.get(name)},
        gpu=stage.gpu,
    )


def _weights(representation: str, weights: str | None, cache: Cache, paths: PathMapping) -> dict[str, str]:
    """Mounts the representation's weights, unless the package contains them; returns the option that names them, if one is needed."""
    from jukemir_like.stemjepa import checkpoint

    if weights is not None and is_path_of_weights(weights):
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
    paths = PathMapping.from_working_folder()
    environment = {cache_module.ENVIRONMENT_VARIABLE: paths.write(Cache.default(context.params.get("cache")).root)}
    if _DECLARATIONS in os.environ:
        environment[_DECLARATIONS] = paths.read(os.environ[_DECLARATIONS])
    network = name == "download" and _needs_network(context.params)
    if network:
        environment |= _network_environment(paths)
    if name == "train":
        paths.read(_OWN_CONFIGS)
    arguments = tuple(command_arguments(context, paths))
    return Container(
        images.reference(stage.image),
        arguments,
        (images.PROGRAM, name),
        tuple(paths.mounts.values()),
        environment,
        network=network,
        gpu=stage.gpu,
        shared_memory=stage.shared_memory,
        working_folder=None if paths.working_folder is None else str(paths.working_folder),
    )


def _needs_network(params: dict[str, Any]) -> bool:
    """Whether a download needs the network: not from the user's own copy, nor for the dataset that is composed."""
    from jukemir_like import datasets

    name = params["dataset"]
    return params["own_copy"] is None and not (datasets.is_known(name) and datasets.assets(name) == "synthband")


def _network_environment(paths: PathMapping) -> dict[str, str]:
    """The proxies of this machine and the certificates that it trusts."""
    names = [name for proxy in _PROXIES for name in (proxy, proxy.lower()) if name in os.environ]
    return {name: os.environ[name] for name in names} | {
        name: paths.read(os.environ[name]) for name in _CERTIFICATES if os.environ.get(name)
    }
