"""Worker threads, and the progress bars that they share. The time goes into network and disk, and computing digests releases the GIL.

The calling thread only waits, so Ctrl-C ends the work at once, even while threads wait for something.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable
from queue import SimpleQueue
from typing import TypeVar

from jukemir_like.core.progress import Progress

Item = TypeVar("Item")
Result = TypeVar("Result")

_JOIN_SECONDS = 1.0
_LARGE_BYTES = 32 << 20


class CancelledError(Exception):
    """The work is to end: raised in the worker threads."""


def map_in_threads(
    function: Callable[[Item], Result], items: Iterable[Item], num_threads: int, cancelled: threading.Event
) -> Generator[tuple[Item, Result | Exception]]:
    """Yields ``(item, result)`` as they finish, in no fixed order; an exception of ``function`` is a result too.

    Args:
        function: called in the threads; has to look at ``cancelled`` now and then, and to raise :class:`CancelledError`.
        items: begun in their order.
        num_threads: at least 1.
        cancelled: set when the caller leaves before the end. Threads that do not end within a second (a connection that stalls) are left
            alone; they do not keep the process from ending.

    >>> sorted(map_in_threads(len, ["a", "bc"], 2, threading.Event()))
    [('a', 1), ('bc', 2)]
    """
    waiting = deque(items)
    results: SimpleQueue[tuple[Item, Result | Exception]] = SimpleQueue()

    def work() -> None:
        while not cancelled.is_set():
            try:
                item = waiting.popleft()
            except IndexError:
                return
            try:
                results.put((item, function(item)))
            except Exception as error:
                results.put((item, error))

    count = len(waiting)
    threads = [threading.Thread(target=work, daemon=True) for _ in range(min(num_threads, count))]
    for thread in threads:
        thread.start()
    try:
        for _ in range(count):
            yield results.get()
    except BaseException:
        cancelled.set()
        raise
    finally:
        deadline = time.monotonic() + _JOIN_SECONDS
        for thread in threads:
            thread.join(max(0.0, deadline - time.monotonic()))


class DownloadProgress:
    """The progress bar of all bytes of a download; may be used by several threads.

    Args:
        title: of the bar.
        num_files: how many files there are.
        cancelled: set where the work is to end: :class:`FileProgress` raises :class:`CancelledError` then.
    """

    def __init__(self, title: str, num_files: int, cancelled: threading.Event):
        self.cancelled = cancelled
        self._num_files = num_files
        self._num_finished = 0
        self._lock = threading.Lock()
        self._bar = Progress(0, title, "B", unit_scale=True)

    def set_total(self, size: int) -> None:
        """``size`` bytes are expected in all, which may be an estimate."""
        self._bar.total = size

    def add_bytes(self, count: int) -> None:
        """``count`` more bytes have arrived (fewer than before, where a file is restarted)."""
        with self._lock:
            self._bar.update(count)

    def finish_file(self) -> None:
        """One more file is finished."""
        with self._lock:
            self._num_finished += 1
            self._bar.set_postfix_str(f"{self._num_finished:,} of {self._num_files:,} files", refresh=False)

    def close(self) -> None:
        """Ends the bar."""
        if self._num_finished == self._num_files:
            self._bar.total = self._bar.n  # the total was an estimate
            self._bar.refresh()
        self._bar.close()


class FileProgress:
    """The progress of one file, with a bar of its own where it is large; ends the work on it where the download is cancelled."""

    def __init__(self, download: DownloadProgress, tag: str):
        self._download = download
        self._tag = tag
        self._size = 0
        self._bar: Progress | None = None

    def check_cancelled(self) -> None:
        """Raises :class:`CancelledError` where the download is cancelled."""
        if self._download.cancelled.is_set():
            raise CancelledError

    def update(self, size: int, total: int | None) -> None:
        """``size`` bytes of ``total``, where known, have arrived; :class:`CancelledError` where the download is cancelled."""
        self.check_cancelled()
        if self._bar is None and total is not None and total >= _LARGE_BYTES:
            self._bar = Progress(total, self._tag, "B", unit_scale=True, leave=False)
        if self._bar is not None:
            self._bar.update(size - self._bar.n)
        self._download.add_bytes(size - self._size)
        self._size = size

    def sleep(self, seconds: float) -> None:
        """Sleeps; :class:`CancelledError` as soon as the download is cancelled."""
        if self._download.cancelled.wait(seconds):
            raise CancelledError

    def close(self) -> None:
        """Ends the bar."""
        if self._bar is not None:
            self._bar.close()
