"""Where an image is put to the test: folders and volumes of a session, containers that see them, and the end of all of them.

The image's program runs as the user who tests (as 1000:1000 where that is root), so that what it writes can be removed again. Where a
rule needs another user, the folder is a volume: the engine reads, opens and removes it for us, whoever owns what lies in it.
"""

from __future__ import annotations

import itertools
import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jukemir_like.conformance import archive
from jukemir_like.conformance.folder import look, place
from jukemir_like.conformance.run import Refused, Run, Seen, Started, has_ended
from jukemir_like.core.errors import RequestError
from jukemir_like.launch import confinement, engine

if TYPE_CHECKING:
    from docker import DockerClient

LABEL = "org.jukemir-like.conformance"
IMAGE_LABEL = f"{LABEL}.image"
WHO_TESTS = ""


class Laboratory:
    """Folders, volumes and containers of one session; :meth:`close` removes them all.

    Args:
        client: of the engine.
        image: to be tested.
        gpus: whether containers get all GPUs.
        limit_seconds: the longest that a run may take.

    Raises:
        RequestError: GPUs are asked for, and there are none.
    """

    def __init__(self, client: DockerClient, image: str, *, gpus: bool = False, limit_seconds: float = 600.0):
        information = client.info()
        self._gpus = engine.gpu_requests(information) if gpus else []
        if gpus and not self._gpus:
            raise RequestError("the engine gives containers no GPU: leave out --gpus, or set up the NVIDIA Container Toolkit")
        self.client = client
        self.image = image
        self.limit_seconds = limit_seconds
        self._user = confinement.user_and_groups(information)[0] if os.getuid() else "1000:1000"
        self._folder = Path(tempfile.mkdtemp(prefix="jukemir-like-conform-"))
        self._session = uuid.uuid4().hex[:12]
        # By the second of these, the next launch removes what a killed check has left.
        self._labels = {LABEL: self._session, engine.LAUNCHER_LABEL: engine.launcher_label(), IMAGE_LABEL: image}
        self._filter: dict[str, Any] = {"label": f"{LABEL}={self._session}"}
        self._numbers = itertools.count()
        self._is_over = False

    def new_folder(self, files: Mapping[str, bytes] | None = None) -> Path:
        """A folder of this machine with ``files``, open to all users."""
        folder = self._folder / str(next(self._numbers))
        folder.mkdir()
        place(folder, dict(files or {}))
        return folder

    def new_volume(self, files: Mapping[str, bytes] | None = None, target: str = "/output") -> str:
        """A volume with ``files``, open to all users; with None, as the engine makes it for ``target``."""
        from docker.types import Mount

        name = f"jukemir-like-conform-{self._session}-{next(self._numbers)}"
        self.client.volumes.create(name, labels=self._labels)
        if files is not None:
            # A container that is never started: the engine itself unpacks into its volume, whatever the image has or lacks.
            mount = Mount(target, name, type="volume")
            helper = self.client.containers.create(self.image, mounts=[mount], labels=self._labels, network_mode="none")
            helper.put_archive("/", archive.pack(target.strip("/"), files))
            helper.remove(v=True)
        return name

    def see(self, files: Mapping[str, bytes], *arguments: str, besides: Mapping[str, bytes] | None = None, **options: Any) -> Seen:
        """Runs the image on a new folder of inputs ``files`` and, ``besides``, what are no inputs, into a new folder."""
        source, target = self.new_folder({**files, **(besides or {})}), self.new_folder()
        run = self.run(source, target, *arguments, **options)
        return Seen(run, {path: content for path, content in files.items() if os.path.lexists(source / path)}, look(target))

    def see_in_volumes(self, files: Mapping[str, bytes], target: str, user: str | None) -> tuple[Seen, list[str]]:
        """The same with volumes, into the volume ``target``; and what was written outside the mounts."""
        with self.started(self.new_volume(files, "/input"), target, user=user) as started:
            run = started.end()
            return Seen(run, files, started.read("/output")), started.changed()

    def run(self, source: Path, target: Path, *arguments: str, **options: Any) -> Run:
        """Runs the image from ``source`` into ``target`` until it ends; options as of :meth:`started`."""
        with self.started(source, target, *arguments, **options) as started:
            return started.end()

    @contextmanager
    def started(
        self, source: Path | str, target: Path | str, *arguments: str, read_only_input: bool = False, user: str | None = WHO_TESTS,
        **options: Any,
    ) -> Iterator[Started]:  # fmt: skip
        """A running container of the image, removed after the block.

        Args:
            source: folder, or name of a volume, that it sees as ``/input``.
            target: the same, as ``/output``.
            arguments: of its command line.
            read_only_input: mounts ``/input`` so.
            user: as whom; None: as whom the image says.
            options: of ``docker.containers.create``.
        """
        import docker
        from docker.types import Mount

        mounts = [
            Mount(there, str(here), type="bind" if isinstance(here, Path) else "volume", read_only=read_only)
            for here, there, read_only in ((source, "/input", read_only_input), (target, "/output", False))
        ]
        options |= {"user": self._user if user == WHO_TESTS else user, "device_requests": self._gpus}
        container = self.client.containers.create(self.image, list(arguments), mounts=mounts, labels=self._labels, **options)
        try:
            try:
                container.start()
                started = Started(container, self.limit_seconds)
            except docker.errors.APIError as error:
                started = Refused(container, error)
            if self._is_over:
                raise RuntimeError("the session is over")
            yield started
        finally:
            with has_ended():
                container.remove(force=True, v=True)

    def stop(self) -> None:
        """Removes all containers of the session, running ones too; what starts later ends at once."""
        self._is_over = True
        for container in self.client.containers.list(all=True, filters=self._filter, ignore_removed=True):
            with has_ended():
                container.remove(force=True, v=True)

    def close(self) -> str | None:
        """Removes containers, volumes and folders of the session; returns the folder where that is refused."""
        self.stop()
        for volume in self.client.volumes.list(filters=self._filter):
            volume.remove(force=True)
        shutil.rmtree(self._folder, ignore_errors=True)
        return str(self._folder) if self._folder.exists() else None
