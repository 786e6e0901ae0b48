"""Verification: is a file what its declaration says? Size and digests are computed while the bytes pass, so nothing is read twice."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path

from jukemir_like.core import files
from jukemir_like.core.errors import InputError
from jukemir_like.downloads.archives import contents_digest
from jukemir_like.downloads.declarations import Asset

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
        names = [name for name in ("sha256", "md5") if getattr(asset, name)] or ["sha256"]
        self._hashes = {name: hashlib.new(name, usedforsecurity=False) for name in names}
        self.size = 0

    def update(self, data: bytes) -> None:
        """Adds the next bytes."""
        for digest in self._hashes.values():
            digest.update(data)
        self.size += len(data)

    @property
    def value(self) -> str:
        """The digest with its kind: ``sha256:…``, or ``md5:…`` where no SHA-256 is declared."""
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
