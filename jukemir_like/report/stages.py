"""What ran and how long: read from the records that every stage leaves beside its output."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jukemir_like import datasets, downloads
from jukemir_like.audit import listening
from jukemir_like.core import jsonfiles, records
from jukemir_like.core.cache import Cache
from jukemir_like.datasets.meta import read_description
from jukemir_like.probes.results import Run
from jukemir_like.report.left_out import LeftOut


@dataclass(frozen=True)
class Stage:
    """One stage of one dataset.

    Args:
        name: e.g. ``extract chroma``. dataset: which.
        done: files, or runs. failed: input → reason.
        audio_seconds: duration of the audio. seconds: of work, added up over worker processes.
    """

    name: str
    dataset: str
    done: int
    failed: dict[str, str]
    audio_seconds: float
    seconds: float


@dataclass(frozen=True)
class Described:
    """What a dataset says of itself.

    Args:
        name: folder name in the cache. summary: one sentence of its declaration; empty for a user's own.
        tasks: name → type. items: split → number. group: what is resampled together.
        failed: number of items without audio. sources, versions: what it was made from and with.
    """

    name: str
    summary: str
    tasks: dict[str, str]
    items: dict[str, int]
    group: str | None
    failed: int
    sources: dict[str, Any] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)


def stages(cache: Cache, runs: Sequence[Run]) -> list[Stage]:
    """Stages of the datasets and representations that ``runs`` are about, in the order of the line."""
    found = []
    for dataset in dict.fromkeys(run.dataset for run in runs):
        of_dataset = [run for run in runs if run.dataset == dataset]
        processed = cache.processed(dataset)
        folders = [("download", cache.dataset(_assets(dataset))), ("process", processed), ("audit", listening.folder(processed))]
        names = list(dict.fromkeys(run.representation for run in of_dataset))
        folders += [(f"extract {name}", cache.representation(dataset, name)) for name in names]
        found += [stage for name, folder in folders if (stage := _recorded(name, dataset, folder))]
        for name in names:
            own = [run for run in of_dataset if run.representation == name]
            for protocol in dict.fromkeys(run.protocol for run in own):
                seconds = sum(float(run.record["seconds"]) for run in own if run.protocol == protocol)
                number = sum(run.protocol == protocol for run in own)
                found.append(Stage(f"probe {name}, {protocol}", dataset, number, {}, 0.0, seconds))
    return found


def describe(cache: Cache, names: Iterable[str], left_out: LeftOut) -> list[Described]:
    """The datasets of the page, from their ``dataset.json`` and their declarations.

    One that was deleted since is not there; one whose file is damaged joins ``left_out``.
    """
    found = []
    for name in dict.fromkeys(names):
        with left_out.noting(), suppress(FileNotFoundError):
            description = read_description(cache.processed(name))
            tasks: dict[str, str] = {task.name: task.type for task in description.tasks.values()}
            about = description.counts, description.group, len(description.failed), description.sources, description.versions
            found.append(Described(name, _summary(name), tasks, *about))
    return found


def _summary(name: str) -> str:
    """The sentence of a dataset's declaration; empty where it has none."""
    try:
        declared = jsonfiles.read(downloads.declarations(_assets(name)) / "dataset.json", {"summary?": str}, "correct it")
    except FileNotFoundError:
        return ""
    return declared.get("summary") or ""


def _recorded(name: str, dataset: str, folder: Path) -> Stage | None:
    found = list(records.read(folder).values())
    if not found:
        return None
    done = [record for record in found if record["status"] == "done"]
    failed = {record["input"]: str(record.get("reason")) for record in found if record["status"] == "failed"}
    audio_seconds = sum(record.get("audio_seconds", 0.0) for record in done)
    return Stage(name, dataset, len(done), failed, audio_seconds, sum(record.get("seconds", 0.0) for record in found))


def _assets(dataset: str) -> str:
    return datasets.assets(dataset) if datasets.is_known(dataset) else dataset
