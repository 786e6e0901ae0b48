"""Runs a container as if its program ran here: streams, terminal, exit code, and signals, of which it ends first."""

from __future__ import annotations

import itertools
import os
import signal
import sys
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jukemir_like.core import signals
from jukemir_like.core.atomic import make_folder
from jukemir_like.core.errors import INTERRUPTED
from jukemir_like.launch import engine, leftovers
from jukemir_like.launch.container import Container
from jukemir_like.launch.leftovers import GRACE_SECONDS

if TYPE_CHECKING:
    from docker import APIClient

_END_SECONDS = 2.0 * GRACE_SECONDS  # with what the engine takes
_TEMPORARY = "/tmp"  # noqa: S108 -- the container's own


def run(container: Container) -> int:
    """Runs ``container`` to its end; returns its exit code. Nothing of it is left, however this ends.

    A signal that raises here is passed on as SIGINT; the container has ten seconds to end, and none after a second signal. Where it ends
    as interrupted that is the exit code, for it has said so itself; else the exception goes on.

    Raises:
        RequestError: no engine, no such image, or the engine cannot run it.
        StorageError: a folder to be written to cannot be made.
        BrokenPipeError: nobody reads the output any more.
    """
    client = engine.connect()
    with engine.refusals("cannot look for containers that are left"):
        leftovers.sweep(client)
    with _folders(container):
        before = signal.pthread_sigmask(
            signal.SIG_BLOCK, signals.EXIT_SIGNALS
        )  # and of the threads that begin now: between two lines none is lost
        try:
            with engine.refusals(f"the engine cannot run {container.image}"):
                identifier = _create(client, container)
            remove = partial(client.remove_container, identifier, v=True, force=True)
            try:
                with signals.grace_period(_END_SECONDS), signals.on_forced_exit(remove):
                    return _run(client, identifier, container, before)
            finally:
                signal.pthread_sigmask(signal.SIG_BLOCK, signals.EXIT_SIGNALS)
                with engine.whatever_it_says():
                    remove()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _run(client: APIClient, identifier: str, container: Container, mask: Iterable[int]) -> int:
    with engine.refusals(f"the engine cannot run {container.image}"):
        output = _Output(client.attach(identifier, stream=True, demux=True))  # before the start: nothing is lost
        client.start(identifier)
    try:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        output.follow()
        return _code(client, identifier, container)
    except BaseException as interruption:
        code = _end(client, identifier, container, output)
        if code == INTERRUPTED and not isinstance(interruption, Exception):
            return code
        raise


class _Output:
    """What the container says, passed on as it comes, each stream to its own, by a thread.

    Attributes:
        ended: is set when there is no more of it. (A thread that is joined takes itself for ended when a signal comes in between.)
        error: why it could not be passed on.
    """

    def __init__(self, frames: Any):
        self.ended = threading.Event()
        self.error: Exception | None = None
        self._frames = frames
        self._streams = (sys.stdout, sys.stderr)
        threading.Thread(target=self._pass_on, daemon=True).start()

    def _pass_on(self) -> None:
        try:
            for parts in self._frames:
                for stream, part in zip(self._streams, parts, strict=True):
                    if part is not None:
                        stream.flush()
                        stream.buffer.write(part)
                        stream.buffer.flush()
        except Exception as error:
            self.error = error
            self._frames.close()  # or the container would wait for us
        finally:
            self.ended.set()

    def follow(self) -> None:
        """Waits for the end of what the container says.

        Raises:
            OSError: it cannot be passed on.
        """
        self.ended.wait()
        if self.error is not None:
            raise self.error


def _create(client: APIClient, container: Container) -> str:
    import docker

    information = client.info()
    user, groups = engine.user(information)
    terminal = sys.stdout.isatty() and sys.stderr.isatty()
    host = client.create_host_config(
        mounts=[
            docker.types.Mount(mount.target, str(mount.source), type="bind", read_only=not mount.written) for mount in container.mounts
        ],
        network_mode=None if container.network else "none",
        read_only=True,
        tmpfs={} if any(mount.target == _TEMPORARY for mount in container.mounts) else {_TEMPORARY: "mode=1777"},
        cap_drop=["ALL"],
        security_opt=["no-new-privileges"],
        init=True,
        shm_size=container.shared_memory,
        device_requests=engine.gpu_requests(information) if container.gpu else None,
        group_add=groups,
        log_config=docker.types.LogConfig(type="none"),
    )
    if terminal:
        columns, rows = os.get_terminal_size(sys.stdout.fileno())
        host["ConsoleSize"] = [rows, columns]
    variables = {"TERM": os.environ.get("TERM", "dumb")} if terminal else {}
    try:
        created = client.create_container(
            container.image,
            list(container.arguments),
            entrypoint=None if container.entrypoint is None else list(container.entrypoint),
            environment={**variables, **container.environment},
            user=user,
            working_dir=container.folder,
            labels={leftovers.LABEL: leftovers.launcher()},
            tty=terminal,
            host_config=host,
        )
    except docker.errors.ImageNotFound as error:
        raise engine.no_image([container.image]) from error
    return str(created["Id"])


def _code(client: APIClient, identifier: str, container: Container) -> int:
    with engine.refusals(f"the engine lost {container.image}"):
        return int(client.wait(identifier)["StatusCode"])


def _end(client: APIClient, identifier: str, container: Container, output: _Output) -> int | None:
    """Asks the container to end, and shows what it says to that; returns its exit code, or None where that is not known in time."""
    with engine.whatever_it_says():
        client.kill(identifier, signal.SIGINT.name)
        if output.error is not None:
            client.wait(identifier, timeout=GRACE_SECONDS)
    ended = output.ended.wait(GRACE_SECONDS)
    return _code(client, identifier, container) if ended and output.error is None else None


@contextmanager
def _folders(container: Container) -> Iterator[None]:
    """Makes the folders that are written to, for the engine would make them as root; removes what stays empty of them."""
    made: list[Path] = []
    try:
        for folder in (mount.source for mount in container.mounts if mount.written):
            made += itertools.takewhile(lambda parent: not parent.exists(), (folder, *folder.parents))
            make_folder(folder)
        yield
    finally:
        for folder in sorted(made, key=lambda folder: len(folder.parts), reverse=True):
            with suppress(OSError):
                folder.rmdir()
