"""Where the vectors in a folder come from, if they were not computed there: ``.taken_over.json`` beside them.

Such a folder belongs to what was taken over: ``extract`` does not write into it, and each result on its vectors says whose they are.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from jukemir_like.core import jsonfiles
from jukemir_like.core.atomic import write_json
from jukemir_like.core.errors import RequestError
from jukemir_like.core.files import printable

ORIGIN_FILE = ".taken_over.json"
SHAPE: dict[str, Any] = {"source": str, "sha256": str, "made_by?": str, "made?": str, "made_with?": str, "licence": str}
"""Of the file, in the terms of :mod:`jukemir_like.core.jsonfiles`."""

_REMEDY = "remove its folder, and take the vectors over again"


@dataclass(frozen=True)
class Origin:
    """Whose vectors they are.

    Args:
        source: name of the archive.
        sha256: digest of the archive.
        made_by: who computed them, as the archive says, and who packed them again, if anybody did; None: it does not say.
        made: the day on which the last of them was computed; None: unknown.
        made_with: name and version of the software; None: unknown.
        licence: of the vectors.

    >>> print(Origin("mfcc.zip", "5d41402abc4b" + "0" * 52, "Ada", "2026-11-05", "jukemir-like 0.1.0"))
    mfcc.zip (sha256 5d41402abc4b…), made by Ada, 2026-11-05, with jukemir-like 0.1.0
    """

    source: str
    sha256: str
    made_by: str | None = None
    made: str | None = None
    made_with: str | None = None
    licence: str = "not stated"

    def __str__(self) -> str:
        made = [
            f"made by {self.made_by}" if self.made_by else "by whom is not stated",
            self.made or "",
            f"with {self.made_with}" if self.made_with else "",
        ]
        return printable(", ".join([f"{self.source} (sha256 {self.sha256[:12]}…)", *filter(None, made)]))

    def to_json(self) -> dict[str, Any]:
        """As it is written, and as ``lineage.taken_over`` of a run has it."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Origin:
        """The inverse of :meth:`to_json`; ``value`` is of :data:`SHAPE`, and may have more fields."""
        return cls(**{name: value[name] for name in cls.__dataclass_fields__ if value.get(name) is not None})


def read(folder: Path) -> Origin | None:
    """Where the vectors in ``folder`` were taken over from; None where they were not.

    Raises:
        DamagedFileError: the file that says so is damaged.

    >>> read(Path("representations/gtzan_ff/mfcc")) is None
    True
    """
    try:
        return Origin.from_json(jsonfiles.read(folder / ORIGIN_FILE, SHAPE, _REMEDY))
    except FileNotFoundError:
        return None


def write(folder: Path, origin: Origin) -> None:
    """Writes where the vectors in ``folder`` come from."""
    write_json(folder / ORIGIN_FILE, origin.to_json())


def refuse_extraction(folder: Path) -> None:
    """To be called before vectors are computed into ``folder``.

    Raises:
        RequestError: its vectors were taken over.
    """
    origin = read(folder)
    if origin is not None:
        raise RequestError(
            f"{folder} holds vectors that were taken over from {origin}: extract into another folder, or remove this one first"
        )
