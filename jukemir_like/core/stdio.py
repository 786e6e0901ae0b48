"""Standard input, output and error of a command: closed ones, and ones that cannot be written to, do not stop its work.

A command whose output nobody reads writes its files all the same. A line that was lost on standard output is an error in the end; on
standard error only words are lost.

What is printed goes into the file ``$JUKEMIR_LIKE_LOG`` as well, where that is set: so a workflow keeps the log of a stage, and a terminal
its bars.
"""

from __future__ import annotations

import io
import os
import sys
from contextlib import suppress
from typing import Any

from jukemir_like.core.errors import DONE, WRONG_REQUEST

LOG_VARIABLE = "JUKEMIR_LIKE_LOG"


def prepare() -> None:
    """Makes the three streams usable. Call it before a file is opened, which a closed stream would give its number to."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDONLY if number == 0 else os.O_WRONLY)  # takes the lowest number that is free
    sys.stdin = sys.stdin or open(0, closefd=False)  # noqa: SIM115
    log = None
    if path := os.environ.get(LOG_VARIABLE):
        with suppress(OSError):
            log = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    sys.stdout, sys.stderr = _writer(1, sys.stdout, log), _writer(2, sys.stderr, log)


def close(code: int) -> int:
    """Writes what is left to be written; returns the exit code, which is that of a wrong request where output was lost.

    Raises:
        BrokenPipeError: nobody reads standard output any more.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    output: Any = sys.stdout.buffer
    error = output.raw.error
    if error is None:
        return code
    print(f"jukemir-like: standard output cannot be written ({(error.strerror or 'error').lower()}): the work is done", file=sys.stderr)  # noqa: T201
    return WRONG_REQUEST if code == DONE else code


class _Descriptor(io.FileIO):
    """A descriptor that is replaced by the null device once it cannot be written to.

    Attributes:
        error: why it was replaced, or None.
        log: another descriptor, to which everything but bars is written; or None.
    """

    error: OSError | None = None
    log: int | None = None

    def write(self, data: Any) -> int:
        if self.log is not None and b"\r" not in bytes(data):  # bars are drawn over themselves
            with suppress(OSError):
                os.write(self.log, data)
        try:
            return super().write(data)
        except OSError as error:
            if isinstance(error, BrokenPipeError) and self.fileno() == 1:  # the reader of our output went away, as `| head` does
                raise
            self.error = error
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, self.fileno())
            os.close(null)
            return len(data)


def _writer(number: int, stream: Any, log: int | None) -> io.TextIOWrapper:
    """A text stream on a descriptor, in the encoding of ``stream``, which it replaces."""
    # As Python opens them; but a character that the terminal lacks is escaped, on both.
    encoding = getattr(stream, "encoding", None) or "utf-8"
    is_terminal = os.isatty(number)
    descriptor = _Descriptor(number, "w", closefd=False)
    descriptor.log = log
    return io.TextIOWrapper(io.BufferedWriter(descriptor), encoding, "backslashreplace", line_buffering=is_terminal or number == 2)
