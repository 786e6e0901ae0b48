"""Splits and folds that are assigned: no group is divided, labels are spread as evenly as groups allow, a seed decides the rest."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

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
        split = min(SPLIT_SHARES, key=lambda name: (counts[name] + 1) / SPLIT_SHARES[name])
        counts[split] += len(members[group])
        for i in members[group]:
            parts[i] = split
    return parts


def assign_folds(
    groups: Sequence[str] | NDArray[np.str_], counts: NDArray[np.float64], folds: int, seed: int | None = None
) -> NDArray[np.int64]:
    """The fold of every item, from 0; fewer than ``folds`` where there are fewer groups. No group is divided.

    Groups go, the largest first, to the fold that has fewest items with the same labels, of equals the one that has fewest items, of
    equals the first.

    Args:
        groups: name of the group of each item (n,).
        counts: (n, labels) how often each item counts for each label; no columns: labels do not matter.
        folds: how many.
        seed: of the order of groups of one size; None: by name.

    >>> assign_folds(list("aabcdef"), np.zeros((7, 0)), 3).tolist()
    [0, 0, 1, 2, 1, 2, 0]
    """
    names, of_item, sizes = np.unique(np.asarray(groups), return_inverse=True, return_counts=True)
    by_group = np.zeros((len(names), counts.shape[1]))
    np.add.at(by_group, of_item, counts)
    folds = min(folds, len(names))
    labels, items = np.zeros((folds, counts.shape[1])), np.zeros(folds)
    fold = np.zeros(len(names), np.int64)
    order = np.arange(len(names)) if seed is None else np.random.default_rng([seed, len(names)]).permutation(len(names))
    for group in np.lexsort((order, -sizes)):
        fold[group] = np.lexsort((np.arange(folds), items, labels @ by_group[group]))[0]
        labels[fold[group]] += by_group[group]
        items[fold[group]] += sizes[group]
    return np.asarray(fold[of_item])


def draw_folds(groups: Sequence[str], known: Sequence[bool], strata: Sequence[Any] | None, seed: int, number: int) -> Parts:
    """A fold, named ``1`` to ``number``, for every item with a label: :func:`assign_folds` in an order that is drawn.

    Args:
        groups: of every item.
        known: whether the item has a label; others get None.
        strata: of every item its class (a number from 0), or a truth value per tag; None: labels do not matter.
        seed: of the drawing.
        number: of folds.

    Raises:
        RequestError: fewer than two folds, or fewer groups than folds.

    >>> folds = draw_folds(list("aabbccddee"), [True] * 10, None, seed=0, number=5)
    >>> [folds.count(name) for name in fold_names(5)], folds[0] == folds[1]
    ([2, 2, 2, 2, 2], True)
    """
    if number < 2:
        raise RequestError(f"{number} folds: there must be two or more, as each is tested by a probe of the others")
    rows = np.flatnonzero(known).tolist()
    of_known = [groups[row] for row in rows]
    available = len(set(of_known))
    if available < number:
        raise RequestError(f"{number:,} folds of {available:,} groups: no group is divided, so give as many folds as groups at most")
    labels = np.zeros((len(rows), 0)) if strata is None else np.array([strata[row] for row in rows])
    counts = labels if labels.ndim == 2 else labels[:, None] == np.unique(labels)
    names = fold_names(number)
    parts: Parts = [None] * len(groups)
    for row, fold in zip(rows, assign_folds(of_known, counts.astype(np.float64), number, seed), strict=True):
        parts[row] = names[fold]
    return parts


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
