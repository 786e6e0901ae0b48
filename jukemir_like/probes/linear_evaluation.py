"""Protocol ``lineareval``: one linear layer on standardised features, by Adam, stopped early; several seeds in one wide product."""

from __future__ import annotations

from jukemir_like.probes.protocols import LinearEval
from jukemir_like.probes.selection import FittedProbe
from jukemir_like.probes.tasks import ProbeData


def fit(data: ProbeData, settings: LinearEval, seed: int, name: str) -> FittedProbe:
    """The layer at the epoch that is best on validation."""
    raise NotImplementedError
