"""What ends a command before its time: Ctrl-C, a scheduler that asks it to end, a terminal that is closed.

The first signal raises :class:`Interrupted` in the main thread, which then has a few seconds to clean up. A second signal, or the end of
those seconds, ends all at once: every process that descends from this one is killed, and nothing is waited for.

That is up to a thread of its own, which waits for signals and does nothing else: the main thread may be in a native call that does not
come back, or at the end of the interpreter, which waits for threads and processes for as long as they take.
"""

from __future__ import annotations

import _thread
import atexit
import os
import select
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType

from jukemir_like.core.errors import INTERRUPTED

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
WORDS = "jukemir-like: interrupted; what was finished is kept, run the same command to go on"

_GRACE_SECONDS = 8.0  # the images' contract gives ten
_TOGETHER_SECONDS = 0.05  # a scheduler that tells a process and then its group, or SIGTERM and then SIGHUP, means one thing
_LAST_SECONDS = 5.0
_GONE_SECONDS = 2.0  # a killed process with much memory takes a while to give it back


class Interrupted(BaseException):
    """A signal asked for the end. Not KeyboardInterrupt, to which click adds a line of its own."""


class _State:
    """What has been heard so far, and what is to be done at the end."""

    grace_seconds = _GRACE_SECONDS
    is_raised = False
    is_over = False
    is_ending = False
    is_said = False
    at_last: list[Callable[[], object]] = []  # noqa: RUF012 -- there is one


def listen() -> None:
    """Makes signals end this process as the module says. For programs: call it once, in the main thread, before anything else."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)  # the thread inherits it: what the main thread blocks stays blocked
    # Beneath `threading`: this thread holds no lock when it waits, so workers can be forked beside it.
    _thread.start_new_thread(_watch, (reader,))
    for number in ENDING:
        if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:  # nohup
            signal.signal(number, _raise)
    signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def patience(seconds: float) -> Iterator[None]:
    """While it is entered, a first signal leaves so much time, which is more than otherwise."""
    before, _State.grace_seconds = _State.grace_seconds, seconds
    try:
        yield
    finally:
        _State.grace_seconds = before


@contextmanager
def at_last(function: Callable[[], object]) -> Iterator[None]:
    """While it is entered, ``function`` is called, in some thread, where all ends at once and nothing else will clean up any more."""
    _State.at_last.append(function)
    try:
        yield
    finally:
        _State.at_last.remove(function)


def end() -> None:
    """Ends an interrupted process in order: functions that wait for the end are called, processes that are left are killed."""
    finish()
    say(WORDS)
    _State.is_said = True
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    kill(descendants(os.getpid()))
    os._exit(INTERRUPTED)


def end_at_once() -> None:
    """Ends this process and all that descend from it, whatever they are doing; exit code 130."""
    _State.is_ending = True
    kill(descendants(os.getpid()))
    left = len(_State.at_last)

    def call(function: Callable[[], object]) -> None:
        nonlocal left
        with suppress(BaseException):
            function()
        left -= 1

    for function in list(_State.at_last):
        _thread.start_new_thread(call, (function,))
    until = time.monotonic() + _LAST_SECONDS
    while left > 0 and time.monotonic() < until:
        time.sleep(0.01)
    if not _State.is_said:
        say(WORDS)
    os._exit(INTERRUPTED)


def finish() -> None:
    """The work is done and the process about to end: signals do not change that any more, unless it does not end."""
    _State.is_over = True
    while _State.is_ending:  # the other thread has still something to do
        time.sleep(0.1)


def say(line: str) -> None:
    """A line on standard error, whatever became of Python's own idea of it."""
    with suppress(OSError):
        os.write(2, f"{line}\n".encode())


def kill(processes: set[int]) -> None:
    """Kills processes and all that descend from them, and waits a moment until they are gone.

    They are stopped first, so that none can start another meanwhile.
    """
    stopped: set[int] = set()
    while new := processes - stopped:
        for process in new:
            with suppress(OSError):
                os.kill(process, signal.SIGSTOP)
        stopped |= new
        processes = stopped | {child for process in stopped for child in descendants(process)}
    for process in stopped:
        with suppress(OSError):
            os.kill(process, signal.SIGKILL)
    until = time.monotonic() + _GONE_SECONDS
    while any(map(_is_running, stopped)) and time.monotonic() < until:
        time.sleep(0.005)


def _is_running(process: int) -> bool:
    """Whether a process is more than a number that its parent has not taken notice of yet."""
    try:
        return Path(f"/proc/{process}/stat").read_bytes().rpartition(b")")[2].split()[0] not in (b"Z", b"X")
    except (OSError, IndexError):
        return False


def _raise(_: int, frame: FrameType | None) -> None:
    if _State.is_raised or _State.is_over:
        return
    _State.is_raised = True
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            # Nothing is half done during an import, and an exception in that of an extension module can crash the interpreter.
            end_at_once()
        frame = frame.f_back
    raise Interrupted


def _watch(reader: int) -> None:
    first = until = None
    while True:
        if not select.select([reader], [], [], None if until is None else max(0.0, until - time.monotonic()))[0]:
            end_at_once()
        if not any(number in ENDING for number in os.read(reader, 64)):
            continue
        now = time.monotonic()
        if first is None:
            first, until = now, now + _State.grace_seconds
        elif now - first > _TOGETHER_SECONDS:
            end_at_once()


def descendants(root: int) -> set[int]:
    """Processes that descend from ``root``, as Linux shows them; elsewhere none is known, and workers end by themselves."""
    children: dict[int, list[int]] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError, ValueError, IndexError):
            parent = int(path.read_bytes().rpartition(b")")[2].split()[1])
            children.setdefault(parent, []).append(int(path.parent.name))
    found, new = set(), [root]
    while new:
        new = [child for parent in new for child in children.get(parent, ()) if child not in found]
        found |= set(new)
    return found
