"""Runs Snakemake, and ends it with all that it has started: stages of this machine, and jobs of a cluster."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

from jukemir_like.core import processes, signals
from jukemir_like.core.errors import BUG, DONE
from jukemir_like.launch import cluster, stamps

END_SECONDS = 40.0  # after a first signal: the longest that a stage takes, and Snakemake
CANCEL_SECONDS = 10.0  # for Snakemake to cancel its jobs; then they are cancelled without it
LOST_SECONDS = 600.0  # longer than Snakemake waits between two questions to the cluster (180 s) and for a file to appear (60 s)

LOG = stamps.LOGS / "snakemake.log"  # in the cache: what it says of a run on a cluster

_LOOK_SECONDS = 60.0
_STARTS = 3


def run_on_cluster(command: list[str], lock: int, jobs: str, cache: Path) -> int:
    """Runs Snakemake as :func:`run` does, and again where jobs have ended well of which the stage has not; returns its exit code.

    Args:
        command: of Snakemake; if it has ``--forcerun``, its targets are the last words.
        lock, jobs: as of :func:`run`.
        cache: in which the run has begun (:func:`~jukemir_like.launch.stamps.begin`).
    """
    once_more = [*command, *([] if "--forcerun" in command else ["--forcerun"]), str(stamps.PAGE)]
    for attempt in range(_STARTS):
        code = run(once_more if attempt else command, lock, jobs, cache / LOG)
        unfounded = stamps.remove_unfounded(cache)
        if code != DONE or not unfounded:
            return code
        print(f"jobs of SLURM have ended without their stage: {', '.join(unfounded)}", file=sys.stderr)  # noqa: T201
    return BUG


def run(command: list[str], lock: int, jobs: str | None = None, log: Path | None = None) -> int:
    """Runs Snakemake; returns its exit code. A signal that comes here goes to all that it has started, once.

    Where it waits for jobs that have left the queue of the cluster without a word, as tasks of an array do that are cancelled before they
    begin, it is started again: what is finished is kept.

    Args:
        command: of Snakemake.
        lock: descriptor of the cache's lock.
        jobs: how the names of the jobs that it submits to a cluster begin; None: it submits none.
        log: for what it says on standard error, and stages that run here; None: this process's.
    """
    for _ in range(_STARTS - 1):
        code = _run(command, lock, jobs, log)
        if code is not None:
            return code
        print("jobs have left the queue of SLURM without a word: what they had to do is submitted again", file=sys.stderr)  # noqa: T201
    code = _run(command, lock, jobs, log)
    return BUG if code is None else code


def _run(command: list[str], lock: int, jobs: str | None, log: Path | None) -> int | None:
    """Its exit code; None where it was ended because it waited in vain."""
    process: subprocess.Popen[bytes] | None = None
    try:
        with signals.grace_period(END_SECONDS):
            with open(os.devnull if log is None else log, "wb") as said, signals.postponed():
                # The lock goes along, so that it is held until Snakemake has ended even if this process is killed before.
                process = subprocess.Popen(command, pass_fds=[lock], process_group=0, stderr=None if log is None else said)
            if jobs is None:
                return process.wait()
            code = _wait(process, jobs)
            if code is None:
                _end(process, jobs)
            return code
    except signals.Interrupted:
        if process is None:
            raise
        # It begins nothing more, and without a word; shells wait for their stage.
        if jobs is None:
            process.terminate()
        for stage in _stages(process.pid):
            with suppress(ProcessLookupError):
                os.kill(stage, signal.SIGTERM)  # (SIGINT would make Python say more than a line if it has only just started)
        if jobs is not None:
            _end(process, jobs)
        process.wait()
        raise


def _wait(process: subprocess.Popen[bytes], jobs: str) -> int | None:
    """Waits for Snakemake; None where there has been nothing to wait for in :data:`LOST_SECONDS`: no job in the queue, no stage here."""
    busy = time.monotonic()
    while True:
        with suppress(subprocess.TimeoutExpired):
            return process.wait(_LOOK_SECONDS)
        if cluster.has_jobs(jobs) or _stages(process.pid):
            busy = time.monotonic()
        elif time.monotonic() - busy > LOST_SECONDS:
            return None


def _end(process: subprocess.Popen[bytes], jobs: str) -> None:
    """Ends Snakemake and its jobs. Of SIGTERM it would wait for them."""
    process.send_signal(signal.SIGINT)
    with suppress(subprocess.TimeoutExpired):
        process.wait(CANCEL_SECONDS)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    cluster.cancel(jobs, seconds=CANCEL_SECONDS)


def _stages(snakemake: int) -> set[int]:
    """Processes that the shells below Snakemake wait for: not the shells, nor what a stage itself has started."""
    below = processes.descendants(snakemake)
    shells = {process for process in below if _is_shell(process)}
    begun = set().union(*map(processes.descendants, shells)) - shells
    return begun - set().union(*map(processes.descendants, begun))


def _is_shell(process: int) -> bool:
    with suppress(OSError):
        return Path(f"/proc/{process}/comm").read_text().strip() in ("sh", "bash", "dash")
    return False
