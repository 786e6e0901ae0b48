"""What a folder of a million files costs a batch, against one of a thousand: start-up, records, meta.json."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

SIZES = (1_000, 10_000, 100_000, 1_000_000)
BATCH_SIZE, OTHER_BATCH_SIZE = 256, 200
RUNS = 4
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
    """In turn over the sizes of folders, so that a drifting machine hits all alike."""
    first = {size: run(_extract(folder, BATCH_SIZE, 0)) for size, folder in folders.items()}
    for size, folder in folders.items():
        _journals(folder, size)
    figures: dict[tuple[str, int], list[Figures]] = {}
    for turn in range(-2, RUNS):
        batch = 1 + turn % 2
        kinds = {"new": (BATCH_SIZE, batch), "kept": (BATCH_SIZE, batch), "other": (OTHER_BATCH_SIZE, 2)}
        for kind, asked in kinds.items():
            for size, folder in folders.items():
                if kind == "new":
                    _forget(folder, batch)
                (folder / "vectors" / ".records" / f"batch-{OTHER_BATCH_SIZE}-2.jsonl").unlink(missing_ok=True)
                measured = run(_extract(folder, *asked))
                if turn >= 0:
                    figures.setdefault((kind, size), []).append(measured)
    head = [
        "files in the folder",
        "first batch, s",
        "MB",
        "a new batch, s",
        "MB",
        "again, kept, s",
        "MB",
        "by other batches, kept, s",
        "MB",
    ]
    lines = [f"| {' | '.join([*head, 'times'])} |", "|---" * (len(head) + 1) + "|"]
    processor = {key: statistics.median(one.processor_seconds for one in values) for key, values in figures.items()}
    for size in folders:
        cells = [f"{first[size].seconds:.2f} | {first[size].megabytes:.0f}"]
        for kind in kinds:
            measured_here = figures[kind, size]
            seconds = statistics.median(one.seconds for one in measured_here)
            cells.append(f"{seconds:.2f} | {max(one.megabytes for one in measured_here):.0f}")
        ratios = [processor[kind, size] / processor[kind, SIZES[0]] for kind in kinds]
        lines.append(f"| {size:,} | {' | '.join(cells)} | {' · '.join(f'**{ratio:.2f}**' for ratio in ratios)} |")
    lines += [
        "",
        f"`jukemir-like extract mfcc --batch_size {BATCH_SIZE} --workers 1` of clips of 0.25 s, processes, medians of {RUNS} in turn; "
        "MB is the largest peak. The first batch (one run) lists the folder and writes the manifest. *By other batches*: "
        f"{OTHER_BATCH_SIZE} of the files, which batches of {BATCH_SIZE} have done. The records of all other batches are there; the files "
        f"are links to {WAVS} WAVs. *Times*: processor seconds of a batch (new, again, by others) over those in the smallest folder.",
    ]
    return "\n".join(lines)


def _meta(folders: dict[int, Path]) -> str:
    """Writing meta.json, and opening it as a probe does: splits, groups and labels."""
    head = [
        "items of meta.json",
        "MB of the file",
        "written, s",
        "MB",
        "splits, groups and labels read, s",
        "MB",
        "µs per item: written · read",
    ]
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    for size, folder in folders.items():
        arguments = [str(folder), str(size)]
        write, read = (run([sys.executable, "-c", script, *arguments]) for script in (META, READ))
        cost = " · ".join(f"{1e6 * one.processor_seconds / size:.0f}" for one in (write, read))
        file = (folder / "meta.json").stat().st_size / 1e6
        lines.append(
            f"| {size:,} | {file:.1f} | {write.seconds:.2f} | {write.megabytes:.0f} | {read.seconds:.2f} | {read.megabytes:.0f} | {cost} |"
        )
    lines += ["", "Whole processes, imports included (which are most of the first rows), one run each; µs are of the processor."]
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


@dataclass(frozen=True)
class Figures:
    """Of one process and those that it starts."""

    seconds: float
    processor_seconds: float
    megabytes: float


def run(command: list[str]) -> Figures:
    script = (
        "import resource, subprocess, sys, time\n"
        "started = time.perf_counter()\n"
        "done = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL)\n"
        "seconds, used = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)\n"
        "print(seconds, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024)\n"
        "sys.exit(done.returncode)"
    )
    done = subprocess.run([sys.executable, "-S", "-c", script, *command], capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {done.returncode}:\n{done.stderr[-2000:]}")
    return Figures(*map(float, done.stdout.split()))


def _forget(folder: Path, batch: int) -> None:
    """Removes what a batch has made, and that it has."""
    (folder / "vectors" / ".records" / f"batch-{BATCH_SIZE}-{batch}.jsonl").unlink(missing_ok=True)
    for number in range(batch * BATCH_SIZE, (batch + 1) * BATCH_SIZE):
        (folder / "vectors" / f"{number:07d}.npy").unlink(missing_ok=True)


def _journals(folder: Path, size: int) -> None:
    """What the other batches would have recorded; they did not run."""
    records = folder / "vectors" / ".records"
    line = json.loads((records / f"batch-{BATCH_SIZE}-0.jsonl").read_text().splitlines()[0])
    line |= {"input": "NAME", "output_digest": "0" * 64}
    text = json.dumps(line) + "\n"
    for batch in range(3, size // BATCH_SIZE):
        names = range(batch * BATCH_SIZE, (batch + 1) * BATCH_SIZE)
        (records / f"batch-{BATCH_SIZE}-{batch}.jsonl").write_text("".join(text.replace("NAME", f"{name:07d}.wav") for name in names))


def _extract(folder: Path, batch_size: int, batch_idx: int) -> list[str]:
    batch = ["--batch_size", str(batch_size), "--batch_idx", str(batch_idx), "--workers", "1"]
    return [sys.executable, "-m", "jukemir_like", "extract", "mfcc", str(folder / "wav"), str(folder / "vectors"), *batch]


if __name__ == "__main__":
    print(section())
