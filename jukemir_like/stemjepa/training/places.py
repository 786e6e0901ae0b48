"""Which devices a run uses, and which of the processes that train together this one is.

Processes come from SLURM (one a task), from a launcher that sets ``RANK``, ``WORLD_SIZE`` and ``LOCAL_RANK`` (torchrun, ``dora run
--ddp``), or from :mod:`~.processes`.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from lightning.fabric.plugins.environments.cluster_environment import ClusterEnvironment

from jukemir_like.core.errors import RequestError
from jukemir_like.stemjepa.settings import Trainer


@dataclass(frozen=True)
class Place:
    """Where this process trains.

    Args:
        accelerator: ``cpu`` or ``cuda``.
        devices: processes on each node.
        nodes: machines.
        rank, local_rank, node_rank: of this process, in all, on its node, and of its node.
        external: whether the processes of the run are there already.
        address, port: where they meet.
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

    @property
    def world_size(self) -> int:
        """Processes in all."""
        return self.devices * self.nodes


def place(trainer: Trainer, environment: Mapping[str, str] = os.environ) -> Place:
    """The place that ``trainer`` asks for.

    Raises:
        RequestError: there are no such devices, or not as many as the scheduler started processes.
    """
    there = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if trainer.accelerator == "gpu" and not there:
        raise RequestError("trainer.accelerator=gpu, but there is no GPU here that torch can use: choose trainer=cpu")
    accelerator = "cuda" if there and trainer.accelerator != "cpu" else "cpu"
    started = _from_slurm(environment) or _from_launcher(environment)
    if started is not None:
        _agree(trainer, started["devices"], started["nodes"])
        return Place(accelerator, external=True, **started)
    if trainer.nodes > 1:
        raise RequestError(f"trainer.nodes={trainer.nodes} without a scheduler: start it by dora launch, srun or torchrun")
    devices = trainer.devices or (there if accelerator == "cuda" else 1)
    if accelerator == "cuda" and devices > there:
        raise RequestError(f"trainer.devices={devices}, but there are {there} GPUs here: ask for at most as many, or 0 for all")
    return Place(accelerator, devices)


def _from_slurm(environment: Mapping[str, str]) -> dict[str, Any] | None:
    tasks = int(environment.get("SLURM_NTASKS", 1))
    if tasks == 1 or "SLURM_PROCID" not in environment or "SLURM_LOCALID" not in environment:
        return None
    nodes = int(environment.get("SLURM_STEP_NUM_NODES", environment.get("SLURM_NNODES", 1)))
    address = "127.0.0.1"
    if nodes > 1:
        listed = environment.get("SLURM_STEP_NODELIST", environment.get("SLURM_JOB_NODELIST", ""))
        names = subprocess.run(["scontrol", "show", "hostnames", listed], capture_output=True, text=True, check=True)
        address = names.stdout.split()[0]
    return {
        "devices": tasks // nodes,
        "nodes": nodes,
        "rank": int(environment["SLURM_PROCID"]),
        "local_rank": int(environment["SLURM_LOCALID"]),
        "node_rank": int(environment.get("SLURM_NODEID", 0)),
        "address": address,
        "port": 15000 + int(environment.get("SLURM_JOB_ID", 0)) % 20000,
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


def _agree(trainer: Trainer, devices: int, nodes: int) -> None:
    for option, asked, given in (("devices", trainer.devices, devices), ("nodes", trainer.nodes, nodes)):
        if asked not in (0, 1, given):
            raise RequestError(f"trainer.{option}={asked}, but {given} were started: leave it out, or start as many")


class Environment(ClusterEnvironment):
    """Tells Lightning what :class:`Place` says; it is to start no processes and to look for no scheduler."""

    def __init__(self, here: Place) -> None:
        self.here = here

    @property
    def creates_processes_externally(self) -> bool:
        return True

    @property
    def main_address(self) -> str:
        return self.here.address

    @property
    def main_port(self) -> int:
        return self.here.port

    @staticmethod
    def detect() -> bool:
        return False

    def world_size(self) -> int:
        return self.here.world_size

    def set_world_size(self, size: int) -> None:
        pass

    def global_rank(self) -> int:
        return self.here.rank

    def set_global_rank(self, rank: int) -> None:
        pass

    def local_rank(self) -> int:
        return self.here.local_rank

    def node_rank(self) -> int:
        return self.here.node_rank
