"""Files that an earlier stage wrote and that are not as it wrote them: one error, which names the file and says what to do."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from jukemir_like.core import files
from jukemir_like.core.errors import RequestError

_LONGEST = 300  # characters of a reason


class DamagedFileError(RequestError):
    """A file of the cache cannot be read, or holds what no stage writes."""


@contextmanager
def named(path: str | os.PathLike[str], remedy: str) -> Iterator[None]:
    """Turns what goes wrong while ``path`` is read into a :class:`DamagedFileError`; a file that is not there stays a FileNotFoundError.

    Args:
        path: the file.
        remedy: what to do about it, such as ``process d again``.
    """
    try:
        yield
    except FileNotFoundError:
        raise
    except OSError as error:
        raise DamagedFileError(f"{path} {files.refusal(error)}: {remedy}") from error
    except MemoryError as error:
        raise DamagedFileError(f"{path} does not fit into memory: {remedy}") from error
    except ValueError as error:
        reason = str(error)
        raise DamagedFileError(f"{path} {reason if len(reason) <= _LONGEST else f'{reason[:_LONGEST]}…'}: {remedy}") from error
