"""The error root and the exit codes.

Every error that a user can cause is a :class:`JukemirLikeError`; its message is one line that says what is wrong, where, and what to
do next. The command line prints that line and exits with the class's ``exit_code``. Anything else that escapes is a bug and keeps its
traceback.
"""

from __future__ import annotations

DONE = 0
BUG = 1
WRONG_REQUEST = 2
SOME_FAILED = 3
INTERRUPTED = 130


class JukemirLikeError(Exception):
    """Root of all errors that are not bugs. ``exit_code`` is what the command line ends with.

    >>> RequestError("there is no folder x: give another").exit_code, InputError("is empty").exit_code
    (2, 3)
    """

    exit_code = WRONG_REQUEST


class RequestError(JukemirLikeError):
    """The request as a whole cannot be carried out: a wrong option, a missing folder, labels that do not fit."""


class DamagedFileError(RequestError):
    """A file of the cache cannot be read, or holds what no stage writes."""


class StorageError(JukemirLikeError):
    """The output cannot be written: disk full, folder read-only. What was finished is kept."""


class InputError(JukemirLikeError):
    """One input cannot be used (unreadable, empty, not finite). It is recorded and skipped; the others go on."""

    exit_code = SOME_FAILED
