"""Containers of the image under test: a session's folders and volumes, containers that see them, and what they left.

The image's program runs as the user who calls the check (as 1000:1000 where that is root), so that the files it writes can be removed. For
a rule that needs another user, the folder is a volume: the engine reads, fills and removes it, whoever owns the files.
"""

from __future__ import annotations

import itertools
import os
import shutil
import tempfile
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jukemir_like.conformance import npy, snapshots
from jukemir_like.conformance.snapshots import Snapshot, output_of
from jukemir_like.core.errors import DONE, RequestError
from jukemir_like.core.files import printable
from jukemir_like.launch import confinement, engine

if TYPE_CHECKING:
    from docker import DockerClient
    from docker.models.containers import Container

LABEL = "org.jukemir-like.conformance"
IMAGE_LABEL = f"{LABEL}.image"

_CALLER = ""  # stands for the user who calls the check
_LAST_LINES = 50
_CANNOT_START = 127  # docker's own exit code


@dataclass(frozen=True)
class Outcome:
    """How a container ended.

    Args:
        code: its exit code; None if it did not end in time and was killed.
        errors: the last lines that it wrote to standard error (on a terminal: to either stream).
        seconds: from its start to its end.
    """

    code: int | None
    errors: str
    seconds: float

    def code_faults(self, expected: int, where: str = "") -> Iterator[str]:
        """A fault where the exit code is not ``expected``; ``where`` says in which run.

        >>> list(Outcome(1, "no such file", 0.5).code_faults(0))
        ['exit code 1 instead of 0; its last line: no such file']
        """
        if self.code != expected:
            fault = f"did not end in {self.seconds:.0f} s" if self.code is None else f"exit code {self.code} instead of {expected}"
            lines = [printable(line) for line in self.errors.splitlines() if line.strip()]
            yield (f"{where}: " if where else "") + fault + (f"; its last line: {lines[-1][:200]}" if lines else "")


@dataclass(frozen=True)
class Observation:
    """A run of the image, and what it left.

    Args:
        outcome: how it ended.
        inputs: what it had to process, by path.
        output: its output folder afterwards.
    """

    outcome: Outcome
    inputs: Mapping[str, bytes]
    output: Snapshot

    def faults(self) -> Iterator[str]:
        """What shows that it has not processed all inputs without a fault."""
        yield from self.outcome.code_faults(DONE)
        yield from self.missing_outputs()

    def missing_outputs(self, *paths: str) -> Iterator[str]:
        """A fault for each of the inputs ``paths`` (of all, where none is named) that has no output."""
        for path in paths or self.inputs:
            if path in self.inputs and output_of(path) not in self.output:
                yield f"{printable(path)} has no {printable(output_of(path))} (exit code {self.outcome.code})"

    def differing_vectors(self, reference: Observation) -> Iterator[str]:
        """A fault for each input whose vector differs from one that an input with the same bytes has in ``reference``.

        It is also a fault if there are no two vectors to compare. Missing outputs are left to other rules.
        """
        path_of_content = {content: path for path, content in reversed(list(reference.inputs.items()))}
        compared = 0
        for path, content in self.inputs.items():
            other = path_of_content.get(content)
            if other is None or (self is reference and other == path):
                continue
            vector, expected = snapshots.vector(self.output, path), snapshots.vector(reference.output, other)
            if vector is None or expected is None:
                continue
            compared += 1
            if not npy.are_equal(vector, expected):
                yield f"{printable(path)} has another vector than {printable(other)}, which holds the same bytes"
        if not compared:
            yield "there are no two vectors to compare"


