"""The stage ``probe``: reads a dataset and the vectors of a representation, writes one folder per run, and ``results.csv``."""

from __future__ import annotations

import hashlib
import json
import platform
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import numpy as np

from jukemir_like.core.cache import Cache
from jukemir_like.core.errors import InputError, RequestError
from jukemir_like.core.rows import Rows
from jukemir_like.core.version import __version__
from jukemir_like.datasets import Task
from jukemir_like.datasets.meta import DESCRIPTION, META
from jukemir_like.datasets.processed import ProcessedDataset
from jukemir_like.datasets.processed import read_processed as read_processed
from jukemir_like.probes import deformed, vectors
from jukemir_like.probes.fitting import BASELINES, TRIVIAL, FitOptions, fit, fit_baseline, one_thread
from jukemir_like.probes.protocols import DEFAULT_SEEDS, Settings, check_settings, configuration_hash, non_default
from jukemir_like.probes.results import ResultsTable, tabulate_runs
from jukemir_like.probes.runs import FORMAT, Run, load_run, run_folder, save_run
from jukemir_like.probes.selection import FittedProbe
from jukemir_like.probes.tasks import SCORED_SPLITS, ProbeData, prepare, without_vectors
from jukemir_like.probes.unfinished import UnfinishedRun
from jukemir_like.probes.vectors import Vectors

_RECIPES = {"linear": 1, "jukemir": 1, "lineareval": 1}
"""Protocol → a number that is raised when the same request on the same vectors gives other results."""


@dataclass(frozen=True)
class ProbedDataset:
    """What :func:`probe_dataset` computed.

    Args:
        runs: in the order of the seeds and tasks.
        table: ``results.csv`` of the representation, with all its runs.
    """

    runs: list[Run]
    table: ResultsTable

    @property
    def notes(self) -> list[str]:
        """Whose vectors they are, if they were taken over; what was left out and what cannot be learned; each line once."""
        taken_over = [f"{run.representation} on {run.dataset}: {note}" for run in self.runs if (note := run.taken_over)]
        return list(dict.fromkeys([*taken_over, *(note for run in self.runs for note in run.record["notes"])]))

    @property
    def exit_code(self) -> int:
        """0, or 3 where other runs of the representation are damaged."""
        return self.table.exit_code

    def __str__(self) -> str:
        return str(self.table)


def probe_dataset(
    cache: Cache,
    dataset: str,
    representation: str,
    *,
    tasks: Sequence[str] | None = None,
    protocol: str = "linear",
    seeds: Sequence[int] | None = None,
    workers: int = 1,
    settings: Settings | None = None,
    device: str | None = None,
    chunks_above: int = vectors.CHUNKS_ABOVE,
) -> ProbedDataset:
    """Fits and tests a probe for each task of a dataset. Runs that are finished on the same vectors and labels are kept.

    Args:
        cache: where vectors are, and where runs are written.
        dataset: a processed dataset.
        representation: whose vectors; ``trivial`` selects the baselines, which need none.
        tasks: names; None for all that the dataset has.
        protocol: ``linear`` (L-BFGS or ridge regression over a path of strengths), ``jukemir`` (Adam on a grid of 216 points) or
            ``lineareval`` (a linear layer by Adam).
        seeds: of all random numbers, one run each; protocol ``linear`` has none. None: the protocol's
            (:data:`~jukemir_like.probes.protocols.DEFAULT_SEEDS`).
        workers: processes. Results do not depend on their number.
        settings: of the protocol (:mod:`jukemir_like.probes.protocols`); None: its defaults.
        device: ``cpu`` or ``cuda`` for ``jukemir``; None: a GPU where there is one.
        chunks_above: bytes of vectors, as float32, above which they stay on disk and are read in chunks: memory does not grow with their
            number, and results are the same up to the order of sums.

    Raises:
        RequestError: the request, the labels or the vectors do not allow it; the message says which. Where only some tasks cannot be
            probed, the others are finished first.
        StorageError: the runs cannot be written.
    """
    settings = check_settings(protocol, settings)
    processed = deformed.read_dataset(cache, dataset)
    if not processed.tasks:
        raise RequestError(f"{cache.processed(dataset) / DESCRIPTION} names no tasks: there is nothing to probe")
    unknown = next((name for name in tasks or () if name not in processed.tasks), None)
    if unknown is not None:
        raise RequestError(f"{dataset} has no task {unknown!r}: choose from {', '.join(processed.tasks)}")
    uids = [uid for uid, record in processed.items.items() if record.get("split") is not None]
    if not uids:
        raise RequestError(f"{cache.processed(dataset) / META} has no item in a split: there is nothing to probe")
    with ExitStack() as opened:
        if representation == TRIVIAL:
            of_items = without_vectors(processed, uids)
        else:
            large = vectors.Large(chunks_above, cache.probe(dataset, representation), opened)
            of_items = deformed.read_vectors(cache, processed, representation, uids, large)
        inputs = _Inputs(cache, processed, representation, of_items, chunks_above)
        of_seeds = [FitOptions(settings, seed, workers, device) for seed in (DEFAULT_SEEDS[protocol] if seeds is None else seeds)]
        runs, errors = _runs(inputs, tasks or list(processed.tasks), protocol, of_seeds)
    if runs or not errors:
        with one_thread():
            table = tabulate_runs(cache, dataset, representation)
    if errors:
        raise RequestError("; ".join(dict.fromkeys(errors)))
    return ProbedDataset(runs, table)


