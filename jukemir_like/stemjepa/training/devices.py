"""Which devices a run uses, and one process per device.

A run on several devices is as many processes, each of which executes the whole training on its part of every batch. They are started by
SLURM (one process per task), by a launcher that sets ``RANK``, ``WORLD_SIZE`` and ``LOCAL_RANK`` (torchrun, ``dora run --ddp``), or, where
neither did, by :func:`run_processes`. :func:`find_placement` says which of these processes this one is, and which GPU is its own.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import FrameType
from typing import Any

import torch

from jukemir_like.core import devices as core_devices
from jukemir_like.core import signals
from jukemir_like.core.errors import BUG, INTERRUPTED, RequestError
from jukemir_like.stemjepa.settings import Trainer
from jukemir_like.stemjepa.training import addresses

GRACE_SECONDS = 30.0
"""Time for a step and a saved state after a signal: as long as SLURM waits before it kills."""

LEAST_EXAMPLES = 32
"""Of a batch, per GPU. Where the number of GPUs is chosen here, no more are used: with fewer examples a GPU waits more than it computes."""

_POLL_SECONDS = 0.05


@dataclass(frozen=True)
class Placement:
    """On which device this process trains, and which of the processes of the run it is.

    Args:
        accelerator: ``cpu`` or ``cuda``.
        devices: processes per node.
        nodes: machines.
        rank: number of this process among all of the run, from 0.
        local_rank: number of this process on its node, from 0.
        node_rank: number of its node, from 0.
        external: whether a scheduler or a launcher started the processes of the run.
        address, port: where the processes meet.
        gpu: number of this process's GPU among those that it sees.
        note: what was chosen, where the settings leave it open; empty: nothing.
    """

    accelerator: str
    devices: int
    nodes: int = 1
    rank: int = 0
    local_rank: int = 0
    node_rank: int = 0
    external: bool = False
    address: str = "127.0.0.1"
    port: int = 0
    gpu: int = 0
    note: str = ""

    @property
    def world_size(self) -> int:
        """Number of processes of the run.

        >>> Placement("cuda", devices=4, nodes=2).world_size
        8
        """
        return self.devices * self.nodes

    @property
    def device(self) -> torch.device:
        """That of this process.

        >>> Placement("cuda", devices=4, gpu=1).device
        device(type='cuda', index=1)
        """
        return torch.device("cuda", self.gpu) if self.accelerator == "cuda" else torch.device("cpu")

    def say(self, line: str) -> None:
        """Prints a line on standard error, in the first process of the run only."""
        if self.rank == 0:
            print(f"jukemir-like: {line}", file=sys.stderr)  # noqa: T201


def find_placement(trainer: Trainer, environment: Mapping[str, str] = os.environ, *, batch_size: int | None = None) -> Placement:
    """The placement that ``trainer`` asks for, given the processes that a scheduler or a launcher may have started.

    Args:
        trainer: accelerator, devices and nodes of the run.
        environment: variables of a scheduler or a launcher.
        batch_size: examples per step, which limit how many GPUs are chosen where ``trainer`` names no number; None: they do not.

    Raises:
        RequestError: these devices do not exist, their number is not that of the processes that were started, or the first node has no
            address.

    >>> placement = find_placement(Trainer(accelerator="cpu"), {"WORLD_SIZE": "2", "RANK": "1"})
    >>> placement.rank, placement.world_size, placement.external
    (1, 2, True)
    """
    gpus = 0 if trainer.accelerator == "cpu" else core_devices.gpu_count(here=True)
    if trainer.accelerator == "gpu" and not gpus:
        reason = core_devices.why_no_gpu()
        raise RequestError(f"trainer.accelerator=gpu, but there is no GPU here that torch can use ({reason}): choose trainer=cpu")
    accelerator = "cuda" if gpus else "cpu"
    started = _from_slurm(environment) or _from_launcher(environment)
    if started is not None:
        _check_started(trainer, started["devices"], started["nodes"])
        # A process that sees fewer GPUs than there are processes on its node has GPUs of its own, which it counts from 0.
        gpu = started["local_rank"] % gpus if gpus else 0
        return Placement(accelerator, external=True, gpu=gpu, note=_note(trainer, gpus), **started)
    if trainer.nodes > 1:
        raise RequestError(f"trainer.nodes={trainer.nodes} without a scheduler: start it by dora launch, srun or torchrun")
    devices = trainer.devices or (choose_devices(gpus, batch_size, trainer.accumulate) if gpus else 1)
    if accelerator == "cuda" and devices > gpus:
        raise RequestError(f"trainer.devices={devices}, but there are {gpus} GPUs here: ask for at most as many, or leave it out")
    fewer = not trainer.devices and devices < gpus
    return Placement(accelerator, devices, note=_fewer(trainer, devices, gpus, batch_size) if fewer else _note(trainer, gpus))


def choose_devices(gpus: int, batch_size: int | None, accumulate: int = 1) -> int:
    """How many of ``gpus`` GPUs to use: the most that divide the batch evenly and have :data:`LEAST_EXAMPLES` each; at least 1.

    Args:
        gpus: of this machine.
        batch_size: examples per step; None: all GPUs.
        accumulate: parts that a batch is computed in, one after the other.

    >>> [choose_devices(gpus, batch_size=64) for gpus in (1, 3, 5, 8)], choose_devices(8, batch_size=256)
    ([1, 2, 2, 2], 8)
    """
    if batch_size is None:
        return gpus
    shares = {devices: batch_size / (devices * accumulate) for devices in range(1, gpus + 1)}
    return max((devices for devices, share in shares.items() if share.is_integer() and share >= LEAST_EXAMPLES), default=1)


def _note(trainer: Trainer, gpus: int) -> str:
    """What is said where there is no GPU and none was asked for, in one line."""
    if trainer.accelerator == "cpu" or gpus:
        return ""
    return f"no GPU that torch can use ({core_devices.why_no_gpu()}): training on the processor"


def _fewer(trainer: Trainer, devices: int, gpus: int, batch_size: int | None) -> str:
    """Why fewer GPUs were chosen than there are, in one line."""
    share = (batch_size or 0) // (devices * trainer.accumulate)
    return (
        f"using {devices} of {gpus} GPUs: a batch of {batch_size} has to be divided evenly, {LEAST_EXAMPLES} examples or more for each "
        f"(now {share}); trainer.devices=N or another data.dataloader.batch_size changes it"
    )


def run_processes(command: Sequence[str], count: int) -> None:
    """Runs ``command`` once per device of this machine and waits for all of them; signals that end this process are passed on to them.

    They are new programs and not forks, because threads and CUDA do not survive a fork. When one fails, all end; when this process ends,
    by SIGKILL too, so do they, if they call :func:`end_with_parent`.

    Args:
        command: program and arguments; its rank, the number of processes and where they meet are in its environment, as by torchrun.
        count: number of processes.

    Raises:
        SystemExit: with the exit code of the process that failed first, which has printed why.
    """
    running: list[subprocess.Popen[bytes]] = []

    def pass_on(number: int, _: FrameType | None) -> None:
        for process in running:
            if process.poll() is None:
                process.send_signal(number)

    handlers = {number: signal.signal(number, pass_on) for number in signals.EXIT_SIGNALS if signal.getsignal(number) != signal.SIG_IGN}
    try:
        port = _free_port()
        running.extend(_start(command, rank, count, port) for rank in range(count))
        code = _wait(running)
    finally:
        for process in running:
            process.kill()
            process.wait()
        for number, handler in handlers.items():
            signal.signal(number, handler)
    if code:
        sys.exit(code)


def end_with_parent() -> None:
    """Makes this process end as soon as the one that started it by :func:`run_processes` has ended.

    Its standard input is a pipe that nobody writes to, so it reaches the end of the file exactly then.
    """

    def wait_for_end() -> None:
        while os.read(0, 1):
            pass
        os._exit(BUG)

    threading.Thread(target=wait_for_end, daemon=True).start()


def _from_slurm(environment: Mapping[str, str]) -> dict[str, Any] | None:
    tasks = int(environment.get("SLURM_NTASKS", 1))
    if tasks == 1 or "SLURM_PROCID" not in environment or "SLURM_LOCALID" not in environment:
        return None
    nodes = int(environment.get("SLURM_STEP_NUM_NODES", environment.get("SLURM_NNODES", 1)))
    if tasks % nodes:
        raise RequestError(f"SLURM started {tasks} tasks on {nodes} nodes: ask for as many on each (--ntasks-per-node)")
    return {
        "devices": tasks // nodes,
        "nodes": nodes,
        "rank": int(environment["SLURM_PROCID"]),
        "local_rank": int(environment["SLURM_LOCALID"]),
        "node_rank": int(environment.get("SLURM_NODEID", 0)),
        "address": addresses.of_first_node(environment) if nodes > 1 else "127.0.0.1",
        # All tasks of a job have to choose the same port without asking one another, and two jobs on one node different ones.
        "port": int(environment.get("MASTER_PORT") or 15000 + int(environment.get("SLURM_JOB_ID", 0)) % 20000),
    }


def _from_launcher(environment: Mapping[str, str]) -> dict[str, Any] | None:
    world_size = int(environment.get("WORLD_SIZE", 1))
    if world_size == 1 or "RANK" not in environment:
        return None
    rank = int(environment["RANK"])
    local_size = int(environment.get("LOCAL_WORLD_SIZE", world_size))
    return {
        "devices": local_size,
        "nodes": world_size // local_size,
        "rank": rank,
        "local_rank": int(environment.get("LOCAL_RANK", rank)),
        "node_rank": int(environment.get("GROUP_RANK", rank // local_size)),
        "address": environment.get("MASTER_ADDR", "127.0.0.1"),
        "port": int(environment.get("MASTER_PORT", 29500)),
    }


def _check_started(trainer: Trainer, devices: int, nodes: int) -> None:
    for option, wanted, started in (("devices", trainer.devices, devices), ("nodes", trainer.nodes, nodes)):
        if wanted not in (0, 1, started):
            raise RequestError(f"trainer.{option}={wanted}, but {started} were started: leave it out, or start as many")


def _start(command: Sequence[str], rank: int, count: int, port: int) -> subprocess.Popen[bytes]:
    environment = os.environ | {
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "WORLD_SIZE": str(count),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
    }
    # In a session of its own, so that Ctrl-C in a terminal reaches it once: passed on from here. For stdin see `end_with_parent`.
    return subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, start_new_session=True)


def _wait(running: Sequence[subprocess.Popen[bytes]]) -> int:
    """Waits until all processes have ended or one has failed; returns the exit code."""
    while True:
        codes = [process.poll() for process in running]
        failed = [code for code in codes if code]
        if failed:
            return failed[0] if failed[0] > 0 else INTERRUPTED if -failed[0] in signals.EXIT_SIGNALS else BUG
        if None not in codes:
            return 0
        time.sleep(_POLL_SECONDS)


def _free_port() -> int:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return int(server.getsockname()[1])
