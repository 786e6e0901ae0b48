"""Runs a container as if its program ran here: streams, terminal, exit code and signals are those of the program.

A container is a process of the engine, not of this one: in every case (a signal, a reader of the output that goes away), it must be
ended and removed before this process ends.
"""

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
from jukemir_like.launch import confinement, engine
from jukemir_like.launch.engine import GRACE_SECONDS
from jukemir_like.launch.images import Container

if TYPE_CHECKING:
    from docker import APIClient

_END_SECONDS = 2.0 * GRACE_SECONDS  # the container's, and as long again for the engine


def run(container: Container) -> int:
    """Runs ``container`` to its end and returns its exit code. However this ends, the container is removed.

    A signal that raises here is passed on as SIGINT; the container then has ten seconds to end, and no time after a second signal. Where
    it ends as interrupted, that is the exit code, as it has reported the interruption itself; otherwise the exception is raised again.

    Raises:
        RequestError: no engine, no such image, or the engine cannot run it.
        StorageError: a writable folder cannot be made.
        BrokenPipeError: nobody reads the output any more.
    """
    client = engine.connect()
    with engine.refusals_as_request_errors("cannot look for containers that are left"):
        engine.remove_abandoned(client)
    with _writable_folders(container):
        # Blocked here and in the threads that start below, so that no signal comes between a container's creation and the `try` that
        # removes it. `_run` unblocks them.
        mask_before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
        try:
            signal.pthread_sigmask(signal.SIG_BLOCK, signals.EXIT_SIGNALS)  # which may itself raise what an earlier signal asks for
            with engine.refusals_as_request_errors(f"the engine cannot run {container.image}"):
                identifier = _create(client, container)
            remove = partial(client.remove_container, identifier, v=True, force=True)
            try:
                with signals.grace_period(_END_SECONDS), signals.on_forced_exit(remove):
                    return _run(client, identifier, container, mask_before)
            finally:
                signal.pthread_sigmask(signal.SIG_BLOCK, signals.EXIT_SIGNALS)
                with engine.ignore_refusals():
                    remove()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask_before)


def _create(client: APIClient, container: Container) -> str:
    """Creates the container; returns its identifier."""
    import docker

    information = client.info()
    user, groups = confinement.user_and_groups(information)
    is_terminal = sys.stdout.isatty() and sys.stderr.isatty()
    host = client.create_host_config(
        **confinement.engine_options(container),
        mounts=[
            docker.types.Mount(mount.target, str(mount.source), type="bind", read_only=not mount.writable) for mount in container.mounts
        ],
        device_requests=engine.gpu_requests(information, ids=confinement.visible_gpus()) if container.gpu else None,
        group_add=groups,
        log_config=docker.types.LogConfig(type="none"),
    )
    if is_terminal:
        columns, rows = os.get_terminal_size(sys.stdout.fileno())
        host["ConsoleSize"] = [rows, columns]
    variables = {"TERM": os.environ.get("TERM", "dumb")} if is_terminal else {}
    try:
        created = client.create_container(
            container.image,
            list(container.arguments),
            entrypoint=None if container.entrypoint is None else list(container.entrypoint),
            environment={**variables, **container.environment},
            user=user,
            working_dir=container.working_folder,
            labels={engine.LAUNCHER_LABEL: engine.launcher_label()},
            tty=is_terminal,
            host_config=host,
        )
    except docker.errors.ImageNotFound as error:
        raise engine.missing_image_error([container.image]) from error
    return str(created["Id"])


def _run(client: APIClient, identifier: str, container: Container, mask: Iterable[int]) -> int:
    with engine.refusals_as_request_errors(f"the engine cannot run {container.image}"):
        output = _Output(client.attach(identifier, stream=True, demux=True))  # before the start, so that nothing is lost
        client.start(identifier)
    try:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        output.wait()
        return _exit_code(client, identifier, container)
    except BaseException as interruption:
        code = _end(client, identifier, container, output)
        if code == INTERRUPTED and not isinstance(interruption, Exception):
            return code
        raise


class _Output:
    """The container's output, passed on by a thread as it comes, each stream to its counterpart here.

    Attributes:
        ended: is set at the end of the output. (An event, as a thread whose join is interrupted by a signal counts as joined.)
        error: why the output could not be passed on.
    """

    def __init__(self, frames: Any):
        self.ended = threading.Event()
        self.error: Exception | None = None
        self._frames = frames
        self._streams = (sys.stdout, sys.stderr)
        threading.Thread(target=self._pass_on, daemon=True).start()

    def wait(self) -> None:
        """Waits for the end of the output.

        Raises:
            OSError: it cannot be passed on.
        """
        self.ended.wait()
        if self.error is not None:
            raise self.error

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
            self._frames.close()  # otherwise the container would block when the pipe is full
        finally:
            self.ended.set()


def _exit_code(client: APIClient, identifier: str, container: Container) -> int:
    with engine.refusals_as_request_errors(f"the engine lost {container.image}"):
        return int(client.wait(identifier)["StatusCode"])


def _end(client: APIClient, identifier: str, container: Container, output: _Output) -> int | None:
    """Asks the container to end, and passes on what it then prints; returns its exit code, or None if it does not end in time."""
    with engine.ignore_refusals():
        client.kill(identifier, signal.SIGINT.name)
        if output.error is not None:
            client.wait(identifier, timeout=GRACE_SECONDS)
    has_ended = output.ended.wait(GRACE_SECONDS)
    return _exit_code(client, identifier, container) if has_ended and output.error is None else None


@contextmanager
def _writable_folders(container: Container) -> Iterator[None]:
    """Makes the writable folders, which the engine would make as root; afterwards removes those of the new ones that are empty."""
    created: list[Path] = []
    try:
        for folder in (mount.source for mount in container.mounts if mount.writable):
            created += itertools.takewhile(lambda parent: not parent.exists(), (folder, *folder.parents))
            make_folder(folder)
        yield
    finally:
        for folder in sorted(created, key=lambda folder: len(folder.parts), reverse=True):
            with suppress(OSError):
                folder.rmdir()
