"""Batches of examples, read ahead by worker processes."""

from __future__ import annotations

import logging
import os
import signal
import sys
import types
from collections.abc import Iterator
from functools import partial
from multiprocessing import context, forkserver, popen_forkserver, process
from typing import Any

import numpy as np
import torch
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]
from torch import Tensor
from torch.utils.data import DataLoader, Sampler

from jukemir_like.core.errors import JukemirLikeError, RequestError
from jukemir_like.core.parallel import set_up_worker
from jukemir_like.stemjepa.data.examples import Examples

_AHEAD = 4  # batches that each worker has ready
_SHARED_MEMORY = "/dev/shm"  # noqa: S108 - where workers hand their batches over

_log = logging.getLogger(__name__)


class Batches(Sampler[list[int]]):
    """Which examples batch b of rank r holds: ``(b·world_size + r)·batch_size + i``."""

    def __init__(self, batch_size: int, first_batch: int, batches: int, rank: int, world_size: int) -> None:
        self.batch_size, self.first_batch, self.batches, self.rank, self.world_size = batch_size, first_batch, batches, rank, world_size

    def __len__(self) -> int:
        return self.batches

    def __iter__(self) -> Iterator[list[int]]:
        for batch in range(self.first_batch, self.first_batch + self.batches):
            first = (batch * self.world_size + self.rank) * self.batch_size
            yield list(range(first, first + self.batch_size))


class Loader(DataLoader[dict[str, Tensor]]):
    """A DataLoader whose workers' errors are of one line, as everywhere, and not with a traceback in their message."""

    def __iter__(self) -> Any:
        return _with_plain_errors(super().__iter__())


def _with_plain_errors(batches: Iterator[dict[str, Tensor]]) -> Iterator[dict[str, Tensor]]:
    try:
        yield from batches
        return
    except JukemirLikeError as error:
        last = str(error).strip().splitlines()[-1]
        plain = partial(type(error), last.removeprefix(f"{type(error).__module__}.{type(error).__qualname__}: "))
        # It would keep the workers until the garbage is collected, when they cannot be told to end any more and are waited for.
        error.__traceback__ = None
    raise plain()


def loader(
    examples: Examples,
    *,
    batch_size: int,
    first_batch: int = 0,
    batches: int,
    rank: int = 0,
    world_size: int = 1,
    workers: int = 2,
) -> Loader:
    """Batches ``first_batch`` … ``first_batch + batches - 1`` of one of ``world_size`` processes, as dicts of stacked tensors.

    Args:
        examples: what to draw from.
        batch_size: examples in a batch of one rank.
        first_batch: where an interrupted run goes on.
        batches: how many.
        rank, world_size: which process of how many this is.
        workers: processes that read; 0: this one does. They have one numerical thread each, leave Ctrl-C and SIGTERM to this process (a
            cluster sends them to all of a job, and this one has its state to save), and end when it does.

    Raises:
        RequestError: a number is out of its range.
    """
    if batch_size < 1 or workers < 0 or not 0 <= rank < world_size:
        raise RequestError(
            f"batch_size {batch_size}, {workers} workers, rank {rank} of {world_size}: give at least 1, 0, and a rank there is"
        )
    sampler = Batches(batch_size, first_batch, batches, rank, world_size)
    # A generator of its own: torch's global one is the network's, and would go on differently after an interruption.
    common: dict[str, Any] = {"batch_sampler": sampler, "pin_memory": torch.cuda.is_available(), "generator": torch.Generator()}
    batch_bytes = batch_size * 2 * examples.chunk_samples * np.dtype(np.float32).itemsize
    workers, ahead = read_ahead(min(workers, max(1, batches)), batch_bytes, _free_shared_memory() // world_size)
    if workers == 0:
        return Loader(examples, **common)
    return Loader(
        examples,
        num_workers=workers,
        persistent_workers=True,
        prefetch_factor=ahead,
        worker_init_fn=_start_worker,
        multiprocessing_context=_context(),
        **common,
    )


def read_ahead(workers: int, batch_bytes: int, free: int) -> tuple[int, int]:
    """How many workers, and how many batches each has ready, fit into ``free`` bytes of shared memory: as many as asked for, if they do.

    A container has 64 MB of it unless it is given more, and a worker that finds none left cannot go on.
    """
    ahead = _AHEAD
    room = free * 9 // 10 // max(1, batch_bytes)  # batches; each worker writes one more than it has ready
    while workers * (ahead + 1) > room and ahead > 1:
        ahead -= 1
    fitting = min(workers, room // (ahead + 1))
    if fitting < workers:
        _log.warning(
            "%s has room for %d of %d loader workers: give the container more for speed (--shm-size 1g)", _SHARED_MEMORY, fitting, workers
        )
    return fitting, ahead


def _free_shared_memory() -> int:
    if sys.platform != "linux":
        return sys.maxsize
    try:
        found = os.statvfs(_SHARED_MEMORY)
    except OSError:
        return 0
    if not os.access(_SHARED_MEMORY, os.W_OK) or found.f_flag & os.ST_RDONLY:
        return 0
    return found.f_bavail * found.f_frsize


class _Popen(popen_forkserver.Popen):
    def terminate(self) -> None:
        """Kills: workers leave SIGTERM alone, and this is the last resort for one that does not end when it is told to."""
        self.kill()


class _Process(context.ForkServerProcess):
    @staticmethod
    def _Popen(process_object: process.BaseProcess) -> Any:  # noqa: N802
        # A worker would run the main module again (a second import of lightning, and a script without a guard would train in it).
        # It needs nothing of it.
        main = sys.modules["__main__"]
        sys.modules["__main__"] = types.ModuleType("__main__")
        try:
            return _Popen(process_object)
        finally:
            sys.modules["__main__"] = main


class _Clean(context.ForkServerContext):
    """Workers start from a process of one thread: this one may hold locks of its threads (torch's, a logger's), which a fork keeps shut.

    That process imports torch once, for all workers of all loaders.
    """

    Process = _Process


def _context() -> context.BaseContext:
    forkserver.set_forkserver_preload(["jukemir_like.stemjepa.data.examples"])
    forkserver.ensure_running()  # imports while this process goes on
    return _Clean()


def _start_worker(_: int) -> None:
    set_up_worker()
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    threadpool_limits(1)
