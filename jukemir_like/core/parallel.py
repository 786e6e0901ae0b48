"""One function over many items, in worker processes; one bad item never takes the others along.

Memory does not grow with the number of items: each worker has one at a time. Results come as they finish.

Each worker has a pipe of its own, and nothing is shared: no thread here and no lock between processes, so a worker can be killed at any
moment, which item it had is known, and nothing waits for it. (The standard library's pool waits without limit for unfinished work when
the interpreter ends, and an exception in that wait, as a second Ctrl-C raises, leaves it waiting for workers that nobody will end.)
"""

from __future__ import annotations

import ctypes
import itertools
import multiprocessing
import multiprocessing.connection
import os
import pickle
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import Any, Generic, TypeVar

from jukemir_like.core import processes, progress, signals
from jukemir_like.core.errors import InputError

Item = TypeVar("Item")
Result = TypeVar("Result")

_THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
_FINISHING_SECONDS = 2.0
_NO_ITEM: Any = object()
_index = 0  # of this process among the workers
_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_THRESHOLD = -1, -2, -3  # malloc.h


def map_unordered(function: Callable[[Item], Result], items: Iterable[Item], workers: int) -> Iterator[tuple[Item, Result | Exception]]:
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
            yield item, _call(function, item)
        return
    source = iter(items)
    pool: list[_Worker[Item, Result]] = []
    finished: list[tuple[Item, Result | Exception]] = []
    try:
        while True:
            _hand_out(function, source, pool, workers)
            yield from finished  # while the workers have their next items
            busy = {worker.connection: worker for worker in pool if worker.item is not _NO_ITEM}
            if not busy:
                return
            while not (ready := multiprocessing.connection.wait(list(busy), timeout=progress.LINE_SECONDS)):
                progress.report_progress()
            finished = []
            for connection in ready:
                worker = busy[connection]  # type: ignore[index]
                item = worker.item
                try:
                    finished.append((item, worker.result()))
                except _WorkerDiedError:
                    pool.remove(worker)
                    finished.append((item, _call_in_own_process(function, item, worker.index)))
    finally:
        _dismiss(pool)


def worker_index() -> int:
    """Which of the workers this process is, from 0: no two that run at the same time have the same. 0 in a process that is none."""
    return _index


