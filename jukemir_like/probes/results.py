"""What a probe leaves behind: a folder a run, and the table made from all of them.

Run folder: ``probes/<dataset>/<representation>/<task>/<protocol>-<seed>/`` with two files, ``predictions.npz`` first and ``run.json``
last, so that a folder with a ``run.json`` is whole (until then there may be an :mod:`unfinished <jukemir_like.probes.unfinished>` one of
protocol ``jukemir``). Same request, same vectors: same bytes, except for ``seconds``.

``predictions.npz`` (no pickles: ``numpy.load`` as it is) holds, for ``split`` in ``valid`` and ``test``:

==================== ============= ======================================================================================================
name                 shape         what
==================== ============= ======================================================================================================
``<split>_uid``      (n,) str      what is scored, in the order of ``meta.json``: items; for a key task with clips: songs
``<split>_group``    (n,) str      what must stay together when resampling (artist, track); the uid where nothing is grouped
``<split>_y``        (n,) int64    multiclass, key: index into the task's labels
..                   (n, k) bool   multilabel
..                   (n, k) f8     regression
``<split>_scores``   (n, k) f4     one column a label: logits, tag scores or predicted values. A prediction is the argmax (the first, in
                                   ties); -inf for a class that train lacks; of songs: votes, logits or probabilities, by the rule chosen
``<split>_clip_uid`` (m,) str      key tasks with clips only: the items
``<split>_clip_song`` (m,) int64   row of ``<split>_uid`` that the clip belongs to
``<split>_clip_scores`` (m, k) f4  logits of the clips
==================== ============= ======================================================================================================

So ``metrics.evaluate(run.task, y, scores)`` gives the run's metrics again, and with ``weights`` those of a resample.

``run.json``:

- ``format``: 1; ``recipe``: raised when the same request would give other results. ``dataset``, ``representation``, ``protocol``,
  ``seed``; ``task``: {name, type, labels, primary_metric}
- ``configuration``: what the request changes of the protocol's defaults; ``configuration_hash``: the digest of protocol and changes
- ``selected``: the point (jukemir), ``{"strength"}`` (linear) or ``{}``; ``aggregation``: rule for songs, or null; ``candidates``: all
  points or strengths with ``value``, their primary metric on valid (null: not finite), and with ``step`` (of the best look) and ``steps``
- ``metrics``: split → name → value; ``n``: train, valid, test → items; ``scored`` and ``groups``: valid, test → number of scored units
  and of groups among them
- ``left_out``: ``vectors``: reason → number of items; ``no_label``, ``no_split``: numbers of items; ``not_in_train``: labels that no
  train item has; ``undefined``: split → metric → number of tags that it leaves out
- ``notes``: one line each, worth showing to the user
- ``seconds`` of fitting and scoring; ``versions``: name → version
- ``lineage``: ``meta``, ``vectors``: SHA-256 (the latter over uid and bytes of every vector used); ``task``: digest of type, labels
  and grouping; ``signature``: of the representation, null where no record tells; ``sources``: what the dataset was made from

The table (:data:`COLUMNS`; CSV, UTF-8) has one row a run × split × metric:

``dataset, task, representation, protocol``
    names.
``configuration, configuration_hash, selected``
    as in ``run.json``, JSON.
``seed, split, metric``
    ``metric``: as :func:`jukemir_like.probes.metrics.evaluate` names it. ``primary``: ``true`` for the metric that selects and ranks.
``value, low, high``
    the value and its interval (empty where none was computed); fractions, not percent.
``n, groups``
    number of scored units and of groups among them.
``seconds, versions, lineage``
    of the run; the last two JSON.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from jukemir_like.core import atomic, csvfiles, jsonfiles
from jukemir_like.core.cache import Cache
from jukemir_like.core.errors import DamagedFileError, RequestError
from jukemir_like.datasets import Task

if TYPE_CHECKING:
    import numpy as np

FORMAT = 1
SCORED_SPLITS = ("valid", "test")
RUN, PREDICTIONS, TABLE = "run.json", "predictions.npz", "results.csv"
COLUMNS = (
    "dataset",
    "task",
    "representation",
    "protocol",
    "configuration",
    "configuration_hash",
    "selected",
    "seed",
    "split",
    "metric",
    "primary",
    "value",
    "low",
    "high",
    "n",
    "groups",
    "seconds",
    "versions",
    "lineage",
)

Row = dict[str, Any]
Intervals = Mapping[tuple[str, str], tuple[float, float]]

_JSON_COLUMNS = ("configuration", "selected", "versions", "lineage")
_ORDER = ("dataset", "task", "representation", "protocol", "configuration_hash", "seed")


@dataclass(frozen=True)
class Predictions:
    """One split of ``predictions.npz``; shapes and meanings are in the module's docstring.

    ``clip_uid``, ``clip_song`` and ``clip_scores`` are None unless songs were scored from clips.
    """

    uid: np.ndarray
    group: np.ndarray
    y: np.ndarray
    scores: np.ndarray
    clip_uid: np.ndarray | None = None
    clip_song: np.ndarray | None = None
    clip_scores: np.ndarray | None = None

    def arrays(self) -> dict[str, np.ndarray]:
        """The arrays by name, in the order of the file."""
        return {name: value for name, value in vars(self).items() if value is not None}


@dataclass(frozen=True)
class Run:
    """A finished run: its folder, and ``run.json`` as ``record``."""

    folder: Path
    record: dict[str, Any]

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
    def task(self) -> Task:
        return Task.from_json(self.record["task"]["name"], self.record["task"])

    @property
    def metrics(self) -> dict[str, dict[str, float]]:
        """Split → metric → value; the primary metric is the first."""
        metrics: dict[str, dict[str, float]] = self.record["metrics"]
        return metrics

    def predictions(self, split: str) -> Predictions:
        """Labels and scores of ``valid`` or ``test``.

        Raises:
            DamagedFileError: ``predictions.npz`` is missing or damaged.
        """
        from jukemir_like.probes.checking import read_predictions

        return read_predictions(self)[split]


def run_folder(cache: Cache, dataset: str, representation: str, task: str, protocol: str, seed: int) -> Path:
    """Where a run is kept. A task's name is a column of the user's table: characters that no folder may have are percent-encoded."""
    name = quote(task, safe=" ()[]+,;=@")
    return cache.probe(dataset, representation) / (name if name.strip(".") else name.replace(".", "%2E")) / f"{protocol}-{seed}"


def save(folder: Path, record: dict[str, Any], predictions: Mapping[str, Predictions]) -> Run:
    """Writes a run: predictions first, ``run.json`` last, each whole or not at all.

    Args:
        folder: the run's folder.
        record: what ``run.json`` holds.
        predictions: split → predictions, for both of :data:`SCORED_SPLITS`.

    Raises:
        StorageError: the folder cannot be written.
    """
    import numpy as np

    atomic.make_folder(folder)
    atomic.remove_abandoned(folder)
    with atomic.storage_errors(folder / RUN):
        (folder / RUN).unlink(missing_ok=True)  # or a kill between the two files would pair new predictions with an old record
    arrays = {f"{split}_{name}": array for split in SCORED_SPLITS for name, array in predictions[split].arrays().items()}
    with atomic.atomic_write(folder / PREDICTIONS) as temporary:
        np.savez(temporary, **arrays)  # type: ignore[arg-type]  # entries are dated 1980: same arrays, same bytes
    atomic.write_json(folder / RUN, record)
    return Run(folder, record)


def load(folder: Path) -> Run | None:
    """The run in ``folder``; None where it did not end, or is damaged."""
    from jukemir_like.probes.checking import open_run

    try:
        return open_run(folder)
    except (FileNotFoundError, DamagedFileError):
        return None


def find(
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
        on_damage: called with why, for each run that is damaged; None: they are passed over.
    """
    from jukemir_like.probes.checking import open_run

    found = []
    for folder in folders(cache, dataset, representation):
        try:
            found.append(open_run(folder))
        except FileNotFoundError:  # it did not end
            continue
        except DamagedFileError as error:
            if on_damage is not None:
                on_damage(error)
    return found


