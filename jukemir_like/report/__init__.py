"""From scores to a page: ``report/index.html``, one self-contained file, with the tables behind it beside it.

``results.csv`` has every run's metrics with intervals (:mod:`jukemir_like.probes.results` documents the columns); ``comparisons.csv`` every
paired difference between two representations.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from jukemir_like.core.cache import Cache

if TYPE_CHECKING:
    from jukemir_like.report.writing import Written


def report(
    cache: Cache,
    datasets: Collection[str] | None = None,
    representations: Collection[str] | None = None,
    protocol: str | None = None,
) -> Written:
    """Writes the page and its tables from the probes in ``cache``.

    Args:
        cache: holds the probes; the page goes to ``report/`` in it.
        datasets, representations: only these; None for all. The trivial baselines stay.
        protocol: only this; None for all.

    Returns:
        What was written; as text, the table of results. Files that are damaged are left out: the page and the text name them, and
        ``exit_code`` is 3.

    Raises:
        RequestError: there is no finished probe that is whole, and no retrieval.
        StorageError: the page cannot be written.
    """
    from jukemir_like.report.writing import write

    return write(cache, datasets, representations, protocol)
