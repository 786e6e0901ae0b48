"""Times whole processes: wall-clock seconds and the largest process's peak memory, in turn, so that a drifting machine hits all alike."""

from __future__ import annotations

import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Timing:
    """Medians of several runs of one command.

    Args:
        seconds: wall-clock.
        megabytes: peak resident memory of the largest process of the tree.
        runs: how many.
    """

    seconds: float
    megabytes: float
    runs: int


def run(command: Sequence[str], environment: Mapping[str, str] | None = None) -> tuple[float, float]:
    """Runs ``command`` to its end; seconds and peak MB. A command that fails ends the measurement."""
    started = time.perf_counter()
    # A process between, so that the peak is the command's (and its children's) and not of what ran before.
    script = (
        "import resource, subprocess, sys\n"
        "done = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL)\n"
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)\n"
        "sys.exit(done.returncode)"
    )
    arguments = [sys.executable, "-S", "-c", script, *map(str, command)]
    done = subprocess.run(arguments, capture_output=True, text=True, env={**os.environ, **(environment or {})})
    seconds = time.perf_counter() - started
    if done.returncode:
        raise SystemExit(f"{' '.join(map(str, command))} ended with {done.returncode}:\n{done.stderr[-2000:]}")
    return seconds, int(done.stdout) / 1024


def in_turn(
    commands: Mapping[str, Sequence[str]], *, runs: int, before: Callable[[str], None] = lambda _: None, warm_up: bool = True
) -> dict[str, Timing]:
    """Runs the commands A B A B …, ``runs`` times each after an uncounted first; ``before(name)`` resets what a run needs."""
    figures: dict[str, list[tuple[float, float]]] = {name: [] for name in commands}
    for turn in range(runs + warm_up):
        for name, command in commands.items():
            before(name)
            figure = run(command)
            if turn >= warm_up:
                figures[name].append(figure)
    return {
        name: Timing(statistics.median(seconds for seconds, _ in measured), max(memory for _, memory in measured), len(measured))
        for name, measured in figures.items()
    }


def machine() -> str:
    """One line: processor, cores, Python."""
    try:
        with open("/proc/cpuinfo") as info:
            model = next(line.partition(":")[2].strip() for line in info if line.startswith("model name"))
    except (OSError, StopIteration):
        model = platform.processor() or platform.machine()
    return f"{len(os.sched_getaffinity(0))} cores of {model}, Python {platform.python_version()}"


def calls_in_turn(calls: Mapping[str, Callable[[], object]], runs: int) -> dict[str, float]:
    """Median processor seconds of each call, A B A B …, after one uncounted turn."""
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for turn in range(runs + 1):
        for name, call in calls.items():
            started = time.process_time()
            call()
            if turn:
                seconds[name].append(time.process_time() - started)
    return {name: statistics.median(measured) for name, measured in seconds.items()}
