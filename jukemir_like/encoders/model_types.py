"""Audio models that ``transformers`` has: which class runs which ``model_type``, and what it takes; as data, without torch.

A repository of the Hugging Face hub says in ``config.json`` what it is (``model_type``), and in ``preprocessor_config.json`` what its input
is. Code that a repository brings along (``auto_map``) is never run. MERT brings some and needs none: with the settings of its published
models it is HuBERT, number for number.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from jukemir_like.core.errors import RequestError

INSTALL = "the library transformers is not installed: pip install 'jukemir-like[encoders]'"


@dataclass(frozen=True)
class ModelType:
    """How models of one type are run.

    Args:
        config_class, model_class: of ``transformers``; ``""``: of this package's :mod:`~jukemir_like.encoders.nets.conformer`.
        takes: what the net takes: ``waveform``, ``fbank`` (wav2vec 2.0 BERT), ``spectrogram`` (AST), ``whisper``, ``clap``, ``codec``,
            ``conformer``.
        chunk_seconds: length of what it is given at once, unless a card says otherwise.
        unused: patterns of published tensors that the encoder does not need: heads, decoders, what training alone uses.
        own_code: a repository may bring code along, which is not run.
    """

    config_class: str
    model_class: str
    takes: str
    chunk_seconds: float
    unused: tuple[str, ...] = ()
    own_code: bool = False


_HEADS = ("lm_head.*", "quantizer.*", "project_hid.*", "project_q.*", "projector.*", "classifier.*", "final_proj.*", "label_embs_concat")
_SPEECH_SECONDS = 15.0  # wav2vec 2.0, HuBERT and WavLM were trained on crops of up to 250,000 samples


def _speech(name: str, seconds: float = _SPEECH_SECONDS) -> ModelType:
    return ModelType(f"{name}Config", f"{name}Model", "waveform", seconds, _HEADS)


MODEL_TYPES = {
    "wav2vec2": _speech("Wav2Vec2"),
    "hubert": _speech("Hubert"),
    "data2vec-audio": _speech("Data2VecAudio"),
    "wavlm": _speech("WavLM"),
    "wav2vec2-conformer": _speech("Wav2Vec2Conformer"),
    "unispeech": _speech("UniSpeech"),
    "unispeech-sat": _speech("UniSpeechSat"),
    "sew": _speech("SEW"),
    "mert_model": ModelType("HubertConfig", "HubertModel", "waveform", 5.0, _HEADS, own_code=True),
    "wav2vec2-bert": ModelType("Wav2Vec2BertConfig", "Wav2Vec2BertModel", "fbank", _SPEECH_SECONDS, _HEADS),
    "audio-spectrogram-transformer": ModelType("ASTConfig", "ASTModel", "spectrogram", 10.24, ("classifier.*",)),
    "whisper": ModelType("WhisperConfig", "WhisperEncoder", "whisper", 30.0, ("model.decoder.*", "decoder.*", "proj_out.*")),
    "clap": ModelType("ClapConfig", "ClapAudioModelWithProjection", "clap", 10.0, ("text_model.*", "text_projection.*", "logit_scale_*")),
    "encodec": ModelType("EncodecConfig", "EncodecModel", "codec", 10.0),
    "dac": ModelType("DacConfig", "DacModel", "codec", 10.0),
    "muq": ModelType(
        "",
        "",
        "conformer",
        30.0,
        ("model.cls_token", "model.linear.*", "model.quantizer_*", "model.preprocessor_*", "*.inv_freq"),
        own_code=True,
    ),
}
"""``model_type`` of a ``config.json`` → how it is run."""


@dataclass(frozen=True)
class Model:
    """A model as its repository describes it.

    Args:
        type: its ``model_type``.
        config: ``config.json``.
        preprocessor: ``preprocessor_config.json``; empty where there is none.
        where: for messages.

    Raises:
        RequestError: it cannot be run, or not without code of the repository's own.
    """

    type: str
    config: Mapping[str, Any]
    preprocessor: Mapping[str, Any]
    where: str

    def __post_init__(self) -> None:
        if self.type not in MODEL_TYPES:
            known = ", ".join(sorted(MODEL_TYPES))
            raise RequestError(f"{self.where} is a model of type {self.type!r}, which is no audio encoder that can be run: {known} are")
        if "auto_map" in self.config and not self.how.own_code:
            raise RequestError(f"{self.where} asks for code of its own to be run (auto_map in config.json), which is never done")
        for setting in ("feature_extractor_cqt", "deepnorm"):
            if self.type == "mert_model" and self.config.get(setting):
                raise RequestError(
                    f"{self.where} has {setting}: true in config.json: only MERT models without it are HuBERT and can be run"
                )
        if self.how.takes == "codec" and self.config.get("audio_channels", 1) != 1:
            raise RequestError(f"{self.where} is a codec of stereo: one of mono can be run")
        if self.how.takes == "clap" and self._audio.get("enable_fusion"):
            raise RequestError(f"{self.where} is a CLAP with fusion, whose input has random crops: one without fusion can be run")

    @property
    def how(self) -> ModelType:
        """How it is run."""
        return MODEL_TYPES[self.type]

    @property
    def _audio(self) -> Mapping[str, Any]:
        audio: Mapping[str, Any] = self.config.get("audio_config") or {}
        return audio

    @property
    def sample_rate(self) -> int | None:
        """In Hz, as the repository says; None: it does not."""
        if self.how.takes == "conformer":
            return 24000
        rate: Any = self.preprocessor.get("sampling_rate", self.config.get("sampling_rate"))
        return int(rate) if isinstance(rate, int) and rate > 0 else None

    @property
    def width(self) -> int:
        """Numbers per state."""
        names = {"whisper": "d_model", "clap": "projection_dim", "conformer": "encoder_dim"}
        value = self.config.get(names.get(self.how.takes, "hidden_size"), self._default_width)
        if not isinstance(value, int) or value < 1:
            raise RequestError(f"{self.where}: config.json does not say how wide the model is")
        return value

    @property
    def _default_width(self) -> int | None:
        """What ``transformers`` takes where ``config.json`` has no width."""
        if self.type == "dac" and isinstance(self.config.get("encoder_hidden_size", 64), int):
            doublings = len(self.config.get("downsampling_ratios", (2, 4, 8, 8)))
            return int(self.config.get("encoder_hidden_size", 64) * 2**doublings)
        return {"clap": 512, "encodec": 128, "whisper": 384}.get(self.type, 768)

    @property
    def layers(self) -> int:
        """Number of layers, 0 where there is one kind of state to take."""
        if self.how.takes in ("codec", "clap"):
            return 0
        names = {"whisper": "encoder_layers", "conformer": "encoder_depth"}
        value = self.config.get(names.get(self.how.takes, "num_hidden_layers"), {"whisper": 4}.get(self.type, 12))
        if not isinstance(value, int) or value < 1:
            raise RequestError(f"{self.where}: config.json does not say how many layers the model has")
        return value

    @property
    def least_samples(self) -> int:
        """Samples without which there is no state."""
        if self.how.takes == "waveform":
            samples = 1
            kernels, strides = self.config.get("conv_kernel", (10, 3, 3, 3, 3, 2, 2)), self.config.get("conv_stride", (5, 2, 2, 2, 2, 2, 2))
            for kernel, stride in reversed(list(zip(kernels, strides, strict=True))):
                samples = (samples - 1) * stride + kernel
            return samples
        if self.how.takes == "codec":
            return self.hop_length
        return {"fbank": 560, "clap": 1024, "conformer": 2048}.get(self.how.takes, 400)

    @property
    def hop_length(self) -> int:
        """Samples per state of a codec."""
        if self.type == "encodec":
            return math.prod(self.config.get("upsampling_ratios", (8, 5, 4, 2)))
        return math.prod(self.config.get("downsampling_ratios", (2, 4, 8, 8)))

    @property
    def fixed_samples(self) -> int | None:
        """The one length that the net takes, to which chunks are padded; None: it takes any."""
        if self.how.takes == "whisper":
            return 320 * int(self.config.get("max_source_positions", 1500))
        if self.how.takes == "spectrogram":
            return 400 + 160 * (int(self.config.get("max_length", 1024)) - 1)
        if self.how.takes == "clap":
            return int(self.preprocessor.get("max_length_s", 10)) * (self.sample_rate or 48000)
        return None

    @property
    def chunk_seconds(self) -> float:
        """Length of a chunk, unless a card says otherwise."""
        usual = self.how.chunk_seconds
        return usual if self.fixed_samples is None or self.sample_rate is None else min(usual, self.fixed_samples / self.sample_rate)
