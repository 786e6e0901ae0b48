"""The tracks of a folder of stems: as :mod:`jukemir_like.audio.stems.finding` has them, with what ``meta.json`` and ``dataset.json`` say.

A ``dataset.json`` gives the names of the stems, in the order of the channels. Where the folder has a ``meta.json``, as ``jukemir-like
process`` writes it, it gives the files, their splits and artists.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jukemir_like.audio.stems import finding
from jukemir_like.audio.stems.finding import Listing
from jukemir_like.audio.stems.tracks import StemFolder
from jukemir_like.core.files import printable
from jukemir_like.datasets import pseudo_stems
from jukemir_like.datasets.meta import read_description, read_meta, read_stems


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
    found = finding.find(folder, num_sources, workers=workers, sources=sources, declared=declared, decoded=decoded, listing=listing)
    found.notes += notes
    return found


def _read_descriptions(folder: Path) -> tuple[Listing | None, tuple[str, ...] | None, list[str]]:
    """The files of ``meta.json`` without those left out, None where there is none; of ``dataset.json`` the names of stems, and notes."""
    notes: list[str] = []
    try:
        items, _ = read_meta(folder)
    except FileNotFoundError:
        return None, read_stems(folder), notes
    try:
        description = read_description(folder)
        stems, group, failed = description.stems, description.group, description.failed
        if separation := description.sources.get(pseudo_stems.SOURCE):
            notes = [f"PSEUDO-STEMS: parts of mixes, not instruments that were recorded by themselves ({_shown(separation)})"]
    except FileNotFoundError:
        stems, group, failed = None, None, {}
    extras = {uid: item.get("extra") or {} for uid, item in items.items()}
    groups = {uid: str(extra[group]) for uid, extra in extras.items() if group in extra}
    splits = {uid: item.get("split") for uid, item in items.items() if "skipped" not in extras[uid]}
    return Listing(splits, groups, failed), stems, notes


def _shown(separation: Any) -> str:
    values = separation if isinstance(separation, dict) else {"method": separation}
    return printable(", ".join(f"{name} {value}" for name, value in values.items()))
