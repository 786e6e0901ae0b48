r"""Archives, read member by member: zip and tar, gzipped or not, also in parts. Nothing is written here.

An archive that its host generates anew for each request (as GitHub does of a commit) holds the same files, but hardly ever has the same
bytes. It is verified by :func:`contents_digest`: SHA-256 over the sorted lines ``<sha256 of the member>  <its path>\n`` of all members but
folders, as ``sha256sum`` would print them. GitHub's outermost folder has the commit in its name, so outermost folders can be left out.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import stat
import tarfile
import zipfile
import zlib
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path, PurePosixPath
from typing import IO, BinaryIO, Literal

from jukemir_like.core.errors import InputError
from jukemir_like.core.files import printable

CHUNK_BYTES = 1 << 20
MAX_MEMBERS = 400_000  # the largest declared, NSynth's notes of train, has 289,205
_MAX_RATIO, _MIN_LIMIT_BYTES = 100, 64 << 20
_BUFFER_BYTES = 256 << 10

DAMAGE = (zipfile.BadZipFile, tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile)
"""What the standard library raises where the bytes of an archive are wrong."""

MemberKind = Literal["file", "folder", "other"]


@dataclass(frozen=True)
class Member:
    """One member of an archive.

    Args:
        name: its path, as the archive has it.
        kind: ``other`` is a link, a device, a pipe.
        open: opens it for reading; to be called before the next member is taken.
    """

    name: str
    kind: MemberKind
    open: Callable[[], IO[bytes]]


def members(file: BinaryIO, name: str) -> Iterator[Member]:
    """The members of an archive, in its order.

    Args:
        file: the archive.
        name: its name, by whose suffix the format is known.

    Raises:
        zipfile.BadZipFile, tarfile.TarError, EOFError, …: it cannot be read; :func:`archive_errors` makes an InputError of these.

    >>> with open("two.zip", "wb") as file, zipfile.ZipFile(file, "w") as archive:
    ...     archive.writestr("a/b.txt", "hello")
    >>> with open("two.zip", "rb") as file:
    ...     [(member.name, member.kind, member.open().read()) for member in members(file, "two.zip")]
    [('a/b.txt', 'file', b'hello')]
    """
    if name.endswith(".zip"):
        return _zip_members(file)
    return _tar_members(file if name.endswith(".tar") else gzip.GzipFile(fileobj=file, mode="rb"))


@contextmanager
def archive_errors(name: str) -> Iterator[None]:
    """Turns what the standard library raises for an archive called ``name`` into an :class:`InputError`."""
    try:
        yield
    except DAMAGE as error:
        raise InputError(f"{printable(name)} is damaged, or is not such an archive: {error}") from error
    except (RuntimeError, NotImplementedError) as error:  # zipfile's, for a password and for an unknown compression
        raise InputError(f"{printable(name)} cannot be read: {error}") from error


def _zip_members(file: BinaryIO) -> Iterator[Member]:
    with zipfile.ZipFile(file) as archive:
        for info in archive.infolist():
            mode = stat.S_IFMT(info.external_attr >> 16)  # where a Unix program made it; 0 elsewhere
            kind: MemberKind = "folder" if info.is_dir() else "file"
            if mode not in (0, stat.S_IFREG, stat.S_IFDIR):
                kind = "other"
            yield Member(info.filename, kind, lambda info=info: archive.open(info))  # type: ignore[misc]


def _tar_members(stream: BinaryIO | gzip.GzipFile) -> Iterator[Member]:
    with tarfile.open(fileobj=stream, mode="r|", bufsize=CHUNK_BYTES) as archive:
        for info in archive:
            kind: MemberKind = "folder" if info.isdir() else "file" if info.isfile() else "other"
            yield Member(info.name, kind, lambda info=info: archive.extractfile(info))  # type: ignore[misc, arg-type, return-value]
            archive.members.clear()  # type: ignore[attr-defined]  # or memory would grow with the number of members
        # tarfile takes a damaged header for the end of the archive. At a real end only the zeros that fill the last block follow.
        while rest := archive.fileobj.read(CHUNK_BYTES):  # type: ignore[union-attr]
            if rest.count(0) != len(rest):
                raise tarfile.ReadError("what follows a member is not a header")


class ArchiveLimits:
    """Limits on what an archive may hold, counted while it is read: sizes that a malicious archive (a "zip bomb") declares mean nothing.

    Args:
        archive_bytes: size of the archive; its members may together have 100 times as many, and 64 MiB more.
        unpacked_size: bytes of all members, where declared: then that is the limit.
    """

    def __init__(self, archive_bytes: int, unpacked_size: int | None = None):
        self.max_bytes = archive_bytes * _MAX_RATIO + _MIN_LIMIT_BYTES if unpacked_size is None else unpacked_size
        self.bytes = 0
        self.members = 0

    def count_member(self) -> None:
        """Counts one more; :class:`InputError` where they are too many."""
        self.members += 1
        if self.members > MAX_MEMBERS:
            raise InputError(f"has more than {MAX_MEMBERS:,} members: it is not unpacked")

    def count_bytes(self, size: int) -> None:
        """Counts ``size`` more bytes; :class:`InputError` where they are too many."""
        self.bytes += size
        if self.bytes > self.max_bytes:
            raise InputError(f"holds more than the {self.max_bytes:,} bytes that it may hold: it is not unpacked")


def contents_digest(path: Path, strip: int, *, name: str | None = None, on_chunk: Callable[[], object] = lambda: None) -> str:
    """Digest of the files in the archive ``path``, however they are packed: 64 hexadecimal digits.

    Args:
        path: zip or tar.
        strip: how many outermost folders of each member's path are left out.
        name: the archive's, where the file has another name.
        on_chunk: called after each chunk that is read; may raise.

    Raises:
        InputError: it is not an archive, is damaged, or has a member above ``strip`` folders.

    >>> for name, commit in (("a.zip", "1f3a"), ("b.zip", "77c0")):
    ...     with zipfile.ZipFile(name, "w") as archive:
    ...         archive.writestr(f"repository-{commit}/labels.txt", "C minor")
    >>> contents_digest(Path("a.zip"), strip=1) == contents_digest(Path("b.zip"), strip=1)
    True
    """
    name = name or path.name
    limits = ArchiveLimits(path.stat().st_size)
    lines = []
    with archive_errors(name), open(path, "rb") as file:
        for member in members(file, name):
            limits.count_member()
            if member.kind == "folder":
                continue
            parts = PurePosixPath(member.name).parts[strip:]
            if not parts:
                raise InputError(f"has a member {member.name!r} that is not below {strip} folders")
            digest = hashlib.sha256()
            with member.open() as stream:
                while chunk := stream.read(CHUNK_BYTES):
                    digest.update(chunk)
                    limits.count_bytes(len(chunk))
                    on_chunk()
            lines.append(f"{digest.hexdigest()}  {'/'.join(parts)}\n")
    return hashlib.sha256("".join(sorted(lines)).encode("utf-8", "surrogateescape")).hexdigest()


def open_parts(paths: Sequence[Path]) -> BinaryIO:
    """Opens one file, or the parts of one in their order, for reading."""
    if len(paths) == 1:
        return open(paths[0], "rb", buffering=_BUFFER_BYTES)
    return io.BufferedReader(MultiPartFile(paths), _BUFFER_BYTES)


class MultiPartFile(io.RawIOBase):
    """The bytes of ``paths``, in their order, as one file without a copy: read-only, seekable."""

    def __init__(self, paths: Sequence[Path]):
        super().__init__()
        self._stack = ExitStack()
        try:
            self._files = [self._stack.enter_context(path.open("rb", buffering=0)) for path in paths]
            sizes = [file.seek(0, io.SEEK_END) for file in self._files]
        except BaseException:
            self._stack.close()
            raise
        self._starts = [0, *accumulate(sizes)]
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        origin = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._starts[-1]}[whence]
        if origin + offset < 0:
            raise OSError(22, "a position before the beginning")  # as files do: zipfile expects OSError
        self._position = origin + offset
        return self._position

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        if self._position >= self._starts[-1]:
            return 0
        part = bisect_right(self._starts, self._position) - 1  # the last part that starts at or before the position
        view = memoryview(buffer)[: self._starts[part + 1] - self._position]
        self._files[part].seek(self._position - self._starts[part])
        count = self._files[part].readinto(view)
        self._position += count
        return count

    def close(self) -> None:
        self._stack.close()
        super().close()
