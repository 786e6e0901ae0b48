"""Which uids can be the names of files: ``wav/<uid>.wav`` when a dataset is processed, ``<uid>.npy`` when vectors are extracted."""

from __future__ import annotations

import os
from collections.abc import Iterable

_OUTPUTS = (".wav", ".npy")
_MOST_BYTES_OF_A_NAME = 255  # of the file systems in use
_MOST_BYTES = 2000  # leaves as much for the cache's own path


def fault(uid: str) -> str | None:
    """Why ``uid`` cannot be a file name, in words that follow it; None where it can."""
    parts = uid.split("/")
    if any(not part or part.startswith(".") or "\0" in part for part in parts):
        return "cannot be a file name: no part may be empty or start with a dot"
    lengths = [len(os.fsencode(part)) for part in (*parts[:-1], parts[-1] + _OUTPUTS[0])]
    if max(lengths) > _MOST_BYTES_OF_A_NAME or sum(lengths) + len(parts) > _MOST_BYTES:
        return f"cannot be a file name: it is too long ({len(os.fsencode(uid)):,} bytes)"
    return None


def collision(uids: Iterable[str]) -> tuple[str, str] | None:
    """Two uids of which one needs a file where the other needs a folder, such as ``a`` and ``a.wav/b``; None where there are none."""
    inside: dict[str, str] = {}
    everything = list(uids)
    for uid in everything:
        end = uid.find("/")
        while end >= 0:
            inside.setdefault(uid[:end], uid)
            end = uid.find("/", end + 1)
    return next(((uid, inside[uid + output]) for uid in everything for output in _OUTPUTS if uid + output in inside), None)
