"""A trained network in use: embed clips, predict the embedding of a missing stem, rank a library of stems by it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch

from jukemir_like import audio
from jukemir_like.core import devices
from jukemir_like.core.cache import Cache
from jukemir_like.core.errors import RequestError
from jukemir_like.stemjepa import checkpoint, config, interpretation
from jukemir_like.stemjepa.clips import Clip, as_sequence, read_waveforms
from jukemir_like.stemjepa.interpretation import Interpretation
from jukemir_like.stemjepa.model import Network
from jukemir_like.stemjepa.pooling import Encode, EncodedClips, Pool, encode_clips, feed_pools, normalise, pool_clips, pool_encoded

PRECISIONS = ("32", "bf16")
_CHUNKS_PER_BATCH = {"cpu": 8, "cuda": 64}


class StemJEPA:
    """A trained Stem-JEPA.

    Attributes:
        sources: names of the instruments that can be predicted.
        sample_rate: in Hz, of the arrays it takes.
        dimension: length of a vector, bands × width.
        model: the configuration of the network.
        digest: SHA-256 of the file of weights; empty for a network without training.
        provenance: how the weights were made.

    >>> model = StemJEPA.from_pretrained(device="cpu")
    >>> model.sources
    ('bass', 'drums', 'other', 'vocals')
    >>> model.embed("song.wav").shape == (1, model.dimension)
    True
    """

    def __init__(self, loaded: checkpoint.Checkpoint, device: str | torch.device | None = None, precision: str = "32") -> None:
        if precision not in PRECISIONS:
            raise RequestError(f"precision {precision!r}: choose one of {', '.join(PRECISIONS)}")
        self.device, self.precision = devices.open_device(None if device is None else str(device)), precision
        devices.check_precision(self.device, precision)
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
        """Loads weights by name or path.

        Args:
            weights: see :func:`~jukemir_like.stemjepa.checkpoint.resolve`; None: those of the package.
            device: None: ``cuda`` where there is one, else ``cpu``; see :func:`~jukemir_like.core.devices.open_device`.
            precision: ``32``, or ``bf16``: matrix products in bfloat16. Its vectors are within 1 % of the same, in about half the time on
                processors that have such products, and in more time on those that only emulate them.
            cache: where named weights are looked up; None: the default cache.

        Raises:
            RequestError: there are no such weights, they cannot be read or give vectors that are not finite, or there is no such device.

        >>> StemJEPA.from_pretrained().dimension
        256
        """
        path = checkpoint.resolve(weights, cache)
        model = cls(checkpoint.load(path), device, precision)
        if not model._is_finite():
            raise RequestError(f"the weights {path} give vectors that are not finite for every input: train them again, or use others")
        return model

    @classmethod
    def untrained(cls, model: config.Model, device: str | torch.device | None = None, precision: str = "32", *, seed: int = 0) -> StemJEPA:
        """The network that ``model`` describes with the random weights of ``seed``, as before the first step of training.

        >>> StemJEPA.untrained(config.Model(encoder=config.Encoder("tiny")), device="cpu").provenance
        {'untrained': 0}
        """
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            network = Network(model)
        sources = checkpoint.default_sources(model)
        network.name_instruments(sources)
        return cls(checkpoint.Checkpoint(network, model, sources, {"untrained": seed}, ""), device, precision)

    def embed(self, clips: Clip | Sequence[Clip], sample_rate: int | None = None, which: str = "context") -> np.ndarray:
        """Embeds clips: float32 of shape ``(clips, bands · width)``. A clip has the same vector in any batch, to 1e-5.

        Args:
            clips: one or several files or arrays, of any lengths.
            sample_rate: of the arrays, in Hz; None: the model's.
            which: ``context``: vectors of the encoder, for mixes and for music in general; ``target``: of the teacher, which predictions
                are compared with.

        Raises:
            InputError: a clip cannot be read, is empty, is not mono or not finite.

        >>> model = StemJEPA.from_pretrained()
        >>> model.embed(["music/0.wav", "music/1.wav"]).shape
        (2, 256)
        >>> model.embed(np.zeros(44100), sample_rate=44100).shape
        (1, 256)
        """
        if which not in ("context", "target"):
            raise RequestError(f"which is {which!r}: choose context or target")
        network = self.network
        encoder = network.encoder if which == "context" else network.teacher
        return self._vectors(as_sequence(clips), sample_rate, lambda waveforms, _: [encoder(network.frontend(waveforms))])[:, 0]

    def embed_layers(self, clips: Clip | Sequence[Clip], layers: Sequence[int], sample_rate: int | None = None) -> np.ndarray:
        """Embeds clips by several layers of the encoder, from one pass: float32 of shape ``(clips, layers, bands · width)``.

        Args:
            clips: as in :meth:`embed`.
            layers: numbers of :meth:`~jukemir_like.stemjepa.model.Encoder.states`: 0, the patches before the first block, to the number of
                blocks, whose vectors are those of :meth:`embed`.
            sample_rate: of the arrays, in Hz; None: the model's.

        Raises:
            RequestError: there is no such layer.
            InputError: as :meth:`embed`.

        >>> model = StemJEPA.from_pretrained()
        >>> vectors = model.embed_layers("song.wav", [0, model.model.encoder.depth])
        >>> vectors.shape, bool((vectors[:, 1] == model.embed("song.wav")).all())
        ((1, 2, 256), True)
        """
        found = self._vectors(as_sequence(clips), sample_rate, self._encode_layers(layers), len(set(layers)))
        return found[:, [sorted(set(layers)).index(layer) for layer in layers]]

    def feed(self, clips: Sequence[Clip], pools: Sequence[Mapping[int, Pool]], sample_rate: int | None = None) -> None:
        """Adds the frames of each clip to its pools, ``pools[i][layer]``, from one pass; all clips have pools for the same layers.

        A frame is a time step: the patches of all bands, side by side, ``bands · width`` numbers.

        Args:
            clips, sample_rate: as in :meth:`embed`.
            pools: of each clip, by the layers of :meth:`embed_layers`.

        Raises:
            RequestError, InputError: as :meth:`embed_layers`.
        """
        layers = sorted(pools[0]) if pools else []
        by_layer = [[of_clip[layer] for layer in layers] for of_clip in pools]
        with devices.computing(self.device, self.precision):
            waveforms = self._waveforms(clips, sample_rate)
            feed_pools(waveforms, self._encode_layers(layers), self.model, by_layer, batch_size=self._chunks_per_batch, device=self.device)

    def _encode_layers(self, layers: Sequence[int]) -> Encode:
        """From waveforms to the patches of ``layers``, in ascending order; nothing behind the last of them is computed."""
        depth = self.model.encoder.depth
        unknown = next((layer for layer in layers if not 0 <= layer <= depth), None)
        if unknown is not None:
            raise RequestError(f"there is no layer {unknown}: choose from 0 to {depth}")
        network, last = self.network, max(layers, default=0)

        def encode(waveforms: torch.Tensor, _: list[int]) -> Iterator[torch.Tensor]:
            states = enumerate(islice(network.encoder.states(network.frontend(waveforms)), last + 1))
            return (state for number, state in states if number in layers)

        return encode

    def predict(self, context: Clip | Sequence[Clip], instrument: str | Sequence[str], sample_rate: int | None = None) -> np.ndarray:
        """Predicts the vectors of missing stems: float32 of shape ``(mixes, bands · width)``, to compare with ``embed(…, which="target")``.

        Args:
            context: one or several mixes, as in :meth:`embed`.
            instrument: which stem is missing, one of :attr:`sources`, or any name where :meth:`interpret` takes it; or one for each mix.
            sample_rate: of the arrays, in Hz; None: the model's.

        Raises:
            RequestError: an unknown instrument, or another number of instruments than of mixes.
            InputError: as :meth:`embed`.

        >>> StemJEPA.from_pretrained().predict("song.wav", "bass").shape
        (1, 256)
        """
        mixes = as_sequence(context)
        instruments = [instrument] * len(mixes) if isinstance(instrument, str) else list(instrument)
        if len(instruments) != len(mixes):
            raise RequestError(f"{len(instruments)} instruments for {len(mixes)} mixes: give one, or one for each")
        network, asked = self.network, self._asked(instruments)
        return self._vectors(
            mixes, sample_rate, lambda waveforms, clips: [network.predictor(network.encoder(network.frontend(waveforms)), asked[clips])]
        )[:, 0]

    def encode(self, mix: Clip, sample_rate: int | None = None) -> EncodedClips:
        """Encodes a mix once, so that :meth:`predict_from` can predict one stem after another.

        The patches stay in the memory of the device: 4 bytes for each of the ``bands · width`` numbers of a time step.

        Args:
            mix, sample_rate: as in :meth:`embed`.

        Raises:
            InputError: as :meth:`embed`.
        """
        network = self.network
        with devices.computing(self.device, self.precision):
            return encode_clips(
                self._waveforms([mix], sample_rate),
                lambda waveforms, _: [network.encoder(network.frontend(waveforms))],
                self.model,
                batch_size=self._chunks_per_batch,
                device=self.device,
            )

    def predict_from(self, encoded: EncodedClips, instrument: str) -> np.ndarray:
        """:meth:`predict` for a mix that is encoded: the same vector, float32 of shape ``(bands · width,)``.

        Args:
            encoded: of :meth:`encode`.
            instrument: as in :meth:`predict`.

        Raises:
            RequestError: an unknown instrument.

        >>> model = StemJEPA.from_pretrained()
        >>> encoded = model.encode("song.wav")
        >>> bool((model.predict_from(encoded, "bass") == model.predict("song.wav", "bass")).all())
        True
        """
        network, asked = self.network, self._asked([instrument])
        with devices.computing(self.device, self.precision):
            vectors = pool_encoded(encoded, lambda patches, clips: [network.predictor(patches, asked[clips])], self.model)
        return np.asarray(vectors[0, 0])

    def _asked(self, instruments: Sequence[str]) -> torch.Tensor:
        """What the predictor is told of instruments: their numbers, or the vectors of their names."""
        taken = [self.interpret(name) for name in instruments]
        if taken and self.is_text_conditioned:
            return interpretation.vectors(self.network, taken)
        return torch.tensor([one.number for one in taken], device=self.device)

    @property
    def is_text_conditioned(self) -> bool:
        """Whether these weights take any name of an instrument, and not only those of :attr:`sources`."""
        return self.model.predictor.instruments == "text"

    def interpret(self, instrument: str) -> Interpretation:
        """What the name of an instrument is taken for; its ``note`` says it in one line, where it is not one of :attr:`sources`.

        Raises:
            RequestError: these weights do not know the instrument and take no other names; or it is no name, or nothing in it was part of
                a name in training.

        >>> StemJEPA.from_pretrained().interpret("drums").number
        1
        """
        return interpretation.interpret(self.network, self.sources, instrument)

    def number(self, instrument: str) -> int:
        """The number of an instrument, from 0.

        Raises:
            RequestError: these weights do not know the instrument.

        >>> StemJEPA.from_pretrained().number("drums")
        1
        """
        number = self.interpret(instrument).number
        if number is None:
            raise RequestError(f"the instrument {config.excerpt(instrument, 60)!r} was not trained: it has no number")
        return number

    def rank(
        self,
        library: str | Path | Sequence[Clip] | Mapping[str, np.ndarray] | np.ndarray,
        context: Clip,
        instrument: str,
        top: int | None = None,
        sample_rate: int | None = None,
    ) -> list[tuple[str | int, float]]:
        """Ranks the stems of ``library`` by how well they fit a mix as its missing ``instrument``: (name, cosine in [-1, 1]), best first.

        Args:
            library: a folder of audio; files or arrays; or vectors of ``which="target"``: ``(stems, dimension)``, or name → vector. The
                name of a stem is its path below the folder, its path, its name, or its number in the sequence or array.
            context: the mix.
            instrument: as in :meth:`predict`.
            top: how many to return; None: all.
            sample_rate: of arrays of samples, in Hz; None: the model's.

        Raises:
            RequestError: an empty library, vectors of another dimension, an unknown instrument.
            InputError: as :meth:`embed`.

        >>> ranking = StemJEPA.from_pretrained().rank("music", "song.wav", "bass")
        >>> sorted(name for name, cosine in ranking)
        ['0.wav', '1.wav', '2.wav']
        >>> ranking[0][1] >= ranking[1][1] >= ranking[2][1]
        True
        """
        self.interpret(instrument)
        names, candidates = self._candidates(library, sample_rate)
        cosines = normalise(candidates) @ normalise(self.predict(context, instrument, sample_rate))[0]
        order = np.argsort(-cosines, kind="stable")[:top]
        return [(names[index], float(cosines[index])) for index in order]

    def _candidates(self, library: Any, sample_rate: int | None) -> tuple[list[str | int], np.ndarray]:
        """Names of the stems of a library, and their vectors ``(stems, dimension)``."""
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
        """Whether a patch of noise gives finite vectors. Else the weights are at fault, and not each clip."""
        samples = self.model.frontend.hop_length * self.model.encoder.patch_frames
        noise = np.random.default_rng(0).uniform(-0.5, 0.5, samples).astype(np.float32)
        outputs = (self.embed(noise), self.embed(noise, which="target"), self.predict(noise, self.sources[0]))
        return all(bool(np.isfinite(vectors).all()) for vectors in outputs)

    def _vectors(self, clips: Sequence[Clip], sample_rate: int | None, encode: Encode, layers: int = 1) -> np.ndarray:
        with devices.computing(self.device, self.precision):
            waveforms = self._waveforms(clips, sample_rate)
            return pool_clips(waveforms, encode, self.model, batch_size=self._chunks_per_batch, device=self.device, layers=layers)

    @property
    def _chunks_per_batch(self) -> int:
        return _CHUNKS_PER_BATCH.get(self.device.type, 8)

    def _waveforms(self, clips: Sequence[Clip], sample_rate: int | None) -> Iterator[np.ndarray]:
        return read_waveforms(clips, self.sample_rate, sample_rate or self.sample_rate)
