"""What is to be run: an image with arguments, and what it sees of this machine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Mount:
    """A file or folder of this machine in a container.

    Args:
        source: absolute path here.
        target: absolute path there.
        written: whether the container may write to it; a folder that is made where it is missing.
    """

    source: Path
    target: str
    written: bool = False


@dataclass(frozen=True)
class Container:
    """A run of an image. Whatever it is, it gets no rights but its user's, and a root that it cannot write to.

    Args:
        image: its whole name.
        arguments: after the entry point.
        entrypoint: instead of the image's own; None: that.
        mounts: no two with one target.
        environment: variables beside the image's own.
        network: whether it may use the network.
        gpu: whether it is faster with one.
        shared_memory: bytes; None: what the engine gives.
        folder: where it starts; None: where the image says.
    """

    image: str
    arguments: tuple[str, ...] = ()
    entrypoint: tuple[str, ...] | None = None
    mounts: tuple[Mount, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    network: bool = False
    gpu: bool = False
    shared_memory: int | None = None
    folder: str | None = None
