"""What `process` is told of a user's own data: audio with a table of labels, MIDI files, or recordings to be divided into pseudo-stems."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from jukemir_like.datasets import Dataset

NAMES = ("folder", "midi", "pseudo_stems")
"""What `process` is given in the place of a dataset's name."""

OPTIONS = {"midi": frozenset({"audio", "seed"}), "pseudo_stems": frozenset({"audio", "labels", "group", "seed"})}
"""Which options of tables count for what; for a folder all do."""


def given(context: click.Context, names: Iterable[str]) -> list[str]:
    """Those of a command's options that were given, as they are written."""
    spelled = {str(parameter.name): parameter.opts[0] for parameter in context.command.params}
    return sorted(spelled[name] for name in names if context.get_parameter_source(name) is not click.core.ParameterSource.DEFAULT)


def midi_dataset(
    name: str, soundfonts: str | None, table: Path | None, keep_families: bool, refuse_unknown: bool, instruments: bool, workers: int,
    *, audio: str | None, seed: int, labels: str | None, **_: Any,
) -> Dataset:  # fmt: skip
    from jukemir_like.datasets import midi_songs

    if audio is None:
        raise click.UsageError("midi needs --audio DIR, a folder of MIDI files")
    if labels is not None:
        raise click.UsageError("midi takes no table of labels: --labels is for `folder`")
    if table is not None and keep_families:
        raise click.UsageError("--keep_families is a table of stems: give it or --stems_table, not both")
    return midi_songs.midi_dataset(
        Path(audio), name=name, soundfont_folder=None if soundfonts is None else Path(soundfonts), own_table=table,
        keep_families=keep_families, instruments=instruments, refuse_unknown=refuse_unknown, seed=seed, workers=workers,
    )  # fmt: skip


def pseudo_stems_dataset(name: str, *, audio: str | None, labels: str | None, group: str, seed: int, **_: Any) -> Dataset:
    from jukemir_like.datasets import pseudo_stems

    if audio is None:
        raise click.UsageError("pseudo_stems needs --audio DIR, a folder of recordings")
    table = None if labels is None else Path(labels)
    return pseudo_stems.pseudo_stems_dataset(Path(audio), name=name, labels=table, group_column=group, seed=seed)


def folder_dataset(
    name: str, *, audio: str | None, labels: str | None, task_types: tuple[str, ...], group: str, fold: str | None, **table_options: Any
) -> Dataset:
    from jukemir_like.datasets.folder import dataset

    if audio is None or labels is None:
        raise click.UsageError("a dataset of your own needs --audio DIR and --labels FILE")
    types: dict[str, Any] = {column: kind for column, _, kind in (task.rpartition("=") for task in task_types)}
    if len(types) < len(task_types):
        raise click.UsageError(
            "--task gives the type of the same columns twice: give each COLUMN=TYPE once, and TYPE alone once for the others"
        )
    return dataset.folder_dataset(
        Path(audio),
        Path(labels),
        name=name,
        task_type=types.pop("", None),
        column_types=types,
        group_column=group,
        fold_column=fold,
        **table_options,
    )
