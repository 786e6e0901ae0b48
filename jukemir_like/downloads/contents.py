r"""Digest of what is in an archive, for archives that their host makes anew: the same files, but never twice the same bytes.

SHA-256 over the sorted lines ``<sha256 of the member>  <its path without the outermost folders>\n`` of all members but folders: what
``sha256sum`` would print for them, sorted. The outermost folder of GitHub's archives carries the commit in its name, so it is left out.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path, PurePosixPath

from jukemir_like.core.errors import InputError
from jukemir_like.downloads.archives import CHUNK_BYTES, Budget, members, readable


def contents_digest(path: Path, strip: int, *, name: str | None = None, alive: Callable[[], object] = lambda: None) -> str:
    """Digest of the members of the archive ``path``, 64 hexadecimal digits.

    Args:
        path: zip or gzipped tar.
        strip: how many outermost folders of each member's path are left out.
        name: the archive's, where the file is called otherwise.
        alive: called now and then; may raise.

    Raises:
        InputError: it is no archive, is damaged, or has a member above ``strip`` folders.
    """
    name = name or path.name
    budget = Budget(path.stat().st_size)
    lines = []
    with readable(name), open(path, "rb") as file:
        for member in members(file, name):
            budget.count_member()
            if member.kind == "folder":
                continue
            parts = PurePosixPath(member.name).parts[strip:]
            if not parts:
                raise InputError(f"has a member {member.name!r} that is not below {strip} folders")
            digest = hashlib.sha256()
            with member.open() as stream:
                while chunk := stream.read(CHUNK_BYTES):
                    digest.update(chunk)
                    budget.count(len(chunk))
                    alive()
            lines.append(f"{digest.hexdigest()}  {'/'.join(parts)}\n")
    return hashlib.sha256("".join(sorted(lines)).encode("utf-8", "surrogateescape")).hexdigest()
