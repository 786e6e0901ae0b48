"""Where the assets of a declaration lie in the cache, whether a file is what is declared, and which files are known to be.

::

    datasets/<name>/<path>                      assets, as declared
    datasets/<name>/unpacked/<archive>/…        members of archives, laid out as in the archive
    datasets/<name>/.partial/<tag>.part         the beginning of a file that is being downloaded
    datasets/<name>/.records/download.jsonl     journal of verified files

Size and digests of a file are computed while its bytes pass, so nothing is read twice. A verified file has a line in the journal: its
digest, and its *stamp*, which is its size and time of change in nanoseconds. While the stamp and the declared digest are as they were,
later calls keep the file without reading it; otherwise it is verified again.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jukemir_like.core import files, records
from jukemir_like.core.cache import Cache
from jukemir_like.core.errors import InputError
from jukemir_like.downloads.archives import contents_digest
from jukemir_like.downloads.declarations import Asset, Declaration
from jukemir_like.downloads.unpacking import unpacked_from, unpacked_name

_JOURNAL = "download"
_UNPACKED = "unpacked"
_PARTIAL = ".partial"
CHUNK_BYTES = 1 << 20


class FileDigest:
    """Size and digests of bytes, updated as they come: the digests that ``asset`` declares, SHA-256 where it declares none.

    >>> digest = FileDigest(Asset("DEMO", "demo.txt", "audio", md5="0" * 32))
    >>> digest.update(b"hello")
    >>> digest.size, digest.value
    (5, 'md5:5d41402abc4b2a76b9719d911017c592')
    >>> digest.mismatch(Asset("DEMO", "demo.txt", "audio", size=6))
    'has 5 bytes, not 6'
    """

    def __init__(self, asset: Asset):
        names = list(asset.file_digests) or ["sha256"]
        self._hashes = {name: hashlib.new(name, usedforsecurity=False) for name in names}
        self.size = 0

    def update(self, data: bytes) -> None:
        """Adds the next bytes."""
        for digest in self._hashes.values():
            digest.update(data)
        self.size += len(data)

    @property
    def value(self) -> str:
        """The digest with its kind: ``sha256:…``, or ``md5:…`` or ``sha1:…`` where no SHA-256 is declared."""
        name = next(iter(self._hashes))
        return f"{name}:{self._hashes[name].hexdigest()}"

    def mismatch(self, asset: Asset) -> str | None:
        """What is not as ``asset`` declares it, in words that follow the file's name; None: all is."""
        if asset.size is not None and self.size != asset.size:
            return f"has {self.size:,} bytes, not {asset.size:,}"
        for name, digest in self._hashes.items():
            declared = getattr(asset, name)
            if declared and digest.hexdigest() != declared:
                return f"has another {name} than declared ({digest.hexdigest()[:12]}…, not {declared[:12]}…)"
        return None


def digest_file(path: Path, asset: Asset, on_chunk: Callable[[bytes], object] = lambda _: None) -> FileDigest:
    """Size and digests of the file ``path``. Each chunk that is read is given to ``on_chunk``, which may raise.

    Raises:
        InputError: it cannot be read.
    """
    digest = FileDigest(asset)
    for chunk in _chunks(path):
        digest.update(chunk)
        on_chunk(chunk)
    return digest


def _chunks(path: Path) -> Iterator[bytes]:
    try:
        with files.open_regular(path) as file:
            while chunk := file.read(CHUNK_BYTES):
                yield chunk
    except OSError as error:
        raise InputError(files.refusal(error)) from error


def verify(path: Path, asset: Asset, digest: FileDigest, on_chunk: Callable[[], object] = lambda: None) -> str:
    """The digest, with its kind, by which ``path`` is what ``asset`` declares.

    Args:
        path: the file.
        asset: its declaration.
        digest: of the file, from :func:`digest_file`, or updated while it was written.
        on_chunk: called after each chunk of an archive whose contents are digested; may raise.

    Raises:
        InputError: the file is not what is declared; the message follows its name.
    """
    mismatch = digest.mismatch(asset)
    if mismatch:
        raise InputError(mismatch)
    if asset.contents is None:
        return digest.value
    contents = contents_digest(path, asset.contents.strip, name=Path(asset.path).name, on_chunk=on_chunk)
    if contents != asset.contents.sha256:
        raise InputError(f"holds something else than declared (contents {contents[:12]}…, not {asset.contents.sha256[:12]}…)")
    return str(asset.digest)


