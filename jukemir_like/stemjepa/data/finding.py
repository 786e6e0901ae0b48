"""The tracks of a folder of stems: as :mod:`jukemir_like.audio.stems.finding` has them, with what ``meta.json`` and ``dataset.json`` say.

Where all tracks have the same stems, a ``dataset.json`` gives the names, in the order of the channels. Where the folder has a
``meta.json``, as ``jukemir-like process`` writes it, it gives the files, their splits and artists; and the names of stems, where each
track has its own.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jukemir_like.audio.stems import ensembles, finding
from jukemir_like.audio.stems.finding import Listing
from jukemir_like.audio.stems.tracks import StemFolder
from jukemir_like.core.errors import RequestError
from jukemir_like.core.files import printable
from jukemir_like.datasets import pseudo_stems
from jukemir_like.datasets.meta import META, Description, own_stems, read_description, read_meta, read_stems


def find(
    folder: Path, num_sources: int, *, workers: int = 1, sources: tuple[str, ...] | None = None, decoded: Path | None = None
) -> StemFolder:
    """Tracks of ``folder``: those of its ``meta.json``, else all in it and its sub-folders.

    Args:
        folder, num_sources, workers, sources, decoded: as of :func:`jukemir_like.audio.stems.finding.find`.

    Returns:
        The tracks, each file or song that is none with its reason, and in ``notes`` how the files were understood.

    Raises:
        RequestError: no such folder, a broken ``meta.json`` or ``dataset.json``, one that contradicts ``sources``, or not one usable track.
        StorageError: ``decoded`` cannot be written.
    """
    listing, declared, notes = _read_descriptions(folder) if folder.is_dir() else (None, None, [])
    if listing is not None and has_own_stems(folder):
        raise RequestError(f"each track of {printable(str(folder))} has stems of its own: give data.stems=instruments to train on them")
    found = finding.find(folder, num_sources, workers=workers, sources=sources, declared=declared, decoded=decoded, listing=listing)
    found.notes += notes
    return found


def find_ensembles(folder: Path, *, workers: int = 1, decoded: Path | None = None) -> StemFolder:
    """Tracks of ``folder``, each with stems of its own, whose names are in :attr:`.Track.stems`.

    Of a processed dataset the names are those of its ``meta.json``; where all of its tracks have the same stems, those of its
    ``dataset.json``. Else a track is a folder with a file per stem, see :mod:`jukemir_like.audio.stems.ensembles`.

    Args:
        folder, workers, decoded: as of :func:`find`.

    Raises:
        RequestError: no such folder, a broken ``meta.json`` or ``dataset.json``, or not one usable track.
        StorageError: ``decoded`` cannot be written.
    """
    listing, declared, notes = _read_descriptions(folder) if folder.is_dir() else (None, None, [])
    names = _own_names(folder, declared) if listing is not None else None
    found = ensembles.find_ensembles(folder, workers=workers, decoded=decoded, listing=listing, names=names)
    found.notes += notes
    return found


def has_own_stems(folder: Path) -> bool:
    """Whether the processed dataset in ``folder`` says that each of its tracks has stems of its own.

    Raises:
        DamagedFileError: its ``dataset.json`` is damaged.
    """
    description = _description(folder) if (folder / META).is_file() else None
    return description is not None and description.stems_per_track


def _own_names(folder: Path, declared: tuple[str, ...] | None) -> dict[str, tuple[str, ...] | str]:
    """uid → names of the channels, or why there are none."""
    names: dict[str, tuple[str, ...] | str] = {}
    for uid, record in read_meta(folder)[0].items():
        try:
            names[uid] = own_stems(record) if declared is None else declared
        except ValueError as error:
            names[uid] = str(error)
    return names


def _description(folder: Path) -> Description | None:
    try:
        return read_description(folder)
    except FileNotFoundError:
        return None


def _read_descriptions(folder: Path) -> tuple[Listing | None, tuple[str, ...] | None, list[str]]:
    """The files of ``meta.json`` without those left out, None where there is none; of ``dataset.json`` the names of stems, and notes."""
    notes: list[str] = []
    try:
        items, _ = read_meta(folder)
    except FileNotFoundError:
        return None, read_stems(folder), notes
    description = _description(folder)
    if description is not None:
        stems, group, failed = description.stems, description.group, description.failed
        if separation := description.sources.get(pseudo_stems.SOURCE):
            notes = [f"PSEUDO-STEMS: parts of mixes, not instruments that were recorded by themselves ({_shown(separation)})"]
    else:
        stems, group, failed = None, None, {}
    extras = {uid: item.get("extra") or {} for uid, item in items.items()}
    groups = {uid: str(extra[group]) for uid, extra in extras.items() if group in extra}
    splits = {uid: item.get("split") for uid, item in items.items() if "skipped" not in extras[uid]}
    return Listing(splits, groups, failed), stems, notes


def _shown(separation: Any) -> str:
    values = separation if isinstance(separation, dict) else {"method": separation}
    return printable(", ".join(f"{name} {value}" for name, value in values.items()))
