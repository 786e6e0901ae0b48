"""Which items are held out to select a strength: the validation split, or folds of train and valid together.

Folds are drawn from nothing: they follow from labels, groups and names alone. No group is divided; where groups allow it, every class
(or tag) is spread evenly.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from jukemir_like.core.errors import RequestError
from jukemir_like.core.rows import Rows, as_array, as_rows
from jukemir_like.datasets import NUMERIC_TYPES, Task
from jukemir_like.probes.assignment import assign_folds
from jukemir_like.probes.songs import Songs
from jukemir_like.probes.tasks import Split

Indices = NDArray[np.int64]

FOLDS = 5
"""Of cross-validation."""
FEW_ITEMS, FEW_GROUPS = 200, 20
"""A validation split with fewer items or groups is put together with train, and folds of both are held out instead."""
MANY_ITEMS = 1000
"""So many held-out items are enough: no further fold is held out."""


@dataclass(frozen=True)
class Trial:
    """A probe that is fitted without some items and scored on them.

    Args:
        fitted, scored: rows of the items.
    """

    fitted: Indices
    scored: Indices


def is_small(split: Split | None) -> bool:
    """Whether a validation split is too small to select by, or missing."""
    return split is None or len(split.y) < FEW_ITEMS or len(np.unique(split.group)) < FEW_GROUPS


def few(split: Split) -> str:
    """Why a validation split is small.

    Args:
        split: for which :func:`is_small` is true.
    """
    items, groups = len(split.y), len(np.unique(split.group))
    return (
        f"valid has {items:,} items (fewer than {FEW_ITEMS})"
        if items < FEW_ITEMS
        else f"valid has {groups:,} groups (fewer than {FEW_GROUPS})"
    )


def fold_trials(split: Split, task: Task) -> list[Trial]:
    """Trials that hold out one fold each; of many items not all folds.

    Raises:
        RequestError: all items are of one group, so nothing can be held out.
    """
    fold = assign_folds(units(split), label_counts(task, split.y), FOLDS)
    folds = [np.flatnonzero(fold == number) for number in range(fold.max() + 1)]
    if len(folds) < 2:
        raise RequestError(
            f"the strength of the probe for {task.name} cannot be selected: there is no validation split, and all {len(split.y)} train "
            "items are of one group, which is not divided; give some items the split valid"
        )
    trials: list[Trial] = []
    for number, scored in enumerate(folds):
        if sum(len(trial.scored) for trial in trials) < MANY_ITEMS:
            trials.append(Trial(np.flatnonzero(fold != number), scored))
    return trials


def label_counts(task: Task, y: np.ndarray) -> NDArray[np.float64]:
    """What :func:`~jukemir_like.probes.assignment.assign_folds` spreads evenly: classes, keys or tags (n, labels); of numbers, nothing."""
    if task.type in NUMERIC_TYPES:
        return np.zeros((len(y), 0))
    return np.asarray(y if y.ndim == 2 else y[:, None] == np.arange(len(task.labels)), np.float64)


def units(split: Split) -> NDArray[np.str_]:
    """What is not divided, for each item: its group; of a clip, that of its song."""
    return split.group if split.songs is None else split.songs.per_song(split.group)[split.songs.song_of_clip]


def together(splits: Sequence[Split]) -> Split:
    """Splits of one task as one, in their order."""
    if len(splits) == 1:
        return splits[0]
    if any(isinstance(split.X, Rows) for split in splits):
        X: NDArray[np.float32] | Rows = Rows.concatenate([as_rows(split.X) for split in splits])
    else:
        X = np.concatenate([as_array(split.X) for split in splits])
    y, uid, group = (np.concatenate([getattr(split, name) for split in splits]) for name in ("y", "uid", "group"))
    recordings = [name for split in splits if split.songs for name in split.songs.names[split.songs.song_of_clip].tolist()]
    return Split(X, y, uid, group, Songs.from_recordings(recordings) if recordings else None)


def part(split: Split, rows: Indices) -> Split:
    """Some items of a split."""
    songs = split.songs
    recordings = None if songs is None else songs.names[songs.song_of_clip][rows].tolist()
    return Split(
        split.X[rows], split.y[rows], split.uid[rows], split.group[rows], Songs.from_recordings(recordings) if recordings else None
    )
