"""One asset: its file is kept if it is there and correct; otherwise copied from the user's own copy, or downloaded from its sources."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from jukemir_like.core.atomic import storage_errors
from jukemir_like.core.errors import InputError
from jukemir_like.core.locks import locked
from jukemir_like.downloads.declarations import Asset
from jukemir_like.downloads.http import new_session, remote_size
from jukemir_like.downloads.own_copies import OwnCopy, adopt
from jukemir_like.downloads.partial_files import PartialFile
from jukemir_like.downloads.retries import HostFailures, RetryPolicy, fetch, host_of
from jukemir_like.downloads.summary import AssetResult
from jukemir_like.downloads.threads import DownloadProgress, FileProgress
from jukemir_like.downloads.verification import AssetFolder, digest_file, verify

if TYPE_CHECKING:
    import requests

_MAX_SIZE_REQUEST_SECONDS = 10.0


@dataclass
class Acquisition:
    """Obtains assets, one per call; shared by all threads of a download.

    Args:
        progress: of the download.
        delete_wrong: remove files in the cache that are not as declared, and obtain them again.
        own_copy: the user's own copy, from which alone assets are taken; None: they are downloaded.
        own_files: tag → file of the own copy.
        policy: timeouts and retries.
        failures: hosts that failed.
    """

    progress: DownloadProgress
    delete_wrong: bool = False
    own_copy: OwnCopy | None = None
    own_files: dict[str, Path] = field(default_factory=dict)
    policy: RetryPolicy = field(default_factory=RetryPolicy)
    failures: HostFailures = field(default_factory=HostFailures)
    _of_thread: threading.local = field(default_factory=threading.local)

    @property
    def session(self) -> requests.Session:
        """This thread's HTTP connections."""
        if not hasattr(self._of_thread, "session"):
            self._of_thread.session = new_session()
        session: requests.Session = self._of_thread.session
        return session

    def remote_size(self, asset: Asset, failures: HostFailures) -> int | None:
        """Bytes of the asset's file as the first source that knows them reports them; None: none does."""
        for url in asset.urls:
            if failures.is_given_up(url):
                continue
            size = remote_size(self.session, url, min(self.policy.connect_seconds, _MAX_SIZE_REQUEST_SECONDS))
            if size is not None:
                return size
            failures.add_failure(url)
        return None

    def obtain(self, folder: AssetFolder, asset: Asset, *, wait: bool) -> AssetResult | None:
        """Brings the asset's file into ``folder``; None where another process is working on it and ``wait`` is false.

        Raises:
            InputError: it cannot be had, or the file that is there is another one.
            StorageError: the cache cannot be written.
        """
        started = time.perf_counter()
        progress = FileProgress(self.progress, asset.tag)
        try:
            with locked(folder.lock_file(asset.tag), wait=wait, sleep=progress.sleep) as lock:
                if lock is None:
                    return None
                result = self._keep(folder, asset, progress)
                if result is None:
                    result = self._download(folder, asset, progress) if self.own_copy is None else self._adopt(folder, asset, progress)
        finally:
            progress.close()
        return replace(result, seconds=time.perf_counter() - started)

    def _keep(self, folder: AssetFolder, asset: Asset, progress: FileProgress) -> AssetResult | None:
        """Keeps the file in the cache, if it is correct; None: there is none, or it was removed."""
        path = folder.file(asset)
        if not path.exists():
            return None
        folder.journal.refresh()  # another process may have verified it meanwhile
        size = path.stat().st_size
        if folder.journal.verified_digest(asset) is not None:
            return AssetResult(asset.tag, "kept", size)
        bytes_read = 0

        def show(chunk: bytes) -> None:
            nonlocal bytes_read
            bytes_read += len(chunk)
            progress.update(bytes_read, size)

        try:
            if not path.is_file():
                raise InputError("is not a file")
            digest = verify(path, asset, digest_file(path, asset, show), progress.check_cancelled)
        except InputError as error:
            if not self.delete_wrong or not path.is_file():
                raise InputError(f"{path} {error}: left as it is; --delete_wrong removes it and gets it again") from error
            with storage_errors(path):
                path.unlink()
            progress.update(0, size)
            return None
        folder.journal.add(asset, digest)
        return AssetResult(asset.tag, "kept", size, reason=_unverified_reason(asset, digest))

    def _download(self, folder: AssetFolder, asset: Asset, progress: FileProgress) -> AssetResult:
        if not asset.urls:
            access = (folder.declaration.access or "it must be asked for").rstrip(".")
            raise InputError(f"has no public source: {access}. Then give the folder of your copy with --from")
        partial = PartialFile(folder.partial_file(asset), asset)
        try:
            progress.update(partial.size, None)
            fetched = fetch(asset, partial, self.session, self.failures, self.policy, progress)
            partial.move_to(folder.file(asset))
        finally:
            partial.close()
        folder.journal.add(asset, fetched.digest, source=fetched.url)
        reason = _unverified_reason(asset, fetched.digest)
        return AssetResult(asset.tag, "downloaded", fetched.size, host_of(fetched.url), reason=reason)

    def _adopt(self, folder: AssetFolder, asset: Asset, progress: FileProgress) -> AssetResult:
        assert self.own_copy is not None  # noqa: S101 (for the type checker)
        path = self.own_files.get(asset.tag)
        if path is None:
            raise InputError(f"is not in {self.own_copy.folder}: no file there has its {'digest' if asset.digest else 'name'}")
        size = self.own_copy.sizes[path]
        bytes_copied = 0

        def show(count: int) -> None:
            nonlocal bytes_copied
            bytes_copied += count
            progress.update(bytes_copied, size)

        digest = adopt(path, asset, folder.file(asset), show)
        folder.journal.add(asset, digest, source=str(path))
        return AssetResult(asset.tag, "adopted", size, str(path), reason=_unverified_reason(asset, digest))


def _unverified_reason(asset: Asset, digest: str) -> str | None:
    """What the user should know of a file for which no digest is declared."""
    if asset.digest is not None:
        return None
    size = "its size is right" if asset.size is not None else "no size either"
    return f"no digest is declared to verify it by ({size}); it is {digest}"
