"""What ends a command before its time: Ctrl-C, a scheduler that asks it to end, a terminal that is closed.

The first signal raises :class:`Interrupted` in the main thread, which then has a few seconds to clean up. A second signal, or the end of
those seconds, ends the process at once: every process that descends from this one is killed, and nothing is waited for.

A thread of its own sees to that; it waits for signals and does nothing else. For the main thread may be in a native call that does not
come back, or at the end of the interpreter, which waits for threads and processes as long as they take. It also wakes the main thread
until that has noticed: a signal that comes just before the main thread begins to wait (for a lock, say), or that the system gives to
another thread, does not end that wait.
"""

from __future__ import annotations

import _thread
import atexit
import os
import select
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType

from jukemir_like.core import processes
from jukemir_like.core.errors import INTERRUPTED

EXIT_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
MESSAGE = "jukemir-like: interrupted; what was finished is kept, run the same command to go on"

GRACE_SECONDS = 8.0
"""How long a first signal leaves for cleaning up; the images' contract gives ten."""

_SAME_REQUEST_SECONDS = 0.05  # a scheduler that signals a process and then its group, or SIGTERM and then SIGHUP, means one thing
_WAKE_SECONDS = 0.1  # between two attempts to wake the main thread
_WAKE_SIGNAL = signal.SIGURG  # which by default is ignored, by other programs too
_FORK_SECONDS = 1.0  # longer than a process with much memory takes to fork
_FORCED_EXIT_SECONDS = 5.0  # for the functions of on_forced_exit


class Interrupted(BaseException):
    """A signal asked for the end. Not KeyboardInterrupt, to which click adds a line of its own."""


class _State:
    """What has happened so far, and what is to be done at the end."""

    grace_seconds = GRACE_SECONDS
    is_postponed = False
    is_pending = False
    is_raised = False
    is_disarmed = False
    is_forced = False
    is_printed = False
    forking = _thread.allocate_lock()
    on_forced_exit: list[Callable[[], object]] = []  # noqa: RUF012 -- there is one


