"""The stages as whole processes: rendering and processing synthband, extraction with one worker and two, and its memory."""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

import numpy as np
import soundfile

from bench import timing

SONGS = 600
COMMAND = [sys.executable, "-m", "jukemir_like"]


def section() -> str:
    """Markdown of the stages' figures."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        return "\n".join(["## Stages", "", _start(), "", _synthband(root / "cache"), "", _extraction(root), "", _memory(root), ""])


def _start() -> str:
    figures = timing.in_turn({"help": [*COMMAND, "--help"], "python": [sys.executable, "-c", "import click"]}, runs=9)
    return (
        f"`jukemir-like --help`: {figures['help'].seconds:.2f} s (Python importing click alone: {figures['python'].seconds:.2f} s; "
        f"median of {figures['help'].runs})."
    )


def _synthband(cache: Path) -> str:
    render = timing.run([*COMMAND, "download", "synthband", "--songs", str(SONGS), "--cache", str(cache)])
    process = timing.run([*COMMAND, "process", "synthband", "--cache", str(cache)])
    return (
        f"{SONGS} songs of synthband, two workers, one run: rendered in {render[0]:.1f} s (peak {render[1]:.0f} MB a process), "
        f"processed in {process[0]:.1f} s (peak {process[1]:.0f} MB): **{render[0] + process[0]:.0f} s** together."
    )


def _extraction(root: Path) -> str:
    wav, out = root / "cache" / "processed" / "synthband" / "wav", root / "out"
    lines = [
        "| extraction of 600 clips of 30 s | one worker, s | two workers, s | ratio | times real time (two) |",
        "|---|---|---|---|---|",
    ]
    for name in ("chroma", "mfcc"):
        commands = {f"{workers}": [*COMMAND, "extract", name, str(wav), str(out), "--workers", f"{workers}"] for workers in (1, 2)}
        figures = timing.in_turn(commands, runs=3, before=lambda _: shutil.rmtree(out, ignore_errors=True), warm_up=False)
        one, two = figures["1"].seconds, figures["2"].seconds
        lines.append(f"| {name} | {one:.1f} | {two:.1f} | **{one / two:.2f}** | {SONGS * 30 / two:,.0f} |")
    lines += ["", "Medians of 3 runs in turn, whole processes, imports included."]
    return "\n".join(lines)


def _memory(root: Path) -> str:
    lines = ["| memory of extraction (mfcc, two workers) | peak of the largest process, MB |", "|---|---|"]
    for number in (100, 10_000):
        folder, out = root / f"small-{number}", root / f"small-{number}-out"
        _small_files(folder, number)
        _, memory = timing.run([*COMMAND, "extract", "mfcc", str(folder), str(out), "--workers", "2"])
        lines.append(f"| {number:,} files of 1 s | {memory:.0f} |")
        shutil.rmtree(folder)
        shutil.rmtree(out)
    return "\n".join(lines)


def _small_files(folder: Path, number: int) -> None:
    folder.mkdir()
    random = np.random.default_rng(0)
    for index in range(number):
        soundfile.write(folder / f"{index:05d}.wav", random.uniform(-0.5, 0.5, 22050).astype(np.float32), 22050, subtype="PCM_16")


if __name__ == "__main__":
    print(section())
