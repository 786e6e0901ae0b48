"""Is there room on the disk? Asked before anything is written."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from jukemir_like.core.disk import check_free_space
from jukemir_like.downloads import threads
from jukemir_like.downloads.declaration import Asset
from jukemir_like.downloads.exchange import remote_size
from jukemir_like.downloads.obtaining import Run
from jukemir_like.downloads.places import Place
from jukemir_like.downloads.transfer import Hosts

_ASKED = 32
_ASKED_SECONDS = 10.0

Wanted = Sequence[tuple[Place, Asset]]


def sizes(wanted: Wanted, run: Run, number: int, stop: threading.Event) -> dict[str, int]:
    """Bytes of the files of ``wanted``, by tag: as declared, as they are in the user's copy, or as their hosts say when asked.

    Of many whose size is not declared, 32 are asked for and stand for the others. What no host says is left out.
    """
    known = {asset.tag: asset.size for _, asset in wanted if asset.size is not None}
    if run.copy is not None:
        return {tag: run.copy.sizes[path] for tag, path in run.found.items()}
    unknown = [asset for _, asset in wanted if asset.tag not in known and asset.urls]
    asked = unknown[:: -(-len(unknown) // _ASKED)] if unknown else []
    hosts = Hosts()
    with closing(threads.each(lambda asset: _ask(asset, run, hosts), asked, number, stop)) as answers:
        told = {asset.tag: size for asset, size in answers if isinstance(size, int)}
    if told and len(asked) < len(unknown):
        mean = sum(told.values()) // len(told)
        told = {asset.tag: mean for asset in unknown} | told
    return known | told


def _ask(asset: Asset, run: Run, hosts: Hosts) -> int | None:
    for url in asset.urls:
        if hosts.given_up(url):
            continue
        size = remote_size(run.client, url, min(run.patience.connect_seconds, _ASKED_SECONDS))
        if size is not None:
            return size
        hosts.failed(url)
    return None


def needed(wanted: Wanted, known: dict[str, int]) -> int:
    """Bytes that ``wanted`` will take beyond what is on the disk, with what is unpacked from it, as far as known.

    An archive whose members' size is not declared is counted as large as itself: audio can hardly be compressed.
    """
    total = 0
    for place, asset in wanted:
        size = known.get(asset.tag, 0)
        partial = place.partial(asset)
        total += max(0, size - (partial.stat().st_size if partial.exists() else 0))
        if asset.archive is not None:
            total += asset.unpacked_size if asset.unpacked_size is not None else size
    return total


def check(folder: Path, bytes_needed: int) -> None:
    """Raises :class:`StorageError` where the disk of ``folder`` has no room for ``bytes_needed`` and a reserve of 64 MiB."""
    purpose = f"no room in {folder} for files and what is unpacked from them"
    check_free_space(folder, bytes_needed, purpose, advice="free some space, or choose another cache with --cache")
