"""One function over many items, in worker processes; one bad item never takes the others along.

Memory does not grow with the number of items: each worker has one at a time. Results come as they finish.
"""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Callable, Generator, Iterable
from typing import TypeVar

from jukemir_like.core.workers import Worker, call, dismiss, hand_out, results, set_up_worker, worker_index

__all__ = ["keep_freed_memory", "map_unordered", "set_up_worker", "use_one_thread_per_process", "wait_without_spinning", "worker_index"]

Item = TypeVar("Item")
Result = TypeVar("Result")

_THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
_WAIT_VARIABLES = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")  # of all OpenMPs; of GNU's, of Intel's and LLVM's
_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_THRESHOLD = -1, -2, -3  # malloc.h


def map_unordered(function: Callable[[Item], Result], items: Iterable[Item], workers: int) -> Generator[tuple[Item, Result | Exception]]:
    """Yields ``(item, result)`` as they finish, in no fixed order; an exception of ``function`` is a result too.

    Args:
        function: picklable; called in a worker process (in this process where ``workers`` is 1).
        items: read lazily.
        workers: processes, at least 1.

    A worker that dies (killed, out of memory, a crash in a decoder) costs nothing but the item that kills it: the item is tried again in a
    process of its own, and if that dies too it is yielded with an :class:`InputError`. Where the caller leaves before the end, workers
    have two seconds to finish their items, and are killed then.

    >>> sorted(map_unordered(abs, [-1, -2, 3], workers=2))
    [(-2, 2), (-1, 1), (3, 3)]
    """
    if workers <= 1:
        for item in items:
            yield item, call(function, item)
        return
    source = iter(items)
    pool: list[Worker[Item, Result]] = []
    finished: list[tuple[Item, Result | Exception]] = []
    try:
        while True:
            hand_out(function, source, pool, workers)
            yield from finished  # while the workers have their next items
            finished = [(item, result) for _, item, result in results((function, pool))]
            if not finished:
                return
    finally:
        dismiss(pool)


def use_one_thread_per_process() -> None:
    """Asks numerical libraries for one thread per process. Call it before NumPy is imported; workers inherit it.

    Parallelism here is over files: threads inside a file cost 30–55 % more processor time for almost no gain, and a fixed number of
    threads keeps results the same to the bit with any number of workers.
    """
    for variable in _THREAD_VARIABLES:
        os.environ[variable] = "1"


def wait_without_spinning() -> bool:
    """Asks OpenMP's threads to sleep while they wait for one another, and not to keep a processor busy. What the user has set is kept.

    Call it before torch is imported, whose OpenMP reads the variable once; processes that are started later inherit it. Without it, beside
    other work on the same processors, the threads of a step spend most of the time that they get on waiting for one that gets none.

    Returns:
        whether this process has imported torch already, so that only those that it starts are asked.
    """
    if any(variable in os.environ for variable in _WAIT_VARIABLES):
        return False
    os.environ["OMP_WAIT_POLICY"] = "PASSIVE"
    return "torch" in sys.modules


def keep_freed_memory() -> None:
    """Asks the C library to keep what a file's arrays took for the next file's, instead of giving it back and asking again.

    Fresh pages are cleared by the system one by one when they are first touched, which cost mfcc a fifth of its time. glibc only; elsewhere
    nothing is done. Arrays of 32 MiB and more are still given back at once.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError, TypeError):
        return
    mallopt(_M_MMAP_THRESHOLD, (32 << 20) - 1)
    mallopt(_M_TRIM_THRESHOLD, 512 << 20)
    mallopt(_M_TOP_PAD, 16 << 20)
