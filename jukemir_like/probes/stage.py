"""The stage ``probe``: reads a dataset and the vectors of a representation, writes one folder per run, and ``results.csv``."""

from __future__ import annotations

import hashlib
import json
import platform
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
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
from jukemir_like.probes.fitting import BASELINES, TRIVIAL, FitOptions, are_fitted_together, fit, fit_baseline, fit_together, one_thread
from jukemir_like.probes.fold_fitting import fit_baseline_folds, fit_folds, fit_folds_together
from jukemir_like.probes.folds import FoldRequest, members, prepare_folds, request_of
from jukemir_like.probes.protocols import DEFAULT_SEEDS, RECIPES, Settings, check_settings, configuration_hash, non_default
from jukemir_like.probes.results import ResultsTable, tabulate_runs
from jukemir_like.probes.run_names import folds_name, run_folder
from jukemir_like.probes.runs import FORMAT, Run, load_run, save_run
from jukemir_like.probes.selection import FittedProbe
from jukemir_like.probes.tasks import SCORED_SPLITS, prepare, without_vectors
from jukemir_like.probes.unfinished import UnfinishedRun
from jukemir_like.probes.vectors import Vectors


@dataclass(frozen=True)
class ProbedDataset:
    """What :func:`probe_dataset` computed.

    Args:
        runs: in the order of the tasks and seeds.
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
    folds: int | None = None,
    folds_seed: int = 0,
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
        device: ``cpu`` or ``cuda`` for ``jukemir`` and ``lineareval``; None: a GPU where there is one.
        chunks_above: bytes of vectors, as float32, above which they stay on disk and are read in chunks: memory does not grow with their
            number, and results are the same up to the order of sums (so of two strengths that are as good, another may be selected).
        folds: how many to draw, by group and class; each is tested once by a probe of the others. None: the dataset's own, where it has
            some (:mod:`jukemir_like.probes.folds`), else its splits.
        folds_seed: of the drawing.

    Raises:
        RequestError: the request, the labels or the vectors do not allow it; the message says which. Where only some tasks cannot be
            probed, the others are finished first.
        StorageError: the runs cannot be written.
    """
    settings = check_settings(protocol, settings)
    if folds is None and folds_seed:
        raise RequestError(f"a seed of folds, {folds_seed}, but no number of folds that are to be drawn with it: give --folds K, too")
    processed = deformed.read_dataset(cache, dataset, folds)
    if not processed.tasks:
        raise RequestError(f"{cache.processed(dataset) / DESCRIPTION} names no tasks: there is nothing to probe")
    unknown = next((name for name in tasks or () if name not in processed.tasks), None)
    if unknown is not None:
        raise RequestError(f"{dataset} has no task {unknown!r}: choose from {', '.join(processed.tasks)}")
    request = request_of(processed, folds, folds_seed)
    if request is None:
        uids = [uid for uid, record in processed.items.items() if record.get("split") is not None]
    else:
        uids = members(processed, request)
    if not uids:
        remedy = "there is nothing to probe" if request else "probe by --folds K, which draws folds, or give it splits"
        raise RequestError(f"{cache.processed(dataset) / META} has no item in a {'fold' if request else 'split'}: {remedy}")
    with ExitStack() as opened:
        large = vectors.Large(chunks_above, cache.probe(dataset, representation), opened)
        of_items, tested = _read_vectors(cache, processed, representation, uids, large, in_folds=request is not None)
        inputs = _Inputs(cache, processed, representation, of_items, chunks_above, request, tested)
        wanted = dict.fromkeys(DEFAULT_SEEDS[protocol] if seeds is None else seeds)
        of_seeds = [FitOptions(settings, seed, workers, device) for seed in wanted]
        runs, errors = _runs(inputs, tasks or list(processed.tasks), protocol, of_seeds)
    if runs or not errors:
        with one_thread():
            table = tabulate_runs(cache, dataset, representation)
    if errors:
        raise RequestError("; ".join(dict.fromkeys(errors)))
    return ProbedDataset(runs, table)


