"""What a representation is, how one is found by its name, and how it is applied to clips.

A representation is a function from clips of audio to vectors. Three come with this package; another package adds its own by an entry point
in the group ``jukemir_like.representations``::

    [project.entry-points."jukemir_like.representations"]
    mine = "my_package:Mine"        # a class derived from Representation
"""

from __future__ import annotations

import hashlib
import inspect
import json
from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import cached_property
from importlib import import_module
from typing import TYPE_CHECKING, Any

from jukemir_like.core import devices
from jukemir_like.core.errors import InputError, RequestError, StorageError
from jukemir_like.representations.batches import BatchSizes
from jukemir_like.representations.names import parse

if TYPE_CHECKING:
    from importlib.metadata import EntryPoints

    import numpy as np

    from jukemir_like.core.cache import Cache

ENTRY_POINT_GROUP = "jukemir_like.representations"
_BUILT_IN = {
    "chroma": "jukemir_like.representations.chroma:Chroma",
    "mfcc": "jukemir_like.representations.mfcc:MFCC",
    "stemjepa": "jukemir_like.representations.stemjepa:StemJEPARepresentation",
}
_ENCODERS = "jukemir_like.encoders.encoder"
"""Where the encoders with a card are: found by name, as the entry points of other packages are, since it stands after this module."""
_WITH_NAMED_WEIGHTS = {"stemjepa"}
"""Those whose full name, such as ``stemjepa-NAME``, says which weights to use. They are given that name, and the cache with the weights."""


class Representation(ABC):
    """A function from clips to vectors, with what must be known to compute the same vectors again.

    Derive from it to add a representation: set the attributes, and write :attr:`parameters` and the call. Errors that one clip causes are
    :class:`~jukemir_like.core.errors.InputError`; the other clips are not affected.

    Attributes:
        name: as users type it; also the name of the folder of its vectors.
        sample_rate: in Hz; clips are given at this rate.
        dimension: length of a vector.
        batch_size: how many clips are worth giving at once (1 for what runs on a processor core).
        layers: names of the layers that ``NAME@layer=L`` may choose; empty: it has none.
        gpus: how many GPUs it computes on, each in a worker process of its own; 0: on processors.
        memory: bytes that a worker process takes at most, about; None: little, or not known.

    >>> import numpy as np
    >>> class Peak(Representation):
    ...     name, sample_rate, dimension, parameters = "peak", 8000, 1, {"recipe": 1}
    ...     def __call__(self, clips):
    ...         return np.array([[np.abs(clip).max()] for clip in clips], np.float32)
    >>> Peak()([np.array([0, -0.5, 0.25], np.float32)])
    array([[0.5]], dtype=float32)
    """

    name: str
    sample_rate: int
    dimension: int
    batch_size: int = 1
    layers: tuple[str, ...] = ()
    gpus: int = 0
    memory: int | None = None

    @cached_property
    def batches(self) -> BatchSizes:
        """How many of the clips that it is given are computed at once."""
        return BatchSizes(self.gpus > 0)

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

    def vectors_of_layers(self, clips: Sequence[np.ndarray], layers: Sequence[str]) -> np.ndarray:  # noqa: ARG002
        """Vectors of several layers, where the representation has layers: float32, shape ``(len(clips), len(layers), dimension)``."""
        raise RequestError(f"{self.name} has no layers to choose")

    @property
    def signature(self) -> str:
        """Digest of name and parameters: two vectors are comparable if and only if their signatures are equal."""
        return hashlib.sha256(json.dumps([self.name, self.dimension, self.parameters], sort_keys=True).encode()).hexdigest()[:16]


def encode(representation: Representation, clips: list[np.ndarray], layers: Sequence[str] = ()) -> list[np.ndarray | Exception]:
    """A vector, or the reason why there is none, for each clip; one bad clip does not affect the others.

    A batch for which there is no room in memory is computed in halves, down to single clips.

    Args:
        representation: what to compute.
        clips: mono float32, shape ``(samples,)``, at the representation's sample rate.
        layers: of a representation that has layers: those that are wanted. A clip then has not a vector, but one per layer, as rows.

    Raises:
        RequestError, StorageError: the fault is not a clip's but the representation's, such as weights that cannot be used.
        ValueError: the representation returned another shape than it declares.
    """
    results: list[np.ndarray | Exception] = []
    while rest := clips[len(results) :]:
        part = rest[: representation.batches.count([len(clip) for clip in rest])]
        computed = _encode_together(representation, part, layers)
        if computed is None:
            devices.release_memory()  # here, where no traceback holds tensors any more
            representation.batches.failed([len(clip) for clip in part])
            if len(part) == 1:
                seconds, where = len(part[0]) / representation.sample_rate, "of the GPU" if representation.gpus else "here"
                computed = [InputError(f"is {seconds:,.1f} s long, for which the memory {where} has no room")]
        results += computed or []
    return results


