"""Protocol ``jukemir``: every point of the grid is trained, over worker processes or on a GPU.

Features are standardised once and written to a temporary folder, which the workers map into memory: memory holds one copy for any
number of workers. Those that are on disk already (:class:`~jukemir_like.core.rows.Rows`) stay there, and are standardised as they are read.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch

from jukemir_like.core.atomic import storage_errors
from jukemir_like.core.errors import InputError, RequestError
from jukemir_like.core.parallel import map_unordered
from jukemir_like.core.rows import MatrixFile, Rows, as_array, as_rows
from jukemir_like.core.temporary import temporary_folder
from jukemir_like.datasets import SPLITS, Task
from jukemir_like.probes.chunked_features import ChunkedFeatures, Features
from jukemir_like.probes.linear import Array, standardisation
from jukemir_like.probes.protocols import Grid, Point, group_points
from jukemir_like.probes.songs import Songs
from jukemir_like.probes.targets import targets
from jukemir_like.probes.tasks import ProbeData
from jukemir_like.probes.training import TrainedPoint, TrainingData, train, validation_metric


@dataclass(frozen=True)
class _Labels:
    """What workers need besides features; small, as it is sent with every job."""

    task: Task
    train_y: np.ndarray
    valid_y: np.ndarray
    valid_songs: Songs | None


def choose_device(device: str | None) -> str:
    """``cpu`` or ``cuda``; None: a GPU where there is one.

    Raises:
        RequestError: there is no such device.
    """
    if device == "cuda" and not torch.cuda.is_available():
        raise RequestError("device cuda was requested, but PyTorch finds no GPU here: leave the device out, or choose cpu")
    return device or ("cuda" if torch.cuda.is_available() else "cpu")


def search(
    data: ProbeData, grid: Grid, seed: int, workers: int, device: str | None = None, *, finished: Collection[Point] = ()
) -> Iterator[list[TrainedPoint]]:
    """Trains all points; yields them as they finish, in no fixed order. Each is the same for any number of workers.

    Args:
        data: task, features and labels.
        grid: which points, and when to stop.
        seed: of all random numbers.
        workers: processes on a CPU, one thread each. A GPU is used from this process.
        device: ``cpu`` or ``cuda``; None: a GPU where there is one.
        finished: points that need not be trained, since an earlier call yielded them.

    Yields:
        Points that were trained side by side. Which ones depends on the grid and the kind of device alone, and so do the last bits.

    Raises:
        RequestError: there is no such device, or a worker died.
    """
    device = choose_device(device)
    jobs = [job for job in _jobs(grid.points(), together=device != "cpu") if not all(point in finished for point in job)]
    if not jobs:
        return
    with temporary_folder() as folder:  # features are large
        with storage_errors(folder):
            features = _chunked(data, folder) if isinstance(data.train.X, Rows) else _write_features(data, grid, folder)
        labels = _Labels(data.task, data.train.y, data.splits["valid"].y, data.splits["valid"].songs)
        work = partial(_train, features, labels, grid, seed, device)
        for _, result in map_unordered(work, jobs, 1 if device != "cpu" else min(workers, len(jobs))):
            if isinstance(result, InputError):
                raise RequestError("a process that trained a probe died (out of memory?): run again with fewer workers")
            if isinstance(result, Exception):
                raise result
            yield result


def _jobs(points: list[Point], together: bool) -> list[list[Point]]:
    """Points to train side by side; the longest jobs first, so that no worker runs a long one alone at the end.

    Linear points of a group go together. Points with a hidden layer do so on a GPU; on a CPU one by one is faster.
    """
    jobs = []
    for group in group_points(points):
        jobs += [group] if together or not group[0].hidden else [[point] for point in group]
    return sorted(jobs, key=lambda job: (-job[0].hidden * job[0].batch_size, -job[0].batch_size, job[0].learning_rate))


def _write_features(data: ProbeData, grid: Grid, folder: Path) -> Path:
    mean, scale = standardisation(data.train.X)
    for name, split in data.splits.items():
        of_split = as_array(split.X)
        for standardise in sorted(set(grid.standardise)):
            with np.errstate(over="ignore"):  # overflow is detected by the reader of the scores
                X = ((of_split - mean) / scale).astype(np.float32) if standardise else of_split
            np.save(folder / f"{name}-{standardise:d}.npy", X)
    return folder


@dataclass(frozen=True)
class _OnDisk:
    """Split → features on disk, and how those of train are standardised."""

    rows: dict[str, Rows]
    standardisation: tuple[Array, Array]


def _chunked(data: ProbeData, folder: Path) -> _OnDisk:
    """Features that are on disk, as they are; those that are in an array, which workers cannot see, are written."""
    rows = {name: as_rows(split.X) for name, split in data.splits.items()}
    moments = standardisation(rows["train"])
    for name, of_split in rows.items():
        if any(isinstance(source, np.ndarray) for source in of_split.sources):
            path = folder / f"{name}.bin"
            with path.open("wb") as file:
                for _, chunk in of_split.chunks():
                    file.write(chunk.tobytes())
            rows[name] = Rows.of_file(MatrixFile(path, 0), *of_split.shape)
    return _OnDisk(rows, moments)


def _train(features: Path | _OnDisk, labels: _Labels, grid: Grid, seed: int, device: str, job: list[Point]) -> list[TrainedPoint]:
    """Trains one job. Runs in a worker."""
    with one_torch_thread():
        data = _training_data(features, labels, job[0].standardise, torch.device(device))
        return train(data, job, seed, grid.evaluate_every, grid.patience)


def _training_data(features: Path | _OnDisk, labels: _Labels, standardise: bool, device: torch.device) -> TrainingData:
    splits: dict[str, Features]
    if isinstance(features, _OnDisk):
        moments = features.standardisation if standardise else None
        splits = {split: ChunkedFeatures(rows, moments, device) for split, rows in features.rows.items()}
    else:
        # Mapped copy-on-write, since PyTorch expects memory that is writable.
        paths = {split: features / f"{split}-{standardise:d}.npy" for split in SPLITS}
        splits = {split: torch.from_numpy(np.load(path, mmap_mode="c")).to(device) for split, path in paths.items()}
    target = torch.from_numpy(targets(labels.task, labels.train_y)).to(device)
    evaluation = validation_metric(labels.task, labels.valid_y, labels.valid_songs, device)
    return TrainingData(labels.task.type, **splits, target=target, evaluation=evaluation)


@contextmanager
def one_torch_thread() -> Iterator[None]:
    """The same sums in the same order on any machine, and workers that do not compete for cores."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