def _read_vectors(
    cache: Cache, processed: ProcessedDataset, representation: str, uids: Sequence[str], large: vectors.Large, *, in_folds: bool
) -> tuple[Vectors, deformed.Tested | None]:
    """The vectors of the items, and what is tested in their place where they are deformed and in folds."""
    if processed.deformed is None or not in_folds:
        if representation == TRIVIAL:
            return without_vectors(processed, uids), None
        return deformed.read_vectors(cache, processed, representation, uids, large), None
    tested = deformed.read_tested(cache, processed, uids)
    if representation == TRIVIAL:
        return deformed.folded_without_vectors(without_vectors(processed, uids), tested, uids)
    return deformed.read_folded_vectors(cache, processed, tested, representation, uids, large)


@dataclass(frozen=True)
class _Inputs:
    """What the stage reads, and where it writes."""

    cache: Cache
    processed: ProcessedDataset
    representation: str
    vectors: Vectors
    chunks_above: int
    folds: FoldRequest | None
    tested: deformed.Tested | None

    @property
    def folds_name(self) -> str:
        """Of the folds, in the name of a run's folder; empty for splits."""
        if self.folds is None:
            return ""
        return folds_name(len(self.folds.names), self.folds.seed, beside_own=self.processed.folds is not None)


def _runs(inputs: _Inputs, tasks: Sequence[str], protocol: str, options: Sequence[FitOptions]) -> tuple[list[Run], list[str]]:
    """A run per task and seed, and why some cannot be."""
    runs: list[Run] = []
    errors: list[str] = []
    with one_thread():
        for name in tasks:
            try:
                runs += _runs_of_task(inputs, inputs.processed.tasks[name], protocol, options)
            except RequestError as error:
                errors.append(str(error))
            except InputError as error:  # of a task, which is a folder
                errors.append(f"task {name!r} {error}")
    return runs, errors


@dataclass(frozen=True)
class _Request:
    """A run that is asked for: where it is, or will be, and by what it is recognised."""

    options: FitOptions
    folder: Path
    identity: dict[str, Any]

    def finished(self) -> Run | None:
        """The run, if it is finished."""
        run = load_run(self.folder)
        return run if run is not None and all(run.record.get(name) == value for name, value in self.identity.items()) else None


def _runs_of_task(inputs: _Inputs, task: Task, protocol: str, options: Sequence[FitOptions]) -> list[Run]:
    """One run per seed: those that are finished already, and new ones, which are fitted together where the protocol can."""
    dataset, representation = inputs.processed.name, inputs.representation
    requests = [
        _Request(
            of_seed,
            run_folder(inputs.cache, dataset, representation, task.name, protocol, of_seed.seed, inputs.folds_name),
            _identity(inputs, task, protocol, of_seed),
        )
        for of_seed in options
    ]
    runs = {request.options.seed: run for request in requests if (run := request.finished()) is not None}
    for request in requests:
        if request.options.seed in runs:  # the run that wrote both may have been killed before it removed the file
            for unfinished in _unfinished(inputs, request, {}).values():
                unfinished.remove()
    missing = [request for request in requests if request.options.seed not in runs]
    together = [missing] if missing and are_fitted_together(options[0].settings) else [[request] for request in missing]
    for side_by_side in together:
        runs |= {run.seed: run for run in _new_runs(inputs, task, protocol, side_by_side)}
    return [runs[request.options.seed] for request in requests]


def _new_runs(inputs: _Inputs, task: Task, protocol: str, requests: Sequence[_Request]) -> list[Run]:
    """Fits and writes runs that differ in their seed only; each is given its share of the time."""
    started = time.perf_counter()
    versions = _versions(protocol)
    unfinished = [_unfinished(inputs, request, versions) for request in requests]
    options = [request.options for request in requests]
    name = f"probe {inputs.representation} {task.name}"
    if inputs.folds is None:
        fitted = _fit(inputs, task, options, name, unfinished[0][""])
    else:
        fitted = _fit_folds(inputs, task, options, name, unfinished[0], inputs.folds)
    seconds = (time.perf_counter() - started) / len(requests)
    runs = []
    for request, of_one, (probe, outcome) in zip(requests, unfinished, fitted, strict=True):
        before = sum(part.seconds for part in of_one.values())
        timing = {"seconds": round(seconds + before, 3), "versions": versions}
        runs.append(save_run(request.folder, {**request.identity, **outcome, **_chunks(inputs), **timing}, probe.predictions))
        for part in of_one.values():
            part.remove()
    return runs


