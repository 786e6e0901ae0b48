"""Stages in their images by Apptainer, which clusters have instead of Docker: one ``.sif`` per image in the cache, made once.

An image is fetched or converted where there is a network and, maybe, a Docker engine (:func:`prepare`); the nodes of a cluster only need
the ``.sif`` (:func:`run`), whose name says which image of which identifier it is.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import IO, Any

from jukemir_like.core import signals
from jukemir_like.core.atomic import atomic_write, make_folder
from jukemir_like.core.cache import Cache
from jukemir_like.core.errors import INTERRUPTED, RequestError
from jukemir_like.core.locks import locked
from jukemir_like.launch import commands, engine
from jukemir_like.launch.engine import GRACE_SECONDS
from jukemir_like.launch.images import Container

FOLDER = "images"
"""Folder of the cache with the ``.sif`` files, and links to them by the names of the images."""

PROGRAM = "apptainer"


def prepare(references: Iterable[str], cache: Cache) -> None:
    """Makes the ``.sif`` of every image that has none yet, and removes that of an image which has since been built again.

    Args:
        references: full names of images. One with a registry's host is fetched from there, another is of this machine's Docker engine.
        cache: for the files.

    Raises:
        RequestError: there is no Apptainer, no such image, or it cannot be converted.
        StorageError: the cache cannot be written.
    """
    _check_program()
    folder = make_folder(cache.root / FOLDER)
    for reference in dict.fromkeys(references):
        link, source = sif_path(reference, cache), commands.apptainer_source(reference)
        identifier = "registry" if source.startswith("docker://") else _identifier(reference)
        file = link.with_name(f"{link.stem}-{identifier}.sif")
        with locked(folder / f".{link.stem}.lock"):
            if not file.is_file():
                print(f"{reference} is converted for Apptainer, once: {file}", file=sys.stderr)  # noqa: T201
                with atomic_write(file) as temporary:
                    _build(temporary, source)
            if not link.is_symlink() or link.readlink() != Path(file.name):
                before = link.resolve() if link.is_symlink() else None
                with atomic_write(link) as temporary:
                    temporary.symlink_to(file.name)
                if before is not None and before != file:
                    before.unlink(missing_ok=True)


def sif_path(reference: str, cache: Cache) -> Path:
    """Where the ``.sif`` of an image is found.

    >>> sif_path("stemjepa/probe:1", Cache(Path("cache"))).as_posix()
    'cache/images/stemjepa_probe_1.sif'
    """
    name = re.sub(r"[^\w.-]+", "_", reference, flags=re.ASCII)
    return cache.root / FOLDER / f"{name}.sif"


def run(container: Container, cache: Cache) -> int:
    """Runs ``container`` to its end, from the ``.sif`` of its image; returns its exit code. A signal is passed on as SIGINT.

    Raises:
        RequestError: there is no Apptainer, or no ``.sif``.
        StorageError: a writable folder cannot be made.
    """
    _check_program()
    sif = sif_path(container.image, cache)
    if not sif.is_file():
        raise RequestError(f"there is no {sif}: `make reproduce CONTAINER={PROGRAM}` makes it of the image")
    for mount in container.mounts:
        if mount.writable:
            make_folder(mount.source)
    has_gpu = container.gpu and any(Path("/dev").glob("nvidia[0-9]*"))
    line = commands.apptainer(replace(container, image=str(sif)), gpus=has_gpu)
    process: subprocess.Popen[bytes] | None = None
    streams: list[threading.Thread] = []
    try:
        with signals.grace_period(2 * GRACE_SECONDS), signals.on_forced_exit(lambda: _kill(process, signal.SIGKILL)):
            with signals.postponed():
                process = subprocess.Popen(["sh", "-c", line], stdout=subprocess.PIPE, stderr=subprocess.PIPE, process_group=0)
                for pair in ((process.stdout, sys.stdout), (process.stderr, sys.stderr)):
                    streams.append(threading.Thread(target=_pass_on, args=pair, daemon=True))
                    streams[-1].start()
            return _end(process, streams)
    except signals.Interrupted:
        if process is None:
            raise
        _kill(process, signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            process.wait(GRACE_SECONDS)
            if _end(process, streams) == INTERRUPTED:
                return INTERRUPTED  # it has said so itself
        raise
    finally:
        _kill(process, signal.SIGKILL)


def _end(process: subprocess.Popen[bytes], streams: Iterable[threading.Thread]) -> int:
    code = process.wait()
    for stream in streams:
        stream.join(GRACE_SECONDS)
    return code if code >= 0 else 128 - code


def _pass_on(source: IO[bytes], target: Any) -> None:
    """What comes from ``source``, as it comes. Where nobody reads it any more, it is read all the same: the container must not block."""
    while part := os.read(source.fileno(), 65536):
        with suppress(OSError, ValueError):
            target.buffer.write(part)
            target.buffer.flush()


def _kill(process: subprocess.Popen[bytes] | None, number: int) -> None:
    with suppress(ProcessLookupError):
        if process is not None and process.poll() is None:
            os.killpg(process.pid, number)


def _check_program() -> None:
    if shutil.which(PROGRAM) is None:
        raise RequestError(f"there is no {PROGRAM} on the PATH: install it, or load its module, or run the stages without CONTAINER")


def _identifier(reference: str) -> str:
    """The first digits of the identifier that the Docker engine of this machine gives an image."""
    client = engine.connect()
    if engine.missing_images(client, [reference]):
        raise engine.missing_image_error([reference])
    with engine.refusals_as_request_errors(f"cannot look at {reference}"):
        image: dict[str, Any] = client.inspect_image(reference)  # type: ignore[no-untyped-call]
    return str(image["Id"]).rpartition(":")[2][:12]


def _build(target: Path, source: str) -> None:
    built = subprocess.run(
        [PROGRAM, "build", "--force", str(target), source], capture_output=True, text=True, errors="replace", check=False
    )
    if built.returncode != 0 or not target.is_file():
        lines = [line for line in built.stderr.splitlines() if line.strip()]
        raise RequestError(f"{PROGRAM} cannot convert {source}: {lines[-1] if lines else f'exit code {built.returncode}'}")
