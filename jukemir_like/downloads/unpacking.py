"""Unpacking: an archive becomes a folder, safely, completely or not at all, and once.

``<cache>/datasets/<name>/unpacked/<archive without .zip, .tar or .tar.gz>/`` holds the members; the hidden ``.unpacked.json`` in it names
the verified files that they come from. Members are written into another folder, which is renamed at the end: a folder of the final name is
complete.

Nothing is written outside the folder, no links or devices are made, and no more bytes or members than :class:`ArchiveLimits` allows.
Links, duplicate names and damaged members make an archive an :class:`InputError`. In an archive whose digest is as declared they are left
out and reported instead: every copy of that archive has them.
"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import IO

from jukemir_like.core import jsonfiles
from jukemir_like.core.atomic import make_folder, storage_errors, write_json
from jukemir_like.core.errors import DamagedFileError, InputError
from jukemir_like.core.files import printable
from jukemir_like.downloads.archives import CHUNK_BYTES, DAMAGE, ArchiveLimits, Member, archive_errors, members, open_parts
from jukemir_like.downloads.declarations import ARCHIVE_SUFFIXES

ORIGIN_FILE = ".unpacked.json"
_UNWRITABLE_NAME = {errno.ENAMETOOLONG, errno.ENOTDIR, errno.EISDIR, errno.EINVAL, errno.EILSEQ}


@dataclass
class UnpackingResult:
    """What was unpacked.

    Args:
        files: number of files written.
        bytes: in them.
        left_out: members that were not written, each with the reason.
    """

    files: int = 0
    bytes: int = 0
    left_out: list[str] = field(default_factory=list)


def unpacked_name(archive: str) -> str:
    """The archive's name without its suffix: how the folder is called that it is unpacked to.

    >>> unpacked_name("genres.tar.gz"), unpacked_name("genres")
    ('genres', 'genres')
    """
    return next((archive[: -len(suffix)] for suffix in ARCHIVE_SUFFIXES if archive.endswith(suffix)), archive)


def unpacked_from(folder: Path) -> dict[str, str] | None:
    """Which files ``folder`` was unpacked from, path → digest; None where it was not unpacked by :func:`unpack`."""
    try:
        origin = jsonfiles.read(folder / ORIGIN_FILE, {"from": {str: str}}, "unpacked again")
    except (FileNotFoundError, DamagedFileError):
        return None
    return dict(origin["from"])


def unpack(
    archive: str,
    parts: Sequence[Path],
    target: Path,
    *,
    origin: Mapping[str, str],
    trusted: bool,
    unpacked_size: int | None = None,
    progress: Callable[[int], object] = lambda _: None,
) -> UnpackingResult:
    """Unpacks an archive into the folder ``target``, and replaces what was there.

    Args:
        archive: its name.
        parts: the file, or several that make it in their order.
        target: the folder.
        origin: path → digest of the parts, for :func:`unpacked_from`.
        trusted: the parts have the digests that are declared.
        unpacked_size: bytes of all members, where declared.
        progress: called with the number of bytes of the archive that were read since the last call.

    Raises:
        InputError: a member must not, or cannot, be unpacked; ``target`` stays as it was.
        StorageError: it cannot be written, the disk is full for example.
    """
    limits = ArchiveLimits(sum(part.stat().st_size for part in parts), unpacked_size)
    unfinished = make_folder(target.parent) / f".{target.name}.unpacking"
    replaced = target.parent / f".{target.name}.replaced"
    with storage_errors(target):
        for leftover in (unfinished, replaced):  # of a process that was killed
            shutil.rmtree(leftover, ignore_errors=True)
        unfinished.mkdir()
        try:
            result = _write_members(archive, parts, _MemberWriter(unfinished, limits, trusted), progress)
            summary = {"from": dict(origin), "files": result.files, "bytes": result.bytes, "left_out": result.left_out}
            write_json(unfinished / ORIGIN_FILE, summary)
            if target.exists():
                target.rename(replaced)
            unfinished.rename(target)
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)
            shutil.rmtree(replaced, ignore_errors=True)
    return result


def _write_members(archive: str, parts: Sequence[Path], writer: _MemberWriter, progress: Callable[[int], object]) -> UnpackingResult:
    position = 0
    with archive_errors(archive), open_parts(parts) as file:
        try:
            for member in members(file, archive):
                writer.write(member)
                progress(file.tell() - position)
                position = file.tell()
        except DAMAGE as error:
            if not writer.result.files:
                raise
            writer.leave_out("what follows the last member", f"damaged: {error}")
    return writer.result


class _MemberWriter:
    """Writes members into an empty folder. What must not be there is an InputError; in a trusted archive it is left out."""

    def __init__(self, folder: Path, limits: ArchiveLimits, trusted: bool):
        self.result = UnpackingResult()
        self._folder = folder
        self._limits = limits
        self._trusted = trusted
        self._written: set[str] = set()

    def write(self, member: Member) -> None:
        self._limits.count_member()
        path = self._path_inside(member.name)
        if path is None:
            return
        try:
            if member.kind == "folder":
                path.mkdir(parents=True, exist_ok=True)
            elif member.kind == "other":
                self.leave_out(member.name, "a link or a device")
            elif str(path) in self._written:
                self.leave_out(member.name, "a second member of that name")
            else:
                self._written.add(str(path))
                self._write_file(member, path)
        except OSError as error:
            if error.errno not in _UNWRITABLE_NAME | {errno.EEXIST}:
                raise
            self.leave_out(member.name, f"cannot be written beside the others: {os.strerror(error.errno or 0).lower()}")

    def leave_out(self, name: str, reason: str) -> None:
        if not self._trusted:
            raise InputError(f"member {printable(name)}: {reason}; nothing of the archive was unpacked")
        self.result.left_out.append(f"{printable(name)}: {reason}")

    def _path_inside(self, name: str) -> Path | None:
        parts = PurePosixPath(name).parts
        if not name or name.startswith("/") or ".." in parts or "\0" in name:
            raise InputError(f"member {printable(name)!r} points out of the folder; nothing of the archive was unpacked")
        if parts == (ORIGIN_FILE,):
            raise InputError(f"member {ORIGIN_FILE} has a reserved name; nothing of the archive was unpacked")
        return self._folder.joinpath(*parts) if parts else None  # "./"

    def _write_file(self, member: Member, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        # O_EXCL: where the file system takes A and a for one name, the second is refused instead of written over the first
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
        try:
            with open(descriptor, "wb") as output, member.open() as stream:
                self._copy(stream, output)
        except DAMAGE as error:
            path.unlink()
            self.leave_out(member.name, f"damaged: {error}")
            return
        self.result.files += 1

    def _copy(self, stream: IO[bytes], output: IO[bytes]) -> None:
        written = 0
        while chunk := stream.read(CHUNK_BYTES):
            self._limits.count_bytes(len(chunk))
            output.write(chunk)
            written += len(chunk)
        self.result.bytes += written
