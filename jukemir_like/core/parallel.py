"""One function over many items, in worker processes; one bad item never takes the others along.

Memory does not grow with the number of items: one a worker is under way. Results come as they finish.

Each worker has a pipe of its own, and nothing is shared: no thread here and no lock between processes, so a worker can be killed at any
moment, what it was working on is known, and nothing waits for it. (The standard library's pool waits without limit for work under way when
the interpreter ends, and an exception in that wait, as a second Ctrl-C raises, leaves it waiting for workers that nobody will end.)
"""

from __future__ import annotations

import ctypes
import multiprocessing
import multiprocessing.connection
import os
import pickle
import signal
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Generic, TypeVar

from tqdm import tqdm

from jukemir_like.core import signals
from jukemir_like.core.errors import InputError

Item = TypeVar("Item")
Result = TypeVar("Result")

_THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
_LINE_SECONDS = 60.0
_FAREWELL_SECONDS = 2.0
_NOTHING: Any = object()
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
    """What is done of ``total``: a bar on a terminal; elsewhere, as in a log, a line a minute on standard error, so none for short work.

    Without tqdm's monitor: one more thread in this process, and workers could not be forked from it. So lines are said by :meth:`update`
    and :func:`tick`.

    Args:
        total: None or 0 where it is not known.
        desc: what is being done.
        unit: one of what is counted.
        clock: seconds.
        more: of tqdm.
    """

    monitor_interval = 0

    def __init__(self, total: int | None, desc: str, unit: str, *, clock: Callable[[], float] = time.monotonic, **more: Any):
        super().__init__(total=total, desc=desc, unit=unit, disable=True if sys.stderr is None else None, **more)
        self._what, self._unit, self._clock, self._is_part = desc, unit, clock, not more.get("leave", True)
        self._began = self._said = clock()
        self._first = self.n
        if self.disable and not self._is_part:
            _open.add(self)

    def update(self, n: float = 1) -> bool | None:
        """``n`` more are done."""
        if not self.disable:
            shown: bool | None = super().update(n)
            return shown
        self.n += n
        self.tick()
        return None

    def tick(self) -> None:
        """Says a line where a minute has passed since the last one."""
        now = self._clock()
        if self in _open and now - self._said >= _LINE_SECONDS and sys.stderr is not None:
            self._said = now
            with suppress(OSError, ValueError, AttributeError):  # a stream that is closed, or full
                print(f"{self._what}: {self._line(now - self._began)}", file=sys.stderr, flush=True)  # noqa: T201

    def close(self) -> None:
        if _open is not None and self in _open:  # (at the interpreter's end it is gone)
            _open.discard(self)
        super().close()

    def _line(self, seconds: float) -> str:
        is_bytes = self._unit == "B"
        done, total, rate = self.n, self.total, (self.n - self._first) / seconds
        shown = (lambda number: f"{tqdm.format_sizeof(number)}B") if is_bytes else "{:,}".format
        unit = "" if is_bytes else f" {self._unit}s"
        parts = [f"{shown(done)} of {shown(total)}{unit}" if total else f"{shown(done)}{unit}"]
        if rate:
            parts.append(f"{shown(rate)} a second" if is_bytes else f"{rate:,.3g} a second" if rate >= 1 else f"{60 * rate:,.3g} a minute")
            parts += [f"{_duration((total - done) / rate)} left"] if total and total > done else []
        return ", ".join([*parts, f"{_duration(seconds)} so far"])

    # tqdm compares by position and has its own hash; here a bar is itself.
    __eq__ = object.__eq__
    __hash__ = object.__hash__


_open: weakref.WeakSet[Progress] = weakref.WeakSet()  # those that say lines; one that an exception has left behind is none


def tick() -> None:
    """Says of all work that is under way what is due. For whatever takes minutes without an item that is finished."""
    for progress in list(_open):
        progress.tick()


def _duration(seconds: float) -> str:
    minutes, hours = round(seconds / 60), int(seconds / 3600)
    return f"{hours} h {minutes - 60 * hours} min" if hours else f"{minutes} min" if minutes else f"{max(1, round(seconds))} s"


