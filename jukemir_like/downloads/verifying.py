"""Is this the file that was declared? Bytes are digested as they pass, and what was found is remembered.

A verified file has a line in the hidden journal ``.records/download.jsonl`` of its dataset's folder: its digest, and its size and time of
change in nanoseconds (the *stamp*). While these three are as they were, later calls keep the file without reading it; a file whose size
or time of change is another, or whose declared digest is, is digested again.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from jukemir_like.core import files, records
from jukemir_like.core.errors import InputError
from jukemir_like.downloads.contents import contents_digest
from jukemir_like.downloads.declaration import Asset

CHUNK_BYTES = 1 << 20
JOURNAL = "download"


class Digest:
    """The digests that ``asset`` declares, of bytes as they come; SHA-256 where none is declared."""

    def __init__(self, asset: Asset):
        names = [name for name in ("sha256", "md5") if getattr(asset, name)] or ["sha256"]
        self._hashes = {name: hashlib.new(name, usedforsecurity=False) for name in names}
        self.size = 0

    def update(self, data: bytes) -> None:
        """Adds the next bytes."""
        for made in self._hashes.values():
            made.update(data)
        self.size += len(data)

    @property
    def found(self) -> str:
        """In one word: ``sha256:…`` or ``md5:…``."""
        name = next(iter(self._hashes))
        return f"{name}:{self._hashes[name].hexdigest()}"

    def fault(self, asset: Asset) -> str | None:
        """What is wrong with the bytes, in words that follow the file's name; None: they are what ``asset`` declares."""
        if asset.size is not None and self.size != asset.size:
            return f"has {self.size:,} bytes, not {asset.size:,}"
        for name, made in self._hashes.items():
            declared = getattr(asset, name)
            if declared and made.hexdigest() != declared:
                return f"has another {name} than declared ({made.hexdigest()[:12]}…, not {declared[:12]}…)"
        return None


def digest(path: Path, asset: Asset, each: Callable[[bytes], object] = lambda _: None) -> Digest:
    """Reads ``path`` once; ``each`` is called with every piece and may raise.

    Raises:
        InputError: it cannot be read.
    """
    made = Digest(asset)
    for chunk in _pieces(path):
        made.update(chunk)
        each(chunk)
    return made


def _pieces(path: Path) -> Iterator[bytes]:
    try:
        with files.open_regular(path) as file:
            while chunk := file.read(CHUNK_BYTES):
                yield chunk
    except OSError as error:
        raise InputError(files.refusal(error)) from error


def check(path: Path, asset: Asset, made: Digest, alive: Callable[[], object] = lambda: None) -> str:
    """What to remember of the file ``path`` with the digest ``made``, if it is what ``asset`` declares.

    Raises:
        InputError: it is something else; the message follows the file's name.
    """
    fault = made.fault(asset)
    if fault:
        raise InputError(fault)
    if asset.contents is None:
        return made.found
    found = contents_digest(path, asset.contents.strip, name=Path(asset.path).name, alive=alive)
    if found != asset.contents.sha256:
        raise InputError(f"holds something else than declared (contents {found[:12]}…, not {asset.contents.sha256[:12]}…)")
    return str(asset.digest)


class Ledger:
    """What is known of the files in ``folder`` from earlier calls and other processes, and where to note what was found."""

    def __init__(self, folder: Path):
        self.folder = folder
        self._lock = threading.Lock()
        self._journal: records.Journal | None = None
        self._known: dict[str, records.Record] = {}
        self._seen_bytes = -1
        self.refresh()

    def refresh(self) -> None:
        """Takes notice of what other processes have noted since."""
        with self._lock:
            try:
                size = (self.folder / records.FOLDER / f"{JOURNAL}.jsonl").stat().st_size
            except OSError:
                size = 0
            if size != self._seen_bytes:
                self._known, self._seen_bytes = records.read(self.folder), size

    def verified(self, asset: Asset) -> str | None:
        """The digest with which the asset's file was verified, if it is the same file still; None: it must be digested."""
        record = self._known.get(asset.path)
        try:
            stamp = _stamp(self.folder / asset.path)
        except OSError:
            return None
        if record is None or record["status"] == "failed" or {key: record.get(key) for key in stamp} != stamp:
            return None
        if asset.digest not in (None, record["digest"]) or asset.size not in (None, stamp["size"]):
            return None
        return str(record["digest"])

    def note(self, asset: Asset, digest: str, **more: Any) -> None:
        """Remembers that the asset's file, as it is now, is verified."""
        self._append(records.new(asset.path, "") | {"digest": digest} | _stamp(self.folder / asset.path) | more)

    def note_failure(self, asset: Asset, error: Exception) -> None:
        """Remembers why the asset is not there."""
        self._append(records.new(asset.path, "") | records.failure(error))

    def _append(self, record: records.Record) -> None:
        with self._lock:
            if self._journal is None:  # not before there is something to note: the cache may be complete, and read-only
                self._journal = records.Journal(self.folder, JOURNAL)
            self._journal.append(record)
            self._known[record["input"]] = record

    def close(self) -> None:
        with self._lock:
            if self._journal is not None:
                self._journal.close()
                self._journal = None


def _stamp(path: Path) -> dict[str, int]:
    status = path.stat()
    return {"size": status.st_size, "mtime_ns": status.st_mtime_ns}
