"""Which image a stage runs in, and what it needs of the machine.

Images are called ``PREFIX/NAME:VERSION``. The version is this package's, so that the code in the image is the code that plans for it; the
prefix is ``$JUKEMIR_LIKE_IMAGES`` where that is set (a registry, say), else ``stemjepa``.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass

from jukemir_like import __version__
from jukemir_like.core.errors import RequestError

ENVIRONMENT_VARIABLE = "JUKEMIR_LIKE_IMAGES"
PREFIX = "stemjepa"
PROGRAM = "jukemir-like"
REPRESENTATIONS = "representations"

_NAME = re.compile(r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*")  # of a part of an image's name, as engines take it
_OURS_WITHOUT_TORCH = {"chroma", "mfcc"}


@dataclass(frozen=True)
class Stage:
    """Where a command runs.

    Args:
        image: the image's name, without prefix and version.
        gpu: whether it is faster with one.
        shared_memory: bytes of it that the stage's processes need, where that is more than engines give.
    """

    image: str
    gpu: bool = False
    shared_memory: int | None = None


STAGES = {
    "download": Stage("download"),
    "process": Stage("process"),
    "audit": Stage("process"),
    "train": Stage("train", gpu=True, shared_memory=1 << 30),
    "extract": Stage(REPRESENTATIONS, gpu=True),
    "retrieve": Stage(REPRESENTATIONS, gpu=True),
    "evaluate-retrieval": Stage(REPRESENTATIONS, gpu=True),
    "probe": Stage("probe", gpu=True),
    "report": Stage("probe"),
}
"""By command. That of ``extract`` is the image of Stem-JEPA; see :func:`of_representation`."""


def is_stemjepa(representation: str) -> bool:
    """Whether it is one of the family that shares an image."""
    return representation.partition("-")[0] == "stemjepa"


def is_ours(representation: str) -> bool:
    """Whether its image runs our own ``extract``, whose options are known; another's takes what the contract says."""
    return is_stemjepa(representation) or representation in _OURS_WITHOUT_TORCH


def of_representation(representation: str) -> Stage:
    """Where ``representation`` is extracted.

    Raises:
        RequestError: no image can be called so.
    """
    if is_stemjepa(representation):
        return STAGES["extract"]
    if not _NAME.fullmatch(representation):
        raise RequestError(f"no image can be called {REPRESENTATIONS}_{representation}: small letters, digits and single . _ - are allowed")
    return Stage(f"{REPRESENTATIONS}_{representation}", gpu=representation not in _OURS_WITHOUT_TORCH)


def reference(name: str) -> str:
    """The whole name of image ``name``: ``stemjepa/probe:0.1.0``. The prefix is looked up at call time."""
    prefix = os.environ.get(ENVIRONMENT_VARIABLE, "").rstrip("/") or PREFIX
    return f"{prefix}/{name}:{__version__.replace('+', '-')}"
