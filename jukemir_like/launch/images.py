"""Which image a stage runs in, what it needs of the machine, and the description of a container to be run.

Images are called ``PREFIX/NAME:VERSION``. The version is this package's, so that the code in the image is the code that plans for it; the
prefix is ``$JUKEMIR_LIKE_IMAGES`` where that is set (to a registry, for example), else ``stemjepa``.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from jukemir_like.core.errors import RequestError
from jukemir_like.core.version import __version__
from jukemir_like.encoders import card as cards
from jukemir_like.representations.names import parse

ENVIRONMENT_VARIABLE = "JUKEMIR_LIKE_IMAGES"
PREFIX = "stemjepa"
PROGRAM = "jukemir-like"
REPRESENTATIONS = "representations"
CHECKPOINTS = "checkpoints"
"""Folder of the cache with the weights of Stem-JEPA, a file each."""
WEIGHTS = "weights"
"""Folder of the cache with the weights of encoders, a folder each."""

_IMAGE_NAME = re.compile(r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*")  # of one path component of an image's name, as engines accept it


@dataclass(frozen=True)
class StageImage:
    """Where a command runs.

    Args:
        image: the image's name, without prefix and version.
        gpu: whether the stage is faster with a GPU.
        shared_memory: bytes of shared memory that the stage's processes need, where that is more than engines give.
    """

    image: str
    gpu: bool = False
    shared_memory: int | None = None


STAGES = {
    "download": StageImage("download"),
    "process": StageImage("process"),
    "deform": StageImage("process"),
    "audit": StageImage("process"),
    "train": StageImage("train", gpu=True, shared_memory=8 << 30),  # eight loader workers at the paper's size; taken as it is used
    "convert": StageImage(REPRESENTATIONS),
    "extract": StageImage(REPRESENTATIONS, gpu=True),
    "retrieve": StageImage(REPRESENTATIONS, gpu=True),
    "evaluate-retrieval": StageImage(REPRESENTATIONS, gpu=True),
    "probe": StageImage("probe", gpu=True),
    "report": StageImage("probe"),
}
"""By command. The entry of ``extract`` is the image of Stem-JEPA; :func:`image_of` gives that of any representation."""


@dataclass(frozen=True)
class Family:
    """Representations that one image extracts.

    Args:
        name: of the representation that the image's own entry point extracts.
        image: the image's name, without prefix and version.
        separators: what may follow ``name`` in the names of its variants: with ``-``, ``NAME-VARIANT`` is one; empty: it has none.
        torch: whether it is computed by torch, and so is faster with a GPU.
        all_options: whether the image runs this package's ``extract`` with all its options; else it takes only those of the contract.
        weights: folder of the cache with its weights, mounted read-only: of :data:`CHECKPOINTS` only the file that the variant or
            ``--weights`` names, of :data:`WEIGHTS` only the encoder's folder. None: none are mounted.
        cards: the ``family`` of the cards of encoders that the image extracts; empty: none.
    """

    name: str
    image: str
    separators: str = ""
    torch: bool = True
    all_options: bool = True
    weights: str | None = None
    cards: str = ""

    def includes(self, representation: str) -> bool:
        """Whether ``representation`` is the family's own, or one of its variants, of any layer and pool."""
        base = representation.partition("@")[0]
        behind = base.removeprefix(self.name)
        return base.startswith(self.name) and (not behind or behind[0] in self.separators)


FAMILIES = (
    Family("chroma", f"{REPRESENTATIONS}_chroma", torch=False),
    Family("mfcc", f"{REPRESENTATIONS}_mfcc", torch=False),
    Family("stemjepa", REPRESENTATIONS, separators="-", weights=CHECKPOINTS),
    Family("choi", f"{REPRESENTATIONS}_choi", weights=WEIGHTS, cards="choi"),
    Family("musicnn", f"{REPRESENTATIONS}_musicnn", weights=WEIGHTS, cards="musicnn"),
    Family("clmr", f"{REPRESENTATIONS}_clmr", weights=WEIGHTS, cards="clmr"),
    Family("jukebox", f"{REPRESENTATIONS}_jukebox", weights=WEIGHTS, cards="jukebox"),
    Family("crepe", f"{REPRESENTATIONS}_crepe", weights=WEIGHTS, cards="crepe"),
    Family("mert-95m", f"{REPRESENTATIONS}_hf", weights=WEIGHTS, cards="transformers"),
)
"""The representations of this package; a new one is one more line. Any other has an image of its own, which may be anyone's."""


