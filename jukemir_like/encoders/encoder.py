"""What all encoders share: a card, weights in the cache, a net that is built with the first clip, in the worker process.

Loading an encoder reads its card and the header of its weights, so that an error is raised before the first clip.
"""

from __future__ import annotations

import inspect
import multiprocessing
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from jukemir_like.core import devices
from jukemir_like.core.cache import Cache
from jukemir_like.core.errors import RequestError
from jukemir_like.encoders import card as cards
from jukemir_like.encoders import hub, repositories, weights
from jukemir_like.encoders.card import Card
from jukemir_like.representations.base import Representation
from jukemir_like.representations.layers import LayeredRepresentation
from jukemir_like.representations.names import RepresentationName, parse

if TYPE_CHECKING:
    import torch
    from torch import Tensor

_CLIPS_ON_GPU = 16  # in a chunk: the batches that are computed at once are as large as its memory has room for


class Encoder(Representation):
    """A neural encoder that a card describes: the base of :class:`ClipEncoder` and :class:`LayeredEncoder`.

    A subclass sets :attr:`recipe` and writes :meth:`convert` and :meth:`build`.

    Args:
        card: the encoder's.
        name: as users type it, with its options; None: the card's name.
        cache: where weights are looked for; None: the default cache.
        weights: a converted file, instead of that in the cache.
        device: ``cpu``; ``cuda``, each worker another GPU; ``cuda:1``, this one; None: as ``cuda`` where there is a GPU, else ``cpu``.
        precision: of matrix products and convolutions: ``32``, ``bf16`` or ``16``.

    Attributes:
        recipe: version of the front-end and all else that is not in the card; raised whenever numbers change.
        precisions: those in which its vectors are within 1 % of float32's.

    Raises:
        RequestError: no such weights, layer, pool, device or precision; or the weights in the cache are others than the card names.
    """

    recipe: ClassVar[int]
    precisions: ClassVar[tuple[str, ...]] = devices.PRECISIONS

    def __init__(
        self,
        card: Card,
        *,
        name: str | None = None,
        cache: Cache | None = None,
        weights: str | Path | None = None,
        device: str | None = None,
        precision: str = "32",
    ) -> None:
        if precision not in self.precisions:
            raise RequestError(f"{card.name} has no precision {precision}: choose one of {', '.join(self.precisions)}")
        self.card, self.sample_rate, self.memory = card, card.sample_rate, card.memory
        self._device, self.precision = device, precision
        self.batch_size = _CLIPS_ON_GPU if devices.may_have_gpu(device) else 1
        self._set_name(parse(card.name if name is None else name))
        self.header = _read_header(card, self.name, cache, weights)

    def _set_name(self, name: RepresentationName) -> None:
        if name.layer is not None or name.pool is not None:
            raise RequestError(f"{name.base} has no layers or pools to choose: leave @ and what follows it out")
        self.name, self.dimension = str(name), self.card.width

    @property
    def parameters(self) -> dict[str, Any]:
        """Recipe, digest of the weights, settings of the card, precision."""
        settings = {"family": self.card.family, "sample_rate": self.sample_rate, **self.card.settings}
        return {"recipe": self.recipe, "weights": self.header.digest, "settings": settings, "precision": self.precision}

    @staticmethod
    @abstractmethod
    def convert(card: Card, files: Mapping[str, Path]) -> Mapping[str, Tensor | weights.LazyTensor]:
        """From published files (``path`` of the card → file) to the tensors of :meth:`build`'s net.

        Raises:
            RequestError: a file is damaged, or holds no weights of such a net; nothing in it is run.
        """

    @abstractmethod
    def build(self) -> torch.nn.Module:
        """The net, with any numbers; it is made on torch's meta device, so that it takes no memory."""

    @property
    def gpus(self) -> int:  # type: ignore[override]
        """How many GPUs it computes on."""
        return devices.gpus_of(self._device)

    @cached_property
    def device(self) -> torch.device:
        """Where the net computes, in this process."""
        device = devices.open_device(self._device)
        devices.check_precision(device, self.precision)
        return device

    def computing(self) -> AbstractContextManager[None]:
        """Within it the net computes, in its precision. One that does otherwise what precision asks for overrides it."""
        return devices.computing(self.device, self.precision)

    @cached_property
    def net(self) -> torch.nn.Module:
        """The net with its weights, in evaluation mode. Built at its first use."""
        import torch

        if multiprocessing.parent_process() is not None:
            torch.set_num_threads(1)  # in a worker; a forked one has none of the threads that its parent may have started
        with torch.device("meta"):
            net = self.build()
        shapes = {name: tuple(tensor.shape) for name, tensor in net.state_dict().items()}
        net.load_state_dict(weights.load(self.header, shapes), assign=True)
        return net.to(self.device).eval().requires_grad_(False)


