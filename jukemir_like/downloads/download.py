"""A download: all selected assets into the cache, several at once, each verified; archives are unpacked; a table of what was done."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from jukemir_like.core.atomic import remove_abandoned
from jukemir_like.core.cache import Cache
from jukemir_like.core.errors import InputError, RequestError, StorageError
from jukemir_like.core.files import check_free_space, printable
from jukemir_like.core.locks import locked
from jukemir_like.core.progress import Progress
from jukemir_like.downloads.acquisition import Acquisition
from jukemir_like.downloads.declarations import Asset, Selection
from jukemir_like.downloads.own_copies import OwnCopy
from jukemir_like.downloads.retries import HostFailures, RetryPolicy
from jukemir_like.downloads.summary import AssetResult, DownloadSummary
from jukemir_like.downloads.threads import DownloadProgress, map_in_threads
from jukemir_like.downloads.unpacking import UnpackingResult, unpack, unpacked_from
from jukemir_like.downloads.verification import AssetFolder

_MAX_NAMED_MEMBERS = 5
_MAX_SIZE_REQUESTS = 32

FolderAndAsset = tuple[AssetFolder, Asset]


def download(
    selection: Selection,
    cache: Cache,
    *,
    num_parallel: int = 8,
    delete_wrong: bool = False,
    own_copy: Path | OwnCopy | None = None,
    policy: RetryPolicy | None = None,
) -> DownloadSummary:
    """Brings the assets of ``selection`` into ``cache``, verified, and unpacks the archives.

    Files that an earlier call has verified are kept without being read, as long as their size and time of change are as they were then.

    Args:
        selection: see :func:`jukemir_like.downloads.declarations.select_assets`.
        cache: where they are written.
        num_parallel: files under way at once.
        delete_wrong: remove files in the cache that are not as declared, and get them again; otherwise they are reported and stay.
        own_copy: take the assets from this folder, in any layout, or from files that are known, and nothing from the network.
        policy: timeouts and retries.

    Returns:
        Counts and a table; ``failed`` has the reasons by tag.

    Raises:
        RequestError: nothing is selected, or ``own_copy`` is not a folder.
        StorageError: the disk is full, or the cache cannot be written. Finished files are kept, and so is what has arrived of the others.
    """
    started = time.perf_counter()
    title = "download " + " ".join(declaration.name for declaration, _ in selection)
    folders = [(AssetFolder(declaration, declaration.folder(cache)), assets) for declaration, assets in selection]
    wanted = [(folder, asset) for folder, assets in folders for asset in assets]
    if not wanted:
        raise RequestError(f"{title}: nothing to download is declared")
    if isinstance(own_copy, Path) and not own_copy.is_dir():
        raise RequestError(f"{own_copy} is not a folder: give the folder of your own copy with --from")
    run = _Download(wanted, num_parallel, title)
    try:
        run.obtain_all(RetryPolicy() if policy is None else policy, delete_wrong, own_copy)
        for folder, assets in folders:
            for archive in dict.fromkeys(asset.archive for asset in assets if asset.archive):
                run.unpack(folder, archive)
    finally:
        for folder, _ in folders:
            folder.journal.close()
    summary = run.summary(time.perf_counter() - started)
    if summary.failed and own_copy is None:
        summary.notes += [f"access to {declaration.name}: {declaration.access}" for declaration, _ in selection if declaration.access]
    return summary


class _Download:
    """One download, and its results so far."""

    def __init__(self, wanted: list[FolderAndAsset], num_threads: int, title: str):
        self._wanted = wanted
        self._num_threads = num_threads
        self._title = title
        self._results: dict[str, AssetResult] = {}
        self._notes: list[str] = []
        self._cancelled = threading.Event()

    def obtain_all(self, policy: RetryPolicy, delete_wrong: bool, own_copy: Path | OwnCopy | None) -> None:
        """Obtains every asset that is not verified yet, in threads."""
        remaining = []
        for folder, asset in self._wanted:
            status = folder.status(asset)
            if status is None:
                remaining.append((folder, asset))
            else:
                self._results[asset.tag] = _kept_result(folder, asset, status)
        if not remaining:
            return
        copy = OwnCopy(own_copy) if isinstance(own_copy, Path) else own_copy
        if copy is not None:
            self._notes += [f"not looked at: {printable(name)} {reason}" for name, reason in sorted(copy.unreadable.items())]
        for parent in {path.parent for folder, asset in remaining for path in (folder.file(asset), folder.partial_file(asset))}:
            remove_abandoned(parent)
        progress = DownloadProgress(self._title, len(remaining), self._cancelled)
        acquisition = Acquisition(progress, delete_wrong, copy, policy=policy)
        try:
            if copy is not None:
                unresolved = [asset for folder, asset in remaining if delete_wrong or not folder.file(asset).exists()]
                acquisition.own_files = copy.find(unresolved, self._num_threads, self._cancelled)
            self._check_space([(folder, asset) for folder, asset in remaining if not folder.file(asset).exists()], acquisition)
            # First what no other process works on, then, waiting for them, the rest: so two processes share the work.
            busy = self._obtain_each(remaining, acquisition, wait=False)
            self._obtain_each(busy, acquisition, wait=True)
        finally:
            progress.close()
        if copy is not None:
            self._note_unpacked_copies(remaining, copy)

    def _obtain_each(self, pairs: list[FolderAndAsset], acquisition: Acquisition, *, wait: bool) -> list[FolderAndAsset]:
        """Obtains assets in threads; returns those that another process is working on."""
        busy = []
        work = map_in_threads(lambda pair: acquisition.obtain(*pair, wait=wait), pairs, self._num_threads, self._cancelled)
        with closing(work) as results:
            for (folder, asset), result in results:
                if isinstance(result, StorageError):
                    raise result
                if result is None:
                    busy.append((folder, asset))
                    continue
                if isinstance(result, Exception):
                    folder.journal.add_failure(asset, result)
                    reason = str(result) if isinstance(result, InputError) else f"unexpected {type(result).__name__}: {result}"
                    result = AssetResult(asset.tag, "failed", reason=reason)
                self._results[asset.tag] = result
                acquisition.progress.finish_file()
        return busy

    def _check_space(self, missing: list[FolderAndAsset], acquisition: Acquisition) -> None:
        """Checks that the disk has space for all files, before the first byte, and tells the progress bar their sizes."""
        sizes = self._sizes([asset for _, asset in missing], acquisition)
        acquisition.progress.set_total(sum(sizes.values()))
        if missing:
            folder = missing[0][0].path  # all folders are in one cache
            purpose = f"no room in {folder} for files and what is unpacked from them"
            check_free_space(folder, _needed_bytes(missing, sizes), purpose, advice="free some space, or choose another cache with --cache")

    def _sizes(self, assets: Sequence[Asset], acquisition: Acquisition) -> dict[str, int]:
        """Bytes of the files, by tag: as declared, as they are in the user's own copy, or as their hosts report them.

        Of many whose size is not declared, 32 are requested; the others count as their mean. What no host reports is left out.
        """
        if acquisition.own_copy is not None:
            return {tag: acquisition.own_copy.sizes[path] for tag, path in acquisition.own_files.items()}
        declared = {asset.tag: asset.size for asset in assets if asset.size is not None}
        unknown = [asset for asset in assets if asset.tag not in declared and asset.urls]
        sample = unknown[:: -(-len(unknown) // _MAX_SIZE_REQUESTS)] if unknown else []
        failures = HostFailures()  # of HEAD requests: a host that refuses them may still serve files
        work = map_in_threads(lambda asset: acquisition.remote_size(asset, failures), sample, self._num_threads, self._cancelled)
        with closing(work) as results:
            reported = {asset.tag: size for asset, size in results if isinstance(size, int)}
        if reported and len(sample) < len(unknown):
            mean = sum(reported.values()) // len(reported)
            reported = {asset.tag: mean for asset in unknown} | reported
        return declared | reported

    def _note_unpacked_copies(self, pairs: list[FolderAndAsset], copy: OwnCopy) -> None:
        noted = set()
        for folder, asset in pairs:
            if self._results[asset.tag].status == "failed" and copy.looks_unpacked(asset) and asset.archive not in noted:
                noted.add(asset.archive)
                self._notes.append(
                    f"{copy.folder} looks like {asset.archive} unpacked, which cannot be verified: give the archive itself, or, to use the "
                    f"files as they are, copy or link them to {folder.unpacked(str(asset.archive))}, laid out as in the archive"
                )

    def unpack(self, folder: AssetFolder, archive: str) -> None:
        """Unpacks ``archive`` if all its parts are verified, and it was not unpacked from the same files before."""
        target = folder.unpacked(archive)
        if folder.is_users_own(archive):
            self._notes.append(f"{target} is your own, not unpacked from {archive}: it is used as it is, unverified")
            return
        digests = _part_digests(folder, archive)
        if digests is None or unpacked_from(target) == digests:
            return
        started = time.perf_counter()
        with locked(folder.lock_file(f"{archive}.unpacking")):
            if unpacked_from(target) == digests:  # another process was faster
                return
            try:
                result = self._unpack_parts(folder, archive, digests)
            except InputError as error:
                self._results[archive] = AssetResult(f"{archive} (unpacking)", "failed", reason=str(error))
                return
        title = f"{archive}: {result.files:,} files"
        self._results[archive] = AssetResult(title, "unpacked", result.bytes, archive, time.perf_counter() - started)
        if result.left_out:
            num_more = len(result.left_out) - _MAX_NAMED_MEMBERS
            more = f" and {num_more:,} more" if num_more > 0 else ""
            self._notes.append(f"{archive}: left out {'; '.join(result.left_out[:_MAX_NAMED_MEMBERS])}{more}")

    def _unpack_parts(self, folder: AssetFolder, archive: str, digests: dict[str, str]) -> UnpackingResult:
        parts = folder.parts(archive)
        paths = [folder.file(part) for part in parts]
        sizes = [part.unpacked_size for part in parts if part.unpacked_size is not None]
        with Progress(sum(path.stat().st_size for path in paths), f"unpacking {archive}", "B", unit_scale=True) as bar:
            return unpack(
                archive,
                paths,
                folder.unpacked(archive),
                origin=digests,
                trusted=all(part.digest for part in parts),
                unpacked_size=sum(sizes) if sizes else None,
                progress=bar.update,
            )

    def summary(self, seconds: float) -> DownloadSummary:
        """Counts, table and notes."""
        order = {asset.tag: number for number, (_, asset) in enumerate(self._wanted)}
        rows = [row for _, row in sorted(self._results.items(), key=lambda pair: order.get(pair[0], len(order)))]
        summary = DownloadSummary(self._title, seconds=seconds, rows=rows)
        for row in rows:
            if row.status == "failed":
                summary.failed[row.tag] = row.reason or ""
            elif row.status == "kept":
                summary.kept += 1
            elif row.status != "unpacked":
                summary.done += 1
                summary.transferred += row.size or 0
            if row.status != "failed" and row.reason:
                summary.notes.append(f"{row.tag}: {row.reason}")
        summary.notes += self._notes
        return summary


def _needed_bytes(pairs: list[FolderAndAsset], sizes: dict[str, int]) -> int:
    """Bytes of the files, as far as known, without what has arrived of them already, and of what is unpacked from them.

    An archive whose unpacked size is not declared counts twice: audio can hardly be compressed.
    """
    total = 0
    for folder, asset in pairs:
        size = sizes.get(asset.tag, 0)
        partial = folder.partial_file(asset)
        total += max(0, size - (partial.stat().st_size if partial.exists() else 0))
        if asset.archive is not None:
            total += asset.unpacked_size if asset.unpacked_size is not None else size
    return total


def _kept_result(folder: AssetFolder, asset: Asset, status: str) -> AssetResult:
    path = folder.file(asset)
    size = path.stat().st_size if path.exists() else None
    return AssetResult(asset.tag, "kept", size, "" if status == "verified" else f"{status} folder {folder.unpacked(str(asset.archive))}")


def _part_digests(folder: AssetFolder, archive: str) -> dict[str, str] | None:
    """Path → digest of the parts of ``archive``; None where one of them is missing or not verified."""
    digests = {part.path: folder.journal.verified_digest(part) for part in folder.parts(archive)}
    return None if None in digests.values() else {path: str(digest) for path, digest in digests.items()}
