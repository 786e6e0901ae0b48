"""A trained network in use: embed clips, predict the embedding of a missing stem, rank a library by it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
import torch

from jukemir_like import audio
from jukemir_like.core.cache import Cache
from jukemir_like.core.errors import InputError, RequestError
from jukemir_like.stemjepa import checkpoint, config, pooling
from jukemir_like.stemjepa.network import Network

Clip = str | Path | np.ndarray
"""A file, or mono samples of shape ``(samples,)``."""

PRECISIONS = ("32", "bf16")
_CHUNKS_AT_ONCE = {"cpu": 8, "cuda": 64}


class StemJEPA:
    """A trained Stem-JEPA.

    Attributes:
        sources: names of the instruments that can be predicted.
        sample_rate: in Hz, of the arrays it takes.
        dimension: length of a vector, bands × width.
        model: what the network is made of.
        digest: SHA-256 of the file of weights; empty for a net without training.
        provenance: how the weights came about.
    """

    def __init__(self, loaded: checkpoint.Loaded, device: str | torch.device | None = None, precision: str = "32") -> None:
        if precision not in PRECISIONS:
            raise RequestError(f"precision {precision!r}: choose one of {', '.join(PRECISIONS)}")
        self.device, self.precision = _device(device), precision
        self.network: Network = loaded.network.to(self.device).eval()
        self.model, self.sources = loaded.model, loaded.sources
        self.provenance, self.digest = loaded.provenance, loaded.digest
        self.sample_rate, self.dimension = self.model.frontend.sample_rate, self.model.dimension

    @classmethod
    def from_pretrained(
        cls,
        weights: str | Path | None = None,
        device: str | torch.device | None = None,
        precision: str = "32",
        *,
        cache: Cache | None = None,
    ) -> StemJEPA:
        """Weights by name or path.

        Args:
            weights: see :func:`~jukemir_like.stemjepa.checkpoint.resolve`; None: those of the package.
            device: None: ``cuda`` where there is one, else ``cpu``.
            precision: ``32``, or ``bf16``: matrix products in bfloat16; vectors within 1 % of the same, in about half the time where the
                processor has such products, and in more where it only emulates them.
            cache: where named weights are looked for; None: the default cache.

        Raises:
            RequestError: no such weights, they cannot be read or give vectors that are not finite, or no such device.
        """
        path = checkpoint.resolve(weights, cache)
        made = cls(checkpoint.load(path), device, precision)
        if not made._is_finite():
            raise RequestError(f"the weights {path} give vectors that are not finite, whatever they hear: train them again, or use others")
        return made

    @classmethod
    def untrained(cls, model: config.Model, device: str | torch.device | None = None, precision: str = "32", *, seed: int = 0) -> StemJEPA:
        """The net that ``model`` describes with the random weights of ``seed``, as before the first step of training."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            network = Network(model)
        return cls(checkpoint.Loaded(network, model, checkpoint.default_sources(model), {"untrained": seed}, ""), device, precision)

    def embed(self, clips: Clip | Sequence[Clip], sample_rate: int | None = None, which: str = "context") -> np.ndarray:
        """Vectors of clips: float32 of shape ``(clips, bands · width)``; each the same alone or beside others, to 1e-5.

        Args:
            clips: one or several files or arrays; of any lengths.
            sample_rate: of the arrays, in Hz; None: the model's.
            which: ``context``: of the encoder, for mixes and for music in general; ``target``: of the teacher, for what predictions are
                compared with.

        Raises:
            InputError: a clip cannot be read, is empty, not mono or not finite.
        """
        if which not in ("context", "target"):
            raise RequestError(f"which is {which!r}: choose context or target")
        network = self.network
        encoder = network.encoder if which == "context" else network.teacher
        return self._vectors(_several(clips), sample_rate, lambda waveforms, _: encoder(network.frontend(waveforms)))

    def predict(self, context: Clip | Sequence[Clip], instrument: str | Sequence[str], sample_rate: int | None = None) -> np.ndarray:
        """Vectors of the stems that mixes lack: float32 of shape ``(mixes, bands · width)``, comparable with those of ``which="target"``.

        Args:
            context: one or several mixes, as in :meth:`embed`.
            instrument: which stem is missing, one of :attr:`sources`; or one for each mix.
            sample_rate: of the arrays, in Hz; None: the model's.

        Raises:
            RequestError: an unknown instrument, or not one for each mix.
            InputError: as :meth:`embed`.
        """
        mixes = _several(context)
        asked = [instrument] * len(mixes) if isinstance(instrument, str) else list(instrument)
        if len(asked) != len(mixes):
            raise RequestError(f"{len(asked)} instruments for {len(mixes)} mixes: give one, or one for each")
        numbers = torch.tensor([self.number(name) for name in asked], device=self.device)
        network = self.network
        return self._vectors(
            mixes, sample_rate, lambda waveforms, clips: network.predictor(network.encoder(network.frontend(waveforms)), numbers[clips])
        )

    def number(self, instrument: str) -> int:
        """The number of an instrument; :class:`~jukemir_like.core.errors.RequestError` where these weights do not know it."""
        if instrument not in self.sources:
            raise RequestError(f"unknown instrument {instrument!r}: these weights know {', '.join(self.sources)}")
        return self.sources.index(instrument)

    def rank(
        self,
        library: str | Path | Sequence[Clip] | Mapping[str, np.ndarray] | np.ndarray,
        context: Clip,
        instrument: str,
        top: int | None = None,
        sample_rate: int | None = None,
    ) -> list[tuple[str | int, float]]:
        """Which stems of ``library`` fit a mix as its missing ``instrument``: (name, cosine in [-1, 1]), best first.

        Args:
            library: a folder of audio; files or arrays; or vectors of ``which="target"``: ``(stems, dimension)``, or name → vector. Stems
                are called by the path below the folder, by their path, by their name, or by their number in the sequence or array.
            context: the mix.
            instrument: one of :attr:`sources`.
            top: how many to return; None: all.
            sample_rate: of arrays of samples, in Hz; None: the model's.

        Raises:
            RequestError: an empty library, vectors of another dimension, an unknown instrument.
            InputError: as :meth:`embed`.
        """
        self.number(instrument)
        names, candidates = self._candidates(library, sample_rate)
        scores = comparable(candidates) @ comparable(self.predict(context, instrument, sample_rate))[0]
        order = np.argsort(-scores, kind="stable")[:top]
        return [(names[place], float(scores[place])) for place in order]

    def _candidates(self, library: Any, sample_rate: int | None) -> tuple[list[str | int], np.ndarray]:
        if isinstance(library, str | Path):
            if not Path(library).is_dir():
                raise RequestError(f"{library} is not a folder: give the folder of the library's stems")
            names: list[str | int] = list(audio.find(Path(library)))
            vectors = self.embed([Path(library) / str(name) for name in names], sample_rate, which="target")
        elif isinstance(library, Mapping):
            names, vectors = list(library), np.array(list(library.values()), np.float32)
        elif isinstance(library, np.ndarray):
            names, vectors = list(range(len(library))), library
        else:
            names = [number if isinstance(clip, np.ndarray) else str(clip) for number, clip in enumerate(library)]
            vectors = self.embed(library, sample_rate, which="target")
        if not names:
            raise RequestError("the library is empty: give one with audio in it")
        if vectors.ndim != 2 or vectors.shape[1] != self.dimension:
            raise RequestError(f"the library's vectors are of shape {vectors.shape}, these weights need (stems, {self.dimension})")
        return names, vectors

    def _is_finite(self) -> bool:
        """Whether a patch of noise becomes numbers: what is wrong with weights is not to be said of every clip."""
        samples = self.model.frontend.hop_length * self.model.encoder.patch_frames
        noise = np.random.default_rng(0).uniform(-0.5, 0.5, samples).astype(np.float32)
        made = (self.embed(noise), self.embed(noise, which="target"), self.predict(noise, self.sources[0]))
        return all(bool(np.isfinite(vectors).all()) for vectors in made)

    @torch.inference_mode()
    def _vectors(self, clips: Sequence[Clip], sample_rate: int | None, encode: pooling.Encode) -> np.ndarray:
        with self._autocast():
            at_once = _CHUNKS_AT_ONCE.get(self.device.type, 8)
            return pooling.vectors(self._waveforms(clips, sample_rate), encode, self.model, at_once=at_once, device=self.device)

    def _autocast(self) -> AbstractContextManager[None]:
        return torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.precision == "bf16")

    def _waveforms(self, clips: Sequence[Clip], sample_rate: int | None) -> Iterator[np.ndarray]:
        """Mono float32 at the model's rate, one after another as they are needed."""
        for number, clip in enumerate(clips):
            try:
                yield self._waveform(clip, sample_rate or self.sample_rate)
            except InputError as error:
                raise InputError(f"{f'clip {number}' if isinstance(clip, np.ndarray) else clip} {error}") from error

    def _waveform(self, clip: Clip, sample_rate: int) -> np.ndarray:
        if not isinstance(clip, np.ndarray):
            try:
                return audio.load(Path(clip), self.sample_rate)
            except OSError as error:
                raise InputError(f"cannot be read ({(error.strerror or 'error').lower()})") from error
        if clip.ndim != 1 or not np.issubdtype(clip.dtype, np.floating):
            raise InputError(f"is an array of {clip.dtype} of shape {clip.shape}: give mono float samples, of shape (samples,)")
        if not clip.size:
            raise InputError("holds no samples")
        if not np.isfinite(clip).all():
            raise InputError("holds samples that are NaN or infinite")
        resampled = audio.resample(clip.astype(np.float32, copy=False), sample_rate, self.sample_rate)
        if not len(resampled):
            raise InputError(f"is too short: no sample is left at {self.sample_rate} Hz")
        return resampled


def comparable(vectors: np.ndarray) -> np.ndarray:
    """Vectors whose dot products are the scores of retrieval: LayerNorm without weights, then length 1 (of a constant vector: 0).

    Args:
        vectors: ``(*, dimension)``.
    """
    centred = vectors - vectors.mean(-1, keepdims=True, dtype=np.float64)
    return np.asarray(centred / np.maximum(np.linalg.norm(centred, axis=-1, keepdims=True), 1e-6))


def _device(name: str | torch.device | None) -> torch.device:
    there = torch.cuda.is_available()
    device = torch.device(name if name is not None else "cuda" if there else "cpu")
    if device.type == "cuda" and not there:
        raise RequestError("there is no GPU that PyTorch can use: choose the device cpu")
    return device


def _several(clips: Clip | Sequence[Clip]) -> Sequence[Clip]:
    return [clips] if isinstance(clips, str | Path | np.ndarray) else clips
