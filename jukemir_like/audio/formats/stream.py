"""One stream of a file of audio."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Stream:
    """What libsndfile is handed.

    Args:
        data: the bytes of a file that holds this stream alone, and says so; None: the file itself.
        room: frames at most, where what libsndfile says may be absurd; None: as many as it says.
        skip: frames at the beginning that do not belong to the file.
        least: frames that must come of it behind those, or something was lost.
    """

    data: bytes | None = None
    room: int | None = None
    skip: int = 0
    least: int = 0


AS_IT_IS = Stream()
"""The file itself, of which libsndfile says and decodes all that there is."""