class RunningContainer:
    """A container that was started just now.

    Args:
        container: of Docker's SDK.
        limit_seconds: the longest that it may run.
    """

    def __init__(self, container: Container, limit_seconds: float):
        self.limit_seconds = limit_seconds
        self._container = container
        self._started = time.monotonic()

    def send(self, signal: str) -> bool:
        """Sends it ``signal``; returns False if it had ended already."""
        with _ended_already() as refusals:
            self._container.kill(signal)
        return not refusals

    def is_running(self) -> bool:
        """Whether it has not ended yet."""
        self._container.reload()
        return bool(self._container.status == "running")

    def wait(self, limit_seconds: float | None = None) -> Outcome:
        """Waits for its end; kills it if that does not come in ``limit_seconds`` (None: its own limit)."""
        import requests

        try:
            code: int | None = int(self._container.wait(timeout=limit_seconds or self.limit_seconds)["StatusCode"])
        except requests.exceptions.RequestException:  # the time is over
            code = None
            self.send("SIGKILL")
        seconds = time.monotonic() - self._started
        return Outcome(code, self._container.logs(stdout=False, stderr=True, tail=_LAST_LINES).decode(errors="replace"), seconds)

    def read(self, folder: str) -> Snapshot:
        """The content of its ``folder``, also after its end."""
        stream, _ = self._container.get_archive(folder)
        return snapshots.unpack(b"".join(stream))

    def changed_paths(self) -> list[str]:
        """Paths outside its mounts that differ from those of the image; not the folders that the engine makes to mount something there."""
        targets = [str(mount["Destination"]) for mount in self._container.attrs.get("Mounts", ())]
        paths = [str(change["Path"]) for change in self._container.diff() or []]
        return [path for path in paths if not any(f"{target}/".startswith(f"{path}/") for target in targets)]


class UnstartableContainer(RunningContainer):
    """A container that the engine could not start, for example because the image does not have its own program."""

    def __init__(self, container: Container, error: Exception):
        super().__init__(container, limit_seconds=0.0)
        self._reason = " ".join(str(getattr(error, "explanation", None) or error).split())

    def send(self, signal: str) -> bool:  # noqa: ARG002
        """Does nothing."""
        return False

    def is_running(self) -> bool:
        """No."""
        return False

    def wait(self, limit_seconds: float | None = None) -> Outcome:  # noqa: ARG002
        """The engine's reason, with the exit code of docker's own command."""
        return Outcome(_CANNOT_START, f"the engine cannot start it: {self._reason}", 0.0)


