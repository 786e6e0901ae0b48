"""Probes of all layers of a representation: each is probed like any other representation, and validation chooses one.

The runs of layer L stand under its own name, ``NAME@layer=L``. For each task, protocol and configuration the layer is chosen whose primary
metric on validation, the mean over the seeds that all layers have, is the largest; of equals the lowest layer. Test items have no part in
it: the largest of all layers' test scores would be too good.

``probes/<dataset>/NAME/layers.json`` says what was chosen. It follows from the runs of the present labels and vectors, and is
written again by each probe of layers:

- ``format``: 1; ``dataset``; ``representation``: the name without a layer
- ``choices``: one per task, protocol and configuration: ``task``, ``metric``, ``protocol`` (of folds with their number: ``linear, 5
  folds``; validation then is that of all folds together), ``configuration_hash``, ``seeds``; ``valid``: layer → value; ``layer``: the
  chosen one
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from glob import escape
from pathlib import Path
from typing import Any

import numpy as np

from jukemir_like.core import atomic
from jukemir_like.core.cache import Cache
from jukemir_like.core.errors import RequestError
from jukemir_like.core.files import printable
from jukemir_like.probes.fitting import TRIVIAL
from jukemir_like.probes.intervals import resample_runs
from jukemir_like.probes.results import ResultsTable, percent
from jukemir_like.probes.runs import Run, find_runs
from jukemir_like.probes.stage import ProbedDataset, probe_dataset
from jukemir_like.representations.names import parse

CHOICES = "layers.json"
_FORMAT = 1


@dataclass(frozen=True)
class LayerChoice:
    """The layer that validation chooses for one task under one protocol.

    Args:
        dataset: name.
        representation: name without a layer.
        task: name.
        metric: the task's primary one.
        protocol, configuration_hash: of the probes; with its folds, if it was evaluated by folds: ``linear, 5 folds``.
        seeds: those that all layers have.
        valid: layer → mean of ``metric`` over the seeds on validation, from the lowest layer to the highest.
        layer: the chosen one.
        runs: layer → its runs, one per seed.
    """

    dataset: str
    representation: str
    task: str
    metric: str
    protocol: str
    configuration_hash: str
    seeds: tuple[int, ...]
    valid: dict[str, float]
    layer: str
    runs: dict[str, list[Run]]

    def to_json(self) -> dict[str, Any]:
        """An entry of ``choices`` in ``layers.json``."""
        names = ("task", "metric", "protocol", "configuration_hash", "valid", "layer")
        return {name: getattr(self, name) for name in names} | {"seeds": list(self.seeds)}


@dataclass(frozen=True)
class ProbedLayers:
    """What :func:`probe_layers` computed; as text, the validation scores of all layers and the test scores of the chosen ones.

    Args:
        layers: layer → what its probes gave, from the lowest to the highest.
        choices: the layer of each task and protocol.
        path: of ``layers.json``.
        outdated: names of layers of which runs have no part in the choices: they are of other labels or vectors than those just probed.
    """

    layers: dict[str, ProbedDataset]
    choices: list[LayerChoice]
    path: Path
    outdated: list[str] = field(default_factory=list)

    @property
    def notes(self) -> list[str]:
        """What was left out and what cannot be learned, each line once."""
        what = "not compared, as runs of other labels or vectors than now (probe with their seeds and protocols again)"
        old = [f"{what}: {', '.join(self.outdated)}"] if self.outdated else []
        return [*dict.fromkeys(note for probed in self.layers.values() for note in probed.notes), *old]

    @property
    def exit_code(self) -> int:
        """0, or 3 where other runs of a layer are damaged."""
        return max(probed.exit_code for probed in self.layers.values())

    def __str__(self) -> str:
        from tabulate import tabulate

        header = ["layer", *(f"{printable(choice.task)}\n{choice.protocol}\n{choice.metric}" for choice in self.choices)]
        layers = sorted({layer for choice in self.choices for layer in choice.valid}, key=order)
        rows = [[layer, *(_validation(choice, layer) for choice in self.choices)] for layer in layers]
        every = tabulate(rows, header, colalign=("left", *("right" for _ in self.choices)), disable_numparse=True)
        chosen = [
            (
                printable(choice.task),
                choice.protocol,
                choice.layer,
                choice.metric,
                percent(choice.valid[choice.layer], None, None),
                _test(choice),
            )
            for choice in self.choices
        ]
        names = ("task", "protocol", "layer", "metric", "validation, %", "test, % [95 % interval]")
        table = tabulate(chosen, names, colalign=("left", "left", "left", "left", "right", "right"), disable_numparse=True)
        tables: Iterable[ResultsTable] = (probed.table for probed in self.layers.values())
        left_out = [f"left out: {line}" for one in tables for line in one.damaged]
        return "\n".join(["validation, % (* chosen)", every, "", table, *left_out, f"written: {self.path}"])


def probe_layers(cache: Cache, dataset: str, representation: str, layers: str = "all", **options: Any) -> ProbedLayers:
    """Probes the vectors of several layers, and chooses one by validation.

    Args:
        cache: where vectors are, and where runs are written.
        dataset: a processed dataset.
        representation: name without a layer; a pool may be named.
        layers: ``all`` that have vectors in the cache, or names of layers with commas between.
        options: of :func:`~jukemir_like.probes.stage.probe_dataset`.

    Raises:
        RequestError: as ``probe_dataset``, for one of the layers; the others are probed first. There are no vectors of layers, or those of
            one layer cannot be compared with those of another (see :func:`choose`). ``layers`` has an empty name.
        StorageError: the runs cannot be written.
    """
    _check_name(representation)
    wanted = find_layers(cache, dataset, representation) if layers == "all" else _names(layers)
    probed, errors = {}, []
    for layer in sorted(wanted, key=order):
        try:
            probed[layer] = probe_dataset(cache, dataset, layer_name(representation, layer), **options)
        except RequestError as error:
            errors.append(str(error))
    if errors:
        raise RequestError("; ".join(dict.fromkeys(errors)))
    names = ((run, *split(run.representation)) for run in find_runs(cache, dataset))
    of_layers = [run for run, name, layer in names if name == representation and layer is not None]
    current = _current(of_layers, probed)
    choices = choose(current)
    kept = {run.folder for run in current}
    outdated = sorted({run.representation for run in of_layers if run.folder not in kept})
    path = cache.probe(dataset, representation) / CHOICES
    content = {"format": _FORMAT, "dataset": dataset, "representation": representation, "choices": [one.to_json() for one in choices]}
    atomic.make_folder(path.parent)
    atomic.write_json(path, content)
    return ProbedLayers(probed, choices, path, outdated)


def find_layers(cache: Cache, dataset: str, representation: str) -> list[str]:
    """Layers of a representation that have a folder of vectors, from the lowest to the highest.

    Raises:
        RequestError: there are none.
    """
    parsed = parse(representation)
    plain = replace(parsed, pool=None).folder
    behind = "" if parsed.pool is None else f".{parsed.pool}"
    pattern = re.compile(rf"{re.escape(plain)}\.layer([A-Za-z0-9_-]+){re.escape(behind)}")
    folders = cache.representation(dataset, representation).parent.glob(f"{escape(plain)}.layer*")
    found = sorted((match[1] for path in folders if path.is_dir() and (match := pattern.fullmatch(path.name))), key=order)
    if not found:
        extract = f"jukemir-like extract {representation} --dataset {dataset} --layers all"
        where = cache.representation(dataset, layer_name(representation, "…"))
        raise RequestError(f"no vectors of layers of {representation} for {dataset} in {where}: run `{extract}`")
    return found


def choose(runs: Sequence[Run]) -> list[LayerChoice]:
    """The layer that validation chooses, for each dataset, representation, task, protocol and configuration with layers among ``runs``.

    Raises:
        RequestError: two layers have no seed in common, or were not fitted and validated on the same items; the vectors of some were
            computed here, and those of others taken over; the runs of one are of different vectors.
    """
    grouped: dict[tuple[str, ...], dict[str, dict[int, Run]]] = {}
    for run in runs:
        name, layer = split(run.representation)
        if layer is not None:
            key = (run.dataset, name, run.task.name, run.procedure, run.record["configuration_hash"])
            grouped.setdefault(key, {}).setdefault(layer, {})[run.seed] = run
    return [_choice(key, by_layer) for key, by_layer in sorted(grouped.items())]


def split(representation: str) -> tuple[str, str | None]:
    """The name without its layer, and the layer; None where it names none.

    >>> split("stemjepa@layer=2@pool=max"), split("mfcc")
    (('stemjepa@pool=max', '2'), ('mfcc', None))
    """
    try:
        parsed = parse(representation)
    except RequestError:  # another program's name, with an @ of its own
        return representation, None
    return str(replace(parsed, layer=None)), parsed.layer


def layer_name(representation: str, layer: str) -> str:
    """The name of a layer.

    >>> layer_name("stemjepa@pool=max", "2")
    'stemjepa@layer=2@pool=max'
    """
    return str(parse(representation).with_layer(layer))


def order(layer: str) -> tuple[int, str]:
    """What layers are sorted by: numbers as such, before words.

    >>> sorted(["10", "last", "9"], key=order)
    ['9', '10', 'last']
    """
    return (int(layer), "") if layer.isdecimal() else (1 << 62, layer)


def _check_name(representation: str) -> None:
    if representation == TRIVIAL:
        raise RequestError(f"{TRIVIAL} has no layers: leave --layers out")
    if parse(representation).layer is not None:
        raise RequestError(f"{representation} names a layer already: leave it out of the name, or leave --layers out")


def _names(layers: str) -> list[str]:
    names = [name.strip() for name in layers.split(",")]
    if not all(names):
        raise RequestError(f"the list of layers {layers!r} is empty, or has an empty name: give all, or names with commas between")
    return list(dict.fromkeys(names))


def _current(runs: Sequence[Run], probed: Mapping[str, ProbedDataset]) -> list[Run]:
    """Those of the labels that were just probed; of a layer that was just probed, those of its vectors."""
    now = {run.representation: run.record["lineage"] for of_layer in probed.values() for run in of_layer.runs}
    labels = {lineage.get("meta") for lineage in now.values()}

    def is_current(run: Run) -> bool:
        lineage = run.record["lineage"]
        return lineage.get("meta") in labels and lineage.get("vectors") == now.get(run.representation, lineage).get("vectors")

    return [run for run in runs if is_current(run)]


def _choice(key: tuple[str, ...], by_layer: dict[str, dict[int, Run]]) -> LayerChoice:
    dataset, representation, task, protocol, configuration_hash = key
    layers = sorted(by_layer, key=order)
    seeds = sorted(set.intersection(*(set(by_layer[layer]) for layer in layers)))
    what = f"the layers of {representation} on {task} of {dataset}, protocol {protocol},"
    if not seeds:
        raise RequestError(f"{what} have no seed in common: probe all of them with the same seeds")
    runs = {layer: [by_layer[layer][seed] for seed in seeds] for layer in layers}
    if len({_items(run) for of_layer in runs.values() for run in of_layer}) > 1:
        raise RequestError(f"{what} were probed on different items: extract all layers again, and probe them")
    if len({run.record["lineage"].get("taken_over") is None for of_layer in runs.values() for run in of_layer}) > 1:
        raise RequestError(f"{what} were computed here or taken over, some of each: extract all of them, or take all over, and probe them")
    mixed = [layer for layer in layers if len({run.record["lineage"].get("vectors") for run in runs[layer]}) > 1]
    if mixed:
        again = f"with all seeds ({', '.join(map(str, seeds))}) again, or remove the old ones"
        raise RequestError(f"{what} have runs of different vectors of layer {', '.join(mixed)}: probe them {again}")
    metric = by_layer[layers[0]][seeds[0]].task.primary_metric
    valid = {layer: float(np.mean([run.metrics["valid"][metric] for run in runs[layer]])) for layer in layers}
    chosen = max(layers, key=lambda layer: valid[layer])  # the first, so the lowest, of equals
    return LayerChoice(dataset, representation, task, metric, protocol, configuration_hash, tuple(seeds), valid, chosen, runs)


def _items(run: Run) -> tuple[Any, ...]:
    """What a run was fitted and validated on: the number of train items, and the validated ones; of folds also where they were tested."""
    test = run.predictions("test")
    folds = () if test.fold is None else (*test.uid, *test.fold)
    return ((run.record.get("n") or {}).get("train"), *run.predictions("valid").uid, *folds)


def _validation(choice: LayerChoice, layer: str) -> str:
    if layer not in choice.valid:
        return "–"
    return percent(choice.valid[layer], None, None) + (" *" if layer == choice.layer else "  ")


def _test(choice: LayerChoice) -> str:
    interval = resample_runs(choice.runs[choice.layer]).intervals[choice.metric]
    return percent(interval.value, interval.low, interval.high)
