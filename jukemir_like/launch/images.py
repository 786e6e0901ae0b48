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

ENVIRONMENT_VARIABLE = "JUKEMIR_LIKE_IMAGES"
PREFIX = "stemjepa"
PROGRAM = "jukemir-like"
REPRESENTATIONS = "representations"

_IMAGE_NAME = re.compile(r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*")  # of one path component of an image's name, as engines accept it
_OURS_WITHOUT_TORCH = {"chroma", "mfcc"}


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
    "audit": StageImage("process"),
    "train": StageImage("train", gpu=True, shared_memory=1 << 30),
    "extract": StageImage(REPRESENTATIONS, gpu=True),
    "retrieve": StageImage(REPRESENTATIONS, gpu=True),
    "evaluate-retrieval": StageImage(REPRESENTATIONS, gpu=True),
    "probe": StageImage("probe", gpu=True),
    "report": StageImage("probe"),
}
"""By command. The entry of ``extract`` is the image of Stem-JEPA; :func:`for_representation` gives that of any representation."""


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
    """A container to be run, by whatever engine. What it may not do is said in :mod:`jukemir_like.launch.confinement`.

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


def is_stemjepa(representation: str) -> bool:
    """Whether ``representation`` is Stem-JEPA with some weights; all of these share an image.

    >>> [is_stemjepa(name) for name in ("stemjepa", "stemjepa-untrained", "mfcc")]
    [True, True, False]
    """
    return representation.partition("-")[0] == "stemjepa"


def runs_own_extract(representation: str) -> bool:
    """Whether the image runs this package's ``extract`` with all its options; other images take only the options of the contract.

    >>> [runs_own_extract(name) for name in ("chroma", "stemjepa-mine", "level")]
    [True, True, False]
    """
    return is_stemjepa(representation) or representation in _OURS_WITHOUT_TORCH


def for_representation(representation: str) -> StageImage:
    """The stage in which ``representation`` is extracted.

    Raises:
        RequestError: no image can have the representation's name.

    >>> for_representation("mfcc").image
    'representations_mfcc'
    """
    if is_stemjepa(representation):
        return STAGES["extract"]
    if not _IMAGE_NAME.fullmatch(representation):
        raise RequestError(f"no image can be called {REPRESENTATIONS}_{representation}: small letters, digits and single . _ - are allowed")
    return StageImage(f"{REPRESENTATIONS}_{representation}", gpu=representation not in _OURS_WITHOUT_TORCH)


def reference(name: str) -> str:
    """The full name of image ``name``, such as ``stemjepa/probe:0.1.0``. The prefix is read from the environment at each call.

    >>> reference("probe").partition(":")[0]
    'stemjepa/probe'
    """
    prefix = os.environ.get(ENVIRONMENT_VARIABLE, "").rstrip("/") or PREFIX
    return f"{prefix}/{name}:{__version__.replace('+', '-')}"
