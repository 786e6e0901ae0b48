"""From a stage's command, as it was parsed here, to the container that does the same: image, arguments, and what it sees of this machine.

The image of a representation may be anyone's: it knows two folders, under the names of its contract, ``/input`` and ``/output``. All other
stages are this package's own, and see every folder under the path that it has here. A path keeps its name in the container where the image
has nothing of its own there, so that messages, the settings of a run and the index of a library are the same inside and outside; other
paths appear under ``/host``.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from glob import escape
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from jukemir_like.core import cache as cache_module
from jukemir_like.core.cache import Cache, representation_folder
from jukemir_like.core.errors import RequestError
from jukemir_like.core.files import printable
from jukemir_like.launch import images
from jukemir_like.launch.images import Container, Mount
from jukemir_like.packs import origin
from jukemir_like.representations.names import parse

INPUT, OUTPUT, CACHE = "/input", "/output", "/cache"  # of the contract of a representation's image
ELSEWHERE = "/host"  # where a container sees what it cannot see under its own path

_OPTIONS_OF_THE_CONTRACT = {"batch_size", "batch_idx"}
_OWN_CONFIGS = "configs"  # training's, in the folder where the command is called
_DECLARATIONS = "JUKEMIR_LIKE_DECLARATIONS"
_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")
_CERTIFICATES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
_FOLDERS_OF_IMAGES = frozenset(
    ("", "bin", "boot", "dev", "etc", "host", "input", "lib", "lib32", "lib64", "opt", "output", "proc", "run", "sbin", "sys", "usr")
)
_WRITABLE_OPTIONS = {"cache", "output"}
_PATH_OVERRIDE = re.compile(r"(\+{0,2}(?:data\.(?:data_path|valid_path)|init\.weights))=(.+)", re.DOTALL)


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
    weights: str | None = None, layers: str | None = None, card: str | None = None, **options: Any,
) -> Container:  # fmt: skip
    """The container that extracts ``representation``; the arguments are those of the command ``extract``.

    Raises:
        RequestError: the folder or the weights are missing, or the image does not take one of the options.
    """
    from jukemir_like import extract  # imports NumPy, which --help does without
    from jukemir_like.extract.listing import how_to_get

    folders = Cache.default(cache)
    representation = extract.kept_name(representation, weights, dataset, folders)
    source, target = extract.folders(representation, input, output, dataset, folders, layers=layers)
    for vectors in [target, *(target.glob(f"{escape(representation_folder(representation))}.layer*") if layers else [])]:
        origin.refuse_extraction(vectors)
    described = described_by(representation, card, folders)
    family, image = images.family_of(representation, described), images.image_of(representation, described)
    options = {name: value for name, value in (options | {"layers": layers}).items() if value is not None and value is not False}
    paths = PathMapping()
    if family.weights == images.CHECKPOINTS:
        options |= _checkpoint(representation, weights, folders, paths)
    elif family.weights == images.WEIGHTS:
        options |= _encoder(representation, weights, card, folders, paths)
    elif weights is not None:
        options["weights"] = weights  # which the command inside refuses as outside
    refused = set() if family.all_options else options.keys() - _OPTIONS_OF_THE_CONTRACT
    if refused:
        raise RequestError(f"the image of {representation} takes --batch_size and --batch_idx: leave out --{min(refused)}")
    if not source.is_dir():
        raise RequestError(f"{source} is not a folder: {how_to_get(source)}")
    paths.mount(source, INPUT)
    paths.mount(target, OUTPUT, writable=True)
    words = [word for name, value in options.items() for word in (f"--{name}", *([] if value is True else [str(value)]))]
    entrypoint = None
    if representation != family.name:
        # The image's own entry point extracts the representation that the family is named after; a variant is named to the program.
        entrypoint = (images.PROGRAM, "extract")
        words = [representation, INPUT, OUTPUT, *words]
    return Container(
        images.reference(image),
        tuple(words),
        entrypoint,
        tuple(paths.mounts.values()),
        environment={name: os.environ[name] for name in extract.BATCH_VARIABLES if os.environ.get(name)},
        gpu=family.torch,
    )


def described_by(representation: str, card: str | None, cache: Cache) -> str | Path | None:
    """The card of an encoder that is not of this package: the one given, or that of the cache; None: there is none."""
    from jukemir_like.encoders import encoder

    return card or encoder.own_card(representation, cache)


def _checkpoint(representation: str, weights: str | None, cache: Cache, paths: PathMapping) -> dict[str, str]:
    """Mounts Stem-JEPA's weights, unless the package contains them; returns the option that names them, if one is needed."""
    from jukemir_like.representations.stemjepa import parse_name
    from jukemir_like.stemjepa import checkpoint

    if weights is not None and is_path_of_weights(weights):
        return {"weights": paths.read(weights)}
    name = parse_name(representation)[0] if weights is None else weights
    file = checkpoint.resolve(name, cache)
    if file.parent != checkpoint.FOLDER:
        paths.mount(file, str(Cache(Path(CACHE)).checkpoint(str(name))))
    return {} if weights is None else {"weights": weights}


