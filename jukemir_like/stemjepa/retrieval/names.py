"""Names of instruments that tracks have and weights may not: what kind of name each is, and a network that can be asked for all of them.

A network that makes the vectors of instruments of their names has one for any name, and is asked for it as ``retrieve`` asks
(:func:`~jukemir_like.stemjepa.interpretation.encoded`), but that a synonym is not replaced by the trained name that it means. One with an
embedding per instrument has none for a name that it was not trained with: it is asked for what it knows best, the mean of the embeddings of
the names of the same family, or of all of them where it knows none of that family.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from torch import nn

from jukemir_like.datasets.instrument_families import family_of
from jukemir_like.stemjepa.instrument_text import InstrumentText
from jukemir_like.stemjepa.interpretation import encoded
from jukemir_like.stemjepa.model import Network

TRAINED, NEW_NAME, NEW_FAMILY = "trained names", "new names", "new families"
KINDS = (TRAINED, NEW_NAME, NEW_FAMILY)
"""Of names: one that the weights have; another one of a family of which they have some; one of a family of which they have none, or of no
family that is known."""


def kind_of(name: str, sources: Sequence[str]) -> str:
    """Which of :data:`KINDS` a name is, for weights with the instruments ``sources``.

    >>> [kind_of(name, ["violin", "drums"]) for name in ("drums", "cello", "tuba")]
    ['trained names', 'new names', 'new families']
    """
    if name in sources:
        return TRAINED
    family = family_of(name)
    return NEW_NAME if family is not None and family in map(family_of, sources) else NEW_FAMILY


def with_names(network: Network, sources: Sequence[str], names: Sequence[str]) -> tuple[Network, tuple[str, ...]]:
    """A network that has ``names`` too, and all of its instruments: ``sources``, then the others of ``names``. The other is left as it is.

    Args:
        network: on any device.
        sources: names of its instruments.
        names: to ask for.
    """
    new = [name for name in names if name not in sources]
    instruments = network.predictor.sources
    if not new or instruments is None:  # which has no instruments at all
        return network, (*sources, *new)
    with torch.no_grad():
        rows = instruments(torch.arange(len(sources), device=next(instruments.parameters()).device))
        if isinstance(instruments, InstrumentText):
            more = torch.stack([encoded(instruments, name) for name in new])
        else:
            more = torch.stack([rows[_related(name, sources)].mean(0) for name in new])
    extended = copy.copy(network)
    extended._modules = dict(network._modules)  # so that the predictor of the network itself is kept
    extended.predictor = copy.deepcopy(network.predictor)
    extended.predictor.sources = nn.Embedding(len(sources) + len(new), rows.shape[1], _weight=torch.cat([rows, more]))
    return extended, (*sources, *new)


def _related(name: str, sources: Sequence[str]) -> list[int]:
    """Numbers of the instruments of the family of ``name``; of all, where there are none."""
    family = family_of(name)
    of_family = [number for number, source in enumerate(sources) if family is not None and family_of(source) == family]
    return of_family or list(range(len(sources)))
