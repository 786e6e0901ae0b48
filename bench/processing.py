"""Processing MP3s to WAV: against decoding alone, with one worker and with two; memory."""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

from bench import timing

FILES, SECONDS, RATE = 200, 45, 44100
SONGS = 10  # different ones among them
RUNS = 3

DECODE = """
import sys, pathlib, soundfile
for path in sorted(pathlib.Path(sys.argv[1]).glob("*.mp3")):
    soundfile.read(path, dtype="float32")
"""


def section() -> str:
    """Markdown of the figures."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        _songs(root / "mp3")
        ours = [
            sys.executable,
            "-m",
            "jukemir_like",
            "process",
            "folder",
            "--audio",
            str(root / "mp3"),
            "--labels",
            str(root / "labels.csv"),
        ]
        ours += ["--cache", str(root / "cache"), "--workers"]
        commands = {"decoding": [sys.executable, "-c", DECODE, str(root / "mp3")], "one": [*ours, "1"], "two": [*ours, "2"]}
        found = timing.in_turn(commands, runs=RUNS, before=lambda _: shutil.rmtree(root / "cache", ignore_errors=True))
    alone, one, two = found["decoding"], found["one"], found["two"]
    return "\n".join(
        [
            "## Processing",
            "",
            f"| {FILES} MP3s of {SECONDS} s, 44.1 kHz, stereo | s | times decoding alone | peak MB a process |",
            "|---|---|---|---|",
            f"| decoded one after another (soundfile), nothing written | {alone.seconds:.1f} | 1 | {alone.megabytes:.0f} |",
            f"| processed, one worker | {one.seconds:.1f} | **{one.seconds / alone.seconds:.2f}** | {one.megabytes:.0f} |",
            f"| processed, two workers | {two.seconds:.1f} | {two.seconds / alone.seconds:.2f} | {two.megabytes:.0f} |",
            "",
            f"Two workers are **{one.seconds / two.seconds:.2f}** times as fast as one. "
            f"Medians of {RUNS} runs in turn, whole processes, imports included.",
        ]
    )


def _songs(folder: Path) -> None:
    import numpy as np
    import soundfile

    folder.mkdir()
    time = np.arange(SECONDS * RATE) / RATE
    for song in range(SONGS):
        random = np.random.default_rng(song)
        chord = sum(np.sin(2 * np.pi * 110 * 2 ** (step / 12) * time) for step in random.choice(36, 4, replace=False))
        soundfile.write(
            folder / f"{song:03d}.mp3", np.stack([0.1 * chord, 0.1 * chord + 0.02 * random.standard_normal(len(time))], 1), RATE
        )
    for copy in range(SONGS, FILES):
        shutil.copy(folder / f"{copy % SONGS:03d}.mp3", folder / f"{copy:03d}.mp3")
    (folder.parent / "labels.csv").write_text("uid,label\n" + "".join(f"{file:03d},{file % 3}\n" for file in range(FILES)))


if __name__ == "__main__":
    print(section())