def use_one_thread_per_process() -> None:
    """Asks numerical libraries for one thread per process. Call it before NumPy is imported; workers inherit it.

    Parallelism here is over files: threads inside a file cost 30–55 % more processor time for almost no gain, and a fixed number of
    threads keeps results the same to the bit with any number of workers.
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


def set_up_worker() -> None:
    """Call it first in a worker process.

    Signals that a terminal sends to all of its processes are the parent's to handle; and when the parent is gone, by SIGKILL too, the
    worker ends.
    """
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, signals.EXIT_SIGNALS)
    progress.forget_progress()
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_exit_with, args=(parent.sentinel,), daemon=True).start()


def _exit_with(sentinel: int) -> None:
    multiprocessing.connection.wait([sentinel])
    os._exit(1)


def _uses_gpu() -> bool:
    """Whether this process has used a GPU by torch, which a forked one then cannot."""
    torch = sys.modules.get("torch")
    return torch is not None and torch.cuda.is_initialized()


class _WorkerDiedError(Exception):
    pass


class _Worker(Generic[Item, Result]):
    """A process that calls ``function``.

    Attributes:
        connection: to it.
        item: the one it has; ``_NO_ITEM`` where it waits for one.
        index: see :func:`worker_index`.
    """

    def __init__(self, function: Callable[[Item], Result], others: list[_Worker[Item, Result]], index: int | None = None):
        # With fork, workers share what the parent has imported and start in milliseconds; it is safe where the parent runs one thread.
        method = "fork" if sys.platform == "linux" and threading.active_count() == 1 and not _uses_gpu() else "spawn"
        context: Any = multiprocessing.get_context(method)
        self.item: Item = _NO_ITEM
        taken = {other.index for other in others}
        self.index: int = next(place for place in itertools.count() if place not in taken) if index is None else index
        self.connection, other_end = context.Pipe()
        inherited = [self.connection, *(other.connection for other in others)] if method == "fork" else []
        # A daemon, so that the parent never waits for it at its end.
        self.process = context.Process(target=_serve, args=(function, other_end, inherited, self.index), daemon=True)
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, ())
        try:
            # Until the worker has set up what they do. Blocking may itself raise what an earlier signal asks for.
            signal.pthread_sigmask(signal.SIG_BLOCK, signals.EXIT_SIGNALS)
            self.process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        other_end.close()

    def give(self, item: Item) -> bool:
        """Has the worker begin with ``item``; False: it has died since the last one."""
        try:
            self.connection.send(item)
        except OSError:
            return False
        self.item = item
        return True

    def result(self) -> Result | Exception:
        """What ``function`` returned or raised; waits for it."""
        try:
            data = self.connection.recv_bytes()
        except (OSError, EOFError):
            raise _WorkerDiedError from None
        self.item = _NO_ITEM
        try:
            result: Result | Exception = pickle.loads(data)  # noqa: S301 -- of our own
        except Exception as error:
            return error
        return result


def _hand_out(function: Callable[[Item], Result], source: Iterator[Item], pool: list[_Worker[Item, Result]], workers: int) -> None:
    """Gives every idle worker an item; starts workers as they are needed."""
    for place in range(workers):
        if place < len(pool) and pool[place].item is not _NO_ITEM:
            continue
        item = next(source, _NO_ITEM)
        if item is _NO_ITEM:
            return
        if place == len(pool):
            pool.append(_Worker(function, pool))
        if not pool[place].give(item):  # it was killed while it had nothing to do
            pool[place] = _Worker(function, pool, pool[place].index)
            pool[place].give(item)


def _call_in_own_process(function: Callable[[Item], Result], item: Item, index: int) -> Result | Exception:
    pool = [_Worker(function, [], index)]
    try:
        pool[0].give(item)
        while not pool[0].connection.poll(progress.LINE_SECONDS):
            progress.report_progress()
        return pool[0].result()
    except _WorkerDiedError:
        return InputError("the worker process died on this file (out of memory, or a crash in a decoder)")
    finally:
        _dismiss(pool)


def _dismiss(pool: list[_Worker[Any, Any]]) -> None:
    """Ends workers: idle ones at once, others when they have finished their item, or after two seconds."""
    for worker in pool:
        worker.connection.close()
    running = {worker.process.sentinel: worker.process for worker in pool}
    deadline = time.monotonic() + _FINISHING_SECONDS
    while running and (ended := multiprocessing.connection.wait(list(running), timeout=max(0.0, deadline - time.monotonic()))):
        for sentinel in ended:
            running.pop(sentinel).join()  # type: ignore[call-overload]
    processes.kill({process.pid for process in running.values()})
    for process in running.values():
        process.join(_FINISHING_SECONDS)


def _serve(function: Callable[[Item], Result], connection: Connection[Any, Any], inherited: list[Connection[Any, Any]], index: int) -> None:
    """The main function of a worker: receives items, sends results."""
    global _index
    _index = index
    set_up_worker()
    # What the parent makes of a daemon is settled; but a daemon may not start processes, and what the worker calls may want to.
    multiprocessing.current_process().daemon = False
    for other in inherited:  # or they would stay open when the parent closes them
        other.close()
    with suppress(EOFError, OSError):  # the parent does not want more
        while True:
            result = _call(function, connection.recv())
            try:
                data = pickle.dumps(result)
            except Exception as error:
                data = pickle.dumps(TypeError(f"the result cannot be sent: {error}"))
            connection.send_bytes(data)


def _call(function: Callable[[Item], Result], item: Item) -> Result | Exception:
    try:
        return function(item)
    except Exception as error:
        error.__cause__ = error.__context__ = None
        return error
