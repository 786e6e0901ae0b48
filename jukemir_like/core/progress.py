"""How far a piece of work is: a bar on a terminal, elsewhere a line per minute on standard error.

Lines are printed when something is counted (:meth:`Progress.update`), and by work that goes on for minutes without anything to count
(:func:`report_progress`). tqdm's monitor, which would do so, is off: it is one more thread in this process, from which workers could then
not be forked.
"""

from __future__ import annotations

import sys
import time
import weakref
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from tqdm import tqdm

LINE_SECONDS = 60.0
"""At least so many seconds lie between two lines."""


class Progress(tqdm):  # type: ignore[misc]
    """What is done of ``total``: a bar on a terminal; elsewhere, as in a log, a line per minute, so none for short work.

    Args:
        total: None or 0 where it is not known.
        desc: what is being done.
        unit: one of what is counted; ``B`` for bytes.
        clock: seconds.
        more: of tqdm. With ``leave=False`` the work is a part of another one and has no lines.
    """

    monitor_interval = 0

    def __init__(self, total: int | None, desc: str, unit: str, *, clock: Callable[[], float] = time.monotonic, **more: Any):
        super().__init__(total=total, desc=desc, unit=unit, disable=True if sys.stderr is None else None, **more)
        self._description, self._unit, self._clock = desc, unit, clock
        self._started = self._last_line = clock()
        self._initial = self.n
        if self.disable and more.get("leave", True):
            _open.add(self)

    def update(self, n: float = 1) -> bool | None:
        """``n`` more are done."""
        if not self.disable:
            is_displayed: bool | None = super().update(n)
            return is_displayed
        self.n += n
        self.report()
        return None

    def report(self) -> None:
        """Prints a line where a minute has passed since the last one."""
        now = self._clock()
        if self in _open and now - self._last_line >= LINE_SECONDS and sys.stderr is not None:
            self._last_line = now
            with suppress(OSError, ValueError, AttributeError):  # a stream that is closed, or full
                print(f"{self._description}: {self._line(now - self._started)}", file=sys.stderr, flush=True)  # noqa: T201

    def close(self) -> None:
        if _open is not None and self in _open:  # (at the interpreter's end it is gone)
            _open.discard(self)
        super().close()

    def _line(self, seconds: float) -> str:
        is_bytes = self._unit == "B"
        done, total, rate = self.n, self.total, (self.n - self._initial) / seconds
        amount = (lambda number: f"{tqdm.format_sizeof(number)}B") if is_bytes else "{:,}".format
        unit = "" if is_bytes else f" {self._unit}s"
        parts = [f"{amount(done)} of {amount(total)}{unit}" if total else f"{amount(done)}{unit}"]
        if rate:
            parts.append(f"{amount(rate)} a second" if is_bytes else f"{rate:,.3g} a second" if rate >= 1 else f"{60 * rate:,.3g} a minute")
            parts += [f"{_duration((total - done) / rate)} left"] if total and total > done else []
        return ", ".join([*parts, f"{_duration(seconds)} so far"])

    # tqdm compares by position and has its own hash; here a bar is itself.
    __eq__ = object.__eq__
    __hash__ = object.__hash__


# Those that print lines. Weak references: one that an exception left behind prints nothing.
_open: weakref.WeakSet[Progress] = weakref.WeakSet()


def report_progress() -> None:
    """Prints the lines that are due of all work under way. For work that takes minutes until an item is finished."""
    for progress in list(_open):
        progress.report()


def forget_progress() -> None:
    """In a worker that was forked: the work under way is the parent's, which prints its lines."""
    _open.clear()


def _duration(seconds: float) -> str:
    minutes, hours = round(seconds / 60), int(seconds / 3600)
    return f"{hours} h {minutes - 60 * hours} min" if hours else f"{minutes} min" if minutes else f"{max(1, round(seconds))} s"
