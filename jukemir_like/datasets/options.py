"""Options of a dataset, written in its name with ``+``: ``magnatagatune+artist_clean+tagged_only``.

A dataset with options is another dataset: it has its own folder in the cache, its own scores, its own line in the report. So there is
one spelling for each.
"""

from __future__ import annotations

from collections.abc import Mapping

from jukemir_like.core.errors import RequestError


def parse(name: str, known: Mapping[str, tuple[str, ...]]) -> tuple[str, frozenset[str]]:
    """The dataset that ``name`` begins with, and its options.

    Args:
        name: dataset, or dataset and options with ``+`` between them.
        known: dataset → its options.

    Raises:
        RequestError: unknown dataset or option, or options in another order than the alphabet's or twice.
    """
    base, *given = name.split("+")
    if base not in known:
        raise RequestError(f"unknown dataset {base!r}: choose one of {', '.join(sorted(known))}, or 'folder' for your own")
    for option in given:
        if option not in known[base]:
            there = f"choose among {', '.join(known[base])}" if known[base] else "it has none"
            raise RequestError(f"unknown option {option!r} of dataset {base}: {there}")
    spelled = "+".join([base, *sorted(set(given))])
    if name != spelled:
        raise RequestError(f"dataset {name!r} is written {spelled!r}: options in the order of the alphabet, each once")
    return base, frozenset(given)
