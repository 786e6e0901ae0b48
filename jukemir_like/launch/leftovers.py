"""Containers whose launcher was killed before it could remove them: the next launch on the machine does.

Every container carries a label that tells its launcher: machine, its start, process, and when that began, for numbers of processes come
again.
"""

from __future__ import annotations

import os
import socket
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from docker import APIClient

LABEL = "org.jukemir-like.launcher"
GRACE_SECONDS = 10


def launcher(process: int | None = None) -> str:
    """Which process on which machine launches: the label's value."""
    number = process or os.getpid()
    return " ".join([socket.gethostname(), *_boot(), str(number), _began(number) or "-"])


def sweep(client: APIClient) -> int:
    """Stops and removes the containers of launchers of this machine that are gone; returns how many."""
    import docker

    removed = 0
    for found in client.containers(all=True, filters={"label": LABEL}):
        if is_gone(found["Labels"][LABEL]):
            with suppress(docker.errors.APIError):  # another launch may be doing the same
                client.stop(found["Id"], timeout=GRACE_SECONDS)
                client.remove_container(found["Id"], v=True, force=True)
                removed += 1
    return removed


def is_gone(value: str) -> bool:
    """Whether that launcher is known not to run any more. Of other machines, and of other containers on this one, nothing is known."""
    known = value.split(" ")
    boot, space = _boot()
    if len(known) != 5 or known[0] != socket.gethostname() or boot == "-":
        return False
    if known[1] != boot:
        return True
    return known[2] == space and known[3].isdigit() and known[4] != (_began(int(known[3])) or "")


def _boot() -> tuple[str, str]:
    """The machine's present start, and the space in which its processes are numbered."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip(), Path("/proc/self/ns/pid").readlink().name
    except OSError:
        return "-", "-"


def _began(process: int) -> str | None:
    """When ``process`` began, in clock ticks since the machine did; None: it does not run."""
    try:
        fields = Path(f"/proc/{process}/stat").read_bytes().rpartition(b")")[2].split()
    except FileNotFoundError:
        return None
    except OSError:
        return "-"
    return None if fields[0] in (b"Z", b"X") else fields[19].decode()
