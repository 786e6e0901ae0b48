"""How many clips are computed at once: as many as the memory of the GPU has room for, learnt from the batches before."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from jukemir_like.core import devices

_PART = 0.7  # of the memory that is free: rooms of a size that is wanted may lie apart
_GROWTH = 4  # from one batch to the next, at most


class BatchSizes:
    """Sizes of batches, counted in clips times the longest of them.

    On a GPU the first batch is one clip, and each batch tells what the next may be. What was too much is never tried again.

    Args:
        on_gpu: whether the clips are computed on a GPU; else all are one batch, until there was no room for one.

    >>> sizes = BatchSizes()
    >>> sizes.count([100, 100, 100, 400])
    4
    >>> sizes.failed([100, 100, 100, 400])
    >>> sizes.count([100, 100, 100, 400]), sizes.count([900])
    (3, 1)
    """

    def __init__(self, on_gpu: bool = False) -> None:
        self._on_gpu = on_gpu
        self._samples: int | None = None
        self._most: int | None = None

    def count(self, lengths: Sequence[int]) -> int:
        """How many of the next clips, of these ``lengths`` in samples, are to be computed together: at least 1."""
        if self._samples is None:
            return 1 if self._on_gpu else len(lengths)
        longest = 0
        for number, length in enumerate(lengths):
            longest = max(longest, length)
            if number and (number + 1) * longest > self._samples:
                return number
        return len(lengths)

    @contextmanager
    def measured(self, lengths: Sequence[int]) -> Iterator[None]:
        """Measures what a batch takes that is computed in the block."""
        memory = devices.gpu_memory() if self._on_gpu else None
        yield
        if memory is not None:  # not for the first batch, for which the net was built too
            samples = _size(lengths)
            room = int(_PART * memory.free * samples / max(1, memory.taken()))
            self._samples = min(room, _GROWTH * samples, *(() if self._most is None else (self._most,)))

    def failed(self, lengths: Sequence[int]) -> None:
        """There was no room for a batch of clips of these ``lengths``."""
        self._most = self._samples = _size(lengths) // 2


def _size(lengths: Sequence[int]) -> int:
    return len(lengths) * max(lengths)
