"""A run of a probe on disk: ``run.json`` and ``predictions.npz``, written and read here.

The folder is ``probes/<dataset>/<representation>/<task>/<protocol>-<seed>/``, of folds ``<protocol>-<number>folds-<seed>`` (where they are
drawn with another seed than 0, or though the dataset has its own, ``<number>folds_seed<seed of the drawing>``). ``predictions.npz`` is
written first and ``run.json`` last, so a folder with a ``run.json`` is complete. (Until then protocol ``jukemir`` may have an
``unfinished.npz`` there, see :mod:`jukemir_like.probes.unfinished`.) The same request on the same vectors gives the same bytes, except for
``seconds``.

``predictions.npz`` (no pickles: ``numpy.load`` as it is) holds, for ``split`` in ``valid`` and ``test``:

==================== ============= ======================================================================================================
name                 shape         what
==================== ============= ======================================================================================================
``<split>_uid``      (n,) str      what is scored, in the order of ``meta.json``: items; for a key task with clips: songs
``<split>_group``    (n,) str      what must stay together when resampling (artist, track); the uid where nothing is grouped
``<split>_y``        (n,) int64    multiclass, key: index into the task's labels
..                   (n, k) bool   multilabel
..                   (n, k) f8     regression
..                   (n,) f8       tempo: beats per minute
``<split>_scores``   (n, k) f4     one column per label: logits, tag scores or predicted values. A prediction is the argmax (the first, in
                                   ties); -inf for a class that train lacks; of songs: votes, logits or probabilities, by the rule selected
``<split>_clip_uid`` (m,) str      key tasks with clips only: the items
``<split>_clip_song`` (m,) int64   row of ``<split>_uid`` that the clip belongs to
``<split>_clip_scores`` (m, k) f4  logits of the clips
``<split>_fold``     (n,) str      of folds only: the fold that was tested by the probe which gave these scores; of test, the item's own
==================== ============= ======================================================================================================

So ``metrics.evaluate(run.task, y, scores)`` gives the run's metrics, and with ``weights`` those of a resample. Of folds
:func:`jukemir_like.probes.fold_metrics.evaluate_predictions` does: ``test`` then is every item, once, and ``valid`` every item that was
validated.

``run.json``:

- ``format``: 1; ``recipe``: raised when the same request would give other results. ``dataset``, ``representation``, ``protocol``,
  ``seed``; ``task``: {name, type, labels, primary_metric}
- ``configuration``: what the request changes of the protocol's defaults; ``configuration_hash``: the digest of protocol and changes
- ``selected``: the point (jukemir), ``{"strength"}`` (linear), ``{"epoch"}`` (lineareval) or ``{}``; ``aggregation``: rule for songs, or
  null; ``candidates``: all points or strengths, or the epoch, with ``value``, their primary metric on valid (null: not finite), and with
  ``step`` (of the best evaluation) and ``steps``, with ``epochs``, or (linear) with the ``loss`` that selects
- ``fit``: how it was selected and fitted, as the protocol tells it (linear: :func:`jukemir_like.probes.regularised.fit`); missing where
  there is nothing to tell
- ``metrics``: split → name → value; ``n``: train, valid, test → items; ``scored`` and ``groups``: valid, test → number of scored items
  and of groups among them
- ``left_out``: ``vectors``: reason → number of items; ``no_label``, ``no_split``: numbers of items; ``not_in_train``: labels that no
  train item has; ``undefined``: split → metric → number of tags that it leaves out
- ``notes``: one line each, worth showing to the user
- ``evaluation``, only of folds: ``folds``: their names, in order; ``seed`` that they were drawn with, null for the dataset's own
- ``folds``, only of folds, one entry for each that was tested: its ``name``; ``selected``, ``aggregation``, ``candidates``, ``fit`` and
  ``metrics`` (null: undefined in this fold) of its probe; ``n``: its train, valid (0 where the protocol validates inside train) and test
  items. ``selected`` and ``aggregation`` above then have what all folds share, ``candidates`` is empty, and ``n.train`` is that of the
  fold with the fewest
- ``chunks``, only where vectors stayed on disk: their ``bytes``, and the number ``above`` which they do
- ``seconds`` of fitting and scoring; ``versions``: name → version
- ``lineage``: ``meta``, ``vectors``: SHA-256 (the latter over uid and bytes of every vector used); ``task``: digest of type, labels
  and grouping; ``signature``: of the representation, null where no record names it; ``sources``: what the dataset was made from;
  ``deformed``, only of a deformed dataset, whose probe is fitted on the clean one: ``of`` (the clean dataset), ``deformation``, ``seed``,
  ``meta`` (SHA-256 of the clean ``meta.json``);
  ``taken_over``, only of vectors that were not computed in this cache: the fields of :class:`~jukemir_like.packs.origin.Origin`
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from glob import escape
from pathlib import Path
from typing import Any

import numpy as np

from jukemir_like.core import atomic, files, jsonfiles
from jukemir_like.core.arrays import read_archive
from jukemir_like.core.cache import Cache, representation_folder
from jukemir_like.core.errors import DamagedFileError
from jukemir_like.datasets import Task, deformed
from jukemir_like.datasets.deformed import DeformedFrom
from jukemir_like.datasets.meta import TASK_SHAPE
from jukemir_like.packs import origin
from jukemir_like.packs.origin import Origin
from jukemir_like.probes.fitting import TRIVIAL
from jukemir_like.probes.protocols import RECIPES, draws_random_numbers
from jukemir_like.probes.run_checks import check_predictions, check_record, check_values
from jukemir_like.probes.run_names import procedure_name
from jukemir_like.probes.run_names import run_folder as run_folder
from jukemir_like.probes.tasks import SCORED_SPLITS, Predictions

FORMAT = 1
RUN, PREDICTIONS = "run.json", "predictions.npz"

_ARRAYS, _CLIP_ARRAYS = {"uid", "group", "y", "scores"}, {"clip_uid", "clip_song", "clip_scores"}
_NUMBERS = {"valid": int, "test": int}
SHAPE = {
    **dict.fromkeys(("dataset", "representation", "protocol", "configuration_hash"), str),
    "format": {FORMAT},
    "seed": int,
    "task": TASK_SHAPE | {"name": str},
    "configuration": {str: object},
    "selected": {str: object},
    "aggregation?": str,
    "metrics": {"valid": {str: float}, "test": {str: float}},
    "n?": {"train?": int},
    "scored": _NUMBERS,
    "groups": _NUMBERS,
    "left_out": {"undefined?": {"test?": {str: int}}},
    "notes": [str],
    "evaluation?": {"folds": [str], "seed?": int},
    "folds?": [{"name": str, "metrics": {"test": {str: object}}}],
    "seconds": float,
    "versions": {str: str},
    "lineage": {"taken_over?": origin.SHAPE, "deformed?": deformed.SHAPE, str: object},
}
"""Of ``run.json``, in the terms of :mod:`jukemir_like.core.jsonfiles`: the fields that are read from it."""


@dataclass(frozen=True)
class Run:
    """A finished run: its folder, and ``run.json`` as ``record``."""

    folder: Path
    record: dict[str, Any]

    @property
    def draws(self) -> bool:
        """Whether the seed decides anything: not under protocol ``linear``, nor of the trivial baselines."""
        return draws_random_numbers(self.protocol) and self.representation != TRIVIAL

    @property
    def is_of_other_version(self) -> bool:
        """Whether the protocol gives other numbers now: such runs cannot be compared with new ones."""
        recipe = self.record.get("recipe")
        return recipe is not None and recipe != RECIPES.get(self.protocol)

    @property
    def dataset(self) -> str:
        return str(self.record["dataset"])

    @property
    def representation(self) -> str:
        return str(self.record["representation"])

    @property
    def protocol(self) -> str:
        return str(self.record["protocol"])

    @property
    def seed(self) -> int:
        return int(self.record["seed"])

    @property
    def folds(self) -> tuple[str, ...] | None:
        """Names of the folds that were tested, in order; None where it is a run of splits."""
        return None if self.record.get("evaluation") is None else tuple(self.record["evaluation"]["folds"])

    @property
    def folds_seed(self) -> int | None:
        """The seed that the folds were drawn with; None where they are the dataset's own, or there are none."""
        seed = (self.record.get("evaluation") or {}).get("seed")
        return None if seed is None else int(seed)

    @property
    def procedure(self) -> str:
        """The protocol, and where it was evaluated by folds, by which: ``linear``, ``linear, 5 folds``, ``linear, 5 drawn folds``."""
        return procedure_name(self.protocol, None if self.folds is None else len(self.folds), self.folds_seed)

    def by_fold(self, metric: str) -> list[float]:
        """The values of a metric on the test items of each fold; of folds in which it is undefined there are none."""
        values = (fold["metrics"]["test"].get(metric) for fold in self.record.get("folds") or ())
        return [float(value) for value in values if value is not None]

    @property
    def task(self) -> Task:
        return Task.from_json(self.record["task"]["name"], self.record["task"])

    @property
    def metrics(self) -> dict[str, dict[str, float]]:
        """Split → metric → value; the primary metric is the first."""
        metrics: dict[str, dict[str, float]] = self.record["metrics"]
        return metrics

    @property
    def deformed(self) -> DeformedFrom | None:
        """Where its test items come from, if they are those of a deformed dataset."""
        value = self.record["lineage"].get("deformed")
        return None if value is None else DeformedFrom.from_json(value)

    @property
    def taken_over(self) -> str | None:
        """Whose vectors they are, as a sentence; None where they were computed in this cache."""
        value = self.record["lineage"].get("taken_over")
        return None if value is None else f"vectors taken over from {Origin.from_json(value)}"

    def predictions(self, split: str) -> Predictions:
        """Labels and scores of ``valid`` or ``test``.

        Raises:
            DamagedFileError: ``predictions.npz`` is missing or damaged.
        """
        return read_predictions(self)[split]


