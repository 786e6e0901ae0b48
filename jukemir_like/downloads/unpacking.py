"""An archive becomes a folder: safely, whole or not at all, and once.

``<cache>/datasets/<name>/unpacked/<archive without .zip or .tar.gz>/`` holds the members; the hidden ``.unpacked.json`` in it tells from
which verified bytes they are. The folder is made under another name and renamed, so what stands there is whole.

Nothing is written outside the folder, no links or devices are made, and no more bytes or members than a :class:`Budget` allows. Links,
second members of one name and damaged members make an archive an :class:`InputError`; in one whose digest is as declared they are left out
and named, because nobody else's copy has them otherwise.
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
from jukemir_like.downloads.archives import CHUNK_BYTES, DAMAGE, Budget, Member, members, readable
from jukemir_like.downloads.declaration import ARCHIVE_SUFFIXES
from jukemir_like.downloads.parts import open_parts

STAMP = ".unpacked.json"
_IMPOSSIBLE = {errno.ENAMETOOLONG, errno.ENOTDIR, errno.EISDIR, errno.EINVAL, errno.EILSEQ}


@dataclass
class Unpacked:
    """What was done: files and bytes written, and the members that were left out, each with the reason."""

    files: int = 0
    bytes: int = 0
    left_out: list[str] = field(default_factory=list)


def folder_name(archive: str) -> str:
    """``genres.tar.gz`` → ``genres``; a name without such an end stays."""
    return next((archive[: -len(suffix)] for suffix in ARCHIVE_SUFFIXES if archive.endswith(suffix)), archive)


def origin(target: Path) -> dict[str, str] | None:
    """From which bytes the folder ``target`` was unpacked, path → digest; None where it was not unpacked here."""
    try:
        stamp = jsonfiles.read(target / STAMP, {"from": {str: str}}, "unpacked again")
    except (FileNotFoundError, DamagedFileError):
        return None
    return dict(stamp["from"])


def unpack(
    archive: str,
    parts: Sequence[Path],
    target: Path,
    *,
    origin: Mapping[str, str],
    trusted: bool,
    unpacked_size: int | None = None,
    progress: Callable[[int], object] = lambda _: None,
) -> Unpacked:
    """Unpacks ``parts``, which make the archive called ``archive``, into the folder ``target``, in the place of what was there.

    Args:
        origin: what the stamp is to tell.
        trusted: the bytes are those that were declared.
        unpacked_size: bytes of the members, where declared.
        progress: called with bytes of the archive that have been passed since the last call.

    Raises:
        InputError: what is in it must not, or cannot, be unpacked; ``target`` stays as it was.
        StorageError: the disk is full, say.
    """
    budget = Budget(sum(part.stat().st_size for part in parts), unpacked_size)
    made = make_folder(target.parent) / f".{target.name}.unpacking"
    replaced = target.parent / f".{target.name}.replaced"
    with storage_errors(target):
        for left in (made, replaced):  # by a process that was killed
            shutil.rmtree(left, ignore_errors=True)
        made.mkdir()
        try:
            done = _write(archive, parts, _Writer(made, budget, trusted), progress)
            stamp = {"from": dict(origin), "files": done.files, "bytes": done.bytes, "left_out": done.left_out}
            write_json(made / STAMP, stamp)
            if target.exists():
                target.rename(replaced)
            made.rename(target)
        finally:
            shutil.rmtree(made, ignore_errors=True)
            shutil.rmtree(replaced, ignore_errors=True)
    return done


def _write(archive: str, parts: Sequence[Path], writer: _Writer, progress: Callable[[int], object]) -> Unpacked:
    passed = 0
    with readable(archive), open_parts(parts) as file:
        try:
            for member in members(file, archive):
                writer.write(member)
                progress(file.tell() - passed)
                passed = file.tell()
        except DAMAGE as error:
            if not writer.done.files:
                raise
            writer.leave_out("what follows the last member", f"damaged: {error}")
    return writer.done


class _Writer:
    """Writes members into a fresh folder; what must not be there is an InputError, or left out of a trusted archive."""

    def __init__(self, folder: Path, budget: Budget, trusted: bool):
        self.done = Unpacked()
        self._folder = folder
        self._budget = budget
        self._trusted = trusted
        self._seen: set[str] = set()

    def write(self, member: Member) -> None:
        self._budget.count_member()
        path = self._inside(member.name)
        if path is None:
            return
        try:
            if member.kind == "folder":
                path.mkdir(parents=True, exist_ok=True)
            elif member.kind == "other":
                self.leave_out(member.name, "a link or a device")
            elif str(path) in self._seen:
                self.leave_out(member.name, "a second member of that name")
            else:
                self._seen.add(str(path))
                self._write_file(member, path)
        except OSError as error:
            if error.errno not in _IMPOSSIBLE | {errno.EEXIST}:
                raise
            self.leave_out(member.name, f"cannot be written beside the others: {os.strerror(error.errno or 0).lower()}")

    def leave_out(self, name: str, reason: str) -> None:
        if not self._trusted:
            raise InputError(f"member {printable(name)}: {reason}; nothing of the archive was unpacked")
        self.done.left_out.append(f"{printable(name)}: {reason}")

    def _inside(self, name: str) -> Path | None:
        parts = PurePosixPath(name).parts
        if not name or name.startswith("/") or ".." in parts or "\0" in name:
            raise InputError(f"member {printable(name)!r} points out of the folder; nothing of the archive was unpacked")
        if parts == (STAMP,):
            raise InputError(f"member {STAMP} has a name that is taken; nothing of the archive was unpacked")
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
        self.done.files += 1

    def _copy(self, stream: IO[bytes], output: IO[bytes]) -> None:
        written = 0
        while chunk := stream.read(CHUNK_BYTES):
            self._budget.count(len(chunk))
            output.write(chunk)
            written += len(chunk)
        self.done.bytes += written
