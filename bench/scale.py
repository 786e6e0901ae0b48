"""What a folder of a million files costs a batch, against one of a thousand: start-up, records, meta.json."""

from __future__ import annotations

import json
import os
import statistics
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import soundfile

from bench import timing

SIZES = (1_000, 10_000, 100_000, 1_000_000)
BATCH_SIZE, OTHER_BATCH_SIZE = 256, 200
RUNS = 3
WAVS = 32  # real files; the others are links to them, of which a file can have 65,000

META = """
import sys
from pathlib import Path
from jukemir_like.datasets import meta
from jukemir_like.datasets.dataset import Clip, Dataset, Item, Task

class Items:
    def __iter__(self):
        for i in range(int(sys.argv[2])):
            clip = Clip(f"{i // 3:07d}", 213.5, i % 3, 30.0 * (i % 3), 30.0)
            extra = {"artist": f"artist {i // 30}", "title": f"title number {i}"}
            yield Item(f"{i:07d}", ("train", "valid", "test")[i % 3], ("jazz", "rock")[i % 2], None, clip, extra)

dataset = Dataset("scale", {"genre": Task("genre", "multiclass", ("jazz", "rock"))}, Items(), "artist")
meta.write_meta(Path(sys.argv[1]), dataset, failed={}, skipped={}, metadata_only=True)
"""
READ = """
import sys
from pathlib import Path
from jukemir_like.datasets.processed import read_processed

data = read_processed(Path(sys.argv[1]))
assert len(data.splits) == len(data.groups) == len(data.labels("genre")) == int(sys.argv[2])
"""


def section() -> str:
    """Markdown of the figures."""
    with tempfile.TemporaryDirectory() as root:
        folders = {size: Path(root) / str(size) for size in SIZES}
        _make(Path(root) / "wavs", folders)
        tables = [table(folders) for table in TABLES]
    return "\n\n".join(["## A million files", *tables])


def _batches(folders: dict[int, Path]) -> str:
    """Of 256 files each, in turn over the sizes of folders, so that a drifting machine hits all alike."""
    first = {size: timing.run(_extract(folder, BATCH_SIZE, 0)) for size, folder in folders.items()}
    for size, folder in folders.items():
        _journals(folder, size)
    kinds: dict[str, Callable[[int], tuple[int, int]]] = {
        "new": lambda run: (BATCH_SIZE, run),
        "kept": lambda run: (BATCH_SIZE, run),
        "other": lambda run: (OTHER_BATCH_SIZE, run + 1),
    }
    figures: dict[tuple[str, int], list[tuple[float, float]]] = {}
    for run in range(RUNS):
        for kind, batch in kinds.items():
            for size, folder in folders.items():
                figures.setdefault((kind, size), []).append(timing.run(_extract(folder, *batch(run))))
    seconds = {key: statistics.median(second for second, _ in values) for key, values in figures.items()}
    memory = {key: max(megabytes for _, megabytes in values) for key, values in figures.items()}
    lines = [
        f"| files of the folder | first batch, s | MB | a new batch, s | MB | the same again, kept, s | MB | in batches of {OTHER_BATCH_SIZE}, kept, s "
        "| MB | per clip, times that of the smallest folder |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for size in folders:
        cells = [f"{first[size][0]:.2f} | {first[size][1]:.0f}"]
        cells += [f"{seconds[kind, size]:.2f} | {memory[kind, size]:.0f}" for kind in kinds]
        ratios = [seconds[kind, size] / seconds[kind, SIZES[0]] for kind in kinds]
        lines.append(f"| {size:,} | {' | '.join(cells)} | {' · '.join(f'**{ratio:.2f}**' for ratio in ratios)} |")
    lines += [
        "",
        f"`jukemir-like extract mfcc --batch_size {BATCH_SIZE}` of clips of 0.25 s, whole processes with one worker, medians of {RUNS} in turn; "
        "the first batch, one run each, lists the folder and writes the manifest, where the folder is large. The records of all other batches "
        "are there. Files are links to a few WAVs; MB is the peak of the process. Last column: of the three kinds of batch.",
    ]
    return "\n".join(lines)


def _meta(folders: dict[int, Path]) -> str:
    """Writing meta.json, and opening it as a probe does: splits, groups and labels."""
    lines = [
        "| items of meta.json | MB of the file | written, s | MB | splits, groups and labels read, s | MB | per item: µs written · read |",
        "|---|---|---|---|---|---|---|",
    ]
    for size, folder in folders.items():
        arguments = [str(folder), str(size)]
        write, read = (timing.run([sys.executable, "-c", script, *arguments]) for script in (META, READ))
        cost = " · ".join(f"{1e6 * seconds / size:.0f}" for seconds, _ in (write, read))
        file = (folder / "meta.json").stat().st_size / 1e6
        lines.append(f"| {size:,} | {file:.1f} | {write[0]:.2f} | {write[1]:.0f} | {read[0]:.2f} | {read[1]:.0f} | {cost} |")
    lines += ["", "Whole processes, imports included (which are most of the first rows); one run each."]
    return "\n".join(lines)


TABLES: list[Callable[[dict[int, Path]], str]] = [_batches, _meta]
"""Each makes one table of the section. It is given the folders by their number of files, each with ``wav/``, the vectors of some batches in
``vectors/``, and ``meta.json`` and ``dataset.json``; those of other stages, as of probes that read such vectors, go here."""


def _make(wavs: Path, folders: dict[int, Path]) -> None:
    wavs.mkdir()
    for number in range(WAVS):
        samples = np.random.default_rng(number).uniform(-0.5, 0.5, 5512).astype(np.float32)
        soundfile.write(wavs / f"{number}.wav", samples, 22050, subtype="PCM_16")
    for size, folder in folders.items():
        (folder / "wav").mkdir(parents=True)
        for number in range(size):
            os.link(wavs / f"{number % WAVS}.wav", folder / "wav" / f"{number:07d}.wav")


def _journals(folder: Path, size: int) -> None:
    """What the other batches would have recorded; they did not run."""
    records = folder / "vectors" / ".records"
    line = json.loads((records / f"batch-{BATCH_SIZE}-0.jsonl").read_text().splitlines()[0])
    line |= {"input": "NAME", "output_digest": "0" * 64}
    text = json.dumps(line) + "\n"
    for batch in range(RUNS + 1, size // BATCH_SIZE):
        names = range(batch * BATCH_SIZE, (batch + 1) * BATCH_SIZE)
        (records / f"batch-{BATCH_SIZE}-{batch}.jsonl").write_text("".join(text.replace("NAME", f"{name:07d}.wav") for name in names))


def _extract(folder: Path, batch_size: int, batch_idx: int) -> list[str]:
    batch = ["--batch_size", str(batch_size), "--batch_idx", str(batch_idx), "--workers", "1"]
    return [sys.executable, "-m", "jukemir_like", "extract", "mfcc", str(folder / "wav"), str(folder / "vectors"), *batch]


if __name__ == "__main__":
    print(section())
