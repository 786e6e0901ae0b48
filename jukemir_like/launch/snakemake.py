"""Runs Snakemake, and ends it with all that it has started: stages of this machine, and jobs of a cluster."""

from __future__ import annotations

import os
import signal
import subprocess
from contextlib import suppress
from pathlib import Path

from jukemir_like.core import processes, signals
from jukemir_like.launch import cluster

END_SECONDS = 40.0  # after a first signal: the longest that a stage takes, and Snakemake
CANCEL_SECONDS = 10.0  # for Snakemake to cancel its jobs; then they are cancelled without it


def run(command: list[str], lock: int, jobs: str | None = None, log: Path | None = None) -> int:
    """Runs Snakemake; returns its exit code. A signal that comes here goes to all that it has started, once.

    Args:
        command: of Snakemake.
        lock: descriptor of the cache's lock.
        jobs: how the names of the jobs that it submits to a cluster begin; None: it submits none.
        log: for what it says on standard error, and stages that run here; None: this process's.
    """
    # The lock goes along, so that it is held until Snakemake has ended even if this process is killed before.
    with open(os.devnull if log is None else log, "wb") as said:
        process = subprocess.Popen(command, pass_fds=[lock], process_group=0, stderr=None if log is None else said)
    try:
        with signals.grace_period(END_SECONDS):
            return process.wait()
    except signals.Interrupted:
        # It begins nothing more, and without a word; shells wait for their stage. Of SIGTERM alone it waits for jobs of a cluster.
        process.send_signal(signal.SIGTERM if jobs is None else signal.SIGINT)
        for stage in _stages(process.pid):
            with suppress(ProcessLookupError):
                os.kill(stage, signal.SIGTERM)  # (SIGINT would make Python say more than a line if it has only just started)
        if jobs is not None:
            with suppress(subprocess.TimeoutExpired):
                process.wait(CANCEL_SECONDS)
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            cluster.cancel(jobs, seconds=CANCEL_SECONDS)
        process.wait()
        raise


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
