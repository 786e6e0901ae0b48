"""Standard input, output and error of a command: closed ones, and ones that cannot be written to, do not stop its work.

Who reads nothing gets the files all the same. That something could not be said on standard output is an error in the end; on standard
error nothing is lost but words.

What is said goes into the file ``$JUKEMIR_LIKE_LOG`` as well, where that is set: so a workflow keeps the log of a stage, and a terminal
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


class _Descriptor(io.FileIO):
    """A descriptor that gives up where it cannot be written to: what else is written goes nowhere.

    Attributes:
        error: why it gave up, or None.
        log: another descriptor, to which all but bars is written; or None.
    """

    error: OSError | None = None
    log: int | None = None

    def write(self, data: Any) -> int:
        if self.log is not None and b"\r" not in bytes(data):
            with suppress(OSError):
                os.write(self.log, data)
        try:
            return super().write(data)
        except OSError as error:
            if isinstance(error, BrokenPipeError) and self.fileno() == 1:  # the reader of our output went away, as `| head` does
                raise
            self.error = error
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self.fileno())
            os.close(nowhere)
            return len(data)


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


def _writer(number: int, before: Any, log: int | None) -> io.TextIOWrapper:
    # As Python opens them; but a character that the terminal lacks is escaped, on both.
    encoding = getattr(before, "encoding", None) or "utf-8"
    is_terminal = os.isatty(number)
    descriptor = _Descriptor(number, "w", closefd=False)
    descriptor.log = log
    return io.TextIOWrapper(io.BufferedWriter(descriptor), encoding, "backslashreplace", line_buffering=is_terminal or number == 2)