class ClipEncoder(Encoder):
    """An encoder without layers to choose: a subclass writes :meth:`vector`.

    Attributes:
        front_end_rate: the sample rate in Hz that its front-end is made for.
    """

    front_end_rate: ClassVar[int]

    def __init__(self, card: Card, **options: Any) -> None:
        super().__init__(card, **options)
        if card.sample_rate != self.front_end_rate:
            fault = f"the card of {card.name} has sample_rate {card.sample_rate}"
            raise RequestError(f"{fault}; {card.family} is made for {self.front_end_rate} Hz: correct it")

    @abstractmethod
    def vector(self, clip: np.ndarray) -> np.ndarray:
        """The vector of one clip: shape ``(dimension,)``."""

    def __call__(self, clips: Sequence[np.ndarray]) -> np.ndarray:
        """Vectors of clips: float32, shape ``(len(clips), dimension)``."""
        with self.computing():
            vectors = [np.asarray(self.vector(clip), np.float32) for clip in clips]
        return np.stack(vectors) if vectors else np.empty((0, self.dimension), np.float32)


class LayeredEncoder(LayeredRepresentation, Encoder):
    """An encoder with layers to choose: a subclass writes :meth:`~jukemir_like.representations.layers.LayeredRepresentation.feed`."""

    def _set_name(self, name: RepresentationName) -> None:
        self.choose(str(name), self.card.layer_names, str(self.card.layer), self.card.width, self.card.pool)

    @property
    def parameters(self) -> dict[str, Any]:
        """As of every encoder, and layer and pool."""
        return super().parameters | self.choice

    def vectors_of_layers(self, clips: Sequence[np.ndarray], layers: Sequence[str]) -> np.ndarray:
        """Vectors of several layers from one forward pass: float32, shape ``(len(clips), len(layers), dimension)``."""
        with self.computing():
            return super().vectors_of_layers(clips, layers)


def names() -> list[str]:
    """Names of all encoders, sorted."""
    return cards.names()


def encoder_class(card: Card) -> type[Encoder]:
    """The class that runs ``card``: the ``ENCODER`` of the module that is called as its family.

    Raises:
        RequestError: there is no such family.
    """
    families = sorted(FAMILIES)
    if card.family not in FAMILIES:
        raise RequestError(f"{card.name} is of the unknown family {card.family!r}: choose one of {', '.join(families)}")
    module, _, name = FAMILIES[card.family].partition(":")
    found: type[Encoder] = getattr(import_module(module), name)
    return found


FAMILIES = {
    "choi": "jukemir_like.encoders.choi:Choi",
    "clmr": "jukemir_like.encoders.clmr:CLMR",
    "crepe": "jukemir_like.encoders.crepe:Crepe",
    "jukebox": "jukemir_like.encoders.jukebox:Jukebox",
    "musicnn": "jukemir_like.encoders.musicnn:Musicnn",
    "transformers": "jukemir_like.encoders.transformers_models:TransformersEncoder",
}
"""Family of a card → the class that runs it."""


def load(name: str, *, cache: Cache | None = None, card: str | Path | None = None, **options: Any) -> Encoder:
    """The encoder called ``name``, which may choose a layer and a pool.

    Args:
        name: of a card of this package, or of ``card``.
        cache: where weights are looked for; None: the default cache.
        card: a user's own card.
        options: of :class:`Encoder`.

    Raises:
        RequestError: no such encoder or weights, or an option that cannot be.
    """
    described = find_card(name, cache=cache, card=card)
    chosen = encoder_class(described)
    if refused := sorted(options.keys() - _options_of(chosen)):
        raise RequestError(f"{name} takes no {', '.join(refused)}: leave it out")
    with cards.misfit_errors(described):
        encoder = chosen(described, name=name, cache=cache, **options)
        _ = encoder.signature, encoder.dimension  # which depend on the card's settings too
    return encoder


