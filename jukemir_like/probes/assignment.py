"""Splits and folds that are assigned: by group, as evenly in classes as groups allow, in an order that depends on the seed alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from jukemir_like.core.errors import RequestError
from jukemir_like.datasets.dataset import SPLIT_SHARES

Parts = list[str | None]


def assign_splits(groups: Sequence[str], known: Sequence[bool], strata: Sequence[Any] | None, seed: int) -> Parts:
    """A split for every item with a label; no group is divided.

    Groups are put in order of their most frequent class, in random order within a class, and then each goes to the split that lacks most
    of its share. So every split gets its share of every class, as far as groups allow.

    Args:
        groups: of every item.
        known: whether the item has a label; others get None.
        strata: class of every item; None: classes do not matter.
        seed: of the random order.

    >>> splits = assign_splits(list("abcdefghijklmnopqrst"), [True] * 20, None, seed=0)
    >>> splits.count("train"), splits.count("valid"), splits.count("test")
    (14, 3, 3)
    """
    return _assign(groups, known, strata, seed, SPLIT_SHARES)


def draw_folds(groups: Sequence[str], known: Sequence[bool], strata: Sequence[Any] | None, seed: int, number: int) -> Parts:
    """A fold, named ``1`` to ``number``, for every item with a label; as :func:`assign_splits`, in equal shares.

    Raises:
        RequestError: fewer than two folds, or fewer groups than folds.

    >>> folds = draw_folds(list("aabbccddee"), [True] * 10, None, seed=0, number=5)
    >>> [folds.count(name) for name in fold_names(5)], folds[0] == folds[1]
    ([2, 2, 2, 2, 2], True)
    """
    if number < 2:
        raise RequestError(f"{number} folds: there must be two or more, as each is tested by a probe of the others")
    available = len({group for group, is_known in zip(groups, known, strict=True) if is_known})
    if available < number:
        raise RequestError(f"{number:,} folds of {available:,} groups: no group is divided, so give as many folds as groups at most")
    return _assign(groups, known, strata, seed, dict.fromkeys(fold_names(number), 1.0))


def fold_names(number: int) -> tuple[str, ...]:
    """Names of folds that are drawn.

    >>> fold_names(3)
    ('1', '2', '3')
    """
    return tuple(str(fold) for fold in range(1, number + 1))


def divided_groups(groups: Sequence[str], parts: Sequence[str | None], names: Sequence[str]) -> dict[str, list[str]]:
    """Group → the parts that it has items in, in the order of ``names``, for groups that are in several.

    >>> divided_groups(["a", "a", "b"], ["test", "train", "test"], ["train", "test"])
    {'a': ['train', 'test']}
    """
    parts_of: dict[str, set[str]] = {}
    for group, part in zip(groups, parts, strict=True):
        if part is not None:
            parts_of.setdefault(group, set()).add(part)
    return {group: [name for name in names if name in of_group] for group, of_group in parts_of.items() if len(of_group) > 1}


def check_groups(groups: Sequence[str], parts: Sequence[str | None], names: Sequence[str], what: str, shared_groups: bool) -> list[str]:
    """Notes on groups in several splits, or in several folds.

    Args:
        groups, parts: of every item.
        names: of the parts.
        what: the parts are, ``split`` or ``folds``: the argument that may be left out.
        shared_groups: accept such groups.

    Raises:
        RequestError: they are not accepted.
    """
    divided = divided_groups(groups, parts, names)
    several = "folds" if what == "folds" else "splits"
    if divided and not shared_groups:
        group, of_group = next(iter(divided.items()))
        remedy = "give a number of folds to have them drawn by group" if what == "folds" else "leave split out to have it assigned by group"
        listed = f"folds {' and '.join(of_group)}" if what == "folds" else " and ".join(of_group)
        raise RequestError(f"group {group!r} has items in {listed} ({len(divided):,} such groups): {remedy}, or pass shared_groups=True")
    return [f"{len(divided):,} groups have items in several {several}: a probe may recognise them"] if divided else []


def _assign(groups: Sequence[str], known: Sequence[bool], strata: Sequence[Any] | None, seed: int, shares: Mapping[str, float]) -> Parts:
    members: dict[str, list[int]] = {}
    for i, group in enumerate(groups):
        if known[i]:
            members.setdefault(group, []).append(i)
    order = sorted(members)
    order = [order[i] for i in np.random.default_rng([seed, len(order)]).permutation(len(order))]
    if strata is not None:
        order.sort(key=lambda group: Counter(sorted(strata[i] for i in members[group])).most_common(1)[0][0])
    counts: Counter[str] = Counter()
    parts: Parts = [None] * len(groups)
    for group in order:
        part = min(shares, key=lambda name: (counts[name] + 1) / shares[name])
        counts[part] += len(members[group])
        for i in members[group]:
            parts[i] = part
    return parts
