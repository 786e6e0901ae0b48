"""One call of :func:`jukemir_like.probe.probe`: from the names of a request to finished runs."""

from __future__ import annotations

import hashlib
import json
import platform
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import numpy as np

from jukemir_like import __version__
from jukemir_like.cache import Cache
from jukemir_like.datasets import Task
from jukemir_like.datasets.processed import DESCRIPTION, META, Processed
from jukemir_like.datasets.processed import read as read_processed
from jukemir_like.errors import InputError, RequestError
from jukemir_like.parallel import Progress
from jukemir_like.probe import PROTOCOLS, metrics, results, tasks, trivial, vectors
from jukemir_like.probe.grid import Grid, RegularisationPath, digest, non_default
from jukemir_like.probe.results import SCORED_SPLITS, Run
from jukemir_like.probe.selection import Candidate, Selection, predictions
from jukemir_like.probe.tasks import ProbeData

_RECIPE = 1  # raised when the same request on the same vectors would give other results


@dataclass(frozen=True)
class _Request:
    representation: str
    protocol: str
    seed: int
    workers: int
    settings: Grid | RegularisationPath
    device: str | None

    def configuration(self, task: Task) -> dict[str, Any]:
        if self.representation == trivial.NAME:
            return {"baseline": trivial.BASELINES[task.type]}
        return non_default(self.settings)


def run_tasks(
    cache: Cache,
    dataset: str,
    representation: str,
    names: Sequence[str] | None,
    protocol: str,
    seed: int,
    workers: int,
    settings: Grid | RegularisationPath | None,
    device: str | None,
) -> list[Run]:
    """See :func:`jukemir_like.probe.probe`."""
    if protocol not in PROTOCOLS:
        raise RequestError(f"unknown protocol {protocol!r}: choose one of {', '.join(PROTOCOLS)}")
    defaults = Grid() if protocol == "jukemir" else RegularisationPath()
    if settings is not None and type(settings) is not type(defaults):
        raise RequestError(f"protocol {protocol} takes settings of type {type(defaults).__name__}, not {type(settings).__name__}")
    request = _Request(representation, protocol, seed, workers, settings or defaults, device)
    processed = read_processed(cache.processed(dataset))
    if not processed.tasks:
        raise RequestError(f"{cache.processed(dataset) / DESCRIPTION} names no tasks: there is nothing to probe")
    unknown = next((name for name in names or () if name not in processed.tasks), None)
    if unknown is not None:
        raise RequestError(f"{dataset} has no task {unknown!r}: choose from {', '.join(processed.tasks)}")
    uids = [uid for uid, record in processed.items.items() if record.get("split") is not None]
    if not uids:
        raise RequestError(f"{cache.processed(dataset) / META} has no item in a split: there is nothing to probe")
    if representation == trivial.NAME:
        found = tasks.no_vectors(processed, uids)
    else:
        found = vectors.read(cache, dataset, representation, uids, processed.failed)
    runs, errors = [], []
    with _one_thread():
        for name in names or processed.tasks:
            try:
                runs.append(_run(cache, processed, processed.tasks[name], found, request))
            except RequestError as error:
                errors.append(str(error))
            except InputError as error:  # of a task, which is a folder
                errors.append(f"task {name!r} {error}")
    results.tabulate_runs(cache, dataset, representation)
    if errors:
        raise RequestError("; ".join(errors))
    return runs


def _run(cache: Cache, processed: Processed, task: Task, found: vectors.Vectors, request: _Request) -> Run:
    """One task: the run that is there already, or a new one."""
    started = time.perf_counter()
    folder = results.run_folder(cache, processed.name, request.representation, task.name, request.protocol, request.seed)
    identity = {
        "format": results.FORMAT,
        "recipe": _RECIPE,
        "dataset": processed.name,
        "representation": request.representation,
        "protocol": request.protocol,
        "seed": request.seed,
        "task": {"name": task.name, **task.to_json()},
        "configuration": request.configuration(task),
        "configuration_hash": digest(request.protocol, request.configuration(task)),
        "lineage": {
            "meta": processed.digest,
            "task": _digest([task.name, task.to_json(), len(processed.tasks), processed.group]),
            "vectors": found.digest,
            "signature": found.signature,
            "sources": processed.sources,
        },
    }
    finished = results.load(folder)
    if finished is not None and all(finished.record.get(name) == value for name, value in identity.items()):
        return finished
    data = tasks.prepare(processed, task, found)
    selection = Selection(data)
    for candidate in _candidates(data, request):
        selection.consider(candidate)
    chosen = selection.chosen()
    rule, scored = predictions(data, chosen.scores)
    record = {
        **identity,
        "selected": chosen.described,
        "aggregation": rule,
        "candidates": selection.candidates(),
        "metrics": {split: metrics.evaluate(task, scored[split].y, scored[split].scores) for split in SCORED_SPLITS},
        "n": {name: len(split.y) for name, split in data.splits.items()},
        "scored": {split: len(scored[split].y) for split in SCORED_SPLITS},
        "groups": {split: len(np.unique(scored[split].group)) for split in SCORED_SPLITS},
        "left_out": data.left_out,
        "notes": data.notes,
        "seconds": round(time.perf_counter() - started, 3),
        "versions": _versions(request.protocol),
    }
    return results.save(folder, record, scored)


def _candidates(data: ProbeData, request: _Request) -> Iterator[Candidate]:
    """Fitted probes, as they are finished."""
    if request.representation == trivial.NAME:
        yield Candidate(0, {}, trivial.scores(data), {})
        return
    fit: Callable[[ProbeData, _Request], Iterator[Candidate]] = _grid if request.protocol == "jukemir" else _path
    total = len(request.settings.points() if isinstance(request.settings, Grid) else set(request.settings.strengths))
    with Progress(total, f"probe {request.representation} {data.task.name}", "probe") as bar:
        for candidate in fit(data, request):
            yield candidate
            bar.update()


def _path(data: ProbeData, request: _Request) -> Iterator[Candidate]:
    from jukemir_like.probe.linear import Rotation, fit_path

    assert isinstance(request.settings, RegularisationPath)  # noqa: S101
    rotation, Z = Rotation.fit(data.train.X)
    rotated = {split: rotation(data.splits[split].X) for split in SCORED_SPLITS}
    for strength, model in fit_path(data.task.type, Z, rotation.variance, data.train.y, len(data.task.labels), request.settings).items():
        yield Candidate(-strength, {"strength": strength}, {split: model.scores(rotated[split]) for split in SCORED_SPLITS}, {})


def _grid(data: ProbeData, request: _Request) -> Iterator[Candidate]:
    from jukemir_like.probe.search import search

    assert isinstance(request.settings, Grid)  # noqa: S101
    for trained in search(data, request.settings, request.seed, request.workers, request.device):
        details = {"step": trained.step, "steps": trained.steps}
        yield Candidate(trained.point, trained.point.to_json(), trained.scores, details)


@contextmanager
def _one_thread() -> Iterator[None]:
    """Linear algebra on one thread: the same bits whatever the machine and its load."""
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    with threadpool_limits(limits=1):
        yield


def _versions(protocol: str) -> dict[str, str]:
    packages = ("numpy", "torch") if protocol == "jukemir" else ("numpy", "scipy")
    return {"jukemir-like": __version__, "python": platform.python_version(), **{name: version(name) for name in packages}}


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]