def install() -> None:
    """Makes signals end this process as the module says. For programs: call it once, in the main thread, before anything else."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, EXIT_SIGNALS)  # the thread inherits it: what the main thread blocks stays blocked
    signal.signal(_WAKE_SIGNAL, _wake)
    # Not by `threading`: this thread is to hold no lock while it waits, so that workers can be forked beside it, and is not counted among
    # those that forbid that (threading.active_count).
    begun = _thread.allocate_lock()
    begun.acquire()
    _thread.start_new_thread(_watch, (reader, threading.get_ident(), begun))
    # Or a command could end before it: the interpreter then frees what the thread begins with, and crashes (Python 3.11.2 did, on a busy
    # machine, in one of some thousand quick commands).
    begun.acquire()
    for number in EXIT_SIGNALS:
        if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:  # nohup
            signal.signal(number, _raise)
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    # Functions in C, between whose steps no signal can raise: what is raised there is lost.
    os.register_at_fork(before=_State.forking.acquire, after_in_parent=_State.forking.release, after_in_child=_State.forking.release)
    atexit.register(_ignore_at_the_end)  # called after all that are registered later


def _ignore_at_the_end() -> None:
    """Nothing is left to be interrupted. The interpreter gives its handlers back next, and libraries may take long to end: a signal then
    would end the process with another exit code than its work has had.
    """
    for number in EXIT_SIGNALS:
        signal.signal(number, signal.SIG_IGN)


@contextmanager
def grace_period(seconds: float) -> Iterator[None]:
    """While it is entered, a first signal leaves ``seconds`` for cleaning up, instead of :data:`GRACE_SECONDS`."""
    before, _State.grace_seconds = _State.grace_seconds, seconds
    try:
        yield
    finally:
        _State.grace_seconds = before


@contextmanager
def postponed() -> Iterator[None]:
    """While it is entered, in the main thread, a first signal raises nothing; it raises at the end.

    For the start of something that must be ended and has no name yet: a program between its first instruction and the end of ``Popen``.
    (Signals that are blocked instead would be blocked in that program too.)

    Raises:
        Interrupted: at the end, where a signal has come.
    """
    _State.is_postponed = True
    try:
        yield
    finally:
        _State.is_postponed = False
        if _State.is_pending:
            _State.is_pending, _State.is_raised = False, True
            raise Interrupted


@contextmanager
def not_replaced() -> Iterator[None]:
    """While it is entered, errors that come up after :class:`Interrupted` was raised are taken for it.

    What a library cleans up may meet its own half-done work, and then raises an error in place of what it was to pass on (omegaconf does).
    """
    try:
        yield
    except Exception:
        if _State.is_raised:
            raise Interrupted from None
        raise


@contextmanager
def on_forced_exit(function: Callable[[], object]) -> Iterator[None]:
    """While it is entered, ``function`` is called, in some thread, where the process ends at once and nothing else will clean up."""
    _State.on_forced_exit.append(function)
    try:
        yield
    finally:
        _State.on_forced_exit.remove(function)


def disarm() -> None:
    """Call it when the work is done and the process about to end: signals do not change that any more, unless it does not end."""
    _State.is_disarmed = True
    while _State.is_forced:  # the other thread ends the process
        time.sleep(0.1)


def exit_interrupted() -> None:
    """Ends an interrupted process in order, with exit code 130: exit functions are called, processes that are left are killed."""
    disarm()
    _print(MESSAGE)
    _State.is_printed = True
    # There is no public name for it. The public way, to return to the interpreter, waits for threads that do not end: with one that
    # sleeps, the end came after the 8 s of grace instead of 0.1 s.
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    processes.kill(processes.descendants(os.getpid()))
    os._exit(INTERRUPTED)


def exit_now() -> None:
    """Ends this process and all that descend from it, in the middle of any work; exit code 130."""
    _State.is_forced = True
    _State.forking.acquire(timeout=_FORK_SECONDS)  # for good: a process that another thread started from now on would be left behind
    processes.kill(processes.descendants(os.getpid()))
    unfinished = len(_State.on_forced_exit)

    def call(function: Callable[[], object]) -> None:
        nonlocal unfinished
        with suppress(BaseException):
            function()
        unfinished -= 1

    for function in list(_State.on_forced_exit):
        _thread.start_new_thread(call, (function,))
    deadline = time.monotonic() + _FORCED_EXIT_SECONDS
    while unfinished > 0 and time.monotonic() < deadline:
        time.sleep(0.01)
    if not _State.is_printed:
        _print(MESSAGE)
    os._exit(INTERRUPTED)


def _raise(_: int, frame: FrameType | None) -> None:
    """The handler of a signal, which Python calls in the main thread."""
    if _State.is_raised or _State.is_disarmed:
        return
    if _State.is_postponed:
        _State.is_pending = True
        return
    _State.is_raised = True
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            # Nothing is half done during an import, and an exception in that of an extension module can crash the interpreter.
            exit_now()
        frame = frame.f_back
    raise Interrupted


def _wake(_: int, __: FrameType | None) -> None:
    """That a handler is called is all that is wanted: Python then calls those of the signals that came before, too."""


def _watch(reader: int, main_thread: int, begun: _thread.LockType) -> None:
    """Waits for signals, whose numbers Python writes to a pipe as they come, and ends the process at the second or after the grace."""
    begun.release()
    first = deadline = None
    while True:
        timeout: float | None = None if deadline is None else max(0.0, deadline - time.monotonic())
        is_noticed = _State.is_raised or _State.is_pending or _State.is_disarmed
        if timeout is not None and not is_noticed:
            timeout = min(timeout, _WAKE_SECONDS)
        if not select.select([reader], [], [], timeout)[0]:
            if deadline is not None and time.monotonic() >= deadline:
                exit_now()
            if not is_noticed:
                signal.pthread_kill(main_thread, _WAKE_SIGNAL)
            continue
        if not any(number in EXIT_SIGNALS for number in os.read(reader, 64)):
            continue
        now = time.monotonic()
        if first is None:
            first, deadline = now, now + _State.grace_seconds
        elif now - first > _SAME_REQUEST_SECONDS:
            exit_now()


def _print(line: str) -> None:
    """Writes a line to standard error, past Python's own stream, which may be closed or in use."""
    with suppress(OSError):
        os.write(2, f"{line}\n".encode())
