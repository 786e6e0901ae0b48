"""What choi is measured against: a loudness, and the mean and variance of its five convolutions, over a declared set of real songs.

The published program takes all three from the batch of songs that it happens to be given (256 of a shuffled list in jukemir), so that a
song's vector depends on its company. Here they are those of one batch for good: the excerpts that ``cards/choi_statistics.json`` lists,
with their sources, licences and digests, beside the 321 numbers. ``scripts/choi_statistics.py`` computes such a file from any folder of
audio, and vectors in the published way as well.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from jukemir_like.core import jsonfiles
from jukemir_like.core.errors import RequestError

BLOCKS, MAPS = 5, 32

_FOLDER = Path(__file__).parent / "cards"
_SHAPE = {"title": str, "reference_decibels": float, "mean": [[float]], "variance": [[float]], "excerpts": [{str: object}]}


@dataclass(frozen=True)
class Statistics:
    """Statistics of a set of songs.

    Args:
        title: of the set.
        reference: the loudest mel band of the set, in dB; what clips are measured against.
        mean: of each block's convolution, float32, shape ``(5, 32)``.
        variance: of the same.
        excerpts: what the set consists of: an object per excerpt.
    """

    title: str
    reference: float
    mean: np.ndarray
    variance: np.ndarray
    excerpts: tuple[dict[str, Any], ...] = ()

    @property
    def digest(self) -> str:
        """SHA-256 of the numbers."""
        numbers = [self.reference, *self.mean.ravel().tolist(), *self.variance.ravel().tolist()]
        return hashlib.sha256(np.array(numbers, dtype="<f4").tobytes()).hexdigest()

    @property
    def parameters(self) -> dict[str, Any]:
        """What stands for them in the parameters of the representation."""
        excerpts = hashlib.sha256(json.dumps(self.excerpts, sort_keys=True).encode()).hexdigest()
        return {"title": self.title, "excerpts": len(self.excerpts), "excerpts_digest": excerpts, "numbers_digest": self.digest}


def read(name: str) -> Statistics:
    """The statistics called ``name``: of this package, or, where it contains a slash, in the file of that path.

    Raises:
        RequestError: there are none, or the file holds none.

    >>> read("choi_statistics").mean.shape
    (5, 32)
    """
    path = Path(name) if "/" in name else _FOLDER / f"{name}.json"
    try:
        value = jsonfiles.read(path, _SHAPE, "compute it anew by scripts/choi_statistics.py")
    except FileNotFoundError as error:
        raise RequestError(f"there are no statistics {path}: compute them by scripts/choi_statistics.py") from error
    try:
        mean, variance = (np.array(value[name], dtype=np.float32) for name in ("mean", "variance"))
    except ValueError:  # rows of different lengths
        mean = variance = np.empty(0, np.float32)
    if mean.shape != (BLOCKS, MAPS) or variance.shape != (BLOCKS, MAPS) or (variance < 0).any():
        raise RequestError(f"{path} does not hold {BLOCKS} × {MAPS} means and variances: compute it anew by scripts/choi_statistics.py")
    return Statistics(value["title"], value["reference_decibels"], mean, variance, tuple(value["excerpts"]))


def to_json(statistics: Statistics, **about: Any) -> dict[str, Any]:
    """What the file of ``statistics`` holds; ``about`` stands in it as well."""
    return {
        "title": statistics.title,
        **about,
        "reference_decibels": statistics.reference,
        "mean": [[float(str(number)) for number in row] for row in statistics.mean],
        "variance": [[float(str(number)) for number in row] for row in statistics.variance],
        "excerpts": list(statistics.excerpts),
    }
