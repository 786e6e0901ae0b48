"""A container as a line for a shell: Docker's, Apptainer's, or that of the program alone."""

from __future__ import annotations

import csv
import io
import shlex
import shutil
import sys
from collections.abc import Iterable
from pathlib import Path

from jukemir_like.launch import images
from jukemir_like.launch.container import Container, Mount

_USER = '--user "$(id -u):$(id -g)"'  # of whom pastes it, wherever that is
_CONFINED = "--init --network none --read-only --tmpfs /tmp --cap-drop ALL --security-opt no-new-privileges"


def docker(container: Container, *, gpus: bool = False) -> str:
    """The line that runs ``container`` by the ``docker`` command."""
    words = ["docker", "run", "--rm", *_CONFINED.split(), *(("--gpus", "all") if gpus else ())]
    for mount in container.mounts:
        words += _bound(mount, "--volume")
    words += [word for name, value in container.environment.items() for word in ("--env", f"{name}={value}")]
    words += ["--shm-size", str(container.shared_memory)] if container.shared_memory else []
    words += ["--workdir", container.folder] if container.folder else []
    entrypoint = list(container.entrypoint or ())
    words += ["--entrypoint", entrypoint[0]] if entrypoint else []
    before, after = shlex.join(words), shlex.join([container.image, *entrypoint[1:], *container.arguments])
    return f"{_folders(container)}{before} {_USER} {after}"


def apptainer(container: Container, *, gpus: bool = False) -> str:
    """The line that runs ``container`` by ``apptainer``, as which it runs as whom pastes it.

    An image's name in a registry is fetched from there, another from the Docker engine of the machine; a ``.sif`` file is taken as it is.
    """
    words = ["apptainer", "exec" if container.entrypoint else "run", "--containall", *(["--nv"] if gpus else [])]
    for mount in container.mounts:
        words += _bound(mount, "--bind")
    words += [word for name, value in container.environment.items() for word in ("--env", f"{name}={value}")]
    words += ["--pwd", container.folder] if container.folder else []
    words += [_source(container.image), *(container.entrypoint or ()), *container.arguments]
    return f"{_folders(container)}{shlex.join(words)}"


def plain(arguments: Iterable[str]) -> str:
    """The line that runs our own program with ``arguments``; by its whole path where a shell would not find it by name."""
    program = [images.PROGRAM] if shutil.which(images.PROGRAM) else [sys.executable, "-m", "jukemir_like"]
    return shlex.join([*program, *arguments])


def _folders(container: Container) -> str:
    """Makes the folders that are written to, first: an engine would make them for root."""
    written = [str(mount.source) for mount in container.mounts if mount.written]
    return f"mkdir -p {shlex.join(written)} && " if written else ""


def _bound(mount: Mount, option: str) -> list[str]:
    """The option that shows ``mount``: the short form, unless a path holds what has a meaning in it."""
    source = str(mount.source)
    if not set(':,\\"') & set(source + mount.target):
        return [option, f"{source}:{mount.target}{'' if mount.written else ':ro'}"]
    fields = io.StringIO()
    read_only = [] if mount.written else ["readonly" if option == "--volume" else "ro"]
    csv.writer(fields, lineterminator="").writerow(["type=bind", f"src={source}", f"dst={mount.target}", *read_only])
    return ["--mount", fields.getvalue()]


def _source(image: str) -> str:
    if image.endswith(".sif"):
        return str(Path(image).absolute())
    host = image.partition("/")[0]
    return f"docker://{image}" if set(".:") & set(host) or host == "localhost" else f"docker-daemon:{image}"
