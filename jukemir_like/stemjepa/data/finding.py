"""The tracks of a folder of stems: as :mod:`jukemir_like.audio.stems.finding` has them, and of a processed dataset as ``meta.json`` has.

Where the folder has a ``meta.json``, as ``jukemir-like process`` writes it, it gives the files, their splits and artists; and
``dataset.json`` beside it the names of the stems.
"""

from __future__ import annotations

from pathlib import Path

from jukemir_like.audio.stems import finding
from jukemir_like.audio.stems.finding import Listing
from jukemir_like.audio.stems.tracks import StemFolder
from jukemir_like.datasets.meta import read_description, read_meta


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
    listing = _listing(folder) if folder.is_dir() else None
    return finding.find(folder, num_sources, workers=workers, sources=sources, decoded=decoded, listing=listing)


def _listing(folder: Path) -> Listing | None:
    """What ``meta.json`` and ``dataset.json`` say of a folder; None without ``meta.json``."""
    try:
        items, _ = read_meta(folder)
    except FileNotFoundError:
        return None
    try:
        description = read_description(folder)
        sources, group, failed = description.stems, description.group, description.failed
    except FileNotFoundError:
        sources, group, failed = None, None, {}
    extras = {uid: item.get("extra") or {} for uid, item in items.items()}
    groups = {uid: str(extra[group]) for uid, extra in extras.items() if group in extra}
    return Listing({uid: item.get("split") for uid, item in items.items()}, groups, sources, failed)
