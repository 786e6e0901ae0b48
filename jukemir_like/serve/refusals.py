"""What the server refuses: a status of HTTP and one sentence, which the page shows."""

from __future__ import annotations


class RefusedError(Exception):
    """An answer that is an error; the server goes on.

    >>> RefusedError(410, "a.wav was removed: ask again").status
    410
    """

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status
