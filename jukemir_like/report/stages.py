"""What each stage did and how long it took, from the records beside its output."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from jukemir_like import datasets
from jukemir_like.audit import measurements
from jukemir_like.core import records
from jukemir_like.core.cache import Cache
from jukemir_like.packs import origin
from jukemir_like.probes.runs import Run


@dataclass(frozen=True)
class StageTiming:
    """What one stage did with one dataset.

    Args:
        name: such as ``extract chroma``.
        dataset: folder name in the cache.
        done: number of files, or of runs.
        failed: input → reason.
        audio_seconds: duration of the audio.
        seconds: computing time, summed over worker processes.
    """

    name: str
    dataset: str
    done: int
    failed: dict[str, str]
    audio_seconds: float
    seconds: float


def stages(cache: Cache, runs: Sequence[Run]) -> list[StageTiming]:
    """Stages of the datasets and representations of ``runs``, in the order of the line."""
    ran = []
    for dataset in dict.fromkeys(run.dataset for run in runs):
        of_dataset = [run for run in runs if run.dataset == dataset]
        processed = cache.processed(dataset)
        folders = [("download", cache.dataset(_assets(dataset))), ("process", processed), ("audit", measurements.folder(processed))]
        names = list(dict.fromkeys(run.representation for run in of_dataset))
        folders += [(_vectors(cache, dataset, name), cache.representation(dataset, name)) for name in names]
        ran += [stage for name, folder in folders if (stage := _recorded(name, dataset, folder))]
        for name in names:
            own = [run for run in of_dataset if run.representation == name]
            for protocol in dict.fromkeys(run.protocol for run in own):
                seconds = sum(float(run.record["seconds"]) for run in own if run.protocol == protocol)
                number = sum(run.protocol == protocol for run in own)
                ran.append(StageTiming(f"probe {name}, {protocol}", dataset, number, {}, 0.0, seconds))
    return ran


def _vectors(cache: Cache, dataset: str, name: str) -> str:
    """How the vectors came there: the stage ``extract``, here or in another cache."""
    folder = cache.representation(dataset, name)
    return f"extract {name}{', elsewhere: taken over' if (folder / origin.ORIGIN_FILE).exists() else ''}"


def _recorded(name: str, dataset: str, folder: Path) -> StageTiming | None:
    recorded = list(records.read(folder).values())
    if not recorded:
        return None
    done = [record for record in recorded if record["status"] == "done"]
    failed = {record["input"]: str(record.get("reason")) for record in recorded if record["status"] == "failed"}
    audio_seconds = sum(record.get("audio_seconds", 0.0) for record in done)
    return StageTiming(name, dataset, len(done), failed, audio_seconds, sum(record.get("seconds", 0.0) for record in recorded))


def _assets(dataset: str) -> str:
    return datasets.assets(dataset) if datasets.is_known(dataset) else dataset
