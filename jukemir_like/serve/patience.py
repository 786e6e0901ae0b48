"""What a connection sends, read within limits of time: of each silence, and of the whole, which a byte now and then does not extend."""

from __future__ import annotations

import io
import socket
from collections.abc import Callable
from dataclasses import dataclass

SILENCE = 10.0
HEAD = 20.0
BYTES_PER_SECOND = 1 << 20


@dataclass(frozen=True)
class Patience:
    """How long a connection is waited for.

    Args:
        silence: seconds that it may say nothing.
        head: seconds until the head of its request is there, and as many more for the body of any size.
        rate: bytes per second that a body has at least, besides.
    """

    silence: float = SILENCE
    head: float = HEAD
    rate: float = BYTES_PER_SECOND

    def of_body(self, size: int) -> float:
        """Seconds in which a body of so many bytes must be there.

        >>> Patience(head=20.0, rate=1 << 20).of_body(100 << 20)
        120.0
        """
        return self.head + size / self.rate


class Incoming(io.RawIOBase):
    """Reads a connection until :attr:`deadline`; :class:`TimeoutError` for what comes later, or after too long a silence.

    Args:
        connection: connected.
        patience: how long it is waited for; first for a head.
        clock: seconds, from any beginning; asked before each piece is waited for.
    """

    def __init__(self, connection: socket.socket, patience: Patience, clock: Callable[[], float]) -> None:
        self._connection, self._patience, self._clock = connection, patience, clock
        self.allow(patience.head)

    def allow(self, seconds: float) -> None:
        """All that comes from now on must come within so many seconds."""
        self.deadline = self._clock() + seconds

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Some bytes, as soon as there are some; 0 at the end."""
        left = self.deadline - self._clock()
        if left <= 0:
            raise TimeoutError("the connection sends too slowly")
        self._connection.settimeout(min(self._patience.silence, left))
        count = self._connection.recv_into(buffer)
        self._connection.settimeout(self._patience.silence)
        return count