def _unfinished(inputs: _Inputs, request: _Request, versions: Mapping[str, str]) -> dict[str, UnfinishedRun]:
    """Where what is finished of a run is stored: by fold; of splits, under an empty name."""
    whole = {**request.identity, "versions": versions}
    if inputs.folds is None:
        return {"": UnfinishedRun(request.folder, whole)}
    return {fold: UnfinishedRun(request.folder, {**whole, "fold": fold}, number) for number, fold in enumerate(inputs.folds.names)}


def _fit(
    inputs: _Inputs, task: Task, options: Sequence[FitOptions], name: str, unfinished: UnfinishedRun
) -> list[tuple[FittedProbe, dict[str, Any]]]:
    """Probes of a task by splits, one per seed, and the part of ``run.json`` that is computed."""
    data = prepare(inputs.processed, task, inputs.vectors)
    data.notes.extend(vectors.note(inputs.vectors.X))
    if inputs.representation == TRIVIAL:
        fitted = [fit_baseline(data) for _ in options]
    elif len(options) > 1:
        fitted = fit_together(data, options, name)
    else:
        fitted = [fit(data, options[0], name, unfinished)]
    n = {split: len(of_split.y) for split, of_split in data.splits.items()}
    return [(probe, _outcome(probe, n, data.left_out, data.notes)) for probe in fitted]


def _fit_folds(
    inputs: _Inputs, task: Task, options: Sequence[FitOptions], name: str, unfinished: Mapping[str, UnfinishedRun], folds: FoldRequest
) -> list[tuple[FittedProbe, dict[str, Any]]]:
    """The same by folds; the probes of all folds are put together."""
    folded = prepare_folds(inputs.processed, task, inputs.vectors, folds, inputs.tested)
    folded.notes.extend(vectors.note(inputs.vectors.X))
    if inputs.representation == TRIVIAL:
        fitted = [fit_baseline_folds(folded) for _ in options]
    elif len(options) > 1:
        fitted = fit_folds_together(folded, options, name)
    else:
        fitted = [fit_folds(folded, options[0], name, unfinished.__getitem__)]
    notes = list(dict.fromkeys(folded.notes))  # those of single folds may say the same
    return [(one.pooled, {**_outcome(one.pooled, one.n, folded.left_out, notes), "folds": one.folds}) for one in fitted]


def _identity(inputs: _Inputs, task: Task, protocol: str, options: FitOptions) -> dict[str, Any]:
    """The part of ``run.json`` by which a finished run answers a request."""
    processed, representation = inputs.processed, inputs.representation
    configuration = {"baseline": BASELINES[task.type]} if representation == TRIVIAL else non_default(options.settings)
    return {
        "format": FORMAT,
        "recipe": RECIPES[protocol],
        "dataset": processed.name,
        "representation": representation,
        "protocol": protocol,
        "seed": options.seed,
        "task": {"name": task.name, **task.to_json()},
        "configuration": configuration,
        "configuration_hash": configuration_hash(protocol, configuration),
        **({} if inputs.folds is None else {"evaluation": inputs.folds.to_json()}),
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


def _outcome(fitted: FittedProbe, n: dict[str, int], left_out: dict[str, Any], notes: list[str]) -> dict[str, Any]:
    """The part of ``run.json`` that is computed."""
    return {
        "selected": fitted.hyperparameters,
        "aggregation": fitted.aggregation,
        "candidates": fitted.candidates,
        **({"fit": fitted.details} if fitted.details else {}),
        "metrics": fitted.metrics,
        "n": n,
        "scored": {split: len(fitted.predictions[split].y) for split in SCORED_SPLITS},
        "groups": {split: len(np.unique(fitted.predictions[split].group)) for split in SCORED_SPLITS},
        "left_out": left_out,
        "notes": [*notes, *fitted.notes],
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
