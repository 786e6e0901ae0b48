"""Deforming WAVs: each deformation against ``process``, on the same clips, with one worker."""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

from bench import timing

FILES, SECONDS, RATE = 40, 30, 44100
RUNS = 3
DEFORMATIONS = ("level-12", "noise-20", "pinknoise-20", "lowpass-4000", "reverb-1", "mp3-32", "mp3-128", "tempo-0.9", "pitch+2")


def section() -> str:
    """Markdown of the figures."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        _songs(root / "wav")
        program = [sys.executable, "-m", "jukemir_like"]
        cache = ["--cache", str(root / "cache"), "--workers", "1"]
        processing = ["process", "folder", "--audio", str(root / "wav"), "--labels", str(root / "labels.csv"), "--name", "d", *cache]
        commands = {"process": [*program, *processing]}
        commands |= {name: [*program, "deform", "d", name, *cache] for name in DEFORMATIONS}
        found = timing.in_turn(commands, runs=RUNS, before=lambda name: _forget(root / "cache" / "processed", name))
    process = found.pop("process")
    audio = FILES * SECONDS
    rows = [
        f"| `{name}` | {one.seconds:.1f} | {one.seconds / process.seconds:.2f} | {audio / one.seconds:.0f} |" for name, one in found.items()
    ]
    return "\n".join(
        [
            "## Deforming",
            "",
            f"| {FILES} clips of {SECONDS} s, 44.1 kHz, one worker | s | times process | times real time |",
            "|---|---|---|---|",
            f"| `process` of stereo WAVs | {process.seconds:.1f} | 1 | {audio / process.seconds:.0f} |",
            *rows,
            "",
            f"Medians of {RUNS} runs in turn, whole processes, imports included.",
        ]
    )


def _forget(processed: Path, name: str) -> None:
    """The folder that a command writes; the dataset itself is processed anew each turn."""
    shutil.rmtree(processed / ("d" if name == "process" else f"d~{name}"), ignore_errors=True)


def _songs(folder: Path) -> None:
    import numpy as np
    import soundfile

    folder.mkdir()
    random = np.random.default_rng(0)
    rows = ["uid,label,split"]
    time = np.arange(SECONDS * RATE) / RATE
    for index in range(FILES):
        tones = sum(0.1 * np.sin(2 * np.pi * hertz * time) for hertz in random.uniform(80, 2000, 4))
        stereo = np.stack([tones, tones], 1) + 0.01 * random.standard_normal((len(time), 2))
        soundfile.write(folder / f"{index:03d}.wav", stereo, RATE, subtype="PCM_16")
        rows.append(f"{index:03d},{'ab'[index % 2]},test")
    (folder.parent / "labels.csv").write_text("\n".join(rows) + "\n")
