"""Chunks: a clip is given to a net in pieces of the length that the net was made for."""

from __future__ import annotations


def cut(samples: int, length: int, least: int, *, join: bool = True) -> list[tuple[int, int]]:
    """Where the chunks of a clip begin and end: they follow one another, the last one is shorter.

    Args:
        samples: of the clip.
        length: of a chunk.
        least: a last chunk of less has no frame of its own.
        join: such a one is joined to the chunk before; otherwise it is left out, since the net takes no longer chunk.

    >>> cut(25, 10, 4), cut(22, 10, 4), cut(22, 10, 4, join=False), cut(3, 10, 4)
    ([(0, 10), (10, 20), (20, 25)], [(0, 10), (10, 22)], [(0, 10), (10, 20)], [])
    """
    if samples < least:
        return []
    starts = list(range(0, samples, length))
    if samples - starts[-1] >= least:
        return [(start, min(start + length, samples)) for start in starts]
    starts.pop()
    return [(start, start + length) for start in starts[:-1]] + [(starts[-1], samples if join else starts[-1] + length)]
