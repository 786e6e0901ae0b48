"""What the page says about each dataset: its description, what an audit found, and what each stage did and how long it took."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jukemir_like import datasets
from jukemir_like.audit import audit, findings, measurements
from jukemir_like.core import jsonfiles, records
from jukemir_like.core.cache import Cache
from jukemir_like.datasets.meta import read_description
from jukemir_like.downloads.declarations import declaration_folder
from jukemir_like.packs import origin
from jukemir_like.probes.runs import Run
from jukemir_like.report.problems import Problems


@dataclass(frozen=True)
class DatasetDescription:
    """A dataset, by its ``dataset.json`` and its declaration.

    Args:
        name: folder name in the cache.
        summary: one sentence of its declaration; empty for a user's own dataset.
        tasks: name → type.
        items: split → number.
        group: field whose items are resampled together.
        failed: number of items without audio.
        sources, versions: what it was made from, and the versions of the software.
    """

    name: str
    summary: str
    tasks: dict[str, str]
    items: dict[str, int]
    group: str | None
    failed: int
    sources: dict[str, Any] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)


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


def describe(cache: Cache, names: Iterable[str], problems: Problems) -> list[DatasetDescription]:
    """The datasets that are still in the cache; damaged files are added to ``problems``."""
    descriptions = []
    for name in dict.fromkeys(names):
        with problems.collecting(), suppress(FileNotFoundError):
            description = read_description(cache.processed(name))
            tasks: dict[str, str] = {task.name: task.type for task in description.tasks.values()}
            counts, group, failed = description.counts, description.group, len(description.failed)
            made_of = description.sources, description.versions
            descriptions.append(DatasetDescription(name, _summary(name), tasks, counts, group, failed, *made_of))
    return descriptions


def audits(cache: Cache, names: Iterable[str], problems: Problems) -> dict[str, dict[str, Any]]:
    """Dataset → anchor, sentences and rows of its audit, if it has one of its present ``meta.json``; damaged files join ``problems``."""
    audited = {}
    for number, name in enumerate(dict.fromkeys(names)):
        content = None
        with problems.collecting():
            content = audit.read(cache, name)
        if content is not None:
            rows = [row._asdict() for row in findings.rows(content)]
            audited[name] = {"anchor": f"audit-{number}", "sentences": findings.sentences(content), "rows": rows}
    return audited


def stage_timings(cache: Cache, runs: Sequence[Run], layers: Mapping[tuple[str, str], str] | None = None) -> list[StageTiming]:
    """Stages of the datasets and representations of ``runs``, in the order of the line, by the records beside their output.

    Args:
        cache: with the records.
        runs: of the page.
        layers: dataset and name of a layer → name without the layer, for those that are shown as one stage.
    """
    layers = layers or {}
    ran = []
    for dataset in dict.fromkeys(run.dataset for run in runs):
        of_dataset = [run for run in runs if run.dataset == dataset]
        processed = cache.processed(dataset)
        folders = [("download", cache.dataset(_assets(dataset))), ("process", processed), ("audit", measurements.folder(processed))]
        names: dict[str, list[str]] = {}
        for name in dict.fromkeys(run.representation for run in of_dataset):
            names.setdefault(layers.get((dataset, name), name), []).append(name)
        ran += [stage for name, folder in folders if (stage := _recorded(name, dataset, folder))]
        for name, together in names.items():
            extracted = [_recorded("", dataset, cache.representation(dataset, one)) for one in together]
            if stages := [stage for stage in extracted if stage]:
                ran.append(
                    _together(_extraction(cache, dataset, together[0]).replace(together[0], _with_layers(name, together), 1), stages)
                )
        for name, together in names.items():
            own = [run for run in of_dataset if run.representation in together]
            for protocol in dict.fromkeys(run.protocol for run in own):
                seconds = sum(float(run.record["seconds"]) for run in own if run.protocol == protocol)
                number = sum(run.protocol == protocol for run in own)
                ran.append(StageTiming(f"probe {_with_layers(name, together)}, {protocol}", dataset, number, {}, 0.0, seconds))
    return ran


def _with_layers(name: str, together: Sequence[str]) -> str:
    return name if together == [name] else f"{name}, {len(together)} layers"


def _together(name: str, stages: Sequence[StageTiming]) -> StageTiming:
    """Layers of one representation, which were computed from the same audio in one pass, as one stage."""
    failed = {path: reason for stage in stages for path, reason in stage.failed.items()}
    audio_seconds = max(stage.audio_seconds for stage in stages)
    return StageTiming(
        name, stages[0].dataset, sum(stage.done for stage in stages), failed, audio_seconds, sum(stage.seconds for stage in stages)
    )


def _summary(name: str) -> str:
    """The sentence in a dataset's declaration; empty if there is none."""
    try:
        folder = declaration_folder(_assets(name))
        declaration = jsonfiles.read(folder / "dataset.json", {"summary?": str}, "correct it")
    except FileNotFoundError:
        return ""
    return declaration.get("summary") or ""


def _extraction(cache: Cache, dataset: str, name: str) -> str:
    """The stage ``extract``, which vectors that were taken over have had elsewhere."""
    taken_over = (cache.representation(dataset, name) / origin.ORIGIN_FILE).exists()
    return f"extract {name}{', elsewhere: taken over' if taken_over else ''}"


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