def save_run(folder: Path, record: dict[str, Any], predictions: Mapping[str, Predictions]) -> Run:
    """Writes a run: predictions first, ``run.json`` last, each completely or not at all.

    Args:
        folder: the run's folder.
        record: the content of ``run.json``.
        predictions: split → predictions, for both of :data:`SCORED_SPLITS`.

    Raises:
        StorageError: the folder cannot be written.
    """
    atomic.make_folder(folder)
    atomic.remove_abandoned(folder)
    with atomic.storage_errors(folder / RUN):
        (folder / RUN).unlink(missing_ok=True)  # otherwise a kill between the two files would pair new predictions with an old record
    arrays = {f"{split}_{name}": array for split in SCORED_SPLITS for name, array in predictions[split].arrays().items()}
    with atomic.atomic_write(folder / PREDICTIONS) as temporary:
        np.savez(temporary, **arrays)  # type: ignore[arg-type]  # entries are dated 1980: same arrays, same bytes
    atomic.write_json(folder / RUN, record)
    return Run(folder, record)


def load_run(folder: Path) -> Run | None:
    """The run in ``folder``; None where it is not finished, or damaged."""
    try:
        return open_run(folder)
    except (FileNotFoundError, DamagedFileError):
        return None


def find_runs(
    cache: Cache,
    dataset: str | None = None,
    representation: str | None = None,
    *,
    on_damage: Callable[[DamagedFileError], None] | None = None,
) -> list[Run]:
    """All finished runs of the cache (of one dataset, of one representation), sorted by folder.

    Args:
        cache: where they are.
        dataset, representation: only of these; None: of all.
        on_damage: called with the reason, for each run that is damaged; None: they are ignored.
    """
    runs = []
    for folder in run_folders(cache, dataset, representation):
        try:
            runs.append(open_run(folder))
        except FileNotFoundError:  # not finished
            continue
        except DamagedFileError as error:
            if on_damage is not None:
                on_damage(error)
    return runs