def _options_of(chosen: type[Encoder]) -> set[str]:
    """Names of the options that a class takes: its own, and those of the classes to which it passes others on."""
    names: set[str] = set()
    for base in chosen.__mro__:
        if "__init__" in vars(base):
            parameters = inspect.signature(vars(base)["__init__"]).parameters
            names |= parameters.keys()
            if not any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values()):
                break
    return names


def find_card(name: str, *, cache: Cache | None = None, card: str | Path | None = None) -> Card:
    """The card of the encoder called ``name``: of this package, a user's own, or, of ``hf:ORG/NAME``, that which the download wrote.

    Args:
        name: with or without options.
        cache: where the download wrote it; None: the default cache.
        card: file of the user's own card.

    Raises:
        RequestError: there is none, or the user's own is of another name.
    """
    parsed = parse(name)
    if card is not None:
        described = cards.read_file(Path(card))
        if described.name != parsed.base:
            raise RequestError(f"{card} is the card of {described.name}, not of {parsed.base}")
        return described
    if parsed.family == "hf":
        path = (Cache.default() if cache is None else cache).weights(RepresentationName(parsed.base).folder) / "card.toml"
        if not path.exists():
            raise weights.MissingWeightsError(f"{parsed.base} is not in the cache: `jukemir-like download {parsed.base}` gets it")
        return cards.read_file(path)
    return cards.read(parsed.base)


def is_encoder(name: str, card: str | Path | None = None) -> bool:
    """Whether ``name`` is an encoder's: of a card of this package or of a user's, or a model of the Hugging Face hub."""
    return card is not None or name.startswith("hf:") or name in cards.names()


def weights_of(name: str) -> str:
    """What `jukemir-like download` is asked for by whom wants the weights of the encoder called ``name``, of this package or of the hub.

    >>> weights_of("clmr-59049"), weights_of("hf:facebook/hubert-base-ls960@layer=7")
    ('clmr', 'hf:facebook/hubert-base-ls960')
    """
    parsed = parse(name)
    return parsed.base if parsed.family == "hf" else cards.read(parsed.base).weights_name


def card_to_download(name: str, cache: Cache, card: str | Path | None = None, own_copy: Path | None = None) -> Card:
    """The card with the files of weights that are to be downloaded; of a model of the hub, its repository is asked for them.

    Raises:
        RequestError: no such encoder, or the hub has no such model.
    """
    if card is None and name.startswith("hf:"):
        return hub.resolve(name, cache, own_copy)
    return hub.with_files(find_card(name, cache=cache, card=card), cache, own_copy)


def _difference(header: weights.WeightsHeader, card: Card) -> str | None:
    """In what the sources of converted weights are others than those that ``card`` names; None: in nothing that it says.

    A revision is compared where the card gives a whole commit: what a branch or a tag was is not known here.
    """
    for file in card.files:
        of_member = file.member_sha256 and Path(str(file.member)).name
        for path, sha256 in ((file.path, file.sha256), (of_member, file.member_sha256)):
            if path and sha256 and header.sources.get(path) not in (None, f"sha256:{sha256}"):
                return path
    if card.hub is not None and header.repository not in (None, card.hub):
        return "repository"
    if repositories.is_commit(card.revision) and header.revision != card.revision:
        return "revision"
    return "choice of settings" if header.settings != hub.choice(card) else None


def _read_header(card: Card, name: str, cache: Cache | None, path: str | Path | None) -> weights.WeightsHeader:
    if path is not None:
        return weights.read_header(Path(path))
    header = weights.read_header(weights.locate(card, cache))
    declaring = cards.read(card.weights) if card.weights in cards.names() else card
    if other := _difference(header, declaring):
        base = parse(name).base
        asked = base if base.startswith("hf:") else card.weights_name
        raise RequestError(f"{header.path} was made of another {other} than the card of {base} names: `jukemir-like download {asked}`")
    return header
