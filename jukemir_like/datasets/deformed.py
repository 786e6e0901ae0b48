"""The name of a deformed dataset, and what it says of where it comes from: ``gtzan_ff~mp3-32`` is ``gtzan_ff`` after MP3 at 32 kbit/s."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

SEPARATOR = "~"
"""Between the name of a dataset and how it was deformed."""

SHAPE: dict[str, Any] = {"of": str, "deformation": str, "seed": int, "meta": str}
"""Of ``deformed`` in ``dataset.json``, as :mod:`jukemir_like.core.jsonfiles` describes shapes."""


@dataclass(frozen=True)
class DeformedFrom:
    """Where a deformed dataset comes from.

    Args:
        dataset: the clean one.
        deformation: such as ``noise-20``.
        seed: of its random numbers.
        meta: SHA-256 of the clean dataset's ``meta.json`` at that time.
    """

    dataset: str
    deformation: str
    seed: int
    meta: str

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> DeformedFrom:
        """Of ``deformed`` in ``dataset.json``, which has the shape :data:`SHAPE`."""
        return cls(value["of"], value["deformation"], value["seed"], value["meta"])

    def to_json(self) -> dict[str, Any]:
        """The inverse of :meth:`from_json`."""
        return {"of": self.dataset, "deformation": self.deformation, "seed": self.seed, "meta": self.meta}


def deformed_name(dataset: str, deformation: str) -> str:
    """The name of ``dataset`` after ``deformation``.

    >>> deformed_name("gtzan_ff", "mp3-32")
    'gtzan_ff~mp3-32'
    """
    return f"{dataset}{SEPARATOR}{deformation}"


def split_name(name: str) -> tuple[str, str] | None:
    """The clean dataset and the deformation that ``name`` names; None where it names no deformed dataset.

    >>> split_name("magnatagatune+tagged_only~pitch+2"), split_name("gtzan_ff")
    (('magnatagatune+tagged_only', 'pitch+2'), None)
    """
    dataset, separator, deformation = name.rpartition(SEPARATOR)
    return (dataset, deformation) if separator and dataset and deformation else None


def how_to_make(name: str) -> str:
    """The command that writes the processed dataset ``name``, deformed or not.

    >>> how_to_make("gtzan_ff~mp3-32"), how_to_make("gtzan_ff")
    ('jukemir-like deform gtzan_ff mp3-32', 'jukemir-like process gtzan_ff')
    """
    parts = split_name(name)
    return f"jukemir-like process {name}" if parts is None else f"jukemir-like deform {parts[0]} {parts[1]}"
