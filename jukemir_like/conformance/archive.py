"""Folders as the tar archives in which an engine takes and gives what lies in a volume, whoever owns it."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Mapping
from pathlib import PurePosixPath

from jukemir_like.conformance.folder import Entry, Snapshot


def pack(folder: str, files: Mapping[str, bytes]) -> bytes:
    """An archive of ``folder`` (relative, without dots) with ``files`` in it, open to all users."""
    folders = {folder} | {f"{folder}/{parent}" for path in files for parent in PurePosixPath(path).parents if parent.name}
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name in sorted(folders):
            entry = tarfile.TarInfo(name)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o777
            archive.addfile(entry)
        for path, content in files.items():
            entry = tarfile.TarInfo(f"{folder}/{path}")
            entry.size, entry.mode = len(content), 0o666
            archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def unpack(content: bytes) -> Snapshot:
    """What lies in the one folder of an archive."""
    seen: Snapshot = {}
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        for member in archive:
            path = member.name.partition("/")[2]
            if path:
                file = archive.extractfile(member) if member.isfile() else None
                modified = int(member.mtime * 1e9)
                seen[path] = Entry(None if file is None else file.read(), modified=modified, user=member.uid, is_folder=member.isdir())
    return seen
