"""Confusion matrices as small drawings with labels of one size, and in words what is confused most often."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import numpy as np

from jukemir_like.core.files import printable
from jukemir_like.datasets import KEYS
from jukemir_like.report.svg import GREY, short

MOST_CLASSES = 60
"""Larger matrices are not drawn: their labels could not be read on a screen."""

# By fifths, each minor key at the place of its relative major, so that common confusions lie near the diagonals.
_FIFTHS = [7 * step % 12 for step in range(12)]
_KEY_ORDER = [KEYS[tonic] for tonic in _FIFTHS] + [KEYS[12 + (tonic + 9) % 12] for tonic in _FIFTHS]
_MOST_NUMBERED = 12  # classes: in larger matrices numbers would be too small to read
_LABEL_CHARACTERS = 14
_STEP = 0.05  # shades of shares


@dataclass(frozen=True)
class Confusions:
    """How often each class was taken for each, over the items of all seeds.

    Args:
        labels: in the order of rows and columns.
        counts: shape (labels, labels); rows are the true classes.
    """

    labels: tuple[str, ...]
    counts: np.ndarray

    @classmethod
    def of(cls, y: np.ndarray, predicted: np.ndarray, labels: Sequence[str]) -> Confusions:
        """Counts of true and predicted indices into ``labels``, each of shape (n,). Keys are put in the order of fifths."""
        order = sorted(range(len(labels)), key=lambda index: _KEY_ORDER.index(labels[index])) if _are_keys(labels) else range(len(labels))
        place = np.argsort(order)
        counts = np.zeros((len(labels), len(labels)), int)
        np.add.at(counts, (place[y], place[predicted]), 1)
        return cls(tuple(labels[index] for index in order), counts)

    @property
    def shares(self) -> np.ndarray:
        """Of each true class; rows of absent classes are 0."""
        return np.asarray(self.counts / np.maximum(self.counts.sum(1, keepdims=True), 1))

    def most_frequent(self, number: int = 2) -> list[tuple[str, str, float]]:
        """True class, predicted class and share of the true class, of the errors that are most frequent; of equals the first.

        >>> found = Confusions.of(np.array([0, 0, 1, 1]), np.array([0, 1, 1, 1]), ["jazz", "rock"])
        >>> [(true, predicted, float(share)) for true, predicted, share in found.most_frequent()]
        [('jazz', 'rock', 0.5)]
        """
        errors = self.counts * (1 - np.eye(len(self.labels), dtype=int))
        rows, columns = np.nonzero(errors)
        order = np.lexsort((columns, rows, -errors[rows, columns]))[:number]
        return [(self.labels[rows[one]], self.labels[columns[one]], self.shares[rows[one], columns[one]]) for one in order]


def svg(found: Confusions, name: str) -> str:
    """The matrix as SVG, in pixels: one row per true class, the darker the larger the share of the row.

    Args:
        found: of at least one class.
        name: whose predictions they are, for those who do not see it.
    """
    size = len(found.labels)
    cell = 24 if size <= _MOST_NUMBERED else 14 if size <= len(KEYS) else 11
    font = 10 if size <= len(KEYS) else 9
    names = [_short_key(label) if _are_keys(found.labels) else short(label, _LABEL_CHARACTERS) for label in found.labels]
    margin = 24 + round(0.62 * font * max(map(len, names)))
    side = cell * size
    width = margin + side + 2
    middle = margin + side / 2
    parts = [
        f'<g transform="translate({margin} 1) scale({cell})" fill="var(--accent)">',
        *_squares(found.shares),
        "</g>",
        _grid(margin, cell, size),
    ]
    if size <= _MOST_NUMBERED:
        parts += _numbers(found, margin, cell)
    for place, label in enumerate(names):
        at = cell * (place + 0.5)
        text = escape(label)
        parts.append(f'<text x="{margin - 5}" y="{_short(at + 1 + font * 0.35)}" text-anchor="end">{text}</text>')
        x, y = _short(margin + at + font * 0.35), side + 6
        parts.append(f'<text transform="translate({x} {y}) rotate(-90)" text-anchor="end">{text}</text>')
    parts.append(f'<text transform="translate({font} {_short(side / 2)}) rotate(-90)" text-anchor="middle" font-style="italic">true</text>')
    parts.append(f'<text x="{_short(middle)}" y="{side + margin - 4}" text-anchor="middle" font-style="italic">predicted</text>')
    right = 100 * np.trace(found.counts) / max(1, found.counts.sum())
    said = escape(printable(f"Confusion matrix of {name}: {right:.1f} percent on the diagonal"))
    open_ = f'<svg role="img" aria-label="{said}" width="{width}" height="{side + margin}" viewBox="0 0 {width} {side + margin}"'
    return f'{open_} font-size="{font}" fill="currentColor">{"".join(parts)}</svg>'


def _squares(shares: np.ndarray) -> list[str]:
    """One path per shade; a square of a matrix that is not 0 is never blank."""
    levels = np.ceil(shares / _STEP - 1e-9).astype(int)
    paths = []
    for level in np.unique(levels[levels > 0]):
        squares = "".join(f"M{column} {row}h1v1h-1z" for row, column in np.argwhere(levels == level))
        paths.append(f'<path opacity="{_short(float(level) * _STEP)}" d="{squares}"/>')
    return paths


def _grid(margin: int, cell: int, size: int) -> str:
    side = cell * size
    across = "".join(f"M{margin} {1 + cell * place}h{side}" for place in range(size + 1))
    down = "".join(f"M{margin + cell * place} 1v{side}" for place in range(size + 1))
    return f'<path d="{across}{down}" stroke="{GREY}" stroke-opacity=".35" stroke-width=".5" fill="none"/>'


def _numbers(found: Confusions, margin: int, cell: int) -> list[str]:
    texts = []
    for row, column in np.argwhere(found.counts):
        share = found.shares[row, column]
        x, y = _short(margin + cell * (column + 0.5)), _short(1 + cell * (row + 0.5) + 3.5)
        light = ' class="on"' if share > 0.7 else ""
        texts.append(f'<text x="{x}" y="{y}" text-anchor="middle"{light}>{100 * share:.0f}</text>')
    return texts


def _short(number: float) -> str:
    return f"{number:.2f}".rstrip("0").rstrip(".")


def _are_keys(labels: Sequence[str]) -> bool:
    return set(labels) <= set(KEYS)


def _short_key(name: str) -> str:
    tonic, _, mode = name.partition(" ")
    return tonic + ("m" if mode == "minor" else "")
