"""Whether the devices of a run's processes fit together; else they would wait for one another without end."""

from __future__ import annotations

import json
import socket
import sys
import time
from collections.abc import Mapping, Sequence

import torch
from torch.distributed import Store  # type: ignore[attr-defined]

from jukemir_like.core.errors import WRONG_REQUEST, RequestError
from jukemir_like.stemjepa.training.devices import Placement

_LEAVING_SECONDS = 10.0


def tell(placement: Placement, store: Store) -> None:
    """Puts this process's device into ``store``."""
    gpu = str(getattr(torch.cuda.get_device_properties(placement.gpu), "uuid", "")) if placement.accelerator == "cuda" else ""
    own = {"host": socket.gethostname(), "accelerator": placement.accelerator, "gpu": gpu}
    store.set(f"device/{placement.rank}", json.dumps(own))


def refuse(placement: Placement, store: Store) -> None:
    """Ends the run if the devices that all processes have told do not fit together.

    Raises:
        RequestError: they do not; in the first process.
        SystemExit: in the others.
    """
    fault = find_fault([json.loads(store.get(f"device/{rank}")) for rank in range(placement.world_size)])
    if fault is None:
        return
    gone = store.add("gone", 1)
    if placement.rank:
        sys.exit(WRONG_REQUEST)
    deadline = time.monotonic() + _LEAVING_SECONDS
    while gone < placement.world_size and time.monotonic() < deadline:  # the store goes with the first process, which therefore goes last
        time.sleep(0.02)
        gone = store.add("gone", 0)
    raise RequestError(fault)


def find_fault(devices: Sequence[Mapping[str, str]]) -> str | None:
    """Why processes with these devices cannot train together: some have no GPU, or two have the same; None: they can.

    Args:
        devices: of each process: ``host``, ``accelerator``, and of a GPU its identity as ``gpu``, else an empty string.

    >>> find_fault([{"host": "a", "accelerator": "cpu", "gpu": ""}] * 2) is None
    True
    """
    if len({one["accelerator"] for one in devices}) > 1:
        without = next(rank for rank, one in enumerate(devices) if one["accelerator"] == "cpu")
        return (
            f"process {without} on {devices[without]['host']} has no GPU that torch can use, and others have one: give every process one "
            "(SLURM: --gpus-per-task=1), or choose trainer=cpu"
        )
    seen: dict[tuple[str, str], int] = {}
    for rank, one in enumerate(devices):
        other = seen.setdefault((one["host"], one["gpu"]), rank)
        if one["gpu"] and other != rank:
            return (
                f"processes {other} and {rank} on {one['host']} have the same GPU: start as many processes per node as it has GPUs "
                "(SLURM: --gpus-per-task=1)"
            )
    return None