def unpacked_folder(cache: Cache, name: str, archive: str) -> Path:
    """Where the members of ``archive`` (``genres.tar.gz``, or ``genres``) of dataset ``name`` lie once it is unpacked.

    >>> unpacked_folder(Cache(Path("cache")), "gtzan", "genres.tar.gz").as_posix()
    'cache/datasets/gtzan/unpacked/genres'
    """
    return cache.dataset(name) / _UNPACKED / unpacked_name(archive)


@dataclass
class AssetFolder:
    """The folder of one declaration's assets in the cache.

    Args:
        declaration: of the dataset.
        path: the folder; need not exist yet.
    """

    declaration: Declaration
    path: Path
    journal: VerificationJournal = field(init=False)

    def __post_init__(self) -> None:
        self.journal = VerificationJournal(self.path)

    def file(self, asset: Asset) -> Path:
        """The asset's file, whether it exists or not."""
        return self.path / asset.path

    def partial_file(self, asset: Asset) -> Path:
        """The part of the asset's file that was downloaded so far."""
        return self.path / _PARTIAL / f"{asset.tag}.part"

    def lock_file(self, name: str) -> Path:
        """Held while the asset, or archive, ``name`` is worked on."""
        return self.path / _PARTIAL / f"{name}.lock"

    def unpacked(self, archive: str) -> Path:
        """The folder that ``archive`` is unpacked to."""
        return self.path / _UNPACKED / unpacked_name(archive)

    def parts(self, archive: str) -> list[Asset]:
        """The assets that make ``archive``, in their order."""
        return sorted((asset for asset in self.declaration.assets if asset.archive == archive), key=lambda asset: asset.path)

    def is_users_own(self, archive: str) -> bool:
        """Whether users have put a folder of their own where ``archive`` would be unpacked to."""
        folder = self.unpacked(archive)
        return unpacked_from(folder) is None and folder.is_dir() and any(folder.iterdir())

    def status(self, asset: Asset) -> str | None:
        """Why nothing has to be done for the asset; None: its file must be obtained or verified.

        ``verified``: the file was verified by an earlier call and has not changed since. ``unpacked``: the file is gone, and what was
        unpacked from it is there. ``own``: the file is not there, but a folder that users have put in its place, which nobody can verify.
        """
        if self.journal.verified_digest(asset) is not None:
            return "verified"
        if asset.archive is None or self.file(asset).exists():
            return None
        origin = unpacked_from(self.unpacked(asset.archive))
        if origin is not None and asset.digest is not None and origin.get(asset.path) == asset.digest:
            return "unpacked"
        return "own" if self.is_users_own(asset.archive) else None


class VerificationJournal:
    """Which files of ``folder`` this and earlier calls, also of other processes, have verified. May be used by several threads."""

    def __init__(self, folder: Path):
        self.folder = folder
        self._lock = threading.Lock()
        self._journal: records.Journal | None = None
        self._records: dict[str, records.Record] = {}
        self._bytes_read = -1
        self.refresh()

    def refresh(self) -> None:
        """Reads what other processes have added since."""
        with self._lock:
            try:
                size = (self.folder / records.FOLDER / f"{_JOURNAL}.jsonl").stat().st_size
            except OSError:
                size = 0
            if size != self._bytes_read:
                self._records, self._bytes_read = records.read(self.folder), size

    def verified_digest(self, asset: Asset) -> str | None:
        """The digest with which the asset's file was verified; None: it was not, or is not the same file any more."""
        record = self._records.get(asset.path)
        try:
            stamp = _stamp(self.folder / asset.path)
        except OSError:
            return None
        if record is None or record["status"] == "failed" or {key: record.get(key) for key in stamp} != stamp:
            return None
        if asset.digest not in (None, record["digest"]) or asset.size not in (None, stamp["size"]):
            return None
        return str(record["digest"])

    def add(self, asset: Asset, digest: str, **more: Any) -> None:
        """Records that the asset's file, as it is now, is verified."""
        self._append(records.new(asset.path, "") | {"digest": digest} | _stamp(self.folder / asset.path) | more)

    def add_failure(self, asset: Asset, error: Exception) -> None:
        """Records why the asset's file is not there."""
        self._append(records.new(asset.path, "") | records.failure(error))

    def _append(self, record: records.Record) -> None:
        with self._lock:
            if self._journal is None:  # opened late: a cache that is complete may be read-only
                self._journal = records.Journal(self.folder, _JOURNAL)
            self._journal.append(record)
            self._records[record["input"]] = record

    def close(self) -> None:
        """Closes the journal's file."""
        with self._lock:
            if self._journal is not None:
                self._journal.close()
                self._journal = None


def _stamp(path: Path) -> dict[str, int]:
    status = path.stat()
    return {"size": status.st_size, "mtime_ns": status.st_mtime_ns}
