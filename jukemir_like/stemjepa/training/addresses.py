"""Addresses of the nodes of a run. On many clusters a node does not know the names of the others, or takes its own for itself alone."""

from __future__ import annotations

import fcntl
import re
import socket
import struct
import subprocess
from collections.abc import Mapping
from contextlib import suppress

from jukemir_like.core.errors import RequestError

_SCONTROL_SECONDS = 30.0
_SIOCGIFADDR = 0x8915  # bits/ioctls.h


def of_first_node(environment: Mapping[str, str]) -> str:
    """Where the processes of a job of SLURM meet: ``MASTER_ADDR`` where it is set, else the first node of the step.

    Its name if that resolves here, else the address by which SLURM itself reaches it, else the one from which the step was started.

    Raises:
        RequestError: none of these resolves here.
    """
    if address := environment.get("MASTER_ADDR"):
        return address
    name = first_name(environment.get("SLURM_STEP_NODELIST") or environment.get("SLURM_JOB_NODELIST", ""))
    if resolves(name):
        return name
    for address in (_address_by_slurm(name), environment.get("SLURM_LAUNCH_NODE_IPADDR", "")):
        if resolves(address):
            return address
    raise RequestError(f"{name or 'no name'}, where the processes of the run are to meet, does not resolve: set MASTER_ADDR to its address")


def first_name(node_list: str) -> str:
    """The first name of a list of nodes as SLURM writes it.

    >>> first_name("rack[2-3]node[01-04,7],login"), first_name("a1,b[1-2]")
    ('rack2node01', 'a1')
    """
    first = re.match(r"(?:\[[^\]]*\]|[^,\[])*", node_list.strip())
    return re.sub(r"\[(\d*)[^\]]*\]", r"\1", first[0] if first else "")


def resolves(name: str) -> bool:
    """Whether ``name``, or the address that it is, leads to a machine as far as this one knows."""
    try:
        return bool(name and socket.getaddrinfo(name, None))
    except (OSError, UnicodeError):
        return False


def towards(address: str) -> str | None:
    """This machine's own IPv4 address on the way to another; None where there is no way. Nothing is sent.

    >>> towards("127.0.0.1")
    '127.0.0.1'
    """
    with suppress(OSError, UnicodeError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as unsent:
        unsent.connect((address, 9))
        return str(unsent.getsockname()[0])
    return None


def interface(address: str | None) -> str | None:
    """Name of the network interface that has an IPv4 address of this machine; None: none is known (on other systems than Linux, too).

    >>> interface("192.0.2.1") is None
    True
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as unsent:
        for _, name in socket.if_nameindex():
            with suppress(OSError):
                answer = fcntl.ioctl(unsent, _SIOCGIFADDR, struct.pack("256s", name.encode()[:15]))
                if socket.inet_ntoa(answer[20:24]) == address:
                    return name
    return None


def is_own_name_known_to_others() -> bool:
    """Whether this machine's name leads to an address that others could reach: not to none, nor to one within it alone."""
    try:
        found = socket.getaddrinfo(socket.gethostname(), None)
    except (OSError, UnicodeError):
        return False
    return any(not str(address[0]).startswith(("127.", "::1")) for *_, address in found)


def _address_by_slurm(name: str) -> str:
    """The address by which SLURM reaches a node; empty where it cannot be asked, as in most containers."""
    if not name:  # scontrol would show all nodes
        return ""
    with suppress(OSError, subprocess.SubprocessError):
        command = ["scontrol", "--oneliner", "show", "node", name]
        answer = subprocess.run(command, capture_output=True, text=True, check=True, timeout=_SCONTROL_SECONDS)
        if match := re.search(r"\bNodeAddr=(\S+)", answer.stdout):
            return match[1]
    return ""
