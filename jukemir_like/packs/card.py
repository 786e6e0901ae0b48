"""What a pack says of itself, ``pack.json``, its first member; and what a vector in it is.

A pack is a zip archive in which nothing is compressed, with members in this order and no others::

    pack.json                                                  the card, see Card
    LICENCE.txt                                                the licences in it, as text
    <dataset>/<representation>/.records/pack.jsonl             a record per vector, and per item that has none
    <dataset>/<representation>/<uid>.npy                       the vectors, in the order of their uids

The same vectors give the same bytes.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from jukemir_like.core import arrays, jsonfiles
from jukemir_like.core.cache import is_name, representation_folder
from jukemir_like.core.errors import RequestError
from jukemir_like.datasets.dataset import uid_collision, uid_fault
from jukemir_like.packs import origin
from jukemir_like.packs.origin import Origin
from jukemir_like.representations.names import parse

CARD, LICENCE = "pack.json", "LICENCE.txt"
FORMAT = "jukemir-like pack 1"
NOT_STATED = "not stated"
RECORD_SHAPE: dict[str, Any] = {
    "input": str,
    "status": {"done", "failed"},
    "reason?": str,
    "digest?": str,
    "output_digest?": str,
    "signature": str,
    "audio_seconds": float,
    "seconds": float,
    "time": float,
}
"""Of a line of records in a pack, in the terms of :mod:`jukemir_like.core.jsonfiles`."""

_SHAPE: dict[str, Any] = {
    "format": str,
    "dataset": str,
    "representation": str,
    "dimension": int,
    "signature": str,
    "parameters?": {str: object},
    "licence": {"vectors": str, "dataset": str, "representation": str},
    "made_by?": str,
    "made": str,
    "versions": {str: str},
    "meta?": str,
    "taken_over?": origin.SHAPE,
    "vectors": {str: str},
}
_MAX_DIMENSION = 1 << 24
_MAX_TEXT_LENGTH = 2000


@dataclass(frozen=True)
class Card:
    """The fields of ``pack.json``.

    Args:
        dataset, representation: names.
        dimension: length of a vector.
        signature: of the representation that computed the vectors, as their records have it.
        vectors: uid → SHA-256 of its file; sorted.
        licence: of the ``vectors`` (as their maker states it), of the ``dataset`` and of the ``representation``.
        made: the day on which the last vector was computed, year-month-day; of vectors that were taken over, what is known of it.
        versions: of the software that wrote the pack.
        made_by: who made it, in their own words; None: not stated.
        parameters: of the representation; None where they are not known here, by another version of it for example.
        meta: SHA-256 of the dataset's ``meta.json``; None where it was not processed.
        taken_over: where the vectors came from before; None where their maker computed them.
    """

    dataset: str
    representation: str
    dimension: int
    signature: str
    vectors: dict[str, str]
    licence: dict[str, str]
    made: str
    versions: dict[str, str] = field(default_factory=dict)
    made_by: str | None = None
    parameters: dict[str, Any] | None = None
    meta: str | None = None
    taken_over: Origin | None = None

    @property
    def folder(self) -> str:
        """The folder of the vectors in the pack, as the cache would call it below ``representations/``."""
        return f"{self.dataset}/{representation_folder(self.representation)}"

    def members(self) -> list[str]:
        """The names of all members, in their order."""
        return [CARD, LICENCE, self.records_member, *(f"{self.folder}/{uid}.npy" for uid in self.vectors)]

    @property
    def records_member(self) -> str:
        """The name of the member with the records."""
        return f"{self.folder}/.records/pack.jsonl"

    def to_bytes(self) -> bytes:
        """The content of ``pack.json``: ASCII."""
        value = {"format": FORMAT, **{name: value for name, value in vars(self).items() if value is not None}}
        if self.taken_over is not None:
            value["taken_over"] = self.taken_over.to_json()
        return (json.dumps(value, indent=1, allow_nan=False) + "\n").encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> Card:
        """The inverse of :meth:`to_bytes`.

        Raises:
            ValueError: it is not a card; the message follows the file's name.
        """
        value = jsonfiles.parse(data)
        jsonfiles.check(value, {"format": str})
        if value["format"] != FORMAT:
            raise ValueError(f"has the format {value['format'][:60]!r}, not {FORMAT!r}")
        jsonfiles.check(value, _SHAPE)
        fields = {name: value[name] for name in cls.__dataclass_fields__ if value.get(name) is not None}
        card = cls(**fields | ({"taken_over": Origin.from_json(value["taken_over"])} if value.get("taken_over") else {}))
        card.check()
        return card

    def check(self) -> None:
        """ValueError where a name leads out of the pack's folder, or a number is impossible; the message follows the file's name."""
        for name in (self.dataset, representation_folder(self.representation)):
            if not is_name(name):
                raise ValueError(f"has the impossible name {name[:60]!a}")
        try:
            parse(self.representation)
        except RequestError as error:
            raise ValueError(f"has an impossible name: {error}") from error
        texts = [*self.licence.values(), self.made, self.made_by or "", self.signature, *self.versions, *self.versions.values()]
        texts += [] if self.taken_over is None else [text for text in self.taken_over.to_json().values() if text is not None]
        if max(map(len, texts)) > _MAX_TEXT_LENGTH:
            raise ValueError(f"has a text of {max(map(len, texts)):,} characters; {_MAX_TEXT_LENGTH:,} are allowed")
        if not 0 < self.dimension <= _MAX_DIMENSION:
            raise ValueError(f"has vectors of {self.dimension:,} numbers, which cannot be")
        if not self.vectors:
            raise ValueError("has no vectors")
        for uid in self.vectors:
            fault = uid_fault(uid)
            if fault is not None:
                raise ValueError(f"has a uid {uid[:60]!a} that {fault}")
        collision = uid_collision(self.vectors)
        if collision is not None:
            raise ValueError(f"has uids of which one needs a file where the other needs a folder: {collision[0]!a} and {collision[1]!a}")


def check_vector(data: bytes, dimension: int | None = None) -> int:
    """The length of the vector that the bytes of a ``.npy`` file hold.

    Raises:
        ValueError: it is not a finite vector of float32, or not of ``dimension`` numbers; the message follows the file's name.
    """
    array = arrays.parse(data)
    if array.ndim != 1 or array.dtype.str != "<f4" or not array.size:
        raise ValueError(f"is no vector of float32: it holds {array.dtype} of shape {array.shape}")
    if dimension is not None and array.size != dimension:
        raise ValueError(f"has {array.size:,} numbers, not {dimension:,} as others")
    if not (abs(array) < float("inf")).all():  # so written, NaN is found as well
        raise ValueError("holds a number that is not finite")
    return int(array.size)
