"""The split of every row: as the table says, or drawn by group."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from jukemir_like.datasets import SPLITS
from jukemir_like.datasets.folder import cells
from jukemir_like.datasets.folder.table import Table

_WORDS = {
    "train": ("train", "training"),
    "valid": ("valid", "val", "validation", "dev", "development"),
    "test": ("test", "testing", "eval", "evaluation"),
}
_SPLIT_OF = {word: split for split, words in _WORDS.items() for word in words}
_SHARES = {"train": 0.7, "valid": 0.15, "test": 0.15}


def given(table: Table) -> list[str | None]:
    """The split that each row names; None where it names none.

    Raises:
        RequestError: a word for something else.
    """
    column = table.reserved.get("split")
    if column is None:
        return [None] * len(table.rows)
    found = []
    for row in table.rows:
        word = row.cells[column]
        if word.casefold() not in _SPLIT_OF and not cells.is_missing(word):
            raise table.refusal(
                row.line, f"split {word!r} is not one of train, valid, test (or another usual word for these; or empty, to have it drawn)"
            )
        found.append(_SPLIT_OF.get(word.casefold()))
    return found


def draw(splits: Sequence[str | None], groups: Sequence[str], seed: int) -> list[str]:
    """``splits``, the missing ones drawn group by group, into the split that lacks most of its share.

    Args:
        splits: those that are given; a group that has one stays in it.
        groups: of every row; empty: the row is a group by itself.
        seed: of the draw.
    """
    groups = [group or f"\0{number}" for number, group in enumerate(groups)]
    home: dict[str, str] = {group: split for group, split in zip(groups, splits, strict=True) if split}
    counts = Counter(split for split in splits if split)
    sizes = Counter(group for group, split in zip(groups, splits, strict=True) if not split)
    order = sorted(sizes)
    for index in np.random.default_rng([seed, len(order)]).permutation(len(order)):
        group = order[index]
        split = home.setdefault(group, _neediest(counts))
        counts[split] += sizes[group]
    return [split or home[group] for group, split in zip(groups, splits, strict=True)]


def _neediest(counts: Mapping[str, int]) -> str:
    return min(SPLITS, key=lambda split: (counts.get(split, 0) + 1) / _SHARES[split])
