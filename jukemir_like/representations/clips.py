"""Vectors of clips as a notebook has them: files, or arrays at any sample rate.

Every clip becomes mono float32 at the representation's own sample rate: a file as :func:`jukemir_like.audio.load` reads it, an array by the
same mixing and resampling. The extraction of folders (:mod:`jukemir_like.extract`) uses the same functions, so the vectors are the same.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence, Sized
from itertools import islice
from numbers import Real
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, TypeGuard

import numpy as np

from jukemir_like import audio
from jukemir_like.core.cache import Cache
from jukemir_like.core.errors import InputError, RequestError
from jukemir_like.representations import base
from jukemir_like.representations.base import Representation, encode

if TYPE_CHECKING:
    from torch import Tensor

Clip: TypeAlias = "str | os.PathLike[str] | np.ndarray | Sequence[float] | Tensor"
"""One clip: the path of a file, or floats of shape ``(samples,)`` or ``(channels, samples)`` as a NumPy array, a torch tensor or a list."""


def load_representation(
    name: str | Representation, *, cache: Cache | str | os.PathLike[str] | None = None, **options: Any
) -> LoadedRepresentation:
    """The representation called ``name``, as a function from files or arrays to vectors.

    Args:
        name: ``chroma``, ``mfcc``, ``stemjepa``, ``stemjepa-NAME`` or one of another package (``jukemir_like.list_representations()`` has
            all); or an object of your own class derived from :class:`~jukemir_like.representations.base.Representation`.
        cache: where weights are looked for by name; None: ``$JUKEMIR_LIKE_CACHE_DIR``, else ``~/.jukemir_like``.
        options: of the representation, as ``weights=``, ``precision=`` and ``device=`` of stemjepa; None means that it is not given.

    Raises:
        RequestError: unknown name, an option that it does not take, or weights that cannot be used.

    >>> mfcc = load_representation("mfcc")
    >>> mfcc("song.wav").shape
    (120,)
    >>> mfcc(["music/0.wav", "music/1.wav"]).shape
    (2, 120)
    >>> stereo = np.random.default_rng(0).uniform(-1, 1, (2, 44100))
    >>> mfcc(stereo, sample_rate=44100).dtype
    dtype('float32')
    """
    if isinstance(name, Representation):
        if options:
            raise RequestError(f"{name.name} is loaded already: give {', '.join(options)} to its class")
        return LoadedRepresentation(name)
    folder = cache if isinstance(cache, Cache | None) else Cache.default(cache)
    return LoadedRepresentation(base.load(name, cache=folder, **options))


class LoadedRepresentation:
    """A representation as a function from files or arrays to vectors; see :func:`load_representation`.

    Attributes:
        name: as it was loaded.
        sample_rate: in Hz; what clips are resampled to.
        dimension: length of a vector.

    >>> load_representation("chroma")
    <representation chroma: 72 numbers per clip, at 22050 Hz>
    """

    def __init__(self, representation: Representation) -> None:
        self._representation = representation
        self.name, self.sample_rate, self.dimension = representation.name, representation.sample_rate, representation.dimension

    @property
    def parameters(self) -> dict[str, Any]:
        """Everything that changes the numbers: settings, digest of weights, version of the recipe."""
        return self._representation.parameters

    @property
    def signature(self) -> str:
        """Digest of name and parameters: two vectors are comparable if and only if their signatures are equal."""
        return self._representation.signature

    def __repr__(self) -> str:
        return f"<representation {self.name}: {self.dimension} numbers per clip, at {self.sample_rate} Hz>"

    def __call__(self, clips: Clip | Iterable[Clip], *, sample_rate: float | None = None, progress: bool = False) -> np.ndarray:
        """The vector of a clip, or the vectors of several.

        Args:
            clips: one clip or several. A clip is the path of an audio file, or an array of floats in [-1, 1] of shape ``(samples,)`` or
                ``(channels, samples)``; a torch tensor or a list of floats counts as an array. Integers are refused, as their full scale
                cannot be known. Several clips are a list, any other iterable, or an array of shape ``(clips, channels, samples)``; files
                are read as they are needed, so that memory is taken by a few of them only.
            sample_rate: of the arrays, in Hz, needed where there are any; files have their own.
            progress: whether to show a progress bar.

        Returns:
            float32 of shape ``(dimension,)`` for one clip, ``(clips, dimension)`` for several.

        Raises:
            InputError: a clip cannot be used (unreadable, empty, NaN or infinite, too short); the message names the file or, as in
                ``clip 3``, the array's place, from 0.
            RequestError: ``sample_rate`` is missing or no whole number of Hz, or ``clips`` is none of the above.
        """
        clips = _as_array(clips)
        if _is_one_clip(clips):
            (vector,) = vectors_of(self._representation, [clips], sample_rate=sample_rate)
            return np.asarray(vector)
        return vectors_of(self._representation, several(clips), sample_rate=sample_rate, progress=progress)


def vectors_of(
    representation: Representation, clips: Iterable[Clip], *, sample_rate: float | None = None, progress: bool = False
) -> np.ndarray:
    """Vectors of several clips, in batches of ``representation.batch_size``: float32 of shape ``(clips, dimension)``.

    Args:
        representation: what to compute.
        clips: paths or arrays, read lazily.
        sample_rate: of the arrays, in Hz.
        progress: whether to show a progress bar.

    Raises:
        InputError, RequestError: as :meth:`LoadedRepresentation.__call__`.
    """
    vectors: list[np.ndarray] = []
    numbered = enumerate(_with_progress(clips, representation.name) if progress else clips)
    while batch := list(islice(numbered, max(1, representation.batch_size))):
        labels = [os.fspath(clip) if _is_path(clip) else f"clip {number}" for number, clip in batch]
        samples = []
        for label, (_, clip) in zip(labels, batch, strict=True):
            try:
                samples.append(samples_of(clip, sample_rate, representation.sample_rate))
            except InputError as error:
                raise InputError(f"{label}: {error}") from error
        for label, vector in zip(labels, encode(representation, samples), strict=True):
            if isinstance(vector, InputError):
                raise InputError(f"{label}: {vector}") from vector
            if isinstance(vector, Exception):  # a bug of the representation, which keeps its traceback
                vector.add_note(f"This happened with {label}.")
                raise vector
            vectors.append(np.array(vector, np.float32))
    return np.array(vectors, np.float32).reshape(len(vectors), representation.dimension)


def samples_of(clip: Clip, sample_rate: float | None, wanted_rate: int) -> np.ndarray:
    """Mono float32 of shape ``(samples,)`` at ``wanted_rate``, of a file or of an array; never a view of the array.

    Args:
        clip: a path, or floats of shape ``(samples,)`` or ``(channels, samples)``.
        sample_rate: of the array, in Hz.
        wanted_rate: in Hz.

    Raises:
        InputError: the clip cannot be used; the message does not name it.
        RequestError: ``sample_rate`` is missing or no whole number.
    """
    if _is_path(clip):
        return audio.load(Path(clip), wanted_rate)
    try:
        array = np.asarray(_as_array(clip))
    except ValueError as error:
        raise InputError("has channels of different lengths: give an array of shape (channels, samples)") from error
    if array.dtype.kind in "iu":
        raise InputError(f"is an array of {array.dtype}: give floats in [-1, 1], such as samples / 32768 for 16-bit integers")
    if array.dtype.kind != "f":
        raise InputError(f"is an array of {array.dtype}: give a path or an array of floats")
    if array.ndim not in (1, 2):
        raise InputError(f"is an array of shape {array.shape}: give (samples,) or (channels, samples)")
    if not array.size:
        raise InputError("holds no samples")
    if array.ndim == 2 and array.shape[0] > array.shape[1]:
        raise InputError(f"is an array of shape {array.shape}, more channels than samples: give (channels, samples), its transpose .T")
    if sample_rate is None:
        raise RequestError(f"sample_rate is missing: an array needs it, in Hz, such as sample_rate={wanted_rate}")
    with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite, and is refused
        samples = np.array(np.atleast_2d(array), dtype=np.float32, order="C")  # always a copy: a representation may change its input
    if not np.isfinite(samples).all():
        raise InputError("holds samples that are NaN or infinite")
    return audio.to_mono(samples, _whole_rate(sample_rate), wanted_rate)


def several(clips: Any) -> Iterable[Clip]:
    """``clips`` as an iterable of clips: a list or iterable as it is; an array's first axis, also of a table with one column of paths.

    Raises:
        RequestError: not several clips.
    """
    clips = _as_array(clips)
    if isinstance(clips, np.ndarray) and clips.ndim == 2 and clips.dtype.kind not in "fiu" and clips.shape[1] == 1:
        clips = clips[:, 0]
    if _is_path(clips) or isinstance(clips, bytes | Mapping) or not isinstance(clips, Iterable) or getattr(clips, "ndim", 1) == 0:
        raise RequestError(f"clips are a path, an array of floats, or a list of these, not {type(clips).__name__}")
    return clips


def _is_one_clip(clips: Any) -> TypeGuard[Clip]:
    """Whether ``clips`` is a clip by itself: a path, numbers of at most two dimensions, or a list of numbers."""
    if isinstance(clips, np.ndarray):
        return clips.dtype.kind not in "OUST" and clips.ndim <= 2
    return _is_path(clips) or (isinstance(clips, list | tuple) and bool(clips) and isinstance(clips[0], Real))


def _is_path(clip: Any) -> TypeGuard[str | os.PathLike[str]]:
    return isinstance(clip, str | os.PathLike)


def _as_array(clips: Any) -> Any:
    """A torch tensor (of any device), a column of a table or any other object that converts to an array, as an array; else unchanged."""
    if hasattr(clips, "detach"):
        clips = clips.detach().cpu()
        clips = clips.float() if clips.is_floating_point() else clips  # NumPy has no bfloat16
    return np.asarray(clips) if hasattr(clips, "__array__") and not _is_path(clips) else clips


def _whole_rate(sample_rate: Any) -> int:
    hertz = float(sample_rate) if isinstance(sample_rate, Real) and not isinstance(sample_rate, bool) else 0.0
    if hertz < 1 or not hertz.is_integer():
        raise RequestError(f"sample_rate {sample_rate!r}: give a whole number of Hz")
    return int(hertz)


def _with_progress(clips: Iterable[Clip], description: str) -> Iterator[Clip]:
    from jukemir_like.core.progress import Progress

    with Progress(len(clips) if isinstance(clips, Sized) else None, description, "clip") as bar:
        for clip in clips:
            yield clip
            bar.update()
