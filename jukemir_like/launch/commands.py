"""Command lines for a shell: a container by Docker or Apptainer, this program alone, and every batch of an extraction."""

from __future__ import annotations

import shlex
import shutil
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from jukemir_like import extract
from jukemir_like.core.cache import Cache
from jukemir_like.launch import batch_numbers, confinement, images, planning
from jukemir_like.launch.images import Container
from jukemir_like.launch.planning import absolute, is_path_of_weights


def batches(
    representation: str, input: str | None, output: str | None, dataset: str | None, cache: str | None, *,  # noqa: A002
    batch_size: int, runner: str, gpus: bool = False, image: str | None = None, only: str | None = None, **options: Any,
) -> Iterator[str]:  # fmt: skip
    """One command line per batch, in order; they can be run in any order, at the same time, and from any folder.

    Args:
        representation, input, output, dataset, cache, options: as those of the command ``extract``.
        batch_size: files per batch.
        runner: ``docker``, ``apptainer`` or ``plain``.
        gpus: whether containers get the GPUs.
        image: to be used instead of the representation's own.
        only: list of the batches wanted, such as ``3,17-20``; None: all.

    Raises:
        RequestError: the folder is missing or has no audio in it, there is no such batch, or the representation's image does not take one
            of the options.
    """
    representation = extract.kept_name(representation, options.get("weights"), dataset, Cache.default(cache))
    source, _ = extract.folders(representation, input, output, dataset, Cache.default(cache), layers=options.get("layers"))
    _, number = batch_numbers.count(source, batch_size)
    for batch_idx in range(number) if only is None else batch_numbers.parse(only, number):
        batch = {"batch_size": batch_size, "batch_idx": batch_idx, **options}
        if runner == "plain":
            yield plain(extract_arguments(representation, (input, output), dataset, cache, batch))
        else:
            container = planning.extraction(representation, input, output, dataset, cache, **batch)
            # The batch stands in the options; a variable of this shell says nothing about the shell that runs the line.
            container = replace(container, image=image or container.image, environment={})
            yield {"docker": docker, "apptainer": apptainer}[runner](container, gpus=gpus)


def docker(container: Container, *, gpus: bool = False) -> str:
    """The command line that runs ``container`` by ``docker run``, for the user who runs the line, wherever that is.

    >>> docker(Container("stemjepa/probe:1"))
    'docker run --rm --init --network none ... --user "$(id -u):$(id -g)" stemjepa/probe:1'
    """
    start = shlex.join(["docker", "run", "--rm", *confinement.docker_options(container)]) + (f" {confinement.DOCKER_GPUS}" if gpus else "")
    words = [*confinement.docker_mounts(container), *_environment(container)]
    words += ["--workdir", container.working_folder] if container.working_folder else []
    entrypoint = list(container.entrypoint or ())
    words += ["--entrypoint", entrypoint[0]] if entrypoint else []
    before, after = shlex.join(words), shlex.join([container.image, *entrypoint[1:], *container.arguments])
    return f"{_make_folders(container)}{' '.join(filter(None, [start, before]))} {confinement.USER} {after}"


def apptainer(container: Container, *, gpus: bool = False) -> str:
    """The command line that runs ``container`` by ``apptainer``, which runs it as the user who runs the line.

    An image whose name includes a registry's host is fetched from there, another from the Docker engine of the machine; a ``.sif`` file
    is used as it is.

    >>> apptainer(Container("stemjepa/probe:1"))
    'apptainer run --containall docker-daemon:stemjepa/probe:1'
    """
    words = ["apptainer", "exec" if container.entrypoint else "run", *confinement.apptainer_options()]
    start = shlex.join(words) + (f" {confinement.APPTAINER_GPUS}" if gpus else "")
    words = [*confinement.apptainer_mounts(container), *_environment(container)]
    words += ["--pwd", container.working_folder] if container.working_folder else []
    words += [apptainer_source(container.image), *(container.entrypoint or ()), *container.arguments]
    return f"{_make_folders(container)}{start} {shlex.join(words)}"


def plain(arguments: Iterable[str]) -> str:
    """The command line that runs this package's program with ``arguments``; by the interpreter's path where it is not on the PATH."""
    program = [images.PROGRAM] if shutil.which(images.PROGRAM) else [sys.executable, "-m", "jukemir_like"]
    return shlex.join([*program, *arguments])


def extract_arguments(
    representation: str, folders: tuple[str | None, ...], dataset: str | None, cache: str | None, options: Mapping[str, Any]
) -> Iterator[str]:
    """The arguments of ``extract``, which comes first, with absolute paths.

    A cache that matters is named, as its variable may not be set where the line is run.
    """
    yield "extract"
    family = images.family_of(representation, planning.described_by(representation, options.get("card"), Cache.default(cache)))
    if dataset is not None or family.weights:
        yield from ("--cache", str(absolute(Cache.default(cache).root)))
    if dataset is not None:
        yield from ("--dataset", dataset)
    for name, value in options.items():
        if value is True:
            yield f"--{name}"
        elif value is not None and value is not False:
            is_path = name == "card" or (name == "weights" and (family.weights == images.WEIGHTS or is_path_of_weights(value)))
            yield from (f"--{name}", str(absolute(value)) if is_path else str(value))
    yield from ("--", representation, *(str(absolute(folder)) for folder in folders if folder is not None))


def collect(source: Path, target: Path, batch_size: int) -> str:
    """The command that tells what became of all batches, also of those that never began.

    >>> collect(Path("/music"), Path("/vectors"), 256)
    'jukemir-like commands collect /vectors --input /music --batch_size 256'
    """
    return shlex.join(
        [images.PROGRAM, "commands", "collect", str(absolute(target)), "--input", str(absolute(source)), "--batch_size", str(batch_size)]
    )


def _make_folders(container: Container) -> str:
    """A command that makes the writable folders first: an engine would make them as root."""
    folders = [str(mount.source) for mount in container.mounts if mount.writable]
    return f"mkdir -p {shlex.join(folders)} && " if folders else ""


def _environment(container: Container) -> list[str]:
    return [word for name, value in container.environment.items() for word in ("--env", f"{name}={value}")]


def apptainer_source(image: str) -> str:
    """What Apptainer calls the image: a file, one in a registry, or one of this machine's Docker engine.

    >>> apptainer_source("ghcr.io/someone/probe:1"), apptainer_source("stemjepa/probe:1")
    ('docker://ghcr.io/someone/probe:1', 'docker-daemon:stemjepa/probe:1')
    """
    if image.endswith(".sif"):
        return str(Path(image).absolute())
    host = image.partition("/")[0]
    return f"docker://{image}" if set(".:") & set(host) or host == "localhost" else f"docker-daemon:{image}"
