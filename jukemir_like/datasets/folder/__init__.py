"""A user's own folder of audio, with a table of labels, as a dataset.

The table is a file with a header and separators between its cells (:mod:`.table`). Reserved columns, in any case:

- ``uid`` or ``path``: the file's path within the folder, without or with its extension; the bare name is enough where it is unique.
- ``split`` (optional): train, valid, test (or another usual word for these), or empty. What is missing is drawn by group with a seed,
  70/15/15 % of the items.
- ``group`` (optional; another column can be named): what must not be divided between splits, e.g. the artist.

Every other column is a label (or those that are named), but for the index of a data frame, ``fold`` and what only counts the rows.
:mod:`.columns` and :mod:`.labels` tell which tasks they make, :mod:`.cells` which words stand for a missing label.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jukemir_like.core.errors import RequestError
from jukemir_like.datasets import Dataset, Item, TaskType
from jukemir_like.datasets.folder import cells, matching, splits, table, understood
from jukemir_like.datasets.folder import labels as labelling
from jukemir_like.datasets.folder.table import Table

_GROUP = "group"
_REASONS = ("failed", "skipped")  # what else ``extra`` may hold


def dataset(
    folder: Path,
    labels: Path,
    *,
    name: str = "folder",
    label_columns: Sequence[str] = (),
    task_type: TaskType | None = None,
    column_types: Mapping[str, TaskType] | None = None,
    group_column: str = _GROUP,
    seed: int = 0,
) -> Dataset:
    """The audio of ``folder`` with the labels of the table ``labels``.

    Args:
        folder: audio files, sub-folders included.
        labels: the table, see the package's description.
        name: of the dataset.
        label_columns: which columns are labels; none: all that look like labels.
        task_type: what the label columns are, where their values could be read in two ways (classes that are numbers, say).
        column_types: the same of single columns; they come before ``task_type``.
        group_column: whose items must not be divided between splits.
        seed: of the draw of missing splits.

    Returns:
        The dataset; its ``understood`` tells what each column was taken for.

    Raises:
        RequestError: the table cannot be used. A row without a label or without its file is no such error: its item carries the reason.
    """
    read = table.read(labels)
    group = _group(read, group_column)
    chosen, ignored = labelling.choose(read, label_columns, group)
    asked = labelling.understand(read, chosen, task_type, column_types or {})
    matched = matching.match(read, folder)
    given = splits.given(read)
    groups = ["" if group is None or cells.is_missing(row.cells[group]) else row.cells[group] for row in read.rows]
    drawn = splits.draw(given, groups, seed)
    items = []
    for uid, file, label, split, group_name in zip(matched.uids, matched.files, asked.rows, drawn, groups, strict=True):
        extra: dict[str, Any] = {} if group is None else {group_column: group_name}
        source = None if file is None else folder / file
        if all(value is None for value in label.values()):
            extra["failed"] = "has no label"
            source = None
        elif source is None:
            extra["failed"] = f"no such audio file in {folder}"
        items.append(Item(uid, split, label if len(asked.tasks) > 1 else next(iter(label.values())), source, extra=extra))
    uses = {column: name for name, column in read.reserved.items() if name != _GROUP}
    uses |= {} if group is None else {group: "group"}
    notes = [*_of_splits(given, groups, group, seed), *matched.notes]
    if matched.unlabelled:
        notes.append(f"audio files without a row: {matched.unlabelled:,}")
    return Dataset(
        name,
        asked.tasks,
        items,
        None if group is None else group_column,
        sources={"labels": read.digest, "seed": seed, "audio_without_a_row": matched.unlabelled},
        understood=understood.describe(read, asked, ignored, uses, drawn, notes),
    )


def _group(read: Table, name: str) -> str | None:
    """The column of groups; None where the table has none and none was asked for."""
    if name in _REASONS:
        raise RequestError(f"the column of groups cannot be called {name!r}, which is kept for items that are left out: rename it")
    return read.reserved.get(_GROUP) if name == _GROUP else read.column(name)


def _of_splits(given: Sequence[str | None], groups: Sequence[str], group: str | None, seed: int) -> list[str]:
    notes = []
    if missing := given.count(None):
        notes.append(f"splits drawn, with seed {seed}: {missing:,} of {len(given):,}")
    if group is not None and (alone := groups.count("")):
        notes.append(f"items without a group, each one by itself: {alone:,}")
    return notes
