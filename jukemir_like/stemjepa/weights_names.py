"""What vectors and results by a file of weights are called, so that they never replace those by other weights.

================================================  ==========================================================================
weights                                           name
================================================  ==========================================================================
in the package, or in the cache by their name     their name: ``free-music``, ``mine``
any other file, ``runs/mine.safetensors``         its name and the first digits of its digest: ``mine-1f0c9a52``
a run's own, ``outputs/xps/4d2e/weights…``        the name of the run's folder, and the digits: ``4d2e-1f0c9a52``
a file with the bytes of weights in the cache     as these, by whatever path it is given
================================================  ==========================================================================
"""

from __future__ import annotations

import re
from pathlib import Path

from jukemir_like.core.cache import Cache, reads_as_options
from jukemir_like.core.errors import RequestError
from jukemir_like.stemjepa import checkpoint
from jukemir_like.stemjepa.config import SUFFIX, is_name

RUN_FILE = "weights"
"""The name, without suffix, that the file of weights has in the folder of every run; it tells no two runs from another."""

_DIGITS = 8
_MOST_BYTES = 120  # of the name before the digits
_NOT_IN_REPRESENTATIONS = re.compile(r"[^\w.+-]+")


def name_of(path: Path, digest: str, cache: Cache) -> str:
    """The name of results by a file of weights: no two different files have the same, but for those that a cache's name meant before.

    Args:
        path: of the file.
        digest: of the weights.
        cache: where named weights are.

    >>> name_of(checkpoint.resolve(), "0" * 64, Cache(Path("cache")))
    'free-music'
    >>> name_of(Path("outputs/xps/4d2e/weights.safetensors"), "1f0c9a52" * 8, Cache(Path("cache")))
    '4d2e-1f0c9a52'
    """
    name = path.name.removesuffix(SUFFIX)
    if name == RUN_FILE:
        name = path.absolute().parent.name
    if not is_name(name):
        name = RUN_FILE
    if _are_called(name, path, digest, cache):
        return name
    shortened = name.encode()[:_MOST_BYTES].decode(errors="ignore")
    return f"{shortened}-{digest[:_DIGITS]}"


def representation_with(representation: str, weights: str | Path, cache: Cache) -> str:
    """The name of the representation of Stem-JEPA that has these weights, with the options of ``representation``.

    Args:
        representation: one of Stem-JEPA; whichever weights its name means, ``weights`` are used instead of them.
        weights: a name or a path.
        cache: where named weights are.

    Raises:
        RequestError: there are no such weights.

    >>> representation_with("stemjepa-untrained@layer=2", "free-music", Cache(Path("cache")))
    'stemjepa-untrained@layer=2'
    """
    base, at, options = representation.partition("@")
    untrained = "-untrained" if base.endswith("-untrained") else ""
    path = checkpoint.resolve(weights, cache)
    name = _NOT_IN_REPRESENTATIONS.sub("-", name_of(path, checkpoint.header(path).digest, cache))
    if reads_as_options(name):
        name = name.replace(".", "-")
    named = f"-{name}" if name != checkpoint.EMBEDDED or base.startswith(f"stemjepa-{name}") else ""
    return f"stemjepa{named}{untrained}{at}{options}"


def _are_called(name: str, path: Path, digest: str, cache: Cache) -> bool:
    """Whether ``name`` means this file, or one with the same weights."""
    try:
        named = checkpoint.resolve(name, cache)
        return named.absolute() == path.absolute() or named.samefile(path) or checkpoint.header(named).digest == digest
    except (RequestError, OSError):
        return False
