"""Processes of this machine, as Linux shows them in ``/proc``: which descend from one, whether one still runs, and how to end them.

Elsewhere no descendants are known; workers end by themselves when their parent is gone (:mod:`jukemir_like.core.parallel`).
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

_GONE_SECONDS = 2.0  # a killed process with much memory takes a while to give it back


def is_running(process: int) -> bool:
    """Whether ``process`` may still do something.

    A killed one whose parent has not waited for it keeps its number, but does nothing any more. One of another user runs.
    """
    try:
        os.kill(process, 0)  # sends nothing: asks whether it exists
        fields = _fields(process)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return fields[:1] not in ([b"Z"], [b"X"])  # zombie, dead


def descendants(root: int) -> set[int]:
    """Processes that descend from ``root``, without itself."""
    children: dict[int, list[int]] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError, ValueError, IndexError):
            process = int(path.parent.name)
            children.setdefault(int(_fields(process)[1]), []).append(process)
    below: set[int] = set()
    generation = [root]
    while generation:
        generation = [child for parent in generation for child in children.get(parent, ()) if child not in below]
        below |= set(generation)
    return below


def kill(processes: Iterable[int]) -> None:
    """Kills processes and all that descend from them, and waits up to two seconds until they are gone.

    They are stopped first, so that none can start another meanwhile.
    """
    wanted, stopped = set(processes), set[int]()
    while new := wanted - stopped:
        for process in new:
            with suppress(OSError):
                os.kill(process, signal.SIGSTOP)
        stopped |= new
        wanted = stopped | {child for process in stopped for child in descendants(process)}
    for process in stopped:
        with suppress(OSError):
            os.kill(process, signal.SIGKILL)
    deadline = time.monotonic() + _GONE_SECONDS
    while any(map(is_running, stopped)) and time.monotonic() < deadline:
        time.sleep(0.005)


def _fields(process: int) -> list[bytes]:
    """What ``/proc`` says of a process, from its state on: state, parent, … (The name before them may hold blanks and brackets.)"""
    return Path(f"/proc/{process}/stat").read_bytes().rpartition(b")")[2].split()
