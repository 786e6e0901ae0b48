"""What a terminal shows of a download: a bar for all bytes, and one for each large file under way."""

from __future__ import annotations

import threading

from jukemir_like.core.progress import Progress
from jukemir_like.downloads.threads import Stopped

_LARGE_BYTES = 32 << 20


class Board:
    """The bars of one run; for all threads.

    Args:
        title: what the bar of all bytes is called.
        files: how many are wanted.
        stop: set where the run is to end: followers raise :class:`Stopped`.
    """

    def __init__(self, title: str, files: int, stop: threading.Event):
        self.stop = stop
        self._files = files
        self._finished = 0
        self._lock = threading.Lock()
        self._bar = Progress(0, title, "B", unit_scale=True)

    def expect(self, total: int) -> None:
        """``total`` bytes are wanted, as far as known."""
        self._bar.total = total

    def add(self, count: int) -> None:
        """``count`` more bytes are there (fewer, where something begins anew)."""
        with self._lock:
            self._bar.update(count)

    def finished(self) -> None:
        """One more file is done with."""
        with self._lock:
            self._finished += 1
            self._bar.set_postfix_str(f"{self._finished:,} of {self._files:,} files", refresh=False)

    def close(self) -> None:
        """Ends the bar; what was expected may have been an estimate."""
        if self._finished == self._files:
            self._bar.total = self._bar.n
            self._bar.refresh()
        self._bar.close()


class Follower:
    """Follows one file: shows it, and ends it when the run is to end. A :class:`jukemir_like.downloads.exchange.Watch`."""

    def __init__(self, board: Board, tag: str):
        self._board = board
        self._tag = tag
        self._size = 0
        self._bar: Progress | None = None

    def alive(self) -> None:
        if self._board.stop.is_set():
            raise Stopped

    def arrived(self, size: int, total: int | None) -> None:
        self.alive()
        if self._bar is None and total is not None and total >= _LARGE_BYTES:
            self._bar = Progress(total, self._tag, "B", unit_scale=True, leave=False)
        if self._bar is not None:
            self._bar.update(size - self._bar.n)
        self._board.add(size - self._size)
        self._size = size

    def pause(self, seconds: float) -> None:
        if self._board.stop.wait(seconds):
            raise Stopped

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()
