"""What this process may use of the machine: processors and memory.

The least counts of what limits them:

==================  =========================================================  ==================================================
                    processors                                                 memory
==================  =========================================================  ==================================================
the machine         those that this process may run on (its affinity)          what is available, ``/proc/meminfo``
its control group   ``cpu.max``; version 1: ``cpu.cfs_quota_us`` and           ``memory.max`` and ``memory.high``; version 1:
                    ``cpu.cfs_period_us``                                      ``memory.limit_in_bytes``; without what is in use
SLURM               ``SLURM_CPUS_PER_TASK``, else ``SLURM_CPUS_ON_NODE``,      ``SLURM_MEM_PER_NODE``, else
                    else ``SLURM_JOB_CPUS_PER_NODE``                           ``SLURM_MEM_PER_CPU`` for each of its processors
==================  =========================================================  ==================================================

A control group is limited by each group above it too. Containers, batch systems and systemd limit by control groups.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

_MB = 1 << 20


def available_cpus(root: Path = Path("/"), environment: Mapping[str, str] = os.environ) -> int:
    """Processors that this process may use, at least 1.

    Args:
        root: of the file system.
        environment: variables of SLURM.

    >>> 1 <= available_cpus() <= os.cpu_count()
    True
    """
    limits = [len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1]
    for group in _groups(root, "cpu"):
        for files in (("cpu.max",), ("cpu.cfs_quota_us", "cpu.cfs_period_us")):
            with suppress(OSError, ValueError, ZeroDivisionError):  # "max", or other files than these
                quota, period = map(int, " ".join((group / file).read_text() for file in files).split())
                limits += [-(-quota // period)] if quota > 0 else []
    limits += _first([environment.get("SLURM_CPUS_PER_TASK", "")]) or _slurm_cpus_on_node(environment)
    return max(1, min(limits))


def cpus_per_process(processes: int, root: Path = Path("/"), environment: Mapping[str, str] = os.environ) -> int:
    """Processors for each of so many processes that do the same on this machine, at least 1.

    Args:
        processes: of which this one is one. Tasks of SLURM that ask for processors have their own; others share what they may use.
        root: of the file system.
        environment: variables of SLURM.

    >>> cpus_per_process(1_000_000)
    1
    """
    has_own = environment.get("SLURM_NTASKS", "1") != "1" and bool(_first([environment.get("SLURM_CPUS_PER_TASK", "")]))
    return max(1, available_cpus(root, environment) // (1 if has_own else processes))


def available_memory(root: Path = Path("/"), environment: Mapping[str, str] = os.environ) -> int:
    """Bytes of memory that processes may still take, at least 0. What the system can give back of files that it has read counts as free.

    SLURM's limit is that of the job; of what the job takes already, only this process is subtracted from it.

    Args:
        root: of the file system.
        environment: variables of SLURM.
    """
    limits = [_machine_memory(root)]
    for group in _groups(root, "memory"):
        for limit, usage in (("memory.max", "memory.current"), ("memory.high", "memory.current"), _MEMORY_FILES_OF_VERSION_1):
            with suppress(OSError, ValueError):
                limits.append(int((group / limit).read_text()) - int((group / usage).read_text()) + _reclaimable(group))
    per_node = _first([environment.get("SLURM_MEM_PER_NODE", "")])
    per_cpu = _first([environment.get("SLURM_MEM_PER_CPU", "")])
    if not per_node and per_cpu:
        per_node = [per_cpu[0] * cpus for cpus in _slurm_cpus_on_node(environment) or _first([environment.get("SLURM_CPUS_PER_TASK", "")])]
    limits += [megabytes * _MB - _resident_bytes(root) for megabytes in per_node]
    return max(0, min(limits))


def workers_that_fit(bytes_per_worker: int, wanted: int, available: int) -> int:
    """How many of ``wanted`` worker processes there is memory for, at least 1.

    Args:
        bytes_per_worker: the most that one takes at a time.
        wanted: processes.
        available: bytes, see :func:`available_memory`.

    >>> workers_that_fit(1_300_000_000, 16, 4_100_000_000)
    3
    """
    return max(1, min(wanted, available // max(1, bytes_per_worker)))


_MEMORY_FILES_OF_VERSION_1 = ("memory.limit_in_bytes", "memory.usage_in_bytes")


def _groups(root: Path, controller: str) -> Iterator[Path]:
    """Folders of the control groups of this process that may limit what ``controller`` controls, each followed by the one above it.

    A mount shows the groups below its root: in a container often its own group only, by a path that is that of the machine.
    """
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
        mounts = (root / "proc/self/mountinfo").read_text().splitlines()
    except OSError:  # not Linux
        return
    # HIERARCHY:CONTROLLERS:PATH; version 2 has one hierarchy, 0, for all controllers.
    groups = {controllers: path for _, controllers, path in (line.split(":", 2) for line in lines if line.count(":") >= 2)}
    for line in mounts:
        fields, _, of_kind = line.partition(" - ")
        mounted, point = map(_unescaped, [*fields.split(" "), *[""] * 5][3:5])
        kind, _, rest = of_kind.partition(" ")
        options = rest.rpartition(" ")[2]
        if kind == "cgroup2":
            path = groups.get("")
        elif kind == "cgroup" and controller in options.split(","):
            path = next((path for controllers, path in groups.items() if controller in controllers.split(",")), None)
        else:
            continue
        if path is None:
            continue
        top = root / point.lstrip("/")
        below = os.path.relpath(path, mounted)
        group = top if below.startswith("..") else top / below  # outside of the mount: nothing below its root is known to be ours
        while True:
            yield group
            if group == top:
                break
            group = group.parent


def _unescaped(field: str) -> str:
    """A field of ``mountinfo``, where blanks are octal numbers."""
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), field)


def _machine_memory(root: Path) -> int:
    with suppress(OSError):
        match = re.search(r"^MemAvailable:\s+(\d+) kB", (root / "proc/meminfo").read_text(), re.MULTILINE)
        if match is not None:
            return int(match[1]) * 1024
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _reclaimable(group: Path) -> int:
    """Bytes of files that the system has read for a control group, and those below it, and can forget."""
    try:
        fields = dict(line.split(" ", 1) for line in (group / "memory.stat").read_text().splitlines())
    except (OSError, ValueError):
        return 0
    prefix = "total_" if "total_inactive_file" in fields else ""  # version 1 has it without the groups below, too
    return sum(int(fields.get(f"{prefix}{kind}_file", 0)) for kind in ("inactive", "active"))


def _resident_bytes(root: Path) -> int:
    """Bytes of memory that this process takes."""
    with suppress(OSError, ValueError, IndexError):
        return int((root / "proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return 0


def _slurm_cpus_on_node(environment: Mapping[str, str]) -> list[int]:
    """Processors of the job on this node; empty where SLURM does not tell.

    >>> _slurm_cpus_on_node({"SLURM_JOB_CPUS_PER_NODE": "4(x2),8", "SLURM_NODEID": "2"})
    [8]
    """
    per_node: list[str] = []
    for part in environment.get("SLURM_JOB_CPUS_PER_NODE", "").split(","):
        match = re.fullmatch(r"(\d+)(?:\(x(\d{1,6})\))?", part)
        per_node += [match[1]] * int(match[2] or 1) if match else []
    index = environment.get("SLURM_NODEID", "0")
    of_this = per_node[int(index)] if index.isdecimal() and int(index) < len(per_node) else ""
    return _first([environment.get("SLURM_CPUS_ON_NODE", ""), of_this])


def _first(numbers: list[str]) -> list[int]:
    """The first that is a whole number above 0, as a list; SLURM writes 0 for "all"."""
    return [int(number) for number in numbers if number.isdecimal() and int(number) > 0][:1]
