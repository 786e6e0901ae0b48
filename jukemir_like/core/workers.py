"""Worker processes: started, given one item after another, asked for results, ended.

Each worker has a pipe of its own, and nothing is shared: no thread here and no lock between processes, so a worker can be killed at any
moment, which item it had is known, and nothing waits for it. (The standard library's pool waits without limit for unfinished work when
the interpreter ends, and an exception in that wait, as a second Ctrl-C raises, leaves it waiting for workers that nobody will end.)

:func:`jukemir_like.core.parallel.map_unordered` and :class:`jukemir_like.core.two_steps.TwoSteps` are made of them.
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
import types
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection
from typing import Any, Generic, TypeVar

from jukemir_like.core import parcels, processes, progress, signals
from jukemir_like.core.errors import InputError

Item = TypeVar("Item")
Result = TypeVar("Result")

NO_ITEM: Any = object()
_FINISHING_SECONDS = 2.0
_GPU_DRIVER = "libcuda.so.1"
_index = 0  # of this process among the workers


def worker_index() -> int:
    """Which of the workers this process is, from 0: no two that run at the same time have the same. 0 in a process that is none."""
    return _index


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
    """Whether this process has used a GPU, which a forked one then cannot; to have counted them by torch is enough."""
    torch = sys.modules.get("torch")
    return (torch is not None and torch.cuda.is_initialized()) or _is_loaded(_GPU_DRIVER)


def _is_loaded(library: str) -> bool:
    """Whether a shared library is in this process. Does not load it."""
    try:
        ctypes.CDLL(library, mode=os.RTLD_NOLOAD)
    except (OSError, AttributeError):
        return False
    return True


@contextmanager
def _without_main_module(needed: bool) -> Iterator[None]:
    """Within it a process that is spawned does not run the user's script first, unless what it is to call is ``needed`` from there.

    A script that calls this package at its top level would else start itself again in each worker.
    """
    main = sys.modules["__main__"]
    if not needed:
        sys.modules["__main__"] = types.ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


class WorkerDiedError(Exception):
    """A worker process has ended before it gave its result."""


class Worker(Generic[Item, Result]):
    """A process that calls ``function``.

    Args:
        function: picklable.
        pool: the workers beside which it has an index of its own.
        index: None: the first that is free in ``pool``.
        others: further workers of this process.

    Attributes:
        connection: to it.
        item: the one it has; ``NO_ITEM`` where it waits for one.
        index: see :func:`worker_index`.
    """

    def __init__(
        self,
        function: Callable[[Item], Result],
        pool: Sequence[Worker[Item, Result]],
        index: int | None = None,
        others: Sequence[Worker[Any, Any]] = (),
    ):
        # With fork, workers share what the parent has imported and start in milliseconds; it is safe where the parent runs one thread.
        method = "fork" if sys.platform == "linux" and threading.active_count() == 1 and not _uses_gpu() else "spawn"
        context: Any = multiprocessing.get_context(method)
        self.item: Item = NO_ITEM
        taken = {other.index for other in pool}
        self.index: int = next(place for place in itertools.count() if place not in taken) if index is None else index
        self.connection, other_end = context.Pipe()
        inherited = [self.connection, *(other.connection for other in (*pool, *others))] if method == "fork" else []
        # A daemon, so that the parent never waits for it at its end.
        self.process = context.Process(target=_serve, args=(function, other_end, inherited, self.index), daemon=True)
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, ())
        try:
            # Until the worker has set up what they do. Blocking may itself raise what an earlier signal asks for.
            signal.pthread_sigmask(signal.SIG_BLOCK, signals.EXIT_SIGNALS)
            with _without_main_module(method == "fork" or b"__main__" in pickle.dumps(function)):
                self.process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        other_end.close()

    def give(self, item: Item) -> bool:
        """Has the worker begin with ``item``; False: it has died since the last one."""
        try:
            self.connection.send(item)
            parcels.send_files(self.connection, item)
        except OSError:
            return False
        self.item = item
        return True

    def result(self) -> Result | Exception:
        """What ``function`` returned or raised; waits for it."""
        try:
            data = self.connection.recv_bytes()
        except (OSError, EOFError):
            raise WorkerDiedError from None
        self.item = NO_ITEM
        try:
            result: Result | Exception = pickle.loads(data)  # noqa: S301 -- of our own
        except Exception as error:
            return error
        try:
            parcels.receive_files(self.connection, result)
        except (OSError, EOFError):
            raise WorkerDiedError from None
        return result


def hand_out(
    function: Callable[[Item], Result],
    source: Iterator[Item],
    pool: list[Worker[Item, Result]],
    workers: int,
    others: Sequence[Worker[Any, Any]] = (),
) -> None:
    """Gives every idle worker of ``pool`` an item; starts workers as they are needed, up to so many."""
    for place in range(workers):
        if place < len(pool) and pool[place].item is not NO_ITEM:
            continue
        item = next(source, NO_ITEM)
        if item is NO_ITEM:
            return
        if place == len(pool):
            pool.append(Worker(function, pool, others=others))
        if not pool[place].give(item):  # it was killed while it had nothing to do
            pool[place] = Worker(function, pool, pool[place].index, others)
            pool[place].give(item)


def results(*pools: tuple[Callable[[Any], Any], list[Worker[Any, Any]]]) -> list[tuple[list[Worker[Any, Any]], Any, Any]]:
    """Waits until a worker has finished; returns the pool, the item and the result of all that have. Empty where nobody works.

    A worker that has died leaves its pool, and its item is done in a process of its own.

    Args:
        pools: workers, and the function that they call.
    """
    busy = {worker.connection: (worker, function, pool) for function, pool in pools for worker in pool if worker.item is not NO_ITEM}
    if not busy:
        return []
    while not (ready := multiprocessing.connection.wait(list(busy), timeout=progress.LINE_SECONDS)):
        progress.report_progress()
    finished = []
    for connection in ready:
        worker, function, pool = busy[connection]  # type: ignore[index]
        item = worker.item
        try:
            result = worker.result()
        except WorkerDiedError:
            pool.remove(worker)
            result = _call_in_own_process(function, item, worker.index)
        finished.append((pool, item, result))
    return finished


def _call_in_own_process(function: Callable[[Item], Result], item: Item, index: int) -> Result | Exception:
    pool = [Worker(function, [], index)]
    try:
        pool[0].give(item)
        while not pool[0].connection.poll(progress.LINE_SECONDS):
            progress.report_progress()
        return pool[0].result()
    except WorkerDiedError:
        return InputError("the worker process died on this file (out of memory, or a crash in a decoder)")
    finally:
        dismiss(pool)


def dismiss(pool: Sequence[Worker[Any, Any]]) -> None:
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
    parcels.close_inherited()
    with suppress(EOFError, OSError):  # the parent does not want more
        while True:
            item = connection.recv()
            parcels.receive_files(connection, item)
            result = call(function, item)
            parcels.close(item)
            try:
                data = pickle.dumps(result)
            except Exception as error:
                result = TypeError(f"the result cannot be sent: {error}")
                data = pickle.dumps(result)
            connection.send_bytes(data)
            parcels.send_files(connection, result)
            parcels.close(result)


def call(function: Callable[[Item], Result], item: Item) -> Result | Exception:
    """What ``function`` returns for ``item``, or the exception that it raises."""
    try:
        return function(item)
    except Exception as error:
        error.__cause__ = error.__context__ = None
        return error
