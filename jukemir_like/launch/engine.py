"""The Docker engine of this machine: connecting to it, its refusals in one line, its GPUs, and containers that killed processes left.

A container that this package starts carries a label that identifies the process that launched it: the machine, the machine's boot, the
process and when that process began (process numbers are reused). If that process is killed before it can remove its container, the next
launch on the same machine does so, see :func:`remove_abandoned`.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jukemir_like.core import processes
from jukemir_like.core.errors import RequestError

if TYPE_CHECKING:
    from docker import APIClient

LAUNCHER_LABEL = "org.jukemir-like.launcher"
GRACE_SECONDS = 10  # from asking a container to end until it is killed

_ALL_GPUS = "nvidia.com/gpu=all"  # name of a device in the Container Device Interface


def connect() -> APIClient:
    """A client of the engine.

    Raises:
        RequestError: no engine answers, or the package ``docker`` is missing.
    """
    try:
        import docker
    except ImportError as error:
        raise RequestError("stages in containers need the package docker: pip install docker, or run without --docker") from error
    try:
        client = docker.from_env().api
        client.ping()
    except docker.errors.DockerException as error:
        reason = _one_line(error)
        remedy = "become a member of the group docker" if "Permission denied" in reason else "start it"
        raise RequestError(f"no Docker engine answers ({reason}): {remedy}, or run without containers") from error
    return client


@contextmanager
def refusals_as_request_errors(what: str) -> Iterator[None]:
    """Turns an error of the engine into a :class:`RequestError` of one line: ``what`` has failed, and why."""
    import docker
    import requests

    try:
        yield
    except (docker.errors.DockerException, requests.RequestException) as error:
        raise RequestError(f"{what}: {_one_line(error)}") from error


@contextmanager
def ignore_refusals() -> Iterator[None]:
    """Ignores errors of the engine: for ending and removing a container, which may have ended or been removed already."""
    with suppress(RequestError), refusals_as_request_errors(""):
        yield


def missing_images(client: APIClient, references: Iterable[str]) -> list[str]:
    """Those of the images ``references`` that the engine does not have."""
    with refusals_as_request_errors("cannot look for images"):
        return [reference for reference in references if not client.images(reference, quiet=True)]


def missing_image_error(references: Iterable[str]) -> RequestError:
    """The error that the images ``references`` are missing; it says how to get them."""
    names = list(references)
    return RequestError(f"no image {', '.join(names)} is here: build it with `make images`, or get it with `docker pull {names[0]}`")


def gpu_requests(information: dict[str, Any], devices: Path = Path("/dev")) -> list[Any]:
    """The engine's device requests that give a container all GPUs; empty where there is no GPU or the engine cannot give them.

    Args:
        information: what the engine says about itself (``client.info()``).
        devices: folder of device files.
    """
    from docker.types import DeviceRequest

    if not any(devices.glob("nvidia[0-9]*")):
        return []
    if "nvidia" in (information.get("Runtimes") or {}):
        return [DeviceRequest(count=-1, capabilities=[["gpu"]])]
    discovered = {device.get("ID") for device in information.get("DiscoveredDevices") or ()}
    return [DeviceRequest(driver="cdi", device_ids=[_ALL_GPUS])] if _ALL_GPUS in discovered else []


def launcher_label(process: int | None = None) -> str:
    """The label's value that identifies ``process`` (None: this one) as the launcher of a container."""
    number = process or os.getpid()
    return " ".join([socket.gethostname(), processes.boot_id(), processes.namespace(), str(number), processes.start_time(number)])


def is_launcher_gone(label: str) -> bool:
    """Whether the process that ``label`` identifies is known to have ended; False for other machines and for other containers on this one.

    >>> is_launcher_gone(launcher_label())
    False
    """
    fields = label.split(" ")
    boot = processes.boot_id()
    if len(fields) != 5 or fields[0] != socket.gethostname() or boot == processes.UNKNOWN:
        return False
    if fields[1] != boot:
        return True
    return fields[2] == processes.namespace() and fields[3].isdigit() and not processes.is_running(int(fields[3]), fields[4])


def remove_abandoned(client: APIClient) -> int:
    """Stops and removes the containers whose launcher on this machine has ended without doing so; returns how many."""
    import docker

    removed = 0
    for container in client.containers(all=True, filters={"label": LAUNCHER_LABEL}):
        if is_launcher_gone(container["Labels"][LAUNCHER_LABEL]):
            with suppress(docker.errors.APIError):  # another launch may be removing the same one
                client.stop(container["Id"], timeout=GRACE_SECONDS)
                client.remove_container(container["Id"], v=True, force=True)
                removed += 1
    return removed


def _one_line(error: Exception) -> str:
    text = str(getattr(error, "explanation", None) or error)
    return " ".join(text.split())[:300].rstrip(".")
