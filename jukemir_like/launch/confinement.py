"""What confines a container, stated once for every way to start one.

A stage needs folders to read and a folder to write, and nothing else of the machine. The restrictions are written down as options of
Docker's SDK; ``docker run``'s options are derived from them, and :mod:`jukemir_like.conformance` starts containers with them to check that
an image works under them. Apptainer confines in its own way:

=====================  ==========================================  ===========================================================
restriction            Docker                                      Apptainer
=====================  ==========================================  ===========================================================
no network             :data:`NO_NETWORK`, unless it is needed     none: the machine's network can be used
read-only root         :data:`READ_ONLY_ROOT`, a ``/tmp`` of its   its default; ``--containall`` gives a ``/tmp`` of its own
                       own
no capabilities        :data:`NO_CAPABILITIES`                     its default, for users other than root
no new privileges      :data:`NO_NEW_PRIVILEGES`                   its default, for users other than root
the caller's identity  :func:`user_and_groups`, :data:`USER`       its default
only these folders     mounts; read-only unless declared writable  the same, and ``--containall`` hides the home folder
shared memory          ``shm_size`` where a stage needs more       the machine's
processes end          ``init``, which passes signals on           its default
these GPUs only        :func:`visible_gpus`, :data:`DOCKER_GPUS`   :data:`APPTAINER_GPUS`: it sees all, its program uses these
=====================  ==========================================  ===========================================================
"""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterator, Mapping
from typing import Any

from jukemir_like.core import devices
from jukemir_like.launch.images import Container, Mount

TEMPORARY = "/tmp"  # noqa: S108 -- in the container

NO_NETWORK: Mapping[str, Any] = {"network_mode": "none"}
# Without a mode the engine would take that of the image's own /tmp, which may be missing or root's alone.
READ_ONLY_ROOT: Mapping[str, Any] = {"read_only": True, "tmpfs": {TEMPORARY: "mode=1777"}}
NO_CAPABILITIES: Mapping[str, Any] = {"cap_drop": ["ALL"]}
NO_NEW_PRIVILEGES: Mapping[str, Any] = {"security_opt": ["no-new-privileges"]}
RESTRICTIONS: Mapping[str, Any] = {**NO_NETWORK, **READ_ONLY_ROOT, **NO_CAPABILITIES, **NO_NEW_PRIVILEGES}
"""All of them, as keyword arguments of ``create_host_config`` and ``containers.create`` of Docker's SDK."""

USER = '--user "$(id -u):$(id -g)"'  # of ``docker run``: the shell that runs the line fills it in

# GPUs for who asks for them: those of the shell that runs the line, as a scheduler has bound them; without a binding all. In a container of
# Docker GPUs are numbered anew, and the variable would name others; in one of Apptainer they have their own numbers.
DOCKER_GPUS = (
    '$(case "${CUDA_VISIBLE_DEVICES-all}" in all) echo --gpus all;; '
    r"""[0-9GM]*) echo --gpus "\"device=$CUDA_VISIBLE_DEVICES\"";; esac)"""
)
APPTAINER_GPUS = '--nv $(test -z "${CUDA_VISIBLE_DEVICES+set}" || echo --env "CUDA_VISIBLE_DEVICES=$CUDA_VISIBLE_DEVICES")'

_DOCKER_OPTIONS = {
    "init": "--init",
    "network_mode": "--network",
    "read_only": "--read-only",
    "tmpfs": "--tmpfs",
    "cap_drop": "--cap-drop",
    "security_opt": "--security-opt",
    "shm_size": "--shm-size",
}


def engine_options(container: Container) -> dict[str, Any]:
    """What confines ``container``, but for user and mounts, as keyword arguments of ``create_host_config`` of Docker's SDK.

    >>> engine_options(Container("stemjepa/probe:1"))["cap_drop"]
    ['ALL']
    """
    options: dict[str, Any] = {"init": True, **RESTRICTIONS}
    if container.network:
        del options["network_mode"]
    if any(mount.target == TEMPORARY for mount in container.mounts):
        del options["tmpfs"]
    if container.shared_memory:
        options["shm_size"] = container.shared_memory
    return options


def visible_gpus(environment: Mapping[str, str] = os.environ) -> list[str] | None:
    """The GPUs that a container gets of those of this machine, by number or identifier; None: all of them.

    >>> visible_gpus({}), visible_gpus({"CUDA_VISIBLE_DEVICES": "0,2"}), visible_gpus({"CUDA_VISIBLE_DEVICES": ""})
    (None, ['0', '2'], [])
    """
    return devices.visible_ids(environment.get(devices.VISIBLE_VARIABLE))


def user_and_groups(information: Mapping[str, Any]) -> tuple[str, list[str]]:
    """User and further groups with which the files that a container writes belong to the calling user.

    In a rootless engine (one that runs without root's rights) the calling user is root inside a container.

    Args:
        information: what the engine says about itself (``client.info()``).

    Returns:
        ``"UID:GID"``, and the numbers of the groups.

    >>> user_and_groups({"SecurityOptions": ["name=rootless"]})
    ('0:0', [])
    """
    if any(option.startswith("name=rootless") for option in information.get("SecurityOptions") or ()):
        return "0:0", []
    return f"{os.getuid()}:{os.getgid()}", [str(group) for group in os.getgroups()]


def docker_options(container: Container) -> list[str]:
    """The same, as options of ``docker run``.

    >>> print(*docker_options(Container("stemjepa/download:1", network=True)))
    --init --read-only --tmpfs /tmp:mode=1777 --cap-drop ALL --security-opt no-new-privileges
    """
    return [word for name, value in engine_options(container).items() for word in _docker_words(_DOCKER_OPTIONS[name], value)]


def docker_mounts(container: Container) -> list[str]:
    """The mounts of ``container``, as options of ``docker run``."""
    return [word for mount in container.mounts for word in _mount_words(mount, "--volume", "readonly")]


def apptainer_options() -> list[str]:
    """Options with which ``apptainer`` confines a container as the table above says."""
    return ["--containall"]


def apptainer_mounts(container: Container) -> list[str]:
    """The mounts of ``container``, as options of ``apptainer``.

    >>> from pathlib import Path
    >>> apptainer_mounts(Container("probe.sif", mounts=(Mount(Path("/data"), "/input"),)))
    ['--bind', '/data:/input:ro']
    """
    return [word for mount in container.mounts for word in _mount_words(mount, "--bind", "ro")]


def _docker_words(option: str, value: Any) -> Iterator[str]:
    if value is True:
        yield option
    elif isinstance(value, dict):
        for path, settings in value.items():
            yield from (option, f"{path}:{settings}")
    else:
        for item in value if isinstance(value, list) else [value]:
            yield from (option, str(item))


def _mount_words(mount: Mount, option: str, read_only: str) -> tuple[str, str]:
    """The option that shows ``mount``: the short form ``option SOURCE:TARGET``, unless a path contains a character with a meaning in it."""
    source = str(mount.source)
    if not set(':,\\"') & set(source + mount.target):
        return option, f"{source}:{mount.target}{'' if mount.writable else ':ro'}"
    fields = io.StringIO()
    csv.writer(fields, lineterminator="").writerow(
        ["type=bind", f"src={source}", f"dst={mount.target}", *([] if mount.writable else [read_only])]
    )
    return "--mount", fields.getvalue()
