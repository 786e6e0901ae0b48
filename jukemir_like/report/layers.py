"""Layers of a representation on the page: a curve over all of them, and one row, of the layer that validation chose, in every table.

That is so where ``probe --layers`` wrote the record of a choice; layers that were only probed by their names are rows of their own. The
choice itself is computed from the runs, by :func:`jukemir_like.probes.layers.choose`. The layer may be another one for each task.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from jukemir_like.core.cache import Cache
from jukemir_like.core.resumable import digest_or_none
from jukemir_like.datasets.meta import META
from jukemir_like.probes.intervals import ResampledMetrics, resample_runs
from jukemir_like.probes.layers import CHOICES, LayerChoice, choose, split
from jukemir_like.probes.runs import Run
from jukemir_like.report.problems import Problems
from jukemir_like.report.questions import Question, row_name


@dataclass(frozen=True)
class Curve:
    """The scores of all layers of a representation on one question.

    Args:
        row: name of the chosen layer's row.
        choice: the validation scores, and the chosen layer.
        test: layer → test metrics of all seeds, with resamples.
    """

    row: str
    choice: LayerChoice
    test: dict[str, ResampledMetrics]


def recorded(cache: Cache, runs: Sequence[Run], representations: Collection[str] | None, problems: Problems) -> list[LayerChoice]:
    """The choices among ``runs`` of which the cache has a record, where there are at least two layers.

    Where some runs of a choice are of the present ``meta.json``, those of another have no part in it.

    Args:
        cache: of the page.
        runs: all undamaged ones.
        representations: only these names without a layer; None: all.
        problems: gets the choices that cannot be made.
    """
    grouped: dict[tuple[str, str], list[Run]] = {}
    for run in runs:
        name, layer = split(run.representation)
        if layer is not None and (representations is None or name in representations):
            grouped.setdefault((run.dataset, name), []).append(run)
    choices = []
    for (dataset, name), of_name in grouped.items():
        if (cache.probe(dataset, name) / CHOICES).is_file():
            with problems.collecting():
                choices += [choice for choice in choose(_current(cache, dataset, of_name)) if len(choice.valid) > 1]
    return choices


def rows(runs: Sequence[Run], choices: Sequence[LayerChoice], shown: Collection[str] = ()) -> dict[Path, tuple[str, ...]]:
    """Folder of a run → names of its rows, for all layers of ``choices``: one row for the chosen ones, none for the others.

    Args:
        runs: of the page.
        choices: of :func:`recorded`.
        shown: names of layers that have a row of their own as well.
    """
    chosen = {run.folder: _chosen_row(run, choice) for choice in choices for run in choice.runs[choice.layer]}
    parts = {_part(run) for choice in choices for run in choice.runs[choice.layer]}
    named = {}
    for run in runs:
        if split(run.representation)[1] is not None and _part(run) in parts:
            own = [row_name(run)] if run.representation in shown else []
            named[run.folder] = (*own, *([chosen[run.folder]] if run.folder in chosen else []))
    return named


def curves(question: Question, choices: Sequence[LayerChoice]) -> list[Curve]:
    """The curves of one question, in the order of its rows."""
    found = []
    for choice in choices:
        chosen = choice.runs[choice.layer]
        row = _chosen_row(chosen[0], choice)
        answer = question.answers.get(row)
        if answer is not None and answer.runs[0].folder == chosen[0].folder:
            others = {layer: resample_runs(of_layer) for layer, of_layer in choice.runs.items() if layer != choice.layer}
            found.append(Curve(row, choice, {layer: others.get(layer, answer) for layer in choice.runs}))
    return sorted(found, key=lambda curve: list(question.answers).index(curve.row))


def collapsed(choices: Sequence[LayerChoice]) -> Mapping[tuple[str, str], str]:
    """Dataset and name of a layer → name without the layer, for the layers of ``choices``."""
    return {(choice.dataset, run.representation): choice.representation for choice in choices for of in choice.runs.values() for run in of}


def _current(cache: Cache, dataset: str, runs: Sequence[Run]) -> list[Run]:
    """For each choice the runs of the present labels; all, where none is, or where the labels were removed."""
    labels = digest_or_none(cache.processed(dataset) / META)
    current = [run for run in runs if run.record["lineage"].get("meta") == labels]
    parts = {_part(run) for run in current}
    return current + [run for run in runs if _part(run) not in parts]


def _chosen_row(run: Run, choice: LayerChoice) -> str:
    """What replaces the name of the layer in the name of the row."""
    return row_name(run).replace(run.representation, f"{choice.representation}, chosen layer", 1)


def _part(run: Run) -> tuple[str, ...]:
    """What decides which choice a run belongs to."""
    return run.dataset, split(run.representation)[0], run.task.name, run.procedure, run.record["configuration_hash"]