def run_folders(cache: Cache, dataset: str | None = None, representation: str | None = None) -> list[Path]:
    """Folders of runs, finished or not, sorted; arguments as for :func:`find_runs`."""
    folder = None if representation is None else representation_folder(representation)
    pattern = "/".join([*("*" if name is None else escape(name) for name in (dataset, folder)), "*", "*-*"])
    return [folder for folder in sorted((cache.root / "probes").glob(pattern)) if folder.is_dir()]


def open_run(folder: Path) -> Run:
    """The run in ``folder``, with its files checked.

    Raises:
        FileNotFoundError: it is not finished: there is no ``run.json``.
        DamagedFileError: a file is damaged.
    """
    path = folder / RUN
    run = Run(folder, jsonfiles.read(path, SHAPE, _remedy(folder)))
    with files.damage_errors(path, _remedy(folder)):
        check_record(run.record)
    predictions = read_predictions(run)
    with files.damage_errors(path, _remedy(folder)):
        for split in SCORED_SPLITS:
            check_values(run.record, split, run.task, predictions[split])
    return run


def read_predictions(run: Run) -> dict[str, Predictions]:
    """Split → labels and scores, whose types and shapes are as documented.

    Raises:
        DamagedFileError: ``predictions.npz`` is missing or damaged.
    """
    path, predictions = run.folder / PREDICTIONS, {}
    with files.damage_errors(path, _remedy(run.folder)):
        try:
            stored = read_archive(path, _remedy(run.folder))
        except FileNotFoundError:
            raise ValueError("is missing") from None
        for split in SCORED_SPLITS:
            arrays = {name.removeprefix(f"{split}_"): array for name, array in stored.items() if name.startswith(f"{split}_")}
            expected = _ARRAYS if run.folds is None else _ARRAYS | {"fold"}
            if not expected <= arrays.keys() <= expected | _CLIP_ARRAYS:
                raise ValueError(f"is damaged: of {split} it holds {', '.join(map(repr, sorted(arrays))) or 'nothing'}")
            predictions[split] = Predictions(**arrays)
            check_predictions(run.task, predictions[split])
            if run.folds is not None and not set(np.unique(predictions[split].fold)) <= set(run.folds):  # type: ignore[arg-type]
                raise ValueError(f"is damaged: of {split} it names a fold that is none of {', '.join(run.folds)}")
    return predictions


def _remedy(folder: Path) -> str:
    return f"delete {folder} and probe again"