class Session:
    """Folders, volumes and containers of one check; :meth:`close` removes them all.

    Args:
        client: of the engine.
        image: to be checked.
        gpus: whether containers get all GPUs.
        weights: folders of weights that containers see, read-only, in ``/cache/weights``.
        limit_seconds: the longest that one run may take.

    Raises:
        RequestError: the engine has no GPUs to give.
    """

    def __init__(self, client: DockerClient, image: str, *, gpus: bool = False, weights: Sequence[Path] = (), limit_seconds: float = 600.0):
        information = client.info()
        self._gpus = engine.gpu_requests(information) if gpus else []
        if gpus and not self._gpus:
            raise RequestError("the engine gives containers no GPU: leave out --gpus, or set up the NVIDIA Container Toolkit")
        self.client = client
        self.image = image
        self.limit_seconds = limit_seconds
        self._weights = [(folder, f"/cache/weights/{folder.name}", True) for folder in weights]
        self._user = confinement.user_and_groups(information)[0] if os.getuid() else "1000:1000"
        self._folder = Path(tempfile.mkdtemp(prefix="jukemir-like-conform-"))
        self._identifier = uuid.uuid4().hex[:12]
        # By the launcher's label, the next launch removes what a killed check has left.
        self._labels = {LABEL: self._identifier, engine.LAUNCHER_LABEL: engine.launcher_label(), IMAGE_LABEL: image}
        self._filter: dict[str, Any] = {"label": f"{LABEL}={self._identifier}"}
        self._numbers = itertools.count()
        self._is_closed = False

    def new_folder(self, files: Mapping[str, bytes] | None = None) -> Path:
        """A folder of this machine with ``files``, which all users may write."""
        folder = self._folder / str(next(self._numbers))
        folder.mkdir()
        snapshots.write_files(folder, files or {})
        return folder

    def new_volume(self, files: Mapping[str, bytes] | None = None, target: str = "/output") -> str:
        """A volume with ``files``, which all users may write; where ``files`` is None, as the engine makes it for ``target``."""
        from docker.types import Mount

        name = f"jukemir-like-conform-{self._identifier}-{next(self._numbers)}"
        self.client.volumes.create(name, labels=self._labels)
        if files is not None:
            # A container that is never started: the engine unpacks the archive into the volume, the image needs no program for it.
            mount = Mount(target, name, type="volume")
            helper = self.client.containers.create(self.image, mounts=[mount], labels=self._labels, **confinement.NO_NETWORK)
            helper.put_archive("/", snapshots.pack(target.strip("/"), files))
            helper.remove(v=True)
        return name

    def observe(
        self, files: Mapping[str, bytes], *arguments: str, no_inputs: Mapping[str, bytes] | None = None, **options: Any
    ) -> Observation:
        """Runs the image on a new folder of inputs ``files``, and of files that are ``no_inputs``, into a new folder."""
        source, target = self.new_folder({**files, **(no_inputs or {})}), self.new_folder()
        outcome = self.run(source, target, *arguments, **options)
        inputs = {path: content for path, content in files.items() if os.path.lexists(source / path)}
        return Observation(outcome, inputs, snapshots.take(target))

    def observe_in_volumes(self, files: Mapping[str, bytes], target: str, user: str | None) -> tuple[Observation, list[str]]:
        """The same with volumes, into the volume ``target``; and the paths outside the mounts that were written."""
        with self.start(self.new_volume(files, "/input"), target, user=user) as container:
            outcome = container.wait()
            return Observation(outcome, files, container.read("/output")), container.changed_paths()

    def run(self, source: Path, target: Path, *arguments: str, **options: Any) -> Outcome:
        """Runs the image from ``source`` into ``target`` until it ends; options are those of :meth:`start`."""
        with self.start(source, target, *arguments, **options) as container:
            return container.wait()

    @contextmanager
    def start(
        self, source: Path | str, target: Path | str, *arguments: str, read_only_input: bool = False, user: str | None = _CALLER,
        **options: Any,
    ) -> Iterator[RunningContainer]:  # fmt: skip
        """A running container of the image, removed after the block.

        Args:
            source: folder, or name of a volume, that it sees as ``/input``.
            target: the same for ``/output``.
            arguments: of its command line.
            read_only_input: whether ``/input`` is mounted read-only.
            user: as whom it runs; None: as the image says; by default as the caller, see the module.
            options: of ``docker.containers.create``.
        """
        import docker
        from docker.types import Mount

        mounts = [
            Mount(path, str(place), type="bind" if isinstance(place, Path) else "volume", read_only=read_only)
            for place, path, read_only in ((source, "/input", read_only_input), (target, "/output", False), *self._weights)
        ]
        options |= {"user": self._user if user == _CALLER else user, "device_requests": self._gpus}
        container = self.client.containers.create(self.image, list(arguments), mounts=mounts, labels=self._labels, **options)
        try:
            try:
                container.start()
                running = RunningContainer(container, self.limit_seconds)
            except docker.errors.APIError as error:
                running = UnstartableContainer(container, error)
            if self._is_closed:  # by another thread, whose list of containers may lack this one
                raise RuntimeError("the session is closed")
            yield running
        finally:
            with _ended_already():
                container.remove(force=True, v=True)

    def stop(self) -> None:
        """Removes all containers of the session, running ones too; one that starts later ends at once."""
        self._is_closed = True
        for container in self.client.containers.list(all=True, filters=self._filter, ignore_removed=True):
            with _ended_already():
                container.remove(force=True, v=True)

    def close(self) -> str | None:
        """Removes containers, volumes and folders of the session; returns the folder if it could not be removed, else None."""
        self.stop()
        for volume in self.client.volumes.list(filters=self._filter):
            volume.remove(force=True)
        shutil.rmtree(self._folder, ignore_errors=True)
        return str(self._folder) if self._folder.exists() else None


@contextmanager
def _ended_already() -> Iterator[list[Exception]]:
    """Accepts that a container has ended or was removed; the engine's refusal is then in the list that is yielded."""
    import docker

    refusals: list[Exception] = []
    try:
        yield refusals
    except docker.errors.APIError as error:
        if error.status_code not in (404, 409):
            raise
        refusals.append(error)
