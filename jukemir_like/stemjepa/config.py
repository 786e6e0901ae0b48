"""The configuration of a Stem-JEPA, which the header of its weights holds.

The defaults are those of the paper: ViT-Base on 8 s of 16 kHz audio in patches of 16 mel bands by 16 frames (160 ms).

>>> model = Model.from_dict({"encoder": {"size": "tiny"}, "predictor": {"num_sources": 6}})
>>> model.bands, model.steps, model.dimension
(5, 50, 960)
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, TypeVar

from jukemir_like.core import cache
from jukemir_like.core.errors import RequestError
from jukemir_like.core.files import printable

Section = TypeVar("Section")

SIZES = {"tiny": (192, 12, 3), "small": (384, 12, 6), "base": (768, 12, 12)}
"""Width, depth and heads of the encoder."""
POSITIONS = ("frequency-first", "time-first")
INITIALISATIONS = ("xavier", "pytorch")
INSTRUMENTS = ("classes", "text")
SUFFIX = ".safetensors"

LONGEST_SOURCE = 100
"""Characters of the name of an instrument."""

# Limits of a configuration, far above any model that was trained. Without them, a file of a few bytes could ask for all memory.
_MOST_NUMBER = 2**63
_MOST_HZ = 1_000_000
_MOST_WEIGHTS_OF_BANDS = 1 << 24
_MOST_SAMPLES = 1 << 27  # of a chunk
_MOST_BINS = 1 << 26  # of its spectrogram
_MOST_PATCHES = 1 << 16
_MOST_BUCKETS = 1 << 24
_NO_SAMPLE = 1e-6  # what rounding may leave of a length in samples


@dataclass(frozen=True)
class Frontend:
    """Waveform → standardised log-mel.

    Args:
        sample_rate: in Hz.
        n_fft: samples per frame; the Hann window is as long.
        hop_length: samples from one frame to the next.
        n_mels: bands, on Slaney's scale, each of unit area.
        f_min, f_max: their range in Hz.
        mean, std: of the natural logarithm over the training data.
    """

    sample_rate: int = 16000
    n_fft: int = 400
    hop_length: int = 160
    n_mels: int = 80
    f_min: float = 50.0
    f_max: float = 8000.0
    mean: float = -9.453
    std: float = 3.569

    def __post_init__(self) -> None:
        _positive(self, "sample_rate", "n_fft", "hop_length", "n_mels", "std")
        check(self.sample_rate <= _MOST_HZ, f"sample_rate {self.sample_rate}", f"it must be at most {_MOST_HZ:,}")
        check(math.isfinite(self.mean), f"mean {self.mean}", "give a finite number")
        check(
            self.n_mels * self.n_fft <= _MOST_WEIGHTS_OF_BANDS,
            f"n_mels {self.n_mels} of n_fft {self.n_fft}",
            f"their product must be at most {_MOST_WEIGHTS_OF_BANDS:,}",
        )
        low = 0 <= self.f_min < self.sample_rate / 2
        check(
            0 <= self.f_min < self.f_max <= self.sample_rate / 2,
            f"f_min {self.f_min} and f_max {self.f_max} Hz",
            "give f_min below f_max, and f_max at most half the sample rate, "
            f"for example model.frontend.f_max={self.sample_rate / 2:g}" + (" model.frontend.f_min=0" if not low else ""),
        )


@dataclass(frozen=True)
class Encoder:
    """Log-mel → one vector per patch.

    Args:
        size: ``tiny``, ``small`` or ``base`` sets width, depth and heads; with ``custom`` they are given.
        width: channels of a token.
        depth: blocks.
        heads: attention heads; divides the width.
        mlp_ratio: hidden channels of a block's MLP over its outer ones.
        patch_mels, patch_frames: size of a patch. ``patch_mels`` divides ``n_mels``.
        chunk_seconds: length of the audio that is encoded at once; a multiple of a patch.
        positions: which half of the channels encodes what: ``frequency-first`` (the band, then the time step) or ``time-first``, as in
            the original code. The Transformer predictor has the same.
    """

    size: str = "base"
    width: int = 0
    depth: int = 0
    heads: int = 0
    mlp_ratio: float = 4.0
    patch_mels: int = 16
    patch_frames: int = 16
    chunk_seconds: float = 8.0
    positions: str = "frequency-first"

    def __post_init__(self) -> None:
        given = (self.width, self.depth, self.heads)
        check(
            self.size in (*SIZES, "custom"),
            f"encoder size {self.size!r}",
            f"choose {', '.join(SIZES)}, or custom with width, depth and heads",
        )
        if self.size != "custom":
            check(
                given in ((0, 0, 0), SIZES[self.size]), f"encoder size {self.size} with another width, depth or heads", "choose size custom"
            )
            for name, value in zip(("width", "depth", "heads"), SIZES[self.size], strict=True):
                object.__setattr__(self, name, value)
        _positive(self, "width", "depth", "heads", "mlp_ratio", "patch_mels", "patch_frames", "chunk_seconds")
        check(
            self.width % self.heads == 0 and self.width % 4 == 0,
            f"width {self.width}",
            f"make it a multiple of 4 and of heads, {self.heads}",
        )
        check(self.positions in POSITIONS, f"positions {self.positions!r}", f"choose {' or '.join(POSITIONS)}")
        check(self.width * self.mlp_ratio >= 1, f"mlp_ratio {self.mlp_ratio}", "it must leave at least one hidden channel")


@dataclass(frozen=True)
class Predictor:
    """Context patches and an instrument → the missing stem's patches.

    Args:
        kind: ``mlp`` (each patch alone) or ``transformer`` (each patch from all; the instrument is one more token).
        num_sources: number of instruments.
        conditioning: of the MLP: ``concat`` (the instrument's embedding is concatenated to the patch), ``concat-N`` (to the input of each
            of the first N layers; ``concat`` is ``concat-1``), ``film`` (it scales and shifts every hidden layer) or ``none``.
        width: hidden channels; 0: as in the paper, 1024 for the MLP, 512 for the transformer.
        depth: hidden layers of the MLP, blocks of the transformer; 0: as in the paper, 5 and 8.
        heads: attention heads of the transformer.
        initialisation: of the MLP's layers before training: ``xavier`` (uniform, with zero biases, as everywhere else) or ``pytorch``
            (that of its linear layers, as in the original code).
        instruments: ``classes`` (each has a vector of its own) or ``text``: its vector is made of its name, so any name has one, as in
            arXiv 2411.19806 (:mod:`.instrument_text`).
        text_buckets: of ``text``: how many different embeddings the features of names have.
        text_width: of ``text``: their length.
    """

    kind: str = "mlp"
    num_sources: int = 4
    conditioning: str = "concat"
    width: int = 0
    depth: int = 0
    heads: int = 16
    initialisation: str = "xavier"
    instruments: str = "classes"
    text_buckets: int = 32768
    text_width: int = 32

    def __post_init__(self) -> None:
        check(self.kind in ("mlp", "transformer"), f"predictor kind {self.kind!r}", "choose mlp or transformer")
        check(self.initialisation in INITIALISATIONS, f"initialisation {self.initialisation!r}", f"choose {' or '.join(INITIALISATIONS)}")
        check(self.instruments in INSTRUMENTS, f"predictor instruments {self.instruments!r}", f"choose {' or '.join(INSTRUMENTS)}")
        for name, value in (("width", 1024 if self.kind == "mlp" else 512), ("depth", 5 if self.kind == "mlp" else 8)):
            if getattr(self, name) == 0:
                object.__setattr__(self, name, value)
        _positive(self, "width", "depth", "heads", "text_buckets", "text_width")
        check(self.text_buckets <= _MOST_BUCKETS, f"text_buckets {self.text_buckets}", f"it must be at most {_MOST_BUCKETS:,}")
        check(self.num_sources >= 2, f"num_sources {self.num_sources}", "a mix needs two stems or more")
        check(
            bool(re.fullmatch(r"concat(-[1-9]\d{0,3})?|film|none", self.conditioning)),
            f"conditioning {self.conditioning!r}",
            "choose concat, concat-N, film or none",
        )
        check(self.concatenated <= self.depth + 1, f"conditioning {self.conditioning!r}", f"the predictor has {self.depth + 1} layers")
        named = self.kind == "mlp" and self.conditioning == "none" and self.instruments == "text"
        check(
            not named, "instruments text with conditioning none", "choose conditioning film, which uses their names, or instruments classes"
        )
        if self.kind == "transformer":
            check(
                self.width % self.heads == 0 and self.width % 4 == 0,
                f"predictor width {self.width}",
                f"make it a multiple of 4 and of heads, {self.heads}",
            )

    @property
    def concatenated(self) -> int:
        """The number of layers whose input the instrument's embedding is concatenated to."""
        kind, _, count = self.conditioning.partition("-")
        return int(count or 1) if kind == "concat" else 0


