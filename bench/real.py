"""What representations know of real recordings: ``python -m bench.real DIR [REPRESENTATION …]`` prints a table.

``DIR/labels.csv`` has the columns ``path`` (from ``DIR/music``), a label, and ``group``, such as the track. Of each recording, excerpts of
30 s are taken, at most six, evenly spaced; protocol ``linear`` predicts the label of each excerpt in five folds that keep groups together,
drawn ten times: which tracks are together in a fold moves a score by as much as representations differ. Scores are means over draws, with
95 % intervals over groups and draws. Differences from the first representation are paired, their p corrected for their number (Holm).

Representations are spelled as everywhere else (``stemjepa-mine``, ``mfcc@pool=max``); names joined by ``,`` are put side by side. Vectors
are kept in ``DIR/vectors``.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

import jukemir_like as jl
from jukemir_like import audio
from jukemir_like.core.progress import Progress
from jukemir_like.core.resampling import Interval, holm
from jukemir_like.probes import intervals
from jukemir_like.probes.arrays import ProbeResult, probe

SECONDS = 30
EXCERPTS = 6
FOLDS = 5
DRAWS = 10
REPRESENTATIONS = ("stemjepa", "stemjepa-untrained", "mfcc", "chroma")


@dataclass(frozen=True)
class Recording:
    """A row of the table."""

    path: Path
    label: str
    group: str


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.real", description="What representations know of real recordings.")
    parser.add_argument("folder", type=Path, help="with labels.csv and music/")
    parser.add_argument("representations", nargs="*", default=REPRESENTATIONS)
    parser.add_argument("--draws", type=int, default=DRAWS, help="of folds [%(default)s]")
    options = parser.parse_args(arguments)
    recordings = read_table(options.folder)
    results = {name: probes(options.folder, recordings, name, options.draws) for name in options.representations}
    print(table(results))


def read_table(folder: Path) -> list[Recording]:
    """The recordings of ``labels.csv``, in its order; the label is the first column that is none of path, group and split."""
    with open(folder / "labels.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    label = next(column for column in rows[0] if column not in ("path", "group", "split"))
    return [Recording(folder / "music" / row["path"], row[label], row["group"]) for row in rows]


def probes(folder: Path, recordings: Sequence[Recording], name: str, draws: int) -> list[ProbeResult]:
    """One result for each draw of folds."""
    parts = [vectors(folder, recordings, part) for part in name.split(",")]
    x, owners = np.concatenate([part for part, _ in parts], axis=1), parts[0][1]
    labels, groups = ([getattr(recordings[number], column) for number in owners] for column in ("label", "group"))
    return [
        probe(x, labels, folds=FOLDS, folds_seed=seed, groups=groups, task_type="multiclass", dataset=folder.name) for seed in range(draws)
    ]


def vectors(folder: Path, recordings: Sequence[Recording], name: str) -> tuple[np.ndarray, np.ndarray]:
    """Vectors of all excerpts ``(excerpts, dimension)``, and the number of the recording of each."""
    representation = jl.load_representation(name)
    listed = hashlib.sha256(repr(recordings).encode()).hexdigest()
    kept = folder / "vectors" / f"{representation.signature}-{listed[:16]}.npz"
    if not kept.exists():
        computed = [
            (number, representation(samples, sample_rate=representation.sample_rate))
            for number, samples in excerpts(recordings, representation.sample_rate, name)
        ]
        kept.parent.mkdir(exist_ok=True)
        owners = np.repeat([number for number, _ in computed], [len(rows) for _, rows in computed])
        np.savez(kept, x=np.concatenate([rows for _, rows in computed]), owners=owners)
    with np.load(kept) as arrays:
        return arrays["x"], arrays["owners"]


def excerpts(recordings: Sequence[Recording], sample_rate: int, description: str) -> Iterator[tuple[int, list[np.ndarray]]]:
    """For each recording of 30 s or more its number and its excerpts, of which none overlaps another."""
    length = SECONDS * sample_rate
    with Progress(len(recordings), description, "recording") as bar:
        for number, recording in enumerate(recordings):
            samples = audio.load(recording.path, sample_rate)
            count = min(EXCERPTS, len(samples) // length)
            gap = (len(samples) - count * length) // (count + 1)
            if count:
                starts = (gap + place * (length + gap) for place in range(count))
                yield number, [samples[start : start + length] for start in starts]
            bar.update()


def combined(runs: Sequence[ProbeResult]) -> intervals.ResampledMetrics:
    """The draws of one representation as one result: the mean over draws, in every resample of groups and of draws."""
    # Accuracy of an item does not depend on the fold that it was in, and the draws are of different folds.
    predictions = [replace(run.resampled.predictions[0], fold=None) for run in runs]
    return intervals.resample_predictions(runs[0].resampled.task, runs[0].dataset, predictions)


def table(results: dict[str, list[ProbeResult]]) -> str:
    """Markdown: scores, and what the first has more than each other."""
    scores = {name: combined(runs) for name, runs in results.items()}
    (first, reference), *others = scores.items()
    metric = next(iter(reference.intervals))
    differences = {name: intervals.compare(reference, one).differences[metric] for name, one in others}
    corrected = dict(zip(differences, holm([one.p for one in differences.values()]), strict=True))
    rows = [f"| representation | accuracy, % | {first} minus it | p | by draw of folds |", "|---|---|---|---|---|"]
    for name, score in scores.items():
        cells = [name, percent(score.intervals[metric], "{:.1f}"), "", ""]
        if name in differences:
            cells[2:] = [percent(differences[name].interval, "{:+.1f}"), f"{corrected[name]:.3f}"]
        rows.append(f"| {' | '.join([*cells, ' '.join(f'{100 * value:.1f}' for value in score.by_seed[metric])])} |")
    one = results[first][0]
    draws = f"{len(results[first])} draws of {FOLDS} folds"
    counted = f"{one.n['test']:,} excerpts of {SECONDS} s, {one.groups} groups, {len(one.classes)} classes; {draws}."
    return "\n".join([counted, "", *rows])


def percent(interval: Interval, form: str) -> str:
    """A value in % with its interval, if it has one."""
    ends = () if interval.low is None or interval.high is None else (interval.low, interval.high)
    value, *bounds = (form.format(100 * number) for number in (interval.value, *ends))
    return f"{value} [{', '.join(bounds)}]" if bounds else value


if __name__ == "__main__":
    main(sys.argv[1:])
