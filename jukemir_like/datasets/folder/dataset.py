"""From a folder of audio and a table of labels to a dataset.

The table is a file with a header and separators between its cells (:mod:`.table`). Reserved columns, in any letter case:

- ``uid`` or ``path``: the path of the file within the folder, with or without its extension; the bare name is enough where it is unique.
- ``split`` (optional): train, valid, test (or another usual word for these), or empty. Missing splits are assigned at random by group,
  with a seed, 70/15/15 % of the items.
- ``fold`` (optional; :mod:`.folds` has other names): the item is in a fold of a cross-validation and in no split.
- ``group`` (optional; another column can be named): what must not be divided between splits or folds, e.g. the artist.

Every other column is a label (or those that are named), except the index of a data frame, and a column that only counts the rows.
:mod:`.columns` and :mod:`.labels` describe which tasks they make, :mod:`.table` which words stand for a missing label.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jukemir_like.core.errors import RequestError
from jukemir_like.datasets.dataset import FOLD, SPLITS, Dataset, Item, TaskType
from jukemir_like.datasets.folder.folds import find_fold_column, fold_notes, read_folds
from jukemir_like.datasets.folder.labels import choose_columns, describe, read_labels
from jukemir_like.datasets.folder.matching import assign_splits, match_files, read_splits
from jukemir_like.datasets.folder.table import LabelTable, is_missing, read_table

_GROUP = "group"
_REASONS = ("failed", "skipped")  # what else ``extra`` may hold


def folder_dataset(
    folder: Path,
    labels: Path,
    *,
    name: str = "folder",
    label_columns: Sequence[str] = (),
    task_type: TaskType | None = None,
    column_types: Mapping[str, TaskType] | None = None,
    group_column: str = _GROUP,
    fold_column: str | None = None,
    shared_groups: bool = False,
    seed: int = 0,
) -> Dataset:
    r"""The audio of ``folder`` with the labels of the table ``labels``.

    Args:
        folder: audio files, sub-folders included.
        labels: the table, see the description of the module.
        name: of the dataset.
        label_columns: which columns are labels; none: all that look like labels.
        task_type: type of the label columns, where their values could be read in two ways (classes that are numbers, say).
        column_types: the same for single columns; takes precedence over ``task_type``.
        group_column: the column whose items must not be divided between splits or folds.
        fold_column: the column of folds; None: that which is called so, where the table names no splits.
        shared_groups: accept folds that divide groups.
        seed: of the random assignment of missing splits.

    Returns:
        The dataset; its ``understood`` describes how each column was read.

    Raises:
        RequestError: the table cannot be used. A row without a label or without its file is no error: its item carries the reason.

    >>> _ = Path("labels.csv").write_text("path,mood\n0.wav,calm\n1.wav,wild\n2.wav,calm\n")
    >>> data = folder_dataset(Path("music"), Path("labels.csv"))
    >>> data.tasks["mood"].labels, [item.y for item in data.items]
    (('calm', 'wild'), ['calm', 'wild', 'calm'])
    """
    table = read_table(labels)
    group = _find_group_column(table, group_column)
    fold, unused_folds = find_fold_column(table, fold_column, {group, *map(table.column, label_columns)})
    chosen, ignored = choose_columns(table, label_columns, group, fold, unused_folds)
    label_set = read_labels(table, chosen, task_type, column_types or {})
    matches = match_files(table, folder)
    groups = ["" if group is None or is_missing(row.cells[group]) else row.cells[group] for row in table.rows]
    parts: Sequence[str | None]
    names: tuple[str, ...]
    if fold is None:
        given_splits = read_splits(table)
        parts, names, part_notes = assign_splits(given_splits, groups, seed), SPLITS, _split_notes(given_splits, seed)
    else:
        if group is not None and group_column == FOLD:
            raise RequestError(f"the column of groups cannot be called {FOLD!r} in a dataset of folds: rename it")
        parts, names = read_folds(table, fold)
        part_notes = fold_notes(parts, names, groups, shared_groups=shared_groups)
    items = []
    for uid, file, label, part, group_name in zip(matches.uids, matches.files, label_set.rows, parts, groups, strict=True):
        extra: dict[str, Any] = {} if group is None else {group_column: group_name}
        extra |= {} if fold is None or part is None else {FOLD: part}
        source = None if file is None else folder / file
        if all(value is None for value in label.values()):
            extra["failed"] = "has no label"
            source = None
        elif source is None:
            extra["failed"] = f"no such audio file in {folder}"
        split = part if fold is None else None
        items.append(Item(uid, split, label if len(label_set.tasks) > 1 else next(iter(label.values())), source, extra=extra))
    uses = {column: name for name, column in table.reserved.items() if name != _GROUP}
    uses |= {} if group is None else {group: "group"}
    if fold is not None:
        ignored |= {column: "the folds are used" for column, use in uses.items() if use == "split"}
        uses = {column: use for column, use in uses.items() if use != "split"} | {fold: "fold"}
    notes = [*part_notes, *matches.notes]
    if group is not None and (alone := groups.count("")):
        notes.append(f"items without a group, each one by itself: {alone:,}")
    if matches.unlabelled:
        notes.append(f"audio files without a row: {matches.unlabelled:,}")
    return Dataset(
        name,
        label_set.tasks,
        items,
        None if group is None else group_column,
        sources={"labels": table.digest, "seed": seed, "audio_without_a_row": matches.unlabelled},
        understood=describe(table, label_set, ignored, uses, parts, names, notes),
        folds=None if fold is None else tuple(names),
    )


def _find_group_column(table: LabelTable, name: str) -> str | None:
    """The column of groups; None where the table has none and none was asked for."""
    if name in _REASONS:
        raise RequestError(f"the column of groups cannot be called {name!r}, which is kept for items that are left out: rename it")
    return table.reserved.get(_GROUP) if name == _GROUP else table.column(name)


def _split_notes(given: Sequence[str | None], seed: int) -> list[str]:
    missing = given.count(None)
    return [f"splits assigned at random, with seed {seed}: {missing:,} of {len(given):,}"] if missing else []