@dataclass(frozen=True)
class Vector:
    """Which vector stands for a clip where labels are predicted from it: what ``extract stemjepa`` gives where its name says no other.

    Which stem fits is always found by the last layer's mean, which training makes alike for a prediction and its target.

    Args:
        layer: number of a layer of the encoder, from 0, the patches before the first block; None: the last one, as in the paper.
        pool: over time, one of :data:`~jukemir_like.core.cache.POOLS`.
    """

    layer: int | None = None
    pool: str = "mean"

    def __post_init__(self) -> None:
        check(self.pool in cache.POOLS, f"vector pool {self.pool!r}", f"choose one of {', '.join(cache.POOLS)}")


@dataclass(frozen=True)
class Model:
    """A Stem-JEPA: front-end, encoder (and teacher, which is like it) and predictor, and which of its vectors stands for a clip."""

    frontend: Frontend = field(default_factory=Frontend)
    encoder: Encoder = field(default_factory=Encoder)
    predictor: Predictor = field(default_factory=Predictor)
    vector: Vector = field(default_factory=Vector)

    def __post_init__(self) -> None:
        layer, depth = self.vector.layer, self.encoder.depth
        check(layer is None or 0 <= layer <= depth, f"vector layer {layer}", f"choose from 0 to {depth}")
        mels, patch = self.frontend.n_mels, self.encoder.patch_mels
        check(mels % patch == 0, f"patch_mels {patch}", f"it must divide n_mels, {mels}")
        samples = self.encoder.chunk_seconds * self.frontend.sample_rate
        for count, most, what in (
            (samples, _MOST_SAMPLES, "samples"),
            (samples / self.frontend.hop_length * self.frontend.n_fft, _MOST_BINS, "bins of a spectrogram"),
        ):
            check(count <= most, f"chunk_seconds {self.encoder.chunk_seconds}", f"that is {count:,.0f} {what}, the limit is {most:,}")
        step = self.frontend.hop_length * self.encoder.patch_frames
        check(
            abs(samples - round(samples)) < _NO_SAMPLE and round(samples) % step == 0,
            f"chunk_seconds {self.encoder.chunk_seconds}",
            f"make it a multiple of a patch, {step / self.frontend.sample_rate:g} s, "
            f"for example model.encoder.chunk_seconds={_seconds(max(1, round(samples / step)) * step, self.frontend.sample_rate)}",
        )
        check(samples > self.frontend.n_fft / 2, f"chunk_seconds {self.encoder.chunk_seconds}", "it must be longer than half a frame")
        patches = self.bands * self.steps
        check(
            patches <= _MOST_PATCHES,
            f"chunk_seconds {self.encoder.chunk_seconds}",
            f"that is {patches:,} patches, the limit is {_MOST_PATCHES:,}",
        )

    @property
    def chunk_samples(self) -> int:
        """Samples of a chunk, which is encoded at once."""
        return round(self.encoder.chunk_seconds * self.frontend.sample_rate)

    @property
    def bands(self) -> int:
        """Patches along frequency."""
        return self.frontend.n_mels // self.encoder.patch_mels

    @property
    def steps(self) -> int:
        """Patches along time in a chunk."""
        return self.chunk_samples // (self.frontend.hop_length * self.encoder.patch_frames)

    @property
    def dimension(self) -> int:
        """Length of a layer's mean: bands × width, 3,840 at paper size."""
        return self.bands * self.encoder.width

    def to_dict(self) -> dict[str, Any]:
        """JSON values that :meth:`from_dict` reads back."""
        values = asdict(self)
        for section, option, usual in (("encoder", "positions", POSITIONS[0]), ("predictor", "initialisation", INITIALISATIONS[0])):
            if values[section][option] == usual:  # as before there was a choice: what these values are the parameters of stays the same
                del values[section][option]
        if self.predictor.instruments == INSTRUMENTS[0]:
            values["predictor"] = without_text(values["predictor"])
        if self.vector == Vector():
            del values["vector"]
        return values

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Model:
        """The model that ``values`` describe; missing options are as in the paper.

        Raises:
            RequestError: an unknown option, or a value that no model can have.
        """
        sections = {"frontend": Frontend, "encoder": Encoder, "predictor": Predictor, "vector": Vector}
        unknown = sorted(map(str, set(values) - set(sections)))
        check(not unknown, f"unknown section {', '.join(unknown)} of a model", f"known are {', '.join(sections)}")
        return cls(**{name: build(kind, values.get(name, {}), name) for name, kind in sections.items()})  # type: ignore[arg-type]

    def with_statistics(self, mean: float, std: float) -> Model:
        """The same model for data whose log-mel has this mean and standard deviation.

        >>> Model().with_statistics(-8.0, 3.0).frontend.mean
        -8.0
        """
        return replace(self, frontend=replace(self.frontend, mean=mean, std=std))


