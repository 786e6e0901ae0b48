"""Archives read member by member: zip and gzipped tar. What is in them is looked at, and nothing is written, here."""

from __future__ import annotations

import gzip
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, BinaryIO, Literal

from jukemir_like.core.errors import InputError
from jukemir_like.core.files import printable

CHUNK_BYTES = 1 << 20
MOST_MEMBERS = 200_000
_RATIO, _FLOOR_BYTES = 100, 64 << 20

DAMAGE = (zipfile.BadZipFile, tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile)
"""What the readers of archives raise where bytes are wrong."""


@dataclass(frozen=True)
class Member:
    """One member of an archive.

    Args:
        name: path, as it stands in the archive.
        kind: ``other`` is a link, a device, a pipe.
        open: gives its bytes; to be called before the next member is taken.
    """

    name: str
    kind: Literal["file", "folder", "other"]
    open: Callable[[], IO[bytes]]


class Budget:
    """How much an archive may hold, so that a bomb is noticed while it is read: numbers in the archive itself are not believed.

    Args:
        archive_size: bytes of the archive; without more, what is in it may be 100 times that, and 64 MiB.
        unpacked_size: bytes of all its members, where declared.
    """

    def __init__(self, archive_size: int, unpacked_size: int | None = None):
        self.most_bytes = archive_size * _RATIO + _FLOOR_BYTES if unpacked_size is None else unpacked_size
        self.bytes = 0
        self.members = 0

    def count_member(self) -> None:
        """Counts one more; :class:`InputError` where they are too many."""
        self.members += 1
        if self.members > MOST_MEMBERS:
            raise InputError(f"has more than {MOST_MEMBERS:,} members: it is not unpacked")

    def count(self, size: int) -> None:
        """Counts ``size`` more bytes; :class:`InputError` where they are too many."""
        self.bytes += size
        if self.bytes > self.most_bytes:
            raise InputError(f"holds more than the {self.most_bytes:,} bytes that it may hold: it is not unpacked")


def members(file: BinaryIO, name: str) -> Iterator[Member]:
    """The members of the archive ``file``, in its order; ``name`` says which kind of archive it is.

    Raises:
        InputError: it cannot be read, see :func:`readable`.
    """
    return _of_zip(file) if name.endswith(".zip") else _of_tar(file)


@contextmanager
def readable(name: str) -> Iterator[None]:
    """Turns what readers of archives raise into an :class:`InputError`."""
    try:
        yield
    except DAMAGE as error:
        raise InputError(f"{printable(name)} is damaged, or is no such archive: {error}") from error
    except (RuntimeError, NotImplementedError) as error:  # zipfile's words for a password and for an unknown compression
        raise InputError(f"{printable(name)} cannot be read: {error}") from error


def _of_zip(file: BinaryIO) -> Iterator[Member]:
    with zipfile.ZipFile(file) as archive:
        for info in archive.infolist():
            mode = stat.S_IFMT(info.external_attr >> 16)
            kind: Literal["file", "folder", "other"] = "folder" if info.is_dir() else "file"
            if mode not in (0, stat.S_IFREG, stat.S_IFDIR):
                kind = "other"
            yield Member(info.filename, kind, lambda info=info: archive.open(info))  # type: ignore[misc]


def _of_tar(file: BinaryIO) -> Iterator[Member]:
    with gzip.GzipFile(fileobj=file, mode="rb") as stream, tarfile.open(fileobj=stream, mode="r|", bufsize=CHUNK_BYTES) as archive:
        for info in archive:
            kind: Literal["file", "folder", "other"] = "folder" if info.isdir() else "file" if info.isfile() else "other"
            yield Member(info.name, kind, lambda info=info: archive.extractfile(info))  # type: ignore[misc, arg-type, return-value]
            archive.members.clear()  # type: ignore[attr-defined]  # it would keep them all
        # tarfile takes a header that is damaged for the end: then there is more than the zeros that fill up the last block
        while rest := archive.fileobj.read(CHUNK_BYTES):  # type: ignore[union-attr]
            if rest.count(0) != len(rest):
                raise tarfile.ReadError("what follows a member is not the header of one")
