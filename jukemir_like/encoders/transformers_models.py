"""Encoders of the library ``transformers``, and MuQ and MusicFM: all hidden states of a published model, by a card or by ``hf:ORG/NAME``.

A clip is cut into chunks of the length that the model was trained with (``chunk_seconds``), one behind the other. The last one is shorter,
and counts by its frames; where it is too short for a frame, it belongs to the chunk before (or, where a net takes one length only, is left
out). Each chunk is prepared as the model's own feature extractor does, so a mean and a variance are those of the chunk. Chunks share a
batch where they are equally long, and none is padded but for nets of one length: a vector depends on its own clip alone.

Layer 0 is the input of the first block, layer N the output of the last, as ``transformers`` numbers ``hidden_states``. The settings of a
card's ``[settings]``:

===================  ==================================================================================================================
``chunk_seconds``    instead of that of :data:`~jukemir_like.encoders.model_types.MODEL_TYPES`, no more than a net of one length takes
``model_type``       instead of that in ``config.json``
``config``           a table in the place of ``config.json``
``weights_file``     which file of the repository has the weights, where its name is not one of the usual
``statistics_file``  JSON with mean and deviation of the log-mel spectrogram (MusicFM)
``unused``           patterns of tensors that may be left out, besides those of the type
===================  ==================================================================================================================

Needs ``pip install 'jukemir-like[encoders]'``. Nothing in a repository is run, and nothing is fetched here: see
:mod:`jukemir_like.encoders.hub`.
"""

from __future__ import annotations

import math
import multiprocessing
from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from jukemir_like.core import devices, jsonfiles
from jukemir_like.core import files as core_files
from jukemir_like.core.errors import InputError, RequestError
from jukemir_like.encoders import chunks, log_mel, weights
from jukemir_like.encoders.card import Card
from jukemir_like.encoders.encoder import LayeredEncoder
from jukemir_like.encoders.model_types import INSTALL, Model
from jukemir_like.encoders.repositories import CONFIG, PREPROCESSOR, WEIGHT_SUFFIXES

if TYPE_CHECKING:
    import torch

    from jukemir_like.representations.pooling import Pool

_SETTINGS = {
    "chunk_seconds?": float,
    "model_type?": str,
    "config?": {str: object},
    "weights_file?": str,
    "statistics_file?": str,
    "unused?": [str],
}
_BATCH_SECONDS = {"cpu": 60.0, "cuda": 480.0}  # of audio in one call of the net, at first
_FRAMES_PER_SECOND = 100  # of an embedding of a chunk, by which it is weighted