def _encoder(representation: str, weights: str | None, card: str | None, cache: Cache, paths: PathMapping) -> dict[str, str]:
    """Mounts the folders of an encoder in the cache, or the files that are given instead; returns the options that name these."""
    from jukemir_like.encoders import encoder
    from jukemir_like.encoders import weights as encoder_weights

    options = {name: paths.read(path) for name, path in (("weights", weights), ("card", card)) if path is not None}
    described = encoder.find_card(representation, cache=cache, card=card)
    folders = {cache.weights(parse(representation).folder)} if card is None else set()
    if weights is None:
        folders.add(encoder_weights.locate(described, cache).parent)
    for folder in sorted(folders):
        if folder.is_dir():
            paths.mount(folder, str(Cache(Path(CACHE)).weights(folder.name)))
    return options


def _stage(context: click.Context) -> Container:
    name = str(context.command.name)
    stage = images.STAGES[name]
    image = _image_with_converter(context.params) if name == "download" else stage.image
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
        images.reference(image),
        arguments,
        (images.PROGRAM, name),
        tuple(paths.mounts.values()),
        environment,
        network=network,
        gpu=stage.gpu,
        shared_memory=stage.shared_memory,
        working_folder=None if paths.working_folder is None else str(paths.working_folder),
    )


def _image_with_converter(params: dict[str, Any]) -> str:
    """The image for a download: of an encoder its own, which converts its weights."""
    from jukemir_like.encoders import encoder

    name, card, cache = params["dataset"], params.get("card"), Cache.default(params.get("cache"))
    if not encoder.is_encoder(name, card, cache):
        return images.STAGES["download"].image
    return images.image_of(name, described_by(name, card, cache))


def _needs_network(params: dict[str, Any]) -> bool:
    """Whether a download needs the network: not from the user's own copy, nor for a dataset that is composed."""
    from jukemir_like import datasets

    name = params["dataset"]
    return params["own_copy"] is None and not (datasets.is_known(name) and datasets.assets(name) in datasets.COMPOSED)


def _network_environment(paths: PathMapping) -> dict[str, str]:
    """The proxies of this machine and the certificates that it trusts."""
    names = [name for proxy in _PROXIES for name in (proxy, proxy.lower()) if name in os.environ]
    return {name: os.environ[name] for name in names} | {
        name: paths.read(os.environ[name]) for name in _CERTIFICATES if os.environ.get(name)
    }


# ---- paths and arguments ----


@dataclass
class PathMapping:
    """From paths of this machine to paths of a container. The mounts grow with every path that is mapped.

    Args:
        working_folder: the container's, under the same path here, from which relative paths are understood; None: paths are made absolute.
        mounts: by target.

    >>> mapping = PathMapping()
    >>> mapping.read("/usr")
    '/host/0/usr'
    >>> mapping.mounts["/host/0/usr"].writable
    False
    """

    working_folder: Path | None = None
    mounts: dict[str, Mount] = field(default_factory=dict)

    @classmethod
    def from_working_folder(cls) -> PathMapping:
        """With the working folder of this process, if a container can have the same."""
        folder = Path.cwd()
        return cls(None if _is_of_images(folder) else folder)

    def read(self, path: str | os.PathLike[str]) -> str:
        """The path under which the container reads ``path``. One that does not exist here is missing inside too: the stage reports it."""
        return self._map(path, writable=False)

    def write(self, path: str | os.PathLike[str]) -> str:
        """The path under which the container writes to the folder ``path``."""
        return self._map(path, writable=True)

    def mount(self, path: str | os.PathLike[str], target: str, *, writable: bool = False) -> None:
        """Shows ``path`` as ``target``.

        Raises:
            RequestError: the path is not UTF-8, which engines do not accept.
        """
        source = absolute(path)
        try:
            str(source).encode()
        except UnicodeEncodeError:
            name = printable(str(source))
            raise RequestError(f"an engine takes no path that is not UTF-8, as {name} is: give it another name, or run without") from None
        earlier = self.mounts.get(target)
        self.mounts[target] = Mount(source, target, writable or (earlier is not None and earlier.writable))

    def _map(self, given: str | os.PathLike[str], *, writable: bool) -> str:
        path = absolute(given)
        target = self._target(path)
        if writable or path.exists():
            self.mount(path, target, writable=writable)
        means_the_same_inside = self.working_folder is not None and str(self.working_folder / given) == target
        return os.fspath(given) if means_the_same_inside else target

    def _target(self, path: Path) -> str:
        if not _is_of_images(path):
            return str(path)
        earlier = next((mount.target for mount in self.mounts.values() if mount.source == path), None)
        return earlier or f"{ELSEWHERE}/{len(self.mounts)}/{path.name or 'root'}"


