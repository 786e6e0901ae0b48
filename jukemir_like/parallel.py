"""One function over many items, in worker processes; one bad item never takes the others along.

Memory does not grow with the number of items: at most two a worker are under way. Results come as they finish.
"""

from __future__ import annotations

import ctypes
import multiprocessing
import multiprocessing.connection
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from tqdm import tqdm

from jukemir_like.errors import InputError

Item = TypeVar("Item")
Result = TypeVar("Result")

_THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_THRESHOLD = -1, -2, -3  # malloc.h


def one_thread_each() -> None:
    """Asks numerical libraries for one thread a process. Call it before NumPy is imported; workers inherit it.

    Parallelism here is over files: threads inside a file cost 30–55 % more processor time for almost no gain, and a fixed number of
    threads keeps results the same to the bit whatever the number of workers.
    """
    for variable in _THREAD_VARIABLES:
        os.environ[variable] = "1"


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


def available_cpus(cgroup: Path = Path("/sys/fs/cgroup")) -> int:
    """Processors this process may use: its affinity, and the limit of its control group (containers; both versions), at least 1."""
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    for files in (("cpu.max",), ("cpu/cpu.cfs_quota_us", "cpu/cpu.cfs_period_us")):
        try:
            quota, period = " ".join((cgroup / file).read_text() for file in files).split()
            if quota not in ("max", "-1"):
                count = min(count, -(-int(quota) // int(period)))
        except (OSError, ValueError):
            continue
    return max(1, count)


class Progress(tqdm):  # type: ignore[misc]
    """A bar, on a terminal only; without tqdm's monitor: one more thread in this process, and workers could not be forked from it."""

    monitor_interval = 0

    def __init__(self, total: int, desc: str, unit: str, **more: Any):
        super().__init__(total=total, desc=desc, unit=unit, disable=None, **more)


def map_unordered(function: Callable[[Item], Result], items: Iterable[Item], workers: int) -> Iterator[tuple[Item, Result | Exception]]:
    """Yields ``(item, result)`` as they finish, in no fixed order; an exception of ``function`` is a result too.

    Args:
        function: picklable; called in a worker process (in this process where ``workers`` is 1).
        items: read lazily.
        workers: processes, at least 1.

    A worker that dies (killed, out of memory, a crash in a decoder) costs nothing but the item that kills it: items under way are tried
    again one at a time, each in a process of its own, and the one that dies again is yielded with an :class:`InputError`.
    """
    if workers <= 1:
        for item in items:
            yield item, _call(function, item)
        return
    iterator = iter(items)
    pool = _pool(workers)
    under_way: dict[Future[Result | Exception], Item] = {}
    try:
        while True:
            for item in islice(iterator, 2 * workers - len(under_way)):
                under_way[_submit(pool, function, item)] = item
            if not under_way:
                pool.shutdown()  # waits for the pool's thread to end: the next pool can fork only where there is none
                return
            finished, _ = wait(under_way, return_when=FIRST_COMPLETED)
            broken = any(isinstance(future.exception(), BrokenProcessPool) for future in finished)
            if broken:
                finished, _ = wait(under_way)  # the pool is lost, and with it all that was under way in it
            suspects = []
            for future in finished:
                item = under_way.pop(future)
                if isinstance(future.exception(), BrokenProcessPool):
                    suspects.append(item)
                else:
                    yield item, future.result()
            if broken:
                pool.shutdown(wait=False)
                yield from ((item, _alone(function, item)) for item in suspects)
                pool = _pool(workers)
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _submit(pool: ProcessPoolExecutor, function: Callable[[Item], Result], item: Item) -> Future[Result | Exception]:
    try:
        return pool.submit(_call, function, item)
    except BrokenProcessPool as error:  # a worker died since the last look
        future: Future[Result | Exception] = Future()
        future.set_exception(error)
        return future


def _call(function: Callable[[Item], Result], item: Item) -> Result | Exception:
    try:
        return function(item)
    except Exception as error:
        error.__cause__ = error.__context__ = None
        return error


def _alone(function: Callable[[Item], Result], item: Item) -> Result | Exception:
    with _pool(1) as pool:
        try:
            return pool.submit(_call, function, item).result()
        except BrokenProcessPool:
            return InputError("the worker process died on this file (out of memory, or a crash in a decoder)")


def _pool(workers: int) -> ProcessPoolExecutor:
    # With fork, workers share what the parent has imported and start in milliseconds; it is safe where the parent runs one thread.
    method = "fork" if sys.platform == "linux" and threading.active_count() == 1 else "spawn"
    return ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context(method), initializer=start_worker)


def start_worker() -> None:
    """Ctrl-C is the parent's to handle; and when the parent is gone, by SIGKILL too, so is the worker."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_follow, args=(parent.sentinel,), daemon=True).start()


def _follow(sentinel: int) -> None:
    multiprocessing.connection.wait([sentinel])
    os._exit(1)