class TransformersEncoder(LayeredEncoder):
    """The hidden states of a published model; arguments are those of :class:`~jukemir_like.encoders.encoder.Encoder`.

    Raises:
        RequestError: the library ``transformers`` is not installed; the repository has a model that cannot be run, or another than its
            card says.
    """

    recipe = 1

    def __init__(self, card: Card, **options: Any) -> None:
        if find_spec("transformers") is None:
            raise RequestError(f"{card.name}: {INSTALL}")
        super().__init__(card, **options)
        folder = self.header.path.parent
        self.model = describe(card, {name: folder / name for name in self.header.sources})
        _check_unchanged(self.header)
        self._batch_seconds: float | None = None

    @property
    def chunk_samples(self) -> int:
        """Samples of a chunk."""
        seconds = float(self.card.settings.get("chunk_seconds", self.model.chunk_seconds))
        return max(round(seconds * self.sample_rate), self.model.least_samples)

    @property
    def parameters(self) -> dict[str, Any]:
        """As of every encoder with layers; and repository and commit of the weights, digests of its descriptions, length of a chunk."""
        described = {name: digest for name, digest in sorted(self.header.sources.items()) if name.endswith(".json")}
        hub = {"hub": self.header.repository, "revision": self.header.revision, "described": described}
        return super().parameters | hub | {"chunk_samples": self.chunk_samples, "least_samples": self.model.least_samples}

    @staticmethod
    def convert(card: Card, files: Mapping[str, Path]) -> dict[str, torch.Tensor]:
        """From the files of a repository to the tensors of the encoder, see :func:`jukemir_like.encoders.nets.pretrained.convert`."""
        if find_spec("transformers") is None:
            raise RequestError(f"{card.name}: {INSTALL}")
        from jukemir_like.encoders.nets import pretrained

        model = describe(card, files)
        paths = [path for name, path in sorted(files.items()) if name.endswith(WEIGHT_SUFFIXES)]
        if not paths:
            raise RequestError(f"{card.name}: the card names no file of weights ({', '.join(WEIGHT_SUFFIXES)})")
        return pretrained.convert(model, pretrained.read_tensors(paths), card.settings.get("unused", ()))

    def build(self) -> torch.nn.Module:
        """The encoder with any numbers."""
        from jukemir_like.encoders.nets import pretrained

        return pretrained.build(self.model)

    @cached_property
    def net(self) -> torch.nn.Module:
        """The net with its weights, built at its first use.

        Not on torch's meta device: what nets compute for themselves would be lost.
        """
        import torch

        from jukemir_like.encoders.nets import pretrained

        if multiprocessing.parent_process() is not None:
            torch.set_num_threads(1)
        net = pretrained.build(self.model)
        shapes = {name: tuple(tensor.shape) for name, tensor in net.state_dict().items()}
        return pretrained.with_tensors(net, weights.load(self.header, shapes)).to(self.device)

    def feed(self, clips: Sequence[np.ndarray], pools: Sequence[Mapping[str, Pool]]) -> None:
        """Adds the states of each clip to its pools."""
        by_length: dict[int, list[tuple[int, int]]] = defaultdict(list)
        for number, clip in enumerate(clips):
            least = self.model.least_samples
            places = chunks.cut(len(clip), self.chunk_samples, least, join=self.model.fixed_samples is None)
            if not places:
                raise InputError(
                    f"has {len(clip):,} samples at {self.sample_rate:,} Hz, and {self.card.name} needs {least:,} for one frame"
                )
            for begin, end in places:
                by_length[end - begin].append((number, begin))
        for length, found in by_length.items():
            while found:
                size = min(self._batch_size(length), len(found))
                batch = found[:size]
                try:
                    states = self._states(np.stack([self.prepare(clips[number][begin : begin + length]) for number, begin in batch]))
                except Exception as error:
                    if size == 1 or not devices.is_out_of_memory(error):
                        raise
                    states = None
                if states is None:
                    devices.release_memory()  # here, where no traceback holds tensors any more
                    self._batch_seconds = size // 2 * length / self.sample_rate
                    continue
                frames = self.frames(length, states[0].shape[1])
                for row, (number, _) in enumerate(batch):
                    for layer, pool in pools[number].items():
                        of_chunk = states[int(layer)][row]
                        pool.add(of_chunk.repeat(frames, 1) if self.model.how.takes == "clap" else of_chunk[:frames])
                found = found[size:]

    def prepare(self, chunk: np.ndarray) -> np.ndarray:
        """What the net takes of a chunk ``(samples,)``, as the model's own feature extractor makes it.

        Returns:
            float32, without the axis of the batch.
        """
        takes, settings = self.model.how.takes, self.model.preprocessor
        if takes == "waveform":
            return log_mel.normalised(chunk) if settings.get("do_normalize", True) else chunk
        if takes == "codec":
            return np.pad(chunk, (0, -len(chunk) % self.model.hop_length)) if self.model.type == "dac" else chunk
        if takes == "whisper":
            return log_mel.whisper(
                chunk, self.model.fixed_samples or 0, settings.get("feature_size", self.model.config.get("num_mel_bins", 80))
            )
        if takes == "clap":
            bounds = {"f_min": settings.get("frequency_min", 0), "f_max": settings.get("frequency_max", 14000)}
            return log_mel.clap(
                chunk, self.model.fixed_samples or 0, settings.get("feature_size", 64), settings.get("hop_length", 480), **bounds
            )
        if takes == "fbank":
            return log_mel.stacked(log_mel.kaldi(chunk * np.float32(2**15), settings.get("num_mel_bins", 80), "povey"))
        if takes == "spectrogram":
            frames = log_mel.kaldi(chunk, settings.get("num_mel_bins", 128), "hann")
            length = settings.get("max_length", self.model.config.get("max_length", 1024))
            padded = np.pad(frames, ((0, max(0, length - len(frames))), (0, 0)))[:length]
            mean, deviation = settings.get("mean", -4.2677393), settings.get("std", 4.5689974)
            return np.asarray((padded - mean) / (2 * deviation) if settings.get("do_normalize", True) else padded, np.float32)
        statistics = self.model.config["stat"]
        return np.asarray((log_mel.torchaudio(chunk) - statistics["melspec_2048_mean"]) / statistics["melspec_2048_std"], np.float32)

    def frames(self, samples: int, states: int) -> int:
        """How many of the ``states`` of a chunk are of its ``samples``, and not of padding; how often the one embedding of CLAP counts."""
        if self.model.how.takes == "whisper":
            return math.ceil(samples / 320)
        if self.model.how.takes == "clap":
            return max(1, samples * _FRAMES_PER_SECOND // self.sample_rate)
        if self.model.how.takes == "spectrogram":
            return math.ceil((1 + (samples - 400) // 160) / int(self.model.config.get("time_stride", 10)))
        return states

    def _states(self, inputs: np.ndarray) -> tuple[torch.Tensor, ...]:
        import torch

        from jukemir_like.encoders.nets import pretrained

        return pretrained.states(self.model, self.net, torch.from_numpy(inputs).to(self.device))

    def _batch_size(self, length: int) -> int:
        if self._batch_seconds is None:
            self._batch_seconds = _BATCH_SECONDS.get(self.device.type, _BATCH_SECONDS["cuda"])
        return max(1, int(self._batch_seconds * self.sample_rate / length))


def describe(card: Card, files: Mapping[str, Path]) -> Model:
    """The model that the files of a repository describe, checked against its card.

    Args:
        card: its card.
        files: name in the repository → file.

    Raises:
        RequestError: it cannot be run, or is another model than the card says.
    """
    settings = card.settings
    try:
        jsonfiles.check(settings, _SETTINGS)
        if unknown := sorted(settings.keys() - {name.rstrip("?") for name in _SETTINGS}):
            raise ValueError(f"the unknown {', '.join(unknown)}")
    except ValueError as error:
        raise RequestError(f"settings of the card of {card.name}: {str(error).removeprefix('is damaged: ')}") from error
    config = settings.get("config") or _read_json(card, files, CONFIG)
    preprocessor = _read_json(card, files, PREPROCESSOR) if PREPROCESSOR in files else {}
    if "statistics_file" in settings:
        config = {**config, "stat": _read_json(card, files, settings["statistics_file"])}
    model = Model(str(settings.get("model_type", config.get("model_type"))), config, preprocessor, card.hub or card.name)
    if model.how.takes == "conformer":
        statistics = config.get("stat")
        if not isinstance(statistics, dict) or not all(
            isinstance(statistics.get(f"melspec_2048_{name}"), int | float) for name in ("mean", "std")
        ):
            raise RequestError(f"{model.where}: mean and deviation of its spectrogram are missing (melspec_2048_mean, melspec_2048_std)")
    for what, said, found in (
        ("sample_rate", card.sample_rate, model.sample_rate or card.sample_rate),
        ("width", card.width, model.width),
        ("layers", card.layers, model.layers),
    ):
        if said != found:
            raise RequestError(f"the card of {card.name} says {what} = {said}, its repository {found}: correct the card")
    fixed, chunk = model.fixed_samples, settings.get("chunk_seconds", 0) * card.sample_rate
    if chunk < 0 or (fixed is not None and chunk > fixed):
        longest = "" if fixed is None else f", and the model takes up to {fixed / card.sample_rate:g} s"
        raise RequestError(f"the card of {card.name} says chunk_seconds = {settings['chunk_seconds']}{longest}: correct the card")
    return model


def _read_json(card: Card, files: Mapping[str, Path], name: str) -> dict[str, Any]:
    path = files.get(name)
    if path is None:
        raise RequestError(f"{card.name}: the card names no file {name}, which describes the model")
    try:
        value = jsonfiles.parse(core_files.read_regular(path))
    except OSError as error:
        raise RequestError(f"{path} {core_files.refusal(error)}: `jukemir-like download {card.weights_name}` gets it") from error
    except ValueError as error:
        raise RequestError(f"{path} {error}: download it again") from error
    if not isinstance(value, dict):
        raise RequestError(f"{path} is no JSON object: download it again")
    return value


def _check_unchanged(header: weights.WeightsHeader) -> None:
    """Descriptions lie beside the converted weights; they must be those that the weights were converted with."""
    import hashlib

    for name, digest in header.sources.items():
        if name.endswith(".json") and digest.startswith("sha256:"):
            path = header.path.parent / name
            if hashlib.sha256(path.read_bytes()).hexdigest() != digest.removeprefix("sha256:"):
                raise RequestError(f"{path} has changed since the weights were converted: remove it and download again")