@dataclass(frozen=True)
class _Inputs:
    """What the stage reads, and where it writes."""

    cache: Cache
    processed: ProcessedDataset
    representation: str
    vectors: Vectors
    chunks_above: int


def _runs(inputs: _Inputs, tasks: Sequence[str], protocol: str, options: Sequence[FitOptions]) -> tuple[list[Run], list[str]]:
    """A run per task and seed, and why some cannot be."""
    runs: list[Run] = []
    errors: list[str] = []
    with one_thread():
        for of_seed in options:
            for name in tasks:
                try:
                    runs.append(_run(inputs, inputs.processed.tasks[name], protocol, of_seed))
                except RequestError as error:
                    errors.append(str(error))
                except InputError as error:  # of a task, which is a folder
                    errors.append(f"task {name!r} {error}")
    return runs, errors


def _run(inputs: _Inputs, task: Task, protocol: str, options: FitOptions) -> Run:
    """One task: the run that is finished already, or a new one."""
    started = time.perf_counter()
    folder = run_folder(inputs.cache, inputs.processed.name, inputs.representation, task.name, protocol, options.seed)
    identity = _identity(inputs, task, protocol, options)
    versions = _versions(protocol)
    unfinished = UnfinishedRun(folder, {**identity, "versions": versions})
    finished = load_run(folder)
    if finished is not None and all(finished.record.get(name) == value for name, value in identity.items()):
        unfinished.remove()  # the run that wrote both may have been killed before it removed the file
        return finished
    data = prepare(inputs.processed, task, inputs.vectors)
    data.notes.extend(vectors.note(inputs.vectors.X))
    if inputs.representation == TRIVIAL:
        fitted = fit_baseline(data)
    else:
        fitted = fit(data, options, f"probe {inputs.representation} {task.name}", unfinished)
    seconds = round(time.perf_counter() - started + unfinished.seconds, 3)
    record = {**identity, **_outcome(data, fitted), **_chunks(inputs), "seconds": seconds, "versions": versions}
    run = save_run(folder, record, fitted.predictions)
    unfinished.remove()
    return run


def _identity(inputs: _Inputs, task: Task, protocol: str, options: FitOptions) -> dict[str, Any]:
    """The part of ``run.json`` by which a finished run answers a request."""
    processed, representation = inputs.processed, inputs.representation
    configuration = {"baseline": BASELINES[task.type]} if representation == TRIVIAL else non_default(options.settings)
    return {
        "format": FORMAT,
        "recipe": _RECIPES[protocol],
        "dataset": processed.name,
        "representation": representation,
        "protocol": protocol,
        "seed": options.seed,
        "task": {"name": task.name, **task.to_json()},
        "configuration": configuration,
        "configuration_hash": configuration_hash(protocol, configuration),
        "lineage": {
            "meta": processed.digest,
            "task": _digest([task.name, task.to_json(), len(processed.tasks), processed.group]),
            "vectors": inputs.vectors.digest,
            "signature": inputs.vectors.signature,
            "sources": processed.sources,
            **deformed.lineage(processed.deformed),
            **({} if inputs.vectors.origin is None else {"taken_over": inputs.vectors.origin.to_json()}),
        },
    }


def _outcome(data: ProbeData, fitted: FittedProbe) -> dict[str, Any]:
    """The part of ``run.json`` that is computed."""
    return {
        "selected": fitted.hyperparameters,
        "aggregation": fitted.aggregation,
        "candidates": fitted.candidates,
        **({"fit": fitted.details} if fitted.details else {}),
        "metrics": fitted.metrics,
        "n": {name: len(split.y) for name, split in data.splits.items()},
        "scored": {split: len(fitted.predictions[split].y) for split in SCORED_SPLITS},
        "groups": {split: len(np.unique(fitted.predictions[split].group)) for split in SCORED_SPLITS},
        "left_out": data.left_out,
        "notes": data.notes,
    }


def _chunks(inputs: _Inputs) -> dict[str, Any]:
    """The part of ``run.json`` on vectors that were read in chunks; empty for others."""
    X = inputs.vectors.X
    return {"chunks": {"bytes": X.nbytes, "above": inputs.chunks_above}} if isinstance(X, Rows) else {}


def _versions(protocol: str) -> dict[str, str]:
    packages = ("numpy", "scipy") if protocol == "linear" else ("numpy", "torch")
    return {"jukemir-like": __version__, "python": platform.python_version(), **{name: version(name) for name in packages}}


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]
