"""A signal stops a run between two steps, so that its state can be saved first; then the signal takes its usual course.

SIGINT, SIGTERM and SIGHUP end the process by whatever handled them before; SIGUSR1 and SIGUSR2, by which schedulers announce the end of a
job's time, go to the handler that was there, which may put the job back into the queue.
"""

from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import Any

from jukemir_like.core import signals

SECONDS = 30.0
"""For a step and a state: as long as SLURM waits before it kills."""

_ANNOUNCING = (signal.SIGUSR1, signal.SIGUSR2)


class Interruption:
    """Collects signals while it is entered. Only in a process's main thread; elsewhere signals stay with it.

    Attributes:
        received: the first signal, or None.
    """

    def __init__(self) -> None:
        self.received: int | None = None
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Interruption:
        if threading.current_thread() is threading.main_thread():
            # A signal by which nobody would be told anything keeps its default.
            announced = [number for number in _ANNOUNCING if callable(signal.getsignal(number))]
            ending = [number for number in signals.EXIT_SIGNALS if signal.getsignal(number) != signal.SIG_IGN or number != signal.SIGHUP]
            self._before = {number: signal.getsignal(number) for number in (*ending, *announced)}
            self.hold()
        return self

    def hold(self) -> None:
        """Takes the signals (again, where another library took them in the meantime)."""
        for number in self._before:
            signal.signal(number, self._receive)

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def deliver(self) -> None:
        """Gives the received signal to whom it was meant for. Call it after the block; does not return where there was a signal."""
        if self.received is None:
            return
        handler = self._before[self.received]
        if callable(handler):
            handler(self.received, None)
        raise KeyboardInterrupt

    def _receive(self, number: int, _: FrameType | None) -> None:
        if self.received is not None and number == signal.SIGINT:  # the second Ctrl-C does not wait for the step
            signals.exit_now()
        self.received = self.received or number
