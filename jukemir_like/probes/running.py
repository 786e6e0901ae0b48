"""One call of :func:`jukemir_like.probes.probe`: from the names of a request to finished runs."""

from __future__ import annotations

import hashlib
import json
import platform
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import numpy as np

from jukemir_like import __version__
from jukemir_like.core.cache import Cache
from jukemir_like.core.errors import InputError, RequestError
from jukemir_like.core.progress import Progress
from jukemir_like.datasets import Task
from jukemir_like.datasets.processed import DESCRIPTION, META, Processed
from jukemir_like.datasets.processed import read as read_processed
from jukemir_like.probes import PROTOCOLS, metrics, results, tasks, trivial, vectors
from jukemir_like.probes.grid import Grid, RegularisationPath, digest, non_default
from jukemir_like.probes.results import SCORED_SPLITS, Run
from jukemir_like.probes.selection import Candidate, Selection, predictions
from jukemir_like.probes.tasks import ProbeData
from jukemir_like.probes.unfinished import Unfinished

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
    """See :func:`jukemir_like.probes.probe`."""
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
    unfinished = Unfinished(folder, {**identity, "versions": _versions(request.protocol)})
    finished = results.load(folder)
    if finished is not None and all(finished.record.get(name) == value for name, value in identity.items()):
        unfinished.remove()  # a kill may have come between
        return finished
    data = tasks.prepare(processed, task, found)
    selection = Selection(data)
    if request.representation == trivial.NAME:
        selection.consider(Candidate(0, {}, trivial.scores(data), {}))
    elif isinstance(request.settings, Grid):
        _search(data, request, request.settings, selection, unfinished)
    else:
        _path(data, request, request.settings, selection)
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
        "seconds": round(time.perf_counter() - started + unfinished.seconds, 3),
        "versions": _versions(request.protocol),
    }
    run = results.save(folder, record, scored)
    unfinished.remove()
    return run


def _path(data: ProbeData, request: _Request, settings: RegularisationPath, selection: Selection) -> None:
    """Has ``selection`` see a probe of every strength."""
    from jukemir_like.probes.linear import Rotation, fit_path

    with _progress(data, request, len(set(settings.strengths))) as bar:
        rotation, Z = Rotation.fit(data.train.X)
        rotated = {split: rotation(data.splits[split].X) for split in SCORED_SPLITS}
        for strength, model in fit_path(data.task.type, Z, rotation.variance, data.train.y, len(data.task.labels), settings).items():
            scores = {split: model.scores(rotated[split]) for split in SCORED_SPLITS}
            selection.consider(Candidate(-strength, {"strength": strength}, scores, {}))
            bar.update()


def _search(data: ProbeData, request: _Request, settings: Grid, selection: Selection, unfinished: Unfinished) -> None:
    """Has ``selection`` see all points of the grid; those that an interrupted run has finished are not trained again."""
    from jukemir_like.probes.search import choose_device, search

    device = choose_device(request.device)
    started = time.perf_counter()
    finished = unfinished.read(selection, settings.points(), device)
    with _progress(data, request, len(settings.points()), initial=len(finished)) as bar:
        for side_by_side in search(data, settings, request.seed, request.workers, device, finished=finished):
            new = [trained for trained in side_by_side if trained.point not in finished]
            for trained in new:
                details = {"step": trained.step, "steps": trained.steps}
                selection.consider(Candidate(trained.point, trained.point.to_json(), trained.scores, details))
            unfinished.write(selection, time.perf_counter() - started)
            bar.update(len(new))


def _progress(data: ProbeData, request: _Request, total: int, **more: Any) -> Progress:
    return Progress(total, f"probe {request.representation} {data.task.name}", "probe", **more)


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
