"""What the encoder knows of key, genre and other labels of held-out tracks, as a curve over the steps: ``probe/TASK``.

The labels are those of the ``meta.json`` of the held-out tracks' folder. A track's vector is that of the mix of all of its stems, by the
encoder, averaged over the first 32 s. What vectors tell of labels is measured by :mod:`~.ridge_probe`.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from jukemir_like.audio.stems.tracks import Track
from jukemir_like.core.files import printable
from jukemir_like.datasets.meta import WAV_FOLDER, read_description, read_meta
from jukemir_like.stemjepa.data.loading import items_ahead
from jukemir_like.stemjepa.data_settings import Data
from jukemir_like.stemjepa.pooling import pool_clips
from jukemir_like.stemjepa.retrieval import embedding
from jukemir_like.stemjepa.settings import Training
from jukemir_like.stemjepa.training import ridge_probe
from jukemir_like.stemjepa.training.group import Group
from jukemir_like.stemjepa.training.module import TrainingModule
from jukemir_like.stemjepa.training.validation import MAX_EXAMPLES, Beginnings

PREFIX = "probe/"

TaskLabels = dict[str, Any]
"""Of a task, as JSON values: ``name``; ``type``; ``labels``, names of its outputs; ``of_tracks``: of each track its label, or None."""


def read_labels(folder: Path, tracks: Sequence[Track]) -> list[TaskLabels]:
    """Labels of tracks for all tasks of a processed dataset that any of them has a label for.

    Args:
        folder: of ``meta.json`` and ``dataset.json``; without them there are no labels.
        tracks: found in it.

    Raises:
        DamagedFileError: one of the two is damaged.
    """
    try:
        items, _ = read_meta(folder)
        tasks = read_description(folder).tasks
    except FileNotFoundError:
        return []
    found = []
    for name, task in sorted(tasks.items()):
        given = [items.get(track.name.removeprefix(f"{WAV_FOLDER}/"), {}).get("y") for track in tracks]
        of_tracks = [y.get(name) if isinstance(y, dict) else y if len(tasks) == 1 else None for y in given]
        if any(label is not None for label in of_tracks):
            found.append({"name": name, "type": task.type, "labels": list(task.labels), "of_tracks": of_tracks})
    return found


def labels_of_run(data: Data, tracks: Sequence[Track]) -> list[TaskLabels]:
    """Labels of held-out tracks, each of the folder that it was found in.

    Of several folders, tasks of the same name, type and labels are one; of another task of the same name, the folder is in the name.

    Args:
        data: the folders of the run.
        tracks: held out.

    Raises:
        DamagedFileError: as :func:`read_labels`.
    """
    if data.valid_path is not None or len(data.folders) == 1:
        return read_labels(Path(data.valid_path or data.folders[0]).expanduser(), tracks)
    tasks: dict[str, TaskLabels] = {}
    for number, folder in enumerate(data.folders):
        places = [place for place, track in enumerate(tracks) if track.folder == number]
        own = [replace(tracks[place], name=tracks[place].name.partition("/")[2]) for place in places]
        for task in read_labels(Path(folder).expanduser(), own):
            known = tasks.get(task["name"], task)
            same = known["type"] == task["type"] and known["labels"] == task["labels"]
            name = task["name"] if same else f"{task['name']} of {Path(folder).name}"
            merged = tasks.setdefault(name, {**task, "name": name, "of_tracks": [None] * len(tracks)})
            for place, label in zip(places, task["of_tracks"], strict=True):
                merged["of_tracks"][place] = label
    return [tasks[name] for name in sorted(tasks)]


class LabelProbe:
    """Probes a network in training. It uses none of the run's random numbers and changes nothing of the network.

    Each process of the run embeds its part of the tracks.

    Args:
        settings: of the run.
        tracks: held out; the first ``trainer.valid_tracks`` of them are used.
        group: the processes of the run, which all call this together.
        workers: processes that read, for this one.
    """

    def __init__(self, settings: Training, tracks: list[Track], group: Group, workers: int = 0) -> None:
        self.settings, self.group, self.workers = settings, group, workers
        self.tracks = tracks[: settings.trainer.valid_tracks]
        self.tasks: list[TaskLabels] = group.from_first(lambda: labels_of_run(settings.data, self.tracks))
        if not self.tasks:
            where = settings.data.valid_path or ", ".join(settings.data.folders)
            group.placement.say(f"nothing is probed: no meta.json of {printable(where)} has labels of held-out tracks")

    def __call__(self, module: TrainingModule) -> dict[str, float]:
        """The score of every task, ``probe/TASK``, in the first process. A line says of a task without a score why, and it is left out."""
        if not self.tasks:
            return {}
        started = time.perf_counter()
        parts = self.group.gather(self._part(module))
        metrics: dict[str, float] = {}

        def combine() -> list[str]:
            numbers = np.concatenate([of_part for of_part, _ in parts])
            order = np.argsort(numbers)
            vectors = np.concatenate([of_part for _, of_part in parts])[order]
            without_score = []
            for task in self.tasks:
                scores = self._scores(task, numbers[order].tolist(), vectors)
                if isinstance(scores, str):
                    self.group.placement.say(f"{printable(task['name'])} is not probed: {scores}")
                    without_score.append(task["name"])
                else:
                    metrics.update({f"{PREFIX}{task['name']}{name}": value for name, value in scores.items()})
            return without_score

        left_out = self.group.from_first(combine)
        self.tasks = [task for task in self.tasks if task["name"] not in left_out]
        return metrics | ({f"{PREFIX}seconds": time.perf_counter() - started} if metrics else {})

    def _scores(self, task: TaskLabels, numbers: Sequence[int], vectors: np.ndarray) -> dict[str, float] | str:
        """Of the tracks with these numbers and vectors, as far as they have a label."""
        places = [place for place, number in enumerate(numbers) if task["of_tracks"][number] is not None]
        tracks = [self.tracks[numbers[place]] for place in places]
        labels = [task["of_tracks"][numbers[place]] for place in places]
        groups = [track.name if track.group is None else f"group of {track.group}" for track in tracks]
        return ridge_probe.score(vectors[places], labels, task["type"], task["labels"], groups)

    def _part(self, module: TrainingModule) -> tuple[np.ndarray, np.ndarray]:
        """Numbers and vectors of this process's tracks, without those that cannot be read, of which the validation tells."""
        network, model, read = module.network, self.settings.model, []
        numbers = range(self.group.placement.rank, len(self.tracks), self.group.placement.world_size)

        def mixes() -> Iterator[np.ndarray]:
            beginnings = Beginnings(self.tracks, model.frontend.sample_rate)
            for number, stems in zip(numbers, items_ahead(beginnings, numbers, workers=self.workers), strict=True):
                if not isinstance(stems, str):
                    read.append(number)
                    yield stems.sum(0)

        size = embedding.BATCH_SIZE if module.device.type == "cpu" else MAX_EXAMPLES
        with embedding.evaluation_mode(network, self.settings.trainer.precision == "bf16"):
            vectors = pool_clips(
                mixes(), lambda waves, _: [network.encoder(network.frontend(waves))], model, batch_size=size, device=module.device
            )
        return np.array(read, np.int64), vectors[:, 0]
