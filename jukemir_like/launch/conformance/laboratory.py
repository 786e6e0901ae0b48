"""Where an image is put to the test: folders and volumes of a session, containers that see them, and the end of all of them.

The image's program runs as the user who tests (as 1000:1000 where that is root), so that what it writes can be removed again. Where a
rule needs another user, the folder is a volume: the engine reads, opens and removes it for us, whoever owns what lies in it.
"""

from __future__ import annotations

import io
import itertools
import os
import shutil
import tarfile
import tempfile
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jukemir_like.errors import RequestError
from jukemir_like.launch.conformance.folder import Entry, Snapshot, look, output_of, place
from jukemir_like.records import printable

if TYPE_CHECKING:
    from docker import DockerClient
    from docker.models.containers import Container

LABEL = "org.jukemir-like.conformance"
_CANNOT_START = 127


@dataclass(frozen=True)
class Run:
    """How a container ended.

    Args:
        code: its exit code; None where it had to be ended.
        errors: what it wrote to standard error (of a terminal: to both).
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


class Started:
    """A container that runs."""

    def __init__(self, container: Container, limit_seconds: float):
        self.container = container
        self._started = time.monotonic()
        self._limit = limit_seconds

    def stop(self, signal: str) -> bool:
        """Sends ``signal``; whether there was still something to send it to."""
        import docker

        try:
            self.container.kill(signal)
        except docker.errors.APIError as error:
            if error.status_code in (404, 409):  # it has ended
                return False
            raise
        return True

    def is_running(self) -> bool:
        """Whether it has not ended yet."""
        self.container.reload()
        return bool(self.container.status == "running")

    def end(self, limit_seconds: float | None = None) -> Run:
        """Waits for its end; where that does not come in ``limit_seconds`` (None: the session's), it is killed."""
        import requests

        limit = self._limit if limit_seconds is None else limit_seconds
        try:
            code = int(self.container.wait(timeout=limit)["StatusCode"])
        except requests.exceptions.RequestException:  # the time is over
            code = None
            self.stop("SIGKILL")
        seconds = time.monotonic() - self._started
        return Run(code, self.container.logs(stdout=False, stderr=True, tail=50).decode(errors="replace"), seconds)


class Laboratory:
    """Folders, volumes and containers of one session; :meth:`close` removes them all.

    Args:
        client: of the engine.
        image: to be tested.
        gpus: whether containers get all GPUs.
        limit_seconds: the longest that a run may take.
    """

    def __init__(self, client: DockerClient, image: str, *, gpus: bool = False, limit_seconds: float = 600.0):
        self.client = client
        self.image = image
        self.limit_seconds = limit_seconds
        self.user = f"{os.getuid()}:{os.getgid()}" if os.getuid() else "1000:1000"
        self.folder = Path(tempfile.mkdtemp(prefix="jukemir-like-conform-"))
        self._gpus = gpus
        self._session = uuid.uuid4().hex[:12]
        self._numbers = itertools.count()

    def new_folder(self, files: Mapping[str, bytes] | None = None) -> Path:
        """A folder of this machine with ``files``, open to all users."""
        folder = self.folder / str(next(self._numbers))
        folder.mkdir()
        place(folder, dict(files or {}))
        return folder

    def new_volume(self, files: Mapping[str, bytes] | None = None, target: str = "/output") -> str:
        """A volume with ``files``. With any (an empty dictionary will do) it is open to all users; without, it is as the engine makes it."""
        from docker.types import Mount

        name = f"jukemir-like-conform-{self._session}-{next(self._numbers)}"
        self.client.volumes.create(name, labels={LABEL: self._session})
        if files is not None:
            # A container that is never started: the engine itself unpacks into its volume, whatever the image has or lacks.
            helper = self.client.containers.create(
                self.image, mounts=[Mount(target, name, type="volume")], labels={LABEL: self._session}, network_mode="none"
            )
            helper.put_archive("/", _archive(target.strip("/"), files))
            helper.remove(v=True)
        return name

    def see(self, files: Mapping[str, bytes], *arguments: str, besides: Mapping[str, bytes] | None = None, **options: Any) -> Seen:
        """Runs the image on a new folder of inputs ``files`` and, ``besides``, what are no inputs, into a new folder."""
        source, target = self.new_folder({**files, **(besides or {})}), self.new_folder()
        run = self.run(source, target, *arguments, **options)
        return Seen(run, {path: content for path, content in files.items() if os.path.lexists(source / path)}, look(target))

    def run(self, source: Path | str, target: Path | str, *arguments: str, **options: Any) -> Run:
        """Runs the image from ``source`` into ``target`` until it ends; options as of :meth:`started`."""
        import docker

        try:
            with self.started(source, target, *arguments, **options) as started:
                return started.end()
        except docker.errors.APIError as error:
            return self.refusal(error)

    @contextmanager
    def started(
        self, source: Path | str, target: Path | str, *arguments: str, read_only_input: bool = False, default_user: bool = False, **options: Any
    ) -> Iterator[Started]:
        """A running container of the image, removed after the block.

        Args:
            source: folder, or name of a volume, that it sees as ``/input``.
            target: the same, as ``/output``.
            arguments: of its command line.
            read_only_input: mounts ``/input`` so.
            default_user: runs it as whom the image says.
            options: of ``docker.containers.create``.
        """
        container = self.create(source, target, *arguments, read_only_input=read_only_input, default_user=default_user, **options)
        try:
            container.start()
            yield Started(container, self.limit_seconds)
        finally:
            container.remove(force=True, v=True)

    def create(
        self, source: Path | str, target: Path | str, *arguments: str, read_only_input: bool = False, default_user: bool = False, **options: Any
    ) -> Container:
        """The container of :meth:`started`, not started yet; the caller removes it."""
        from docker.types import DeviceRequest, Mount

        if not default_user:
            options.setdefault("user", self.user)
        if self._gpus:
            options["device_requests"] = [DeviceRequest(count=-1, capabilities=[["gpu"]])]
        mounts = [
            Mount(there, str(here), type="bind" if isinstance(here, Path) else "volume", read_only=read_only)
            for here, there, read_only in ((source, "/input", read_only_input), (target, "/output", False))
        ]
        return self.client.containers.create(self.image, list(arguments), mounts=mounts, labels={LABEL: self._session}, **options)

    def refusal(self, error: Exception) -> Run:
        """A run that the engine did not even start, as docker's command line reports it.

        Raises:
            RequestError: for want of a GPU, which is not the image's fault.
        """
        reason = " ".join(str(getattr(error, "explanation", None) or error).split())
        if self._gpus and ("device driver" in reason or "gpu" in reason.lower()):
            raise RequestError(f"the engine gives no GPU to containers ({reason}): leave out --gpus") from error
        return Run(_CANNOT_START, f"the engine cannot start it: {reason}", 0.0)

    def stop(self) -> None:
        """Removes all containers of the session, running ones too."""
        import docker

        for container in self.client.containers.list(all=True, filters={"label": f"{LABEL}={self._session}"}, ignore_removed=True):
            try:
                container.remove(force=True, v=True)
            except docker.errors.APIError as error:
                if error.status_code not in (404, 409):  # somebody else is removing it
                    raise

    def close(self) -> str | None:
        """Removes containers, volumes and folders of the session; returns the folder where that is refused."""
        self.stop()
        for volume in self.client.volumes.list(filters={"label": f"{LABEL}={self._session}"}):
            volume.remove(force=True)
        shutil.rmtree(self.folder, ignore_errors=True)
        return str(self.folder) if self.folder.exists() else None


def read_folder(container: Container, path: str) -> Snapshot:
    """What lies in the folder ``path`` of a container, running or not."""
    stream, _ = container.get_archive(path)
    seen: Snapshot = {}
    with tarfile.open(fileobj=io.BytesIO(b"".join(stream))) as archive:
        for member in archive:
            file = archive.extractfile(member) if member.isfile() else None
            inside = member.name.partition("/")[2]
            if inside:
                content = None if file is None else file.read()
                seen[inside] = Entry(content, modified=int(member.mtime * 1e9), user=member.uid, is_folder=member.isdir())
    return seen


def _archive(folder: str, files: Mapping[str, bytes]) -> bytes:
    """A tar archive of ``files`` in ``folder``; all of it open to all users."""
    buffer = io.BytesIO()
    folders = {folder} | {f"{folder}/{parent}" for path in files for parent in Path(path).parents if parent.name}
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name in sorted(map(str, folders)):
            entry = tarfile.TarInfo(name)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o777
            archive.addfile(entry)
        for path, content in files.items():
            entry = tarfile.TarInfo(f"{folder}/{path}")
            entry.size, entry.mode = len(content), 0o666
            archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()
