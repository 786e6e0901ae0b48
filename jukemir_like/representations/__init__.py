"""Representations: from a clip of audio to one vector. The registry that built-in and other packages' representations join.

Another package adds its own by an entry point in the group ``jukemir_like.representations``::

    [project.entry-points."jukemir_like.representations"]
    mine = "my_package:Mine"        # a class derived from Representation
"""

from __future__ import annotations

import hashlib
import inspect
import json
from abc import ABC, abstractmethod
from collections.abc import Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any

from jukemir_like.core.errors import RequestError

if TYPE_CHECKING:
    from importlib.metadata import EntryPoints

    import numpy as np

    from jukemir_like.core.cache import Cache

ENTRY_POINT_GROUP = "jukemir_like.representations"
_BUILT_IN = {
    "chroma": "jukemir_like.representations.chroma:Chroma",
    "mfcc": "jukemir_like.representations.mfcc:Mfcc",
    "stemjepa": "jukemir_like.representations.stemjepa:StemJepa",
}
_OF_MANY_WEIGHTS = {"stemjepa"}
"""Those that take their whole name, ``stemjepa-…``, which says what weights they have, and the cache to find them in."""


class Representation(ABC):
    """A function from clips to vectors, with what must be known to make the same vectors again.

    Attributes:
        name: as users type it; also the folder's name.
        sample_rate: in Hz; clips are given at this rate.
        dimension: length of a vector.
        batch_size: clips that are worth giving at once (1 for what runs on a processor core).
    """

    name: str
    sample_rate: int
    dimension: int
    batch_size: int = 1

    @property
    @abstractmethod
    def parameters(self) -> dict[str, Any]:
        """Everything that changes the numbers (JSON values): settings, digest of weights, version of the recipe."""

    @abstractmethod
    def __call__(self, clips: Sequence[np.ndarray]) -> np.ndarray:
        """Vectors of clips.

        Args:
            clips: mono float32 arrays of shape ``(samples,)``, at ``sample_rate``, finite, each at least one sample long.

        Returns:
            float32 of shape ``(len(clips), dimension)``; row i depends on clip i alone.

        Raises:
            InputError: a clip cannot be represented (too short, say); the message says why.
        """

    @property
    def signature(self) -> str:
        """Digest of name and parameters: two vectors are comparable if and only if their signatures are equal."""
        return hashlib.sha256(json.dumps([self.name, self.dimension, self.parameters], sort_keys=True).encode()).hexdigest()[:16]


def _entry_points() -> EntryPoints:
    from importlib.metadata import entry_points  # a tenth of a second that the built-in representations do not need

    return entry_points(group=ENTRY_POINT_GROUP)


def names() -> list[str]:
    """All known representations, sorted."""
    return sorted({*_BUILT_IN, *(point.name for point in _entry_points())})


def load(name: str, *, cache: Cache | None = None, **options: Any) -> Representation:
    """Makes the representation called ``name``.

    Args:
        name: one of :func:`names`; ``stemjepa-…``: see :mod:`jukemir_like.representations.stemjepa`.
        cache: where weights are looked for by name; None: the default cache.
        options: of the representation itself, as ``weights=`` of stemjepa; None is as not given.

    Raises:
        RequestError: unknown name, an option that it does not take, or the package that gives it cannot be loaded.
    """
    options = {option: value for option, value in options.items() if value is not None}
    family = name.partition("-")[0]
    if name in _BUILT_IN or family in _OF_MANY_WEIGHTS:
        module, _, attribute = _BUILT_IN[family].partition(":")
        kind = getattr(import_module(module), attribute)
        arguments = {"name": name, "cache": cache} if family in _OF_MANY_WEIGHTS else {}
        taken = inspect.signature(kind).parameters
        refused = sorted(options.keys() - taken.keys())
        if refused:
            raise RequestError(f"{name} takes no {', '.join(refused)}: leave it out")
        return kind(**arguments, **options)  # type: ignore[no-any-return]
    for point in _entry_points():
        if point.name == name:
            try:
                made = point.load()(**options)
            except Exception as error:
                raise RequestError(f"representation {name} ({point.value}) cannot be loaded: {error}") from error
            if not isinstance(made, Representation):
                raise RequestError(f"representation {name} ({point.value}) is not derived from jukemir_like.representations.Representation")
            return made
    raise RequestError(f"unknown representation {name!r}: choose one of {', '.join(names())}")
