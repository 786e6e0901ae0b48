"""A Docker engine, where there is one; and images of two megabytes whose stages do what a test says."""

import io
import os
import subprocess
import sys
import tarfile
import uuid
from dataclasses import replace
from pathlib import Path

import pytest

from jukemir_like import __version__
from jukemir_like.core.cache import Cache
from jukemir_like.encoders import card as cards
from jukemir_like.launch import images as references

BUSYBOX = Path("/bin/busybox")
PROGRAMS = ("cat", "cp", "echo", "env", "head", "id", "kill", "ls", "mkdir", "pwd", "seq", "sh", "sleep", "stty", "touch", "yes")

# What stands for a stage: its last argument is what it does, as a shell understands it.
STAGE = """#!/bin/sh
while [ $# -gt 1 ]; do shift; done
eval "$1"
"""
# What stands for a representation of others: it prints its arguments, and what it sees.
REPRESENTATION = """#!/bin/sh
echo "$*"
echo "$*" >> /output/asked
ls /input > /output/seen
touch /input/x 2> /dev/null && echo "/input can be written to"
env > /output/variables
"""


@pytest.fixture(scope="session")
def built(images):
    """A function from images' names to their references."""
    return lambda *names: [references.reference(name) for name in names if images[name]]


def busybox(engine, reference, scripts, entrypoint):
    """An image of busybox and ``scripts``, by name."""
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w") as archive:
        for name, data in {"busybox": BUSYBOX.read_bytes(), **{name: script.encode() for name, script in scripts.items()}}.items():
            member = tarfile.TarInfo(f"bin/{name}")
            member.mode, member.size = 0o755, len(data)
            archive.addfile(member, io.BytesIO(data))
        for name in PROGRAMS:
            member = tarfile.TarInfo(f"bin/{name}")
            member.type, member.linkname = tarfile.SYMTYPE, "busybox"
            archive.addfile(member)
    repository, _, tag = reference.rpartition(":")
    engine.api.import_image_from_data(target.getvalue(), repository, tag, changes=[f"ENTRYPOINT {entrypoint}"])


@pytest.fixture
def own_encoder(tmp_path):
    """The name of an encoder of ``tmp_path / "cache"``, with a card that is not of this package, as its download leaves it."""
    folder = Cache(tmp_path / "cache").weights("mine")
    folder.mkdir(parents=True)
    (folder / cards.RESOLVED).write_text(cards.to_toml(replace(cards.read("musicnn-msd"), name="mine", weights=None)))
    (folder / "mine.safetensors").touch()
    return "mine"


@pytest.fixture(scope="session")
def stand_ins(engine, absent):
    """The prefix of images that stand for the stages, and for the representation ``echo``."""
    if not BUSYBOX.exists():
        absent("needs busybox-static")
    prefix = f"jukemir-like-test-{uuid.uuid4().hex[:8]}"
    made = {f"{prefix}/{name}:{__version__}": ({"jukemir-like": STAGE}, '["jukemir-like"]') for name in ("process", "download", "train")}
    made[f"{prefix}/representations_echo:{__version__}"] = ({"tell": REPRESENTATION}, '["/bin/tell"]')
    try:
        for reference, (scripts, entrypoint) in made.items():
            busybox(engine, reference, scripts, entrypoint)
        yield prefix
    finally:
        for reference in made:
            for container in engine.containers.list(all=True, filters={"ancestor": reference}, ignore_removed=True):
                container.remove(force=True)
            engine.images.remove(reference, force=True)


@pytest.fixture
def left(engine, stand_ins):
    """A function that says which containers of the stand-ins there are, running or not."""
    return lambda: [one["Id"] for one in engine.api.containers(all=True) if one["Image"].startswith(f"{stand_ins}/")]


@pytest.fixture
def start(stand_ins, tmp_path):
    """A function that starts ``jukemir-like --docker …`` with the stand-ins: ``start("audit", "echo hello")``.

    ``setup`` is code that runs first.
    """
    started = []

    def launch(*arguments, environment=None, setup="", **options):
        variables = {"JUKEMIR_LIKE_IMAGES": stand_ins, "JUKEMIR_LIKE_CACHE_DIR": str(tmp_path / "cache"), **(environment or {})}
        options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
        program = ["-c", f"{setup}\nfrom jukemir_like.cli import main; main()"] if setup else ["-m", "jukemir_like"]
        command = [sys.executable, *program, "--docker", *map(os.fspath, arguments)]
        started.append(subprocess.Popen(command, env={**os.environ, **variables}, **options))
        return started[-1]

    yield launch
    for process in started:
        if process.poll() is None:
            process.terminate()
        process.communicate(timeout=60)


@pytest.fixture
def launch(start):
    """As ``start``, to the end: returns exit code, standard output and standard error, as text."""

    def finish(*arguments, **options):
        process = start(*arguments, **options)
        output, errors = process.communicate(timeout=120)
        return process.returncode, output.decode(), errors.decode()

    return finish


@pytest.fixture
def folder(tmp_path, write_audio):
    """Five short files."""
    for index in range(5):
        write_audio(tmp_path / "in" / f"{index}.wav", seconds=0.3, seed=index)
    return tmp_path / "in"
