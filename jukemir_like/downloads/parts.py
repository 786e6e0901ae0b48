"""Several files read as one, without a copy: an archive that its host cut into parts."""

from __future__ import annotations

import io
from bisect import bisect_right
from collections.abc import Sequence
from contextlib import ExitStack
from itertools import accumulate
from pathlib import Path
from typing import BinaryIO

_BUFFER_BYTES = 256 << 10


class Parts(io.RawIOBase):
    """The bytes of ``paths`` one after another: read-only, seekable. Nothing but what is asked for is read."""

    def __init__(self, paths: Sequence[Path]):
        super().__init__()
        self._stack = ExitStack()
        try:
            self._files = [self._stack.enter_context(path.open("rb", buffering=0)) for path in paths]
            sizes = [file.seek(0, io.SEEK_END) for file in self._files]
        except BaseException:
            self._stack.close()
            raise
        self._starts = [0, *accumulate(sizes)]
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        origin = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._starts[-1]}[whence]
        if origin + offset < 0:
            raise OSError(22, "a position before the beginning")  # as files do: zipfile looks for OSError
        self._position = origin + offset
        return self._position

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        if self._position >= self._starts[-1]:
            return 0
        part = bisect_right(self._starts, self._position) - 1
        view = memoryview(buffer)[: self._starts[part + 1] - self._position]
        self._files[part].seek(self._position - self._starts[part])
        count = self._files[part].readinto(view)
        self._position += count
        return count

    def close(self) -> None:
        self._stack.close()
        super().close()


def open_parts(paths: Sequence[Path]) -> BinaryIO:
    """One file, or the parts of one in their order, for reading."""
    if len(paths) == 1:
        return open(paths[0], "rb", buffering=_BUFFER_BYTES)
    return io.BufferedReader(Parts(paths), _BUFFER_BYTES)
