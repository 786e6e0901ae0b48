"""A run of the image under test: under way, ended, and what it left."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from jukemir_like.conformance import archive
from jukemir_like.conformance.folder import Snapshot, output_of
from jukemir_like.core.files import printable

if TYPE_CHECKING:
    from docker.models.containers import Container

_LAST_LINES = 50
_CANNOT_START = 127


@dataclass(frozen=True)
class Run:
    """How a container ended.

    Args:
        code: its exit code; None where it had to be ended.
        errors: the last of what it wrote to standard error (of a terminal: to both).
        seconds: from its start to its end.
    """

    code: int | None
    errors: str
    seconds: float

    def ended(self, expected: int, where: str = "") -> Iterator[str]:
        """Says so where the exit code is not the ``expected`` one."""
        if self.code != expected:
            seen = f"did not end in {self.seconds:.0f} s" if self.code is None else f"exit code {self.code} instead of {expected}"
            lines = [printable(line) for line in self.errors.splitlines() if line.strip()]
            yield (f"{where}: " if where else "") + seen + (f"; its last words: {lines[-1][:200]}" if lines else "")


@dataclass(frozen=True)
class Seen:
    """A run and what it left.

    Args:
        run: how it ended.
        inputs: what it was to work on, by path.
        output: its output folder afterwards.
    """

    run: Run
    inputs: Mapping[str, bytes]
    output: Snapshot

    def missing(self, *paths: str) -> Iterator[str]:
        """Says which of the inputs ``paths`` (of all, where none is named) have no output."""
        for path in paths or self.inputs:
            if path in self.inputs and output_of(path) not in self.output:
                yield f"{printable(path)} has no {printable(output_of(path))} (exit code {self.run.code})"

    def complete(self) -> Iterator[str]:
        """Says what keeps it from having done all inputs without a fault."""
        yield from self.run.ended(0)
        yield from self.missing()


class Started:
    """A container that runs.

    Args:
        container: started just now.
        limit_seconds: the longest that it may run.
    """

    def __init__(self, container: Container, limit_seconds: float):
        self.limit_seconds = limit_seconds
        self._container = container
        self._began = time.monotonic()

    def send(self, signal: str) -> bool:
        """Sends it ``signal``; whether there was still something to send it to."""
        with has_ended() as refused:
            self._container.kill(signal)
        return not refused

    def is_running(self) -> bool:
        """Whether it has not ended yet."""
        self._container.reload()
        return bool(self._container.status == "running")

    def end(self, limit_seconds: float | None = None) -> Run:
        """Waits for its end; where that does not come in ``limit_seconds`` (None: its own), it is killed."""
        import requests

        try:
            code: int | None = int(self._container.wait(timeout=limit_seconds or self.limit_seconds)["StatusCode"])
        except requests.exceptions.RequestException:  # the time is over
            code = None
            self.send("SIGKILL")
        seconds = time.monotonic() - self._began
        return Run(code, self._container.logs(stdout=False, stderr=True, tail=_LAST_LINES).decode(errors="replace"), seconds)

    def read(self, folder: str) -> Snapshot:
        """What lies in its ``folder``, also after its end."""
        stream, _ = self._container.get_archive(folder)
        return archive.unpack(b"".join(stream))

    def changed(self) -> list[str]:
        """Paths outside its mounts that are not as in the image."""
        return [str(change["Path"]) for change in self._container.diff() or []]


class Refused(Started):
    """A container that the engine could not start: it has no such program, say."""

    def __init__(self, container: Container, error: Exception):
        super().__init__(container, limit_seconds=0.0)
        self._reason = " ".join(str(getattr(error, "explanation", None) or error).split())

    def send(self, signal: str) -> bool:  # noqa: ARG002
        """Nothing to send it to."""
        return False

    def is_running(self) -> bool:
        """No."""
        return False

    def end(self, limit_seconds: float | None = None) -> Run:  # noqa: ARG002
        """Says what the engine says, with the exit code of docker's own command."""
        return Run(_CANNOT_START, f"the engine cannot start it: {self._reason}", 0.0)


@contextmanager
def has_ended() -> Iterator[list[Exception]]:
    """Takes it that a container has ended, or is gone; the yielded list then holds the engine's refusal."""
    import docker

    refused: list[Exception] = []
    try:
        yield refused
    except docker.errors.APIError as error:
        if error.status_code not in (404, 409):
            raise
        refused.append(error)