def absolute(path: str | os.PathLike[str]) -> Path:
    """``path`` from the root. One with ``..`` is resolved, as containers know folders by one path; in others, links stay as they are.

    >>> str(absolute("/data/../music"))
    '/music'
    """
    given = Path(path)
    return given.resolve() if ".." in given.parts else given.absolute()


def command_arguments(context: click.Context, paths: PathMapping) -> Iterator[str]:
    """The arguments that were given on the command line, options first, for the same command in a container; paths mapped by ``paths``."""
    parameters = [
        parameter
        for parameter in context.command.params
        if parameter.name in context.params and context.get_parameter_source(parameter.name) is ParameterSource.COMMANDLINE
    ]
    options = [parameter for parameter in parameters if isinstance(parameter, click.Option)]
    for option in options:
        value = context.params[str(option.name)]
        name = max(option.opts, key=len)
        for item in value if option.multiple else (value,):
            if option.is_flag:
                yield name
            else:
                mapped = _mapped(option, str(item), paths)
                yield from (f"{name}={mapped}",) if mapped.startswith("-") else (name, mapped)
    arguments = [parameter for parameter in parameters if not isinstance(parameter, click.Option)]
    if arguments:
        yield "--"  # what follows may begin with a dash
    for argument in arguments:
        value = context.params[str(argument.name)]
        for item in value if argument.nargs != 1 else (value,):
            yield _mapped(argument, str(item), paths)


def is_path_of_weights(weights: str) -> bool:
    """Whether ``weights`` is the path of a file, and not the name of weights in the package or the cache.

    >>> [is_path_of_weights(weights) for weights in ("mine", "mine.safetensors", "runs/mine")]
    [False, True, True]
    """
    from jukemir_like.stemjepa import checkpoint

    return "/" in weights or weights.endswith(checkpoint.SUFFIX)


def _mapped(parameter: click.Parameter, value: str, paths: PathMapping) -> str:
    """``value`` of ``parameter``, as the container gets it."""
    if parameter.name == "overrides":
        override = _PATH_OVERRIDE.fullmatch(value)
        if override is None or (override[1].endswith("weights") and not is_path_of_weights(_unquoted(override[2]))):
            return value
        if several := _several(override[2]):
            return f"{override[1]}=[{','.join(map(_mounted, map(paths.read, several)))}]"
        return f"{override[1]}={_mounted(paths.read(_unquoted(override[2])))}"
    if isinstance(parameter.type, click.Path) or (parameter.name == "weights" and is_path_of_weights(value)):
        return (paths.write if parameter.name in _WRITABLE_OPTIONS else paths.read)(value)
    return value


def _unquoted(value: str) -> str:
    """The value of one of Hydra's overrides, which may be in quotes."""
    if len(value) > 1 and value[0] == value[-1] and value[0] in "'\"":
        return value[1:-1].replace(f"\\{value[0]}", value[0]).replace("\\\\", "\\")
    return value


def _several(value: str) -> list[str]:
    """The paths of one of Hydra's overrides that is a list; none where it is one path."""
    if not (value.startswith("[") and value.endswith("]")):
        return []
    return [_unquoted(path.strip()) for path in re.findall(r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|[^,]+""", value[1:-1]) if path.strip()]


def _mounted(path: str) -> str:
    return f"'{_quoted(path)}'"


def _quoted(value: str) -> str:
    return value.replace("\\", "\\\\").replace("'", "\\'")


def _is_of_images(path: Path) -> bool:
    return (*path.parts, "")[1] in _FOLDERS_OF_IMAGES