def folders(cache: Cache, dataset: str | None = None, representation: str | None = None) -> list[Path]:
    """Folders of runs, finished or not, sorted; as :func:`find`."""
    pattern = f"{_literal(dataset)}/{_literal(representation)}/*/*-*"
    return [folder for folder in sorted((cache.root / "probes").glob(pattern)) if folder.is_dir()]


def _literal(name: str | None) -> str:
    from glob import escape

    return "*" if name is None else escape(name)


def rows(run: Run, intervals: Intervals | None = None) -> list[Row]:
    """The table's rows of one run.

    Args:
        run: a finished run.
        intervals: (split, metric) → (low, high), where known.
    """
    record, found = run.record, intervals or {}
    common = {name: record[name] for name in COLUMNS if name in record}
    common["task"] = run.task.name
    made = []
    for split in SCORED_SPLITS:
        for metric, value in run.metrics[split].items():
            low, high = found.get((split, metric), (None, None))
            row = {
                **common,
                "split": split,
                "metric": metric,
                "primary": metric == run.task.primary_metric,
                "value": value,
                "low": low,
                "high": high,
                "n": record["scored"][split],
                "groups": record["groups"][split],
            }
            made.append({name: row[name] for name in COLUMNS})
    return made


def write(path: Path, table: Iterable[Row]) -> None:
    """Writes rows as CSV, atomically, sorted by dataset, task, representation, protocol, configuration and seed.

    Raises:
        StorageError: ``path`` cannot be written.
    """
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    for row in sorted(table, key=lambda row: [row[name] for name in _ORDER]):
        writer.writerow({name: _cell(name, row[name]) for name in COLUMNS})
    atomic.write_bytes(path, text.getvalue().encode(errors="backslashreplace"))


def read(paths: Sequence[Path]) -> list[Row]:
    """Rows of tables that :func:`write` wrote, with their types.

    Raises:
        RequestError: a file is missing or is no such table.
    """
    table: list[Row] = []
    for path in paths:
        try:
            table += csvfiles.read(path, _READERS, "run `jukemir-like probe` or `jukemir-like report` again")
        except FileNotFoundError as error:
            raise RequestError(f"cannot read results {path}: there is no such file") from error
    return table


def tabulate_runs(cache: Cache, dataset: str, representation: str) -> Path:
    """Writes ``results.csv`` of one representation from all its run folders; returns its path."""
    path = cache.probe(dataset, representation) / TABLE
    write(path, (row for run in find(cache, dataset, representation) for row in rows(run)))
    return path


def _cell(name: str, value: Any) -> Any:
    if name in _JSON_COLUMNS:
        return json.dumps(value, sort_keys=True)
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else value


def _json(cell: str) -> Any:
    value = jsonfiles.parse(cell.encode(errors="surrogatepass"))
    jsonfiles.check(value, {str: object})
    return value


def _truth(cell: str) -> bool:
    if cell not in ("true", "false"):
        raise ValueError(f"{cell!r} is neither true nor false")
    return cell == "true"


_READERS: dict[str, Callable[[str], Any]] = {
    **dict.fromkeys(COLUMNS, str),
    **dict.fromkeys(_JSON_COLUMNS, _json),
    **dict.fromkeys(("seed", "n", "groups"), csvfiles.whole_number),
    **dict.fromkeys(("value", "low", "high", "seconds"), csvfiles.number),
    "primary": _truth,
}