def map_unordered(function: Callable[[Item], Result], items: Iterable[Item], workers: int) -> Iterator[tuple[Item, Result | Exception]]:
    """Yields ``(item, result)`` as they finish, in no fixed order; an exception of ``function`` is a result too.

    Args:
        function: picklable; called in a worker process (in this process where ``workers`` is 1).
        items: read lazily.
        workers: processes, at least 1.

    A worker that dies (killed, out of memory, a crash in a decoder) costs nothing but the item that kills it: it is tried again in a
    process of its own, and if that dies too it is yielded with an :class:`InputError`. Where the caller leaves before the end, workers
    have two seconds to finish what they are at, and are killed then.
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
            yield from finished  # while the workers are at the next ones
            busy = {worker.connection: worker for worker in pool if worker.item is not _NOTHING}
            if not busy:
                return
            while not (ready := multiprocessing.connection.wait(list(busy), timeout=_LINE_SECONDS)):
                tick()
            finished = []
            for connection in ready:
                worker = busy[connection]  # type: ignore[index]
                item = worker.item
                try:
                    finished.append((item, worker.result()))
                except _WorkerDiedError:
                    pool.remove(worker)
                    finished.append((item, _alone(function, item)))
    finally:
        _dismiss(pool)


def _hand_out(function: Callable[[Item], Result], source: Iterator[Item], pool: list[_Worker[Item, Result]], workers: int) -> None:
    """Gives every idle worker an item; starts workers as they are needed."""
    for place in range(workers):
        if place < len(pool) and pool[place].item is not _NOTHING:
            continue
        item = next(source, _NOTHING)
        if item is _NOTHING:
            return
        if place == len(pool):
            pool.append(_Worker(function, pool))
        if not pool[place].give(item):  # it was killed while it had nothing to do
            pool[place] = _Worker(function, pool)
            pool[place].give(item)


def _alone(function: Callable[[Item], Result], item: Item) -> Result | Exception:
    pool = [_Worker(function, [])]
    try:
        pool[0].give(item)
        while not pool[0].connection.poll(_LINE_SECONDS):
            tick()
        return pool[0].result()
    except _WorkerDiedError:
        return InputError("the worker process died on this file (out of memory, or a crash in a decoder)")
    finally:
        _dismiss(pool)


class _WorkerDiedError(Exception):
    pass


class _Worker(Generic[Item, Result]):
    """A process that calls ``function``.

    Attributes:
        connection: to it.
        item: what it is at; ``_NOTHING`` where it waits for an item.
    """

    def __init__(self, function: Callable[[Item], Result], others: list[_Worker[Item, Result]]):
        # With fork, workers share what the parent has imported and start in milliseconds; it is safe where the parent runs one thread.
        method = "fork" if sys.platform == "linux" and threading.active_count() == 1 else "spawn"
        context: Any = multiprocessing.get_context(method)
        self.item: Item = _NOTHING
        self.connection, theirs = context.Pipe()
        inherited = [self.connection, *(other.connection for other in others)] if method == "fork" else []
        self.process = context.Process(target=_work, args=(function, theirs, inherited), daemon=True)
        before = signal.pthread_sigmask(signal.SIG_BLOCK, signals.ENDING)  # until the worker knows what to do with them
        try:
            self.process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        theirs.close()

    def give(self, item: Item) -> bool:
        """Has the worker begin with ``item``; False: it has died since the last one."""
        try:
            self.connection.send(item)
        except OSError:
            return False
        self.item = item
        return True

    def result(self) -> Result | Exception:
        """What became of the item; waits for it."""
        try:
            data = self.connection.recv_bytes()
        except (OSError, EOFError):
            raise _WorkerDiedError from None
        self.item = _NOTHING
        try:
            found: Result | Exception = pickle.loads(data)  # noqa: S301 -- of our own
        except Exception as error:
            return error
        return found


def _dismiss(pool: list[_Worker[Any, Any]]) -> None:
    """Ends workers: idle ones at once, others when they have finished what they are at, or after two seconds."""
    for worker in pool:
        worker.connection.close()
    running = {worker.process.sentinel: worker.process for worker in pool}
    until = time.monotonic() + _FAREWELL_SECONDS
    while running and (ended := multiprocessing.connection.wait(list(running), timeout=max(0.0, until - time.monotonic()))):
        for sentinel in ended:
            running.pop(sentinel).join()  # type: ignore[call-overload]
    signals.kill({process.pid for process in running.values()})
    for process in running.values():
        process.join(_FAREWELL_SECONDS)


def _work(function: Callable[[Item], Result], connection: Connection[Any, Any], inherited: list[Connection[Any, Any]]) -> None:
    """A worker's life."""
    start_worker()
    # It is a daemon, so that the parent never waits for it at its end. But what it calls may start processes of its own.
    multiprocessing.current_process()._config["daemon"] = False  # type: ignore[attr-defined]
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


def start_worker() -> None:
    """Signals that come to a terminal are the parent's to handle; and when the parent is gone, by SIGKILL too, so is the worker."""
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, signals.ENDING)
    _open.clear()
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_follow, args=(parent.sentinel,), daemon=True).start()


def _follow(sentinel: int) -> None:
    multiprocessing.connection.wait([sentinel])
    os._exit(1)
