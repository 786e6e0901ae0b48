"""chroma and mfcc beside librosa: clip by clip on one core, and a folder of files as whole processes."""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench import timing

FILES, SECONDS, SAMPLE_RATE = 64, 30, 44100
CLIP_RUNS, FOLDER_RUNS = 15, 3
NAMES = ("chroma", "mfcc")

# The reference: librosa called as one would, one file after another, with its default number of threads.
PLAIN_LOOP = """
import sys
from pathlib import Path
import librosa, numpy
name, folder, output = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
output.mkdir()
for path in sorted(folder.glob("*.wav")):
    clip, rate = librosa.load(path, sr=22050)
    peak = abs(clip).max()
    clip = clip / peak if peak > 0 else clip
    if name == "chroma":
        features = librosa.feature.chroma_cqt(y=clip, sr=rate, hop_length=512)
    else:
        features = librosa.feature.mfcc(y=clip, sr=rate, n_mfcc=20, hop_length=512)
    differences = [numpy.diff(features, n=order, axis=1) for order in range(3)]
    moments = [moment(difference, axis=1) for difference in differences for moment in (numpy.mean, numpy.std)]
    numpy.save(output / f"{path.stem}.npy", numpy.concatenate(moments).astype(numpy.float32))
"""


def section() -> str:
    """Markdown of the features' figures."""
    one_thread = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "bench.features", "clip"]
    clip = json.loads(subprocess.run(command, env={**os.environ, **one_thread}, stdout=subprocess.PIPE, check=True, text=True).stdout)
    lines = ["## chroma and mfcc", "", "| one 30 s clip at 22,050 Hz, one core | librosa, ms | here, ms | ratio |", "|---|---|---|---|"]
    for name in NAMES:
        reference, own = clip[name]
        lines.append(f"| {name} | {reference:.1f} | {own:.1f} | **{reference / own:.1f}** |")
    lines += ["", f"Medians of {CLIP_RUNS} calls in turn in one process, one thread; the reference is librosa {clip['librosa']}.", ""]
    lines += [
        f"{FILES} files of {SECONDS} s at 44.1 kHz, whole processes:",
        "",
        "| | librosa loop, s | one worker, s | ratio | two workers, s | ratio | vectors differ by |",
        "|---|---|---|---|---|---|---|",
    ]
    with tempfile.TemporaryDirectory() as folder:
        wavs = _songs(Path(folder) / "wavs")
        for name in NAMES:
            lines.append(_folder(name, wavs, Path(folder)))
    lines += [
        "",
        f"Medians of {FOLDER_RUNS} runs in turn; imports, decoding, resampling and saving included. The reference is a plain loop over "
        "`librosa.load` and librosa's feature, with its default threads. Last column: the largest difference of two vectors over the "
        "reference's length.",
    ]
    return "\n".join(lines)


def _folder(name: str, wavs: Path, root: Path) -> str:
    outputs = {key: root / f"{name}-{key}" for key in ("loop", "1", "2")}
    commands = {"loop": [sys.executable, "-c", PLAIN_LOOP, name, str(wavs), str(outputs["loop"])]}
    for workers in ("1", "2"):
        commands[workers] = [sys.executable, "-m", "jukemir_like", "extract", name, str(wavs), str(outputs[workers]), "--workers", workers]
    figures = timing.in_turn(commands, runs=FOLDER_RUNS, before=lambda key: shutil.rmtree(outputs[key], ignore_errors=True), warm_up=False)
    loop, one, two = (figures[key].seconds for key in ("loop", "1", "2"))
    difference = _largest_difference(outputs["loop"], outputs["2"])
    return f"| {name} | {loop:.2f} | {one:.2f} | **{loop / one:.1f}** | {two:.2f} | **{loop / two:.1f}** | {difference:.0e} |"


def _largest_difference(reference: Path, own: Path) -> float:
    import numpy as np

    paths = sorted(reference.glob("*.npy"))
    pairs = [(np.load(path), np.load(own / path.name)) for path in paths]
    return max(float(np.linalg.norm(found - expected) / np.linalg.norm(expected)) for expected, found in pairs)


def _songs(folder: Path) -> Path:
    """Files of changing chords of three voices with harmonics; every fourth is new, the others are it, shifted in time."""
    import numpy as np
    import soundfile

    folder.mkdir()
    random = np.random.default_rng(0)
    for index in range(FILES):
        if index % 4 == 0:
            music = 0.01 * random.standard_normal(SECONDS * SAMPLE_RATE)
            for _ in range(3):
                notes = 440 * 2 ** ((random.integers(40, 72, SECONDS * 2) - 69 + random.uniform(-0.2, 0.2)) / 12)
                phase = 2 * np.pi * np.cumsum(np.repeat(notes, SAMPLE_RATE // 2)) / SAMPLE_RATE
                music += sum(np.sin(harmonic * phase) / harmonic for harmonic in range(1, 6))
            music *= 0.7 / np.abs(music).max()
        soundfile.write(folder / f"{index:02d}.wav", np.roll(music, random.integers(len(music))), SAMPLE_RATE, subtype="PCM_16")
    return folder


def _one_clip() -> dict[str, object]:
    """Milliseconds (reference, own) of a clip, by name; run in a process whose libraries have one thread."""
    import librosa
    import numpy as np

    from jukemir_like import audio, representations

    with tempfile.TemporaryDirectory() as folder:
        clip = audio.load(_songs(Path(folder) / "wavs") / "00.wav", 22050)
    normalised = clip / np.abs(clip).max()
    references = {
        "chroma": lambda: librosa.feature.chroma_cqt(y=normalised, sr=22050, hop_length=512),
        "mfcc": lambda: librosa.feature.mfcc(y=normalised, sr=22050, n_mfcc=20, hop_length=512),
    }
    figures: dict[str, object] = {"librosa": librosa.__version__}
    for name in NAMES:
        representation = representations.load(name)
        calls = (references[name], lambda representation=representation: representation([clip]))
        seconds: tuple[list[float], list[float]] = ([], [])
        for turn in range(CLIP_RUNS + 2):
            for call, measured in zip(calls, seconds, strict=True):
                started = time.perf_counter()
                call()
                if turn >= 2:
                    measured.append(1000 * (time.perf_counter() - started))
        figures[name] = tuple(statistics.median(measured) for measured in seconds)
    return figures


if __name__ == "__main__":
    print(json.dumps(_one_clip()) if sys.argv[1:] == ["clip"] else section())
