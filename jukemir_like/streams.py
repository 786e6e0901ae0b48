"""Standard input, output and error of a command: closed ones, and ones that cannot be written to, do not stop its work.

Who reads nothing gets the files all the same. That something could not be said on standard output is an error in the end; on standard
error nothing is lost but words.
"""

from __future__ import annotations

import io
import os
import sys
from typing import Any

from jukemir_like.errors import DONE, WRONG_REQUEST


class _Descriptor(io.FileIO):
    """A descriptor that gives up where it cannot be written to: what else is written goes nowhere.

    Attributes:
        error: why it gave up, or None.
    """

    error: OSError | None = None

    def write(self, data: Any) -> int:
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
    sys.stdout, sys.stderr = _writer(1, sys.stdout), _writer(2, sys.stderr)


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


def _writer(number: int, before: Any) -> io.TextIOWrapper:
    # As Python opens them; but a character that the terminal lacks is escaped, on both.
    encoding = getattr(before, "encoding", None) or "utf-8"
    is_terminal = os.isatty(number)
    buffer = io.BufferedWriter(_Descriptor(number, "w", closefd=False))
    return io.TextIOWrapper(buffer, encoding, "backslashreplace", line_buffering=is_terminal or number == 2)
