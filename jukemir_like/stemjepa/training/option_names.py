"""Names of options that do not exist, answered with those that come nearest.

Hydra's own answer to them, to put a ``+`` before the name, does not help here: every option has its place already, and others are refused.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from jukemir_like.core.errors import RequestError
from jukemir_like.stemjepa.config import excerpt

WHERE = "`jukemir-like train --show` prints all options, docs/training.md explains them"
_MOST_NAMES = 3
_LEAST_LIKENESS = 0.6
_SYNONYMS = {"learning_rate": "lr", "epochs": "max_steps", "max_epochs": "max_steps", "steps": "max_steps", "workers": "num_workers"}


def check_name(name: str, options: Mapping[str, Any], groups: Collection[str]) -> None:
    """Checks that an override names an option, a section or a group.

    Args:
        name: left of the ``=``, without ``+`` and ``~``.
        options: every option with its default, in their sections.
        groups: whose choices are files.

    Raises:
        RequestError: there is none of this name; those that are most like it are given.

    >>> check_name("trainer.max_step", {"trainer": {"max_steps": 1}, "seed": 0}, ["recipe"])
    Traceback (most recent call last):
    jukemir_like.core.errors.RequestError: there is no option trainer.max_step, the nearest is trainer.max_steps: `jukemir-like train \
--show` prints all options, docs/training.md explains them
    """
    known = {*_dotted(options), *groups}
    if name in known:
        return
    near = nearest(name, [*_dotted(options, sections=False), *groups])
    names = f"{', '.join(near[:-1])} and {near[-1]}" if len(near) > 1 else "".join(near)
    hint = f", the nearest {'are' if len(near) > 1 else 'is'} {names}" if near else ""
    raise RequestError(f"there is no option {excerpt(name, 100)}{hint}: {WHERE}")


def nearest(name: str, names: Collection[str]) -> list[str]:
    """The names, three at most, that are most like ``name``: as a whole, or in their last parts, where the section is wrong or missing.

    >>> nearest("batch_size", ["data.dataloader.batch_size", "trainer.max_steps"])
    ['data.dataloader.batch_size']
    """
    section, dot, last = name.rpartition(".")
    name = f"{section}{dot}{_SYNONYMS.get(last, last)}"

    def likeness(other: str) -> float:
        pairs = [(name, other), (name.rpartition(".")[2], other.rpartition(".")[2])]
        return max(difflib.SequenceMatcher(None, one.lower(), two.lower()).ratio() for one, two in pairs)

    ranked = sorted(((likeness(other), other) for other in names), key=lambda pair: (-pair[0], pair[1]))
    best = ranked[0][0] if ranked else 0.0
    return [other for ratio, other in ranked[:_MOST_NAMES] if ratio >= max(_LEAST_LIKENESS, best - 0.1)]


def _dotted(options: Mapping[str, Any], section: str = "", *, sections: bool = True) -> Iterator[str]:
    """Dotted names of all options, and of the sections that they are in."""
    for name, value in options.items():
        if sections or not isinstance(value, Mapping):
            yield f"{section}{name}"
        if isinstance(value, Mapping):
            yield from _dotted(value, f"{section}{name}.", sections=sections)