def _encode_together(representation: Representation, clips: list[np.ndarray], layers: Sequence[str]) -> list[np.ndarray | Exception] | None:
    """A vector or an error per clip of one batch; where the batch fails, each clip is computed alone. None: there was no room for it."""
    import numpy as np

    lengths = [len(clip) for clip in clips]
    try:
        with representation.batches.measured(lengths):
            vectors = representation.vectors_of_layers(clips, layers) if layers else representation(clips)
    except (RequestError, StorageError):
        raise
    except Exception as error:
        if devices.is_out_of_memory(error):
            return None
        if len(clips) == 1:
            return [error]
        return [vector for clip in clips for vector in encode(representation, [clip], layers)]
    expected = (len(clips), len(layers), representation.dimension) if layers else (len(clips), representation.dimension)
    if vectors.shape != expected:
        raise ValueError(f"{representation.name} gave vectors of shape {vectors.shape} where {expected} was promised")
    unusable = InputError("gives a vector that is not finite")
    return [vector if np.isfinite(vector).all() else unusable for vector in vectors]


def names() -> list[str]:
    """All known representations, sorted.

    >>> {"chroma", "mfcc", "stemjepa"} <= set(names())
    True
    """
    return sorted({*_BUILT_IN, *_encoders().names(), *(point.name for point in _entry_points())})


def load(name: str, *, cache: Cache | None = None, **options: Any) -> Representation:
    """The representation called ``name``.

    Args:
        name: one of :func:`names`; for ``stemjepa-…`` see :mod:`jukemir_like.representations.stemjepa`.
        cache: where weights are looked for by name; None: the default cache.
        options: of the representation itself, such as ``weights=`` of stemjepa; None means that the option is not given.

    Raises:
        RequestError: unknown name, an option that it does not take, or the package that provides it cannot be loaded.

    >>> load("chroma").dimension
    72
    """
    options = {option: value for option, value in options.items() if value is not None}
    parsed = parse(name)
    family = parsed.family
    if parsed.base in _BUILT_IN or family in _WITH_NAMED_WEIGHTS:
        if family not in _WITH_NAMED_WEIGHTS and name != parsed.base:
            raise RequestError(f"{parsed.base} has no layers or pools to choose: leave @ and what follows it out")
        module, _, attribute = _BUILT_IN[family].partition(":")
        representation_class = getattr(import_module(module), attribute)
        arguments = {"name": name, "cache": cache} if family in _WITH_NAMED_WEIGHTS else {}
        refused = sorted(options.keys() - inspect.signature(representation_class).parameters.keys())
        if refused:
            raise RequestError(f"{name} takes no {', '.join(refused)}: leave it out")
        return representation_class(**arguments, **options)  # type: ignore[no-any-return]
    if "card" in options or family == "hf" or parsed.base in _encoders().names():
        encoder: Representation = _encoders().load(name, cache=cache, **options)
        return encoder
    for point in _entry_points():
        if point.name == name:
            try:
                representation = point.load()(**options)
            except Exception as error:
                raise RequestError(f"representation {name} ({point.value}) cannot be loaded: {error}") from error
            if not isinstance(representation, Representation):
                raise RequestError(f"representation {name} ({point.value}) is not derived from jukemir_like.Representation")
            return representation
    raise RequestError(f"unknown representation {name!r}: choose one of {', '.join(names())}")


def _encoders() -> Any:
    return import_module(_ENCODERS)


def _entry_points() -> EntryPoints:
    from importlib.metadata import entry_points  # takes a tenth of a second, which the built-in representations do not need

    return entry_points(group=ENTRY_POINT_GROUP)