def build(section: type[Section], values: Mapping[str, Any], name: str) -> Section:
    """A section of a configuration from plain values: only known options, each of its type.

    Raises:
        RequestError: an unknown option, or a value of another type or out of its range.

    >>> build(Frontend, {"n_mels": 64}, "frontend").n_mels
    64
    """
    known = {option.name: str(option.type) for option in fields(section)}  # type: ignore[arg-type]
    for option, value in values.items():
        check(option in known, f"unknown option {name}.{option}", f"known are {', '.join(known)}")
        number = isinstance(value, int | float)
        check(not number or abs(value) < _MOST_NUMBER, f"{name}.{option} is infinite, not a number (NaN) or huge", "give another number")
        check(_fits(value, known[option]), f"{name}.{option} is {value!r}", f"give a value of type {known[option]}")
    return section(**values)


def without_text(predictor: Mapping[str, Any]) -> dict[str, Any]:
    """Plain values of a :class:`Predictor` without the options of instruments by their names, as before there were any."""
    return {option: value for option, value in predictor.items() if option not in ("instruments", "text_buckets", "text_width")}


def _fits(value: Any, annotation: str) -> bool:
    """Whether ``value`` is of the type that ``annotation`` spells, as ``int | None``. An int is a float too, a bool is neither."""
    kinds: dict[str, Any] = {"int": int, "float": (int, float), "str": str, "bool": bool, "None": type(None)}
    if annotation.startswith("tuple[str, ...]") and isinstance(value, list | tuple):
        return all(isinstance(part, str) for part in value)
    if isinstance(value, bool):
        return "bool" in annotation.split(" | ")
    return any(isinstance(value, kinds.get(kind, object)) for kind in annotation.split(" | "))


