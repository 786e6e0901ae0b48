"""What has arrived of one file so far, and what must be known to go on: from where it came, which version, how long in all.

Two hidden files: the bytes, and JSON about them. The JSON is written before the first byte, so that a process may be killed at any moment:
what is found later is a beginning of the version that the JSON names.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from jukemir_like.core import jsonfiles
from jukemir_like.core.atomic import make_folder, storage_errors, write_json
from jukemir_like.core.errors import DamagedFileError
from jukemir_like.downloads import verifying
from jukemir_like.downloads.declaration import Asset


@dataclass(frozen=True)
class Version:
    """Which bytes a server is sending.

    Args:
        url: as declared, before redirects.
        etag: entity tag, if it is a strong one.
        modified: ``Last-Modified``.
        total: bytes of the whole file; None: not said.
    """

    url: str
    etag: str | None = None
    modified: str | None = None
    total: int | None = None

    @property
    def validator(self) -> str | None:
        """What to ask with, so that a server sends the rest of this version only."""
        return self.etag or self.modified


_VERSION = {"url": str, "etag?": str, "modified?": str, "total?": int}


class Partial:
    """The beginning of ``asset``'s file, at ``path``."""

    def __init__(self, path: Path, asset: Asset):
        self.path = path
        self._about = path.with_name(f"{path.name}.json")
        self._asset = asset
        self._descriptor: int | None = None
        self._digest: verifying.Digest | None = None  # of all that is there; None: there are bytes of an earlier process, not yet read
        self.version: Version | None = None
        self.size = 0
        self._recall()

    def _recall(self) -> None:
        try:
            about = jsonfiles.read(self._about, _VERSION, "begun again")
            self.version = Version(**{name: about.get(name) for name in ("url", "etag", "modified", "total")})
            self.size = self.path.stat().st_size
        except (OSError, DamagedFileError):
            self.version, self.size = None, 0
        if not self.size:
            self._digest = verifying.Digest(self._asset)

    def begin(self, version: Version) -> None:
        """Forgets what is there; the bytes to come are of ``version``."""
        make_folder(self.path.parent)
        with storage_errors(self.path):
            self._open(os.O_TRUNC)
            write_json(self._about, asdict(version))
        self.version, self.size, self._digest = version, 0, verifying.Digest(self._asset)

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

    def digest(self, alive: Callable[[], object]) -> verifying.Digest:
        """The digest of what is there. Only bytes that an earlier process left are read again, and once; ``alive`` may raise."""
        if self._digest is None:
            self._digest = verifying.digest(self.path, self._asset, lambda _: alive())
        return self._digest

    def finish(self, target: Path) -> None:
        """Puts the file into its place."""
        self.close()
        with storage_errors(target):
            make_folder(target.parent)
            self.path.touch()  # a file of no bytes has none that made it
            self.path.replace(target)
        self.discard()

    def discard(self) -> None:
        """Removes what is there."""
        self.close()
        with storage_errors(self.path):
            self.path.unlink(missing_ok=True)
            self._about.unlink(missing_ok=True)
        self.version, self.size, self._digest = None, 0, verifying.Digest(self._asset)

    def close(self) -> None:
        """Lets go of the file; it stays."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _open(self, more: int = 0) -> int:
        if self._descriptor is not None and more:
            self.close()
        if self._descriptor is None:
            self._descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | more, 0o666)
        return self._descriptor
