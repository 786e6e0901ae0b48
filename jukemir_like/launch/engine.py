"""The Docker engine of this machine, and what it can do. Its refusals are one line."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jukemir_like.core.errors import RequestError

if TYPE_CHECKING:
    from docker import APIClient

_ALL_GPUS = "nvidia.com/gpu=all"  # Container Device Interface


def connect() -> APIClient:
    """A client of the engine.

    Raises:
        RequestError: none answers.
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


def missing(client: APIClient, references: Iterable[str]) -> list[str]:
    """Those of the images that the engine does not have."""
    with refusals("cannot look for images"):
        return [reference for reference in references if not client.images(reference, quiet=True)]


def no_image(references: Iterable[str]) -> RequestError:
    """That there are no such images, and where they come from."""
    names = list(references)
    return RequestError(f"no image {', '.join(names)} is here: build it with `make images`, or get it with `docker pull {names[0]}`")


@contextmanager
def refusals(what: str) -> Iterator[None]:
    """Turns what the engine refuses into a :class:`RequestError` that says ``what`` and why."""
    import docker
    import requests

    try:
        yield
    except (docker.errors.DockerException, requests.RequestException) as error:
        raise RequestError(f"{what}: {_one_line(error)}") from error


@contextmanager
def whatever_it_says() -> Iterator[None]:
    """For what is right too when it was done before, or cannot be done any more: ending and removing a container."""
    with suppress(RequestError), refusals(""):
        yield


def user(information: dict[str, Any]) -> tuple[str, list[str]]:
    """As whom, and with which further groups, a container runs so that its files belong to the calling user.

    In an engine that runs without root's rights, the calling user is root inside.
    """
    if any(option.startswith("name=rootless") for option in information.get("SecurityOptions") or ()):
        return "0:0", []
    return f"{os.getuid()}:{os.getgid()}", [str(group) for group in os.getgroups()]


def gpu_requests(information: dict[str, Any], devices: Path = Path("/dev")) -> list[Any]:
    """What to ask for so that a container gets the GPUs; nothing where there are none or the engine cannot give them."""
    from docker.types import DeviceRequest

    if not any(devices.glob("nvidia[0-9]*")):
        return []
    if "nvidia" in (information.get("Runtimes") or {}):
        return [DeviceRequest(count=-1, capabilities=[["gpu"]])]
    discovered = {device.get("ID") for device in information.get("DiscoveredDevices") or ()}
    return [DeviceRequest(driver="cdi", device_ids=[_ALL_GPUS])] if _ALL_GPUS in discovered else []


def _one_line(error: Exception) -> str:
    text = str(getattr(error, "explanation", None) or error)
    return " ".join(text.split())[:300].rstrip(".")