@dataclass(frozen=True)
class Mount:
    """A file or folder of this machine that a container sees.

    Args:
        source: absolute path on this machine.
        target: absolute path in the container.
        writable: whether the container may write to it; a writable folder that is missing is created.
    """

    source: Path
    target: str
    writable: bool = False


@dataclass(frozen=True)
class Container:
    """A container to be run, by any engine. How it is confined is defined in :mod:`jukemir_like.launch.confinement`.

    Args:
        image: full name of the image.
        arguments: of the program, after the entry point.
        entrypoint: program to run; None: the image's own.
        mounts: what it sees of this machine; no two have the same target.
        environment: variables in addition to the image's own.
        network: whether it may use the network.
        gpu: whether it is faster with a GPU.
        shared_memory: bytes; None: the engine's default.
        working_folder: absolute path in the container; None: the image's default.
    """

    image: str
    arguments: tuple[str, ...] = ()
    entrypoint: tuple[str, ...] | None = None
    mounts: tuple[Mount, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    network: bool = False
    gpu: bool = False
    shared_memory: int | None = None
    working_folder: str | None = None


def family_of(representation: str, card: str | Path | None = None) -> Family:
    """The family of ``representation``: one of :data:`FAMILIES`, or one of its own.

    Args:
        representation: its name; the layer and the pool that it may choose count for nothing.
        card: of an encoder of the user's own.

    Raises:
        RequestError: the card cannot be read.

    >>> [family_of(name).name for name in ("mfcc", "stemjepa-mine-untrained@layer=2", "level")]
    ['mfcc', 'stemjepa', 'level']
    >>> [family_of(name).image for name in ("musicnn-msd", "hubert-base@layer=7", "hf:facebook/hubert-base-ls960")]
    ['representations_musicnn', 'representations_hf', 'representations_hf']
    """
    name = parse(representation).base
    of_card = _family_of_card(name, card)
    for family in FAMILIES:
        if family.cards == of_card if of_card else family.includes(name):
            return family
    return Family(name, f"{REPRESENTATIONS}_{name}", all_options=False)


def _family_of_card(name: str, path: str | Path | None) -> str:
    """The family that the card of an encoder names; empty where ``name`` is no encoder."""
    if path is not None:
        return cards.read_file(Path(path)).family
    if parse(name).family == "hf":
        return "transformers"
    return cards.read(name).family if name in cards.names() else ""


def image_of(representation: str, card: str | Path | None = None) -> str:
    """The name of the image that extracts ``representation``, without prefix and version.

    Args:
        representation, card: as of :func:`family_of`.

    Raises:
        RequestError: no image can have the representation's name.

    >>> [image_of(name) for name in ("mfcc", "stemjepa-mine-untrained", "level")]
    ['representations_mfcc', 'representations', 'representations_level']
    """
    image = family_of(representation, card).image
    if not _IMAGE_NAME.fullmatch(image):
        raise RequestError(f"no image can be called {image}: small letters, digits and single . _ - are allowed")
    return image


def reference(name: str) -> str:
    """The full name of image ``name``, such as ``stemjepa/probe:0.1.0``. The prefix is read from the environment at each call.

    >>> reference("probe").partition(":")[0]
    'stemjepa/probe'
    """
    prefix = os.environ.get(ENVIRONMENT_VARIABLE, "").rstrip("/") or PREFIX
    return f"{prefix}/{name}:{__version__.replace('+', '-')}"