def _positive(section: object, *names: str) -> None:
    for name in names:
        value = getattr(section, name)
        check(0 < value < math.inf, f"{name} {value}", "it must be above 0")


def _seconds(samples: int, sample_rate: int) -> str:
    """A length in seconds with as many digits as it takes to get the same number of samples back.

    >>> _seconds(128000, 16000), _seconds(176640, 22050)
    ('8', '8.0108843537')
    """
    seconds = samples / sample_rate
    return next(text for digits in range(1, 18) if abs(float(text := f"{seconds:.{digits}g}") * sample_rate - samples) < _NO_SAMPLE)


def check(holds: bool, what: str, remedy: str) -> None:
    """Raises :class:`RequestError` with what is wrong and what to do, unless ``holds``."""
    if not holds:
        raise RequestError(f"{excerpt(what)}: {remedy}")


def is_name(text: str) -> bool:
    """Whether weights or an instrument can have this name: one that a folder of the cache can have, without the suffix of weights.

    >>> is_name("bass"), is_name("a/b"), is_name("bass.safetensors")
    (True, False, False)
    """
    return cache.is_name(text) and not text.endswith(SUFFIX)


def check_sources(names: Sequence[str], count: int) -> None:
    """Raises :class:`RequestError` where these cannot be the names of ``count`` instruments, and of the files of their stems."""
    strings = isinstance(names, list | tuple) and all(isinstance(name, str) for name in names)
    check(strings, f"sources are {excerpt(repr(names), 60)}", "give a list of names")
    enough = len(names) == count and len(set(names)) == count
    check(enough, f"sources {', '.join(names)}", f"the model has {count}, give as many different names")
    for name in names:
        remedy = "give a short name, without / and control characters"
        usable = is_name(name) and len(name) <= LONGEST_SOURCE
        check(usable, f"source {excerpt(name, 60)!r} cannot be the name of an instrument", remedy)


def excerpt(text: object, most: int = 300) -> str:
    """Text from a file or a user for a message: printable, on one line and at most ``most`` characters long.

    >>> excerpt("a long line" * 10, 6)
    'a long…'
    """
    line = printable(str(text))
    return line if len(line) <= most else f"{line[:most]}…"
