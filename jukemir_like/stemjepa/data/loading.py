"""Batches of examples, read ahead by worker processes."""

from __future__ import annotations

import atexit
import logging
import multiprocessing
import os
import signal
import sys
import types
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from multiprocessing import forkserver
from multiprocessing.context import ForkServerContext, ForkServerProcess
from typing import Any

import numpy as np
import torch
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]
from torch.utils.data import DataLoader, Dataset, Sampler

from jukemir_like.core.errors import JukemirLikeError, RequestError
from jukemir_like.core.machine import available_memory
from jukemir_like.core.parallel import set_up_worker
from jukemir_like.stemjepa.data.examples import Examples

_PREFETCHED_BATCHES = 4  # that each worker has ready
_SHARED_MEMORY = "/dev/shm"  # noqa: S108 - through which workers pass their batches

_log = logging.getLogger(__name__)


def loader(
    examples: Examples,
    *,
    batch_size: int,
    first_batch: int = 0,
    batches: int,
    rank: int = 0,
    world_size: int = 1,
    workers: int = 2,
    pin_memory: bool = False,
) -> Loader:
    """Batches ``first_batch`` … ``first_batch + batches - 1`` of one of ``world_size`` processes, as dicts of stacked tensors.

    Args:
        examples: the data set.
        batch_size: examples per batch of one rank.
        first_batch: the batch at which an interrupted run continues.
        batches: number of batches.
        rank, world_size: the number of this process, and of all processes of the training.
        workers: processes that read; 0: this one does. They have one numerical thread each, ignore Ctrl-C and SIGTERM (a cluster sends them
            to all processes of a job, and this process still saves its state), and end when this process does.
        pin_memory: copy batches into memory from which a GPU fetches them while it computes. It opens the GPU that is current when the
            batches are asked for: for a loader that feeds that one only.

    Raises:
        RequestError: a number is out of its range.
    """
    if batch_size < 1 or workers < 0 or not 0 <= rank < world_size:
        raise RequestError(
            f"batch_size {batch_size}, {workers} workers, rank {rank} of {world_size}: give at least 1, at least 0, and a rank below their "
            "number"
        )
    batch_bytes = batch_size * 2 * examples.chunk_samples * np.dtype(np.float32).itemsize
    workers, prefetched = read_ahead(
        min(workers, max(1, batches)), batch_bytes, min(_free_shared_memory(), available_memory() // 2) // world_size
    )
    sampler = Batches(batch_size, first_batch, batches, rank, world_size)
    return _load(examples, workers, prefetched, batch_sampler=sampler, pin_memory=pin_memory, persistent_workers=workers > 0)


def items_ahead(items: Dataset[Any], numbers: Sequence[int], *, workers: int) -> Loader:
    """``items[n]`` for each of ``numbers``, in their order, as they are: a few are read ahead by worker processes.

    They come through pipes and not through shared memory, which the batches of a training may need as a whole.

    Args:
        items: picklable, as what it gives is.
        numbers: which.
        workers: as of :func:`loader`.
    """
    return _load(items, min(workers, len(numbers)), 1, sampler=list(numbers), batch_size=None, collate_fn=_unchanged)


def _load(items: Dataset[Any], workers: int, prefetched: int, **options: Any) -> Loader:
    # A generator of its own: torch's global one initialises and trains the network, and would differ after an interruption.
    options["generator"] = torch.Generator()
    if workers == 0:
        return Loader(items, **options)
    return Loader(
        items,
        num_workers=workers,
        prefetch_factor=prefetched,
        worker_init_fn=_start_worker,
        multiprocessing_context=_worker_context(),
        **options,
    )


def _unchanged(item: Any) -> Any:
    return item


class Batches(Sampler[list[int]]):
    """The examples of each batch: batch b of rank r holds ``(b·world_size + r)·batch_size + i``, for i = 0 … batch_size - 1.

    >>> list(Batches(batch_size=2, first_batch=0, batches=2, rank=1, world_size=2))
    [[2, 3], [6, 7]]
    """

    def __init__(self, batch_size: int, first_batch: int, batches: int, rank: int, world_size: int) -> None:
        self.batch_size, self.first_batch, self.batches, self.rank, self.world_size = batch_size, first_batch, batches, rank, world_size

    def __len__(self) -> int:
        return self.batches

    def __iter__(self) -> Iterator[list[int]]:
        for batch in range(self.first_batch, self.first_batch + self.batches):
            first = (batch * self.world_size + self.rank) * self.batch_size
            yield list(range(first, first + self.batch_size))


class Loader(DataLoader[Any]):
    """A DataLoader whose workers do not import the main module, and whose errors have messages of one line, without a traceback."""

    def __iter__(self) -> Any:
        if not self.num_workers:
            return _with_plain_errors(super().__iter__())
        with _empty_main_module():
            batches = super().__iter__()  # starts the workers
        return _with_plain_errors(batches)


def _with_plain_errors(batches: Iterator[Any]) -> Iterator[Any]:
    try:
        yield from batches
        return
    except JukemirLikeError as error:
        last = str(error).strip().splitlines()[-1]
        plain_error = partial(type(error), last.removeprefix(f"{type(error).__module__}.{type(error).__qualname__}: "))
        # The traceback refers to the workers. It would keep them until garbage collection, when they no longer receive the message to end.
        error.__traceback__ = None
    raise plain_error()


def read_ahead(workers: int, batch_bytes: int, free_bytes: int) -> tuple[int, int]:
    """How many workers, and how many batches per worker, fit into the shared memory: as many as requested, if they fit.

    A container has 64 MB of it unless it is given more, and a worker that finds none left is killed. Shared memory is memory: a container
    may be allowed more of it than the machine has.

    Args:
        workers: requested number of workers.
        batch_bytes: size of a batch.
        free_bytes: of shared memory, and of half of all free memory, for this process.

    >>> read_ahead(workers=2, batch_bytes=32 << 20, free_bytes=200 << 20)
    (2, 1)
    """
    prefetched = _PREFETCHED_BATCHES
    capacity = free_bytes * 9 // 10 // max(1, batch_bytes)  # in batches; each worker writes one more than it has ready
    while workers * (prefetched + 1) > capacity and prefetched > 1:
        prefetched -= 1
    fitting = min(workers, capacity // (prefetched + 1))
    if fitting < workers:
        _log.warning(
            "%s has room for %d of %d loader workers: give the container more for speed (--shm-size 8g)", _SHARED_MEMORY, fitting, workers
        )
    return fitting, prefetched


def _free_shared_memory() -> int:
    if sys.platform != "linux":
        return sys.maxsize
    try:
        status = os.statvfs(_SHARED_MEMORY)
    except OSError:
        return 0
    if not os.access(_SHARED_MEMORY, os.W_OK) or status.f_flag & os.ST_RDONLY:
        return 0
    return status.f_bavail * status.f_frsize


class _WorkerProcess(ForkServerProcess):
    """A worker, which ignores SIGTERM (:func:`_start_worker`) and therefore is killed where others would be terminated."""

    def terminate(self) -> None:
        """Kills the worker: torch calls this for one that does not end when it is asked to."""
        self.kill()


@atexit.register
def _kill_workers() -> None:
    """Before multiprocessing's own exit handler, which was registered earlier, sends SIGTERM to them and waits for their end."""
    for process in multiprocessing.active_children():
        if isinstance(process, _WorkerProcess):
            process.kill()


class _WorkerContext(ForkServerContext):
    """Starts workers from a server process of one thread.

    A fork of this process could inherit a lock (torch's, a logger's) that one of its threads holds and nobody would release. The server
    imports torch once, for all workers of all loaders.
    """

    Process = _WorkerProcess


def _worker_context() -> _WorkerContext:
    forkserver.set_forkserver_preload(["jukemir_like.stemjepa.data.examples"])
    # Starts the server now, so that it imports torch while the caller works: with 3 s of other work between making a loader and iterating
    # over it, the first batch comes after 3.1 s instead of 5.8 s.
    forkserver.ensure_running()
    return _WorkerContext()


@contextmanager
def _empty_main_module() -> Iterator[None]:
    """Processes that are started meanwhile do not import the main module of this process.

    multiprocessing would run it in every worker: Lightning would be imported again, and a script without ``if __name__ == "__main__"``
    would start to train in each of them. Workers need nothing of it.
    """
    main = sys.modules["__main__"]
    sys.modules["__main__"] = types.ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


def _start_worker(_: int) -> None:
    set_up_worker()
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    threadpool_limits(1)
