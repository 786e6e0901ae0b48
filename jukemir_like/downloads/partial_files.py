"""Partial files: what has arrived of a file so far, and what is needed to resume: its source, its version, its total length.

A partial file is two hidden files: the bytes, and JSON that describes them. The JSON is written before the first byte. So the process may
be killed at any moment: the bytes that are found later are the beginning of the version that the JSON describes.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from jukemir_like.core import jsonfiles
from jukemir_like.core.atomic import make_folder, storage_errors, write_json
from jukemir_like.core.errors import DamagedFileError
from jukemir_like.downloads.declarations import Asset
from jukemir_like.downloads.verification import FileDigest, digest_file


@dataclass(frozen=True)
class FileVersion:
    """Which version of a file a server sends.

    Args:
        url: as declared, before redirects.
        etag: entity tag, if it is a strong one.
        modified: ``Last-Modified``.
        total: bytes of the whole file; None: unknown.
    """

    url: str
    etag: str | None = None
    modified: str | None = None
    total: int | None = None

    @property
    def validator(self) -> str | None:
        """What to send as ``If-Range``, so that the server sends the rest of this version only.

        >>> FileVersion("https://example.org/a.mp3", modified="Thu, 01 Jan 2026 00:00:00 GMT").validator
        'Thu, 01 Jan 2026 00:00:00 GMT'
        """
        return self.etag or self.modified


_JSON_SHAPE = {"url": str, "etag?": str, "modified?": str, "total?": int}


class PartialFile:
    """The beginning of the file of ``asset``, at ``path``.

    Attributes:
        version: which file it is the beginning of; None: there is none.
        size: bytes so far.
    """

    def __init__(self, path: Path, asset: Asset):
        self.path = path
        self._json_path = path.with_name(f"{path.name}.json")
        self._asset = asset
        self._descriptor: int | None = None
        self._digest: FileDigest | None = None  # of all bytes so far; None: an earlier process left some, which were not read yet
        self.version: FileVersion | None = None
        self.size = 0
        self._load()

    def _load(self) -> None:
        try:
            fields = jsonfiles.read(self._json_path, _JSON_SHAPE, "begun again")
            self.version = FileVersion(**{name: fields.get(name) for name in ("url", "etag", "modified", "total")})
            self.size = self.path.stat().st_size
        except (OSError, DamagedFileError):
            self.version, self.size = None, 0
        if not self.size:
            self._digest = FileDigest(self._asset)

    def restart(self, version: FileVersion) -> None:
        """Empties the file; the bytes to come are of ``version``."""
        make_folder(self.path.parent)
        with storage_errors(self.path):
            self._open(os.O_TRUNC)
            write_json(self._json_path, asdict(version))
        self.version, self.size, self._digest = version, 0, FileDigest(self._asset)

    def append(self, data: bytes) -> None:
        """Adds the next bytes to the file and to its digest."""
        with storage_errors(self.path):
            descriptor = self._open()
            view = memoryview(data)
            while view:
                written = os.write(descriptor, view)
                self.size += written
                view = view[written:]
        if self._digest is not None:
            self._digest.update(data)

    def digest(self, on_chunk: Callable[[], object]) -> FileDigest:
        """The digest of the bytes so far. What an earlier process left is read once; ``on_chunk`` is called meanwhile and may raise."""
        if self._digest is None:
            self._digest = digest_file(self.path, self._asset, lambda _: on_chunk())
        return self._digest

    def move_to(self, target: Path) -> None:
        """Moves the file, now complete, to its final place."""
        self.close()
        with storage_errors(target):
            make_folder(target.parent)
            self.path.touch()  # of a file of no bytes nothing was appended, so it may not exist
            self.path.replace(target)
        self.discard()

    def discard(self) -> None:
        """Removes the file."""
        self.close()
        with storage_errors(self.path):
            self.path.unlink(missing_ok=True)
            self._json_path.unlink(missing_ok=True)
        self.version, self.size, self._digest = None, 0, FileDigest(self._asset)

    def close(self) -> None:
        """Closes the file, which stays where it is."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _open(self, flags: int = 0) -> int:
        if self._descriptor is not None and flags:
            self.close()
        if self._descriptor is None:
            self._descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | flags, 0o666)
        return self._descriptor
