"""A folder of recordings as a dataset of pseudo-stems: which recordings, and in which split.

Nothing is known of the recordings but, where a table is given, their splits and groups: what a probe holds out must not be trained on.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from jukemir_like import audio
from jukemir_like.core.errors import RequestError
from jukemir_like.core.files import printable
from jukemir_like.core.stems import STEMS
from jukemir_like.datasets import unlabelled
from jukemir_like.datasets.dataset import Dataset, Item
from jukemir_like.datasets.folder.folds import find_fold_column
from jukemir_like.datasets.folder.matching import assign_splits, match_files, read_splits
from jukemir_like.datasets.folder.table import is_missing, read_table
from jukemir_like.separation.pseudo_stems import METHOD, Separation

SOURCE = "pseudo_stems"
"""The key of ``sources`` in ``dataset.json`` that says how recordings were divided."""

_FOLDER = "folder"


def pseudo_stems_dataset(
    folder: Path,
    *,
    name: str = SOURCE,
    labels: Path | None = None,
    group_column: str = "group",
    seed: int = 0,
    separation: Separation | None = None,
) -> Dataset:
    """The recordings of ``folder`` and its sub-folders, or those that a table names.

    Args:
        folder: of audio files.
        name: of the dataset.
        labels: a table with the columns uid or path, and split or group, whose labels are not read; None: all recordings, in random splits.
        group_column: the column of the table whose recordings must not be divided between splits.
        seed: of the random assignment of splits.
        separation: how they are divided; None: the default.

    Returns:
        The dataset, without tasks. Without a table the recordings of one folder are in one split, if there are several folders.

    Raises:
        RequestError: there are no recordings; the table cannot be used, or comes in folds, each of which would be tested.

    >>> [item.uid for item in pseudo_stems_dataset(Path("music")).items]
    ['0', '1', '2']
    """
    made = _of_folder(folder, name, seed) if labels is None else _of_table(folder, name, labels, group_column, seed)
    separation = separation or Separation()
    items = [item if item.source is None else replace(item, separation=separation) for item in made.items]
    notes = (*made.notes, f"pseudo-stems ({METHOD}): no instrument was recorded by itself, and vocals are silent")
    sources = {SOURCE: separation.to_json(), **made.sources}
    return Dataset(name, {}, items, group=made.group, stems=STEMS, sources=sources, notes=notes)


def _of_folder(folder: Path, name: str, seed: int) -> Dataset:
    if not folder.is_dir():
        raise RequestError(f"{printable(str(folder))} is not a folder: give --audio the folder of recordings")
    notes: list[str] = []
    files = audio.find(folder, on_error=lambda path, reason: notes.append(f"{printable(path)}: {reason}, its files are not found"))
    if not files:
        raise RequestError(f"{printable(str(folder))} holds no audio files: give --audio the folder of recordings")
    paths = [folder / file for file in files]
    group = _FOLDER if len({path.parent for path in paths}) > 1 else None
    items = [
        Item(uid, None, {}, path, extra={_FOLDER: printable(path.parent.relative_to(folder).as_posix())})
        for uid, path in zip(unlabelled.uids(files), paths, strict=True)
    ]
    items, note = unlabelled.in_splits(items, [True] * len(items), group, seed)
    return Dataset(name, {}, items, group=group, sources={"seed": seed}, notes=(*notes, note))


def _of_table(folder: Path, name: str, labels: Path, group_column: str, seed: int) -> Dataset:
    table = read_table(labels)
    group = table.reserved.get("group") if group_column == "group" else table.column(group_column)
    fold, _ = find_fold_column(table, None, {group})
    if fold is not None:
        raise RequestError(
            f"{labels} comes in folds ({printable(fold)}), each of which is tested once: give a table with a column split, in which "
            "train is what may be trained on"
        )
    matches = match_files(table, folder)
    groups = ["" if group is None or is_missing(row.cells[group]) else row.cells[group] for row in table.rows]
    given = read_splits(table)
    splits = assign_splits(given, groups, seed)
    items = []
    for uid, file, split, group_name in zip(matches.uids, matches.files, splits, groups, strict=True):
        extra: dict[str, Any] = {} if group is None else {group_column: group_name}
        extra |= {"failed": f"no such audio file in {folder}"} if file is None else {}
        items.append(Item(uid, split, {}, None if file is None else folder / file, extra=extra))
    notes = [f"splits assigned at random, with seed {seed}: {given.count(None):,} of {len(given):,}"] if None in given else []
    notes += matches.notes
    notes += [f"audio files without a row, which are left out: {matches.unlabelled:,}"] if matches.unlabelled else []
    sources = {"labels": table.digest, "seed": seed, "audio_without_a_row": matches.unlabelled}
    return Dataset(name, {}, items, group=None if group is None else group_column, sources=sources, notes=tuple(notes))
