"""Processes of this machine, as Linux shows them in ``/proc``: which descend from one, whether one still runs, and how to end them.

Elsewhere no descendants are known; workers end by themselves when their parent is gone (:mod:`jukemir_like.core.parallel`).

Several machines and containers may work on one folder. What a process leaves there carries its :func:`identity`, so that others know
whether they can see that it has ended (:func:`is_known_to_have_ended`).
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import signal
import socket
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

UNKNOWN = "-"
"""In place of what the system does not tell."""

_STOPPED_SECONDS = 1.0  # one that waits for a disk, or for its child to become another program, stops only after that
_GONE_SECONDS = 2.0  # a killed process with much memory takes a while to give it back
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


def is_running(process: int, start: str = UNKNOWN) -> bool:
    """Whether ``process`` may still do something.

    A killed one whose parent has not waited for it keeps its number, but does nothing any more. One of another user runs.

    Args:
        process: its number.
        start: when it began, see :func:`start_time`; where it is known, a process that has the number and began at another time is another.
    """
    try:
        os.kill(process, 0)  # sends nothing: asks whether it exists
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:  # of another user
        pass
    fields = _fields_or_none(process)
    if fields is None:
        return True
    return fields[0] not in (b"Z", b"X") and start in (UNKNOWN, fields[_START_TIME].decode())  # zombie, dead


def start_time(process: int) -> str:
    """When ``process`` began, in clock ticks since the machine's boot; :data:`UNKNOWN` where the system does not tell."""
    fields = _fields_or_none(process)
    return UNKNOWN if fields is None else fields[_START_TIME].decode()


def boot_id() -> str:
    """What no other machine has, nor this one after its next start; :data:`UNKNOWN` where the system does not tell.

    Containers of one machine have the same.
    """
    with suppress(OSError):
        return _BOOT_ID.read_text().strip() or UNKNOWN
    with suppress(OSError, AttributeError, TypeError):  # of macOS
        text, size = ctypes.create_string_buffer(64), ctypes.c_size_t(64)
        if ctypes.CDLL(None).sysctlbyname(b"kern.bootsessionuuid", text, ctypes.byref(size), None, ctypes.c_size_t(0)) == 0:
            return text.value.decode(errors="replace") or UNKNOWN
    return UNKNOWN


def namespace() -> str:
    """Where the numbers of processes count: on the machine, or in the container, as each of these has a process 1."""
    try:
        return Path("/proc/self/ns/pid").readlink().name
    except OSError:
        return UNKNOWN


def identity() -> str:
    """What no other process has, on whatever machine: letters, digits and two hyphens, at most 50 characters.

    >>> is_known_to_have_ended(identity())
    False
    """
    return f"{_place()}-{os.getpid()}-{start_time(os.getpid()).replace(UNKNOWN, '0')}"


def is_known_to_have_ended(identity: str) -> bool | None:
    """Whether the process of this :func:`identity` has ended; None where this cannot be seen from here.

    It can be on the same machine, since the same boot, in the same container. A machine that was restored from a snapshot of another, and
    has kept its name, cannot be told from it.
    """
    place, _, process_and_start = identity.partition("-")
    process, _, start = process_and_start.partition("-")
    if place != _place() or boot_id() == UNKNOWN or not (process.isdecimal() and start.isdecimal()):
        return None
    return not is_running(int(process), UNKNOWN if start == "0" else start)


def _place() -> str:
    """Digest of where the number and the start time of a process count.

    Never remembered: a process may be frozen and go on elsewhere. The host's name tells apart copies of a running virtual machine, which
    have the same boot ID.
    """
    try:
        clock = Path("/proc/self/ns/time").readlink().name
    except OSError:
        clock = UNKNOWN
    return hashlib.sha256("\n".join([boot_id(), namespace(), clock, socket.gethostname()]).encode()).hexdigest()[:16]


def descendants(root: int) -> set[int]:
    """Processes that descend from ``root``, without itself."""
    return _descendants({root})


def _descendants(roots: Iterable[int]) -> set[int]:
    children: dict[int, list[int]] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError, ValueError, IndexError):
            process = int(path.parent.name)
            children.setdefault(int(_fields(process)[1]), []).append(process)
    below: set[int] = set()
    generation = list(roots)
    while generation:
        generation = [child for parent in generation for child in children.get(parent, ()) if child not in below]
        below |= set(generation)
    return below


def kill(processes: Iterable[int]) -> None:
    """Kills processes and all that descend from them, and waits up to two seconds until they are gone.

    They are stopped first, so that none can start another meanwhile: one that was in the middle of that when it was told to stop finishes
    it, so their children are looked for once they have stopped.
    """
    wanted, stopped = set(processes), set[int]()
    deadline = time.monotonic() + _STOPPED_SECONDS
    while True:
        for process in wanted - stopped:
            with suppress(OSError):
                os.kill(process, signal.SIGSTOP)
        stopped |= wanted
        is_still = all(map(_is_stopped, stopped))
        wanted = stopped | _descendants(stopped)
        if wanted == stopped:
            if is_still or time.monotonic() >= deadline:
                break
            time.sleep(0.001)
    for process in stopped:
        with suppress(OSError):
            os.kill(process, signal.SIGKILL)
    deadline = time.monotonic() + _GONE_SECONDS
    while any(map(is_running, stopped)) and time.monotonic() < deadline:
        time.sleep(0.005)


def _is_stopped(process: int) -> bool:
    """Whether no thread of ``process`` does anything; so too where it is gone, or the system does not tell."""
    try:
        states = [path.read_bytes().rpartition(b")")[2].split()[0] for path in Path(f"/proc/{process}/task").glob("[0-9]*/stat")]
    except (OSError, IndexError):  # a thread that has just ended
        return not is_running(process)
    return all(state in (b"T", b"t", b"Z", b"X") for state in states)


_START_TIME = 19  # its place in the fields below


def _fields(process: int) -> list[bytes]:
    """What ``/proc`` says of a process, from its state on: state, parent, … (The name before them may hold blanks and brackets.)"""
    return Path(f"/proc/{process}/stat").read_bytes().rpartition(b")")[2].split()


def _fields_or_none(process: int) -> list[bytes] | None:
    """The same of a process by the number that it has here; None where the system does not tell.

    In a container that was given no ``/proc`` of its own, that of the machine shows other numbers.
    """
    try:
        own = os.readlink("/proc/self")  # noqa: PTH115 -- called for every file that is written
        fields = _fields(process) if own == str(os.getpid()) else []
    except OSError:
        return None
    return fields if len(fields) > _START_TIME else None
