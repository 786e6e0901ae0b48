"""Stages in their images: size, seconds to the first vector, speed beside the same outside, and a rebuild after a change of code."""

from __future__ import annotations

import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from jukemir_like.core import machine
from jukemir_like.launch import confinement, images
from jukemir_like.launch.images import Container, Mount
from jukemir_like.synthband import generation

SONGS, STARTS, RUNS = 120, 7, 5
NAMES = {"chroma": "representations_chroma", "mfcc": "representations_mfcc", "stemjepa": "representations"}
ASKED_SECONDS = {"chroma": 3, "mfcc": 3, "stemjepa": 5}
ROOT = Path(__file__).resolve().parents[1]


def section() -> str:
    """Markdown of the images' figures. Needs an engine, and the images (`make images`)."""
    with tempfile.TemporaryDirectory(dir="/var/tmp") as temporary:
        folder = Path(temporary)
        generation.generate(folder / "synthband", songs=SONGS, seed=3, workers=machine.available_cpus())
        songs = _mixes(folder)
        lines = ["## Containers", "", "| image | size, MB | to the first vector, s | asked |", "|---|---|---|---|"]
        for name, image in NAMES.items():
            lines.append(f"| {image} | {_size(image):,} | **{_first_vector(image, songs, folder):.2f}** | {ASKED_SECONDS[name]} |")
        lines += [f"| {image} | {_size(image):,} | | |" for image in ("download", "process", "train", "probe")]
        lines += ["", f"| {SONGS} songs, all processors | in its image, s | outside, s | longer in the image by |", "|---|---|---|---|"]
        for name, image in NAMES.items():
            inside, outside = _speeds(name, image, songs, folder)
            lines.append(f"| {name} | {inside:.2f} | {outside:.2f} | **{inside / outside - 1:+.1%}** |")
    return "\n".join(
        [
            *lines,
            "",
            f"To the first vector: from `docker run` until a file is in the output folder, median of {STARTS}; read-only root, no network. "
            f"Speed: the seconds that `extract` itself states, medians of {RUNS} in turn; starting the container is in the other figure. "
            f"After a change of a line of code all images are built again in **{_rebuild():.0f} s**.",
        ]
    )


def _mixes(folder: Path) -> Path:
    from jukemir_like import datasets, process
    from jukemir_like.core.cache import Cache

    cache = Cache(folder / "cache")
    cache.dataset("synthband").parent.mkdir(parents=True)
    (folder / "synthband").rename(cache.dataset("synthband"))
    process.process(datasets.from_assets("synthband", cache), cache.processed("synthband"), workers=machine.available_cpus())
    return cache.processed("synthband") / "wav"


def _size(image: str) -> int:
    shown = subprocess.run(
        ["docker", "image", "inspect", "--format", "{{.Size}}", images.reference(image)], check=True, capture_output=True, text=True
    )
    return round(int(shown.stdout) / 1e6)


def _docker(image: str, songs: Path, output: Path) -> list[str]:
    mounts = (Mount(songs, "/input"), Mount(output, "/output", writable=True))
    container = Container(images.reference(image), mounts=mounts)
    confined = [*confinement.docker_options(container), "--user", f"{os.getuid()}:{os.getgid()}", *confinement.docker_mounts(container)]
    return ["docker", "run", "--rm", *confined, container.image]


def _first_vector(image: str, songs: Path, folder: Path) -> float:
    """Median of the seconds from ``docker run`` until the first output stands."""
    waited = []
    for _ in range(STARTS + 1):
        output = _empty(folder / "first")
        started = time.perf_counter()
        with subprocess.Popen(_docker(image, songs, output), stdout=subprocess.DEVNULL) as running:
            while not any(output.glob("*.npy")):
                if running.poll() is not None:
                    raise SystemExit(f"{image} ended with {running.returncode} and without a vector")
                time.sleep(0.005)
            waited.append(time.perf_counter() - started)
            running.wait()
    return statistics.median(waited[1:])


def _speeds(name: str, image: str, songs: Path, folder: Path) -> tuple[float, float]:
    """Median seconds of the extraction itself, in its image and outside, in turn."""
    figures: dict[str, list[float]] = {"inside": [], "outside": []}
    for turn in range(RUNS + 1):
        for where in figures:
            output = _empty(folder / "out")
            outside = [sys.executable, "-m", "jukemir_like", "extract", name, str(songs), str(output)]
            command = _docker(image, songs, output) if where == "inside" else outside
            said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
            if turn:
                hours, speed = re.search(r"([\d.]+) h of audio .* ([\d,]+) times real time", said).groups()
                figures[where].append(float(hours) * 3600 / float(speed.replace(",", "")))
    return statistics.median(figures["inside"]), statistics.median(figures["outside"])


def _empty(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    return folder


def _rebuild() -> float:
    """Seconds of building all images after one line of code has changed, in a copy of the tree."""
    base = os.environ.get("BASE_IMAGE", "python:3.11-slim")
    allowed = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    with tempfile.TemporaryDirectory() as temporary:
        copy = Path(temporary)
        for name in (*allowed, "Dockerfile.base", "containers", "scripts", ".dockerignore"):
            (shutil.copytree if (ROOT / name).is_dir() else shutil.copy2)(ROOT / name, copy / name)
        command = [sys.executable, "scripts/images.py", "--base", base, "--prefix", "bench", "--osv", "", "--output", str(copy / "out")]
        try:
            subprocess.run(command, cwd=copy, check=True, capture_output=True)
            with open(copy / "jukemir_like" / "core" / "errors.py", "a") as file:
                file.write(f"# {time.time()}\n")
            started = time.perf_counter()
            subprocess.run(command, cwd=copy, check=True, capture_output=True)
            return time.perf_counter() - started
        finally:
            made = subprocess.run(["docker", "images", "--quiet", "bench/*"], check=True, capture_output=True, text=True).stdout.split()
            if made:
                subprocess.run(["docker", "rmi", "--force", *set(made)], check=False, stdout=subprocess.DEVNULL)
