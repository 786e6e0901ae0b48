"""One function over many items in threads: what takes time here is the network and the disk, and digests let other threads run.

The calling thread only waits, so Ctrl-C is heeded at once, whatever the others are waiting for.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable
from queue import SimpleQueue
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

_FAREWELL_SECONDS = 1.0


class Stopped(Exception):  # noqa: N818
    """The work is to end: raised in the threads."""


def each(
    function: Callable[[Item], Result], items: Iterable[Item], number: int, stop: threading.Event
) -> Generator[tuple[Item, Result | Exception]]:
    """Yields ``(item, result)`` as they finish; an exception of ``function`` is a result too.

    Args:
        function: called in one of ``number`` threads; to look at ``stop`` now and then, and to raise :class:`Stopped`.
        items: taken in their order.
        number: of threads, at least 1.
        stop: set when the caller leaves before the end. Threads that do not end within a second (in a connection that stalls) are left
            behind; they do not keep the process from ending.
    """
    todo = deque(items)
    results: SimpleQueue[tuple[Item, Result | Exception]] = SimpleQueue()

    def work() -> None:
        while not stop.is_set():
            try:
                item = todo.popleft()
            except IndexError:
                return
            try:
                results.put((item, function(item)))
            except Exception as error:
                results.put((item, error))

    count = len(todo)
    threads = [threading.Thread(target=work, daemon=True) for _ in range(min(number, count))]
    for thread in threads:
        thread.start()
    try:
        for _ in range(count):
            yield results.get()
    except BaseException:
        stop.set()
        raise
    finally:
        until = time.monotonic() + _FAREWELL_SECONDS
        for thread in threads:
            thread.join(max(0.0, until - time.monotonic()))
