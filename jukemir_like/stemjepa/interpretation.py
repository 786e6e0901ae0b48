"""What weights take the name of an instrument for: one that they were trained on, or, conditioned by text, what its words are near to.

Where the family of an instrument is known and training has heard no name of it, the words of its name mislead: those that were heard are
shared with instruments of other families ("muted trumpet", "electric guitar (muted)"). It is then taken for any instrument: its vector is
the mean of those of all trained names.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from jukemir_like.core.errors import RequestError
from jukemir_like.datasets.instrument_families import family_of
from jukemir_like.stemjepa import instrument_names
from jukemir_like.stemjepa.config import excerpt
from jukemir_like.stemjepa.instrument_names import words
from jukemir_like.stemjepa.instrument_text import InstrumentText
from jukemir_like.stemjepa.model import Network

NEAREST = 3
"""How many trained names are told for one that was not trained."""
ANY = "any instrument"
_MOST_CHARACTERS = 200  # of the list of trained names
_OTHER = ("brass", "chromatic percussion", "guitar", "organ", "piano", "pipe", "reed", "strings", "synth lead", "synth pad", "wind")
"""Families whose instruments are part of the usual stem ``other``."""


@dataclass(frozen=True)
class Interpretation:
    """What a name is taken for.

    Args:
        name: as it was given.
        taken_for: the trained name; of an instrument that was not trained, what is said for it, see :func:`said_for`.
        number: of the trained name; None: it was not trained.
        heard: how much of ``taken_for`` was part of names in training, from 0 to 1; 0 where it does not count.
        nearest: trained names and the cosines of their vectors with that of ``taken_for``, best first; none for a trained name.
        unheard_family: see :func:`unheard_family`; the name is then taken for any instrument.
    """

    name: str
    taken_for: str
    number: int | None
    heard: float = 1.0
    nearest: tuple[tuple[str, float], ...] = ()
    unheard_family: str | None = None

    @property
    def note(self) -> str | None:
        """One line about a name that is taken for another; None for a trained name.

        >>> Interpretation("jazz bass", "jazz bass", None, 0.6, (("bass", 0.912), ("tuba", 0.4))).note
        "no instrument 'jazz bass' was trained, 60 % of it was heard in other names: it is taken for one near bass (0.91), tuba (0.40)"
        """
        if self.name == self.taken_for and self.number is not None:
            return None
        shown = f"{excerpt(self.name, 100)!r}"
        if self.number is not None:
            return f"the instrument {shown} is taken for {excerpt(self.taken_for, 100)}"
        if self.unheard_family is not None:
            return f"no instrument {shown} was trained, nor any other of its family, {self.unheard_family}: it is taken for {ANY}"
        near = ", ".join(f"{excerpt(name, 100)} ({cosine:.2f})" for name, cosine in self.nearest)
        heard = f"{100 * self.heard:.0f} % of it was heard in other names"
        if self.name != self.taken_for:
            heard = f"so {excerpt(self.taken_for, 100)!r} is said for it, of which {100 * self.heard:.0f} % was heard in other names"
        return f"no instrument {shown} was trained, {heard}: it is taken for one near {near}"

    def to_json(self) -> dict[str, Any]:
        """JSON values: ``name``, ``trained``, ``heard`` and ``nearest`` (name, cosine)."""
        nearest = [{"name": name, "cosine": round(cosine, 6)} for name, cosine in self.nearest]
        name = self.taken_for if self.unheard_family is None else ANY
        return {"name": name, "trained": self.number is not None, "heard": round(self.heard, 6), "nearest": nearest}


def interpret(network: Network, sources: Sequence[str], name: str) -> Interpretation:
    """What ``network`` takes ``name`` for.

    Args:
        network: its instruments have been named.
        sources: names of the instruments that it was trained on.
        name: of the instrument that is asked for.

    Raises:
        RequestError: the instrument was not trained and the network has vectors for trained ones alone; or nothing of the name was heard
            in training.
    """
    if name in sources:
        return Interpretation(name, name, sources.index(name))
    instrument_names.check_name(name)
    trained = instrument_names.same_instrument(name, sources)
    if trained is not None:
        return Interpretation(name, trained, list(sources).index(trained))
    text = network.predictor.sources
    if not isinstance(text, InstrumentText):
        raise RequestError(f"unknown instrument {excerpt(name, 60)!r}: these weights know {_known(sources)} ({_hint(name, sources)})")
    family = unheard_family(text, name)
    if family is not None:
        return Interpretation(name, name, None, 0.0, unheard_family=family)
    taken_for = said_for(text, name)
    heard = text.heard_share(taken_for)
    if not heard:
        raise RequestError(
            f"nothing in the instrument {excerpt(name, 60)!r} was part of a name in training: say it in other words; these weights know "
            f"{_known(sources)}"
        )
    return Interpretation(name, taken_for, None, heard, _nearest(text, sources, taken_for))


def said_for(text: InstrumentText, name: str) -> str:
    """What is said for a name that was not trained.

    It is the name that stands for the instrument in the table of names, or the name itself, whichever was heard more, if a whole word of it
    was heard in training; else the family of the instrument, if training has said it for members of it.

    >>> text = InstrumentText(buckets=8192, part_width=16, width=32)
    >>> text.give_names([("trumpet", "brass"), ("electric bass (finger)",)])
    >>> [said_for(text, name) for name in ("E-Bass", "muted jazz trumpet", "Posaune", "kazoo")]
    ['electric bass', 'muted jazz trumpet', 'brass', 'kazoo']
    """
    standing_for = instrument_names.meaning(name)
    family = _family(name)
    names = [name] if standing_for is None else sorted([standing_for, name], key=text.heard_share, reverse=True)
    said = next((said for said in names if text.has_heard_word(said)), None)
    if said is None and family is not None and any(words(heard) == words(family) for heard in text.heard_names):
        said = family
    return names[0] if said is None else said


def unheard_family(text: InstrumentText, name: str) -> str | None:
    """The family of an instrument if training has heard no name of it; None: it has, or the family is not known.

    >>> text = InstrumentText(buckets=8192, part_width=16, width=32)
    >>> text.give_names([("trumpet",), ("electric guitar (muted)",)])
    >>> [unheard_family(text, name) for name in ("cornet", "muted violin", "kazoo")]
    [None, 'strings', None]
    """
    family = _family(name)
    return None if family is None or family in map(family_of, text.heard_names) else family


def encoded(text: InstrumentText, name: str) -> Tensor:
    """The vector ``(width,)`` of a name that was not trained: that of what is said for it, or of any instrument."""
    return text.encode([said_for(text, name)])[0] if unheard_family(text, name) is None else text.mean()


def vectors(network: Network, interpretations: Sequence[Interpretation]) -> Tensor:
    """The vectors ``(names, width)`` of names by a network that is conditioned by text, without gradients."""
    text = network.predictor.sources
    assert isinstance(text, InstrumentText)  # noqa: S101
    device = text.parts.weight.device
    with torch.no_grad():
        return torch.stack(
            [
                encoded(text, one.name) if one.number is None else text(torch.tensor([one.number], device=device))[0]
                for one in interpretations
            ]
        )


def _family(name: str) -> str | None:
    """The family of an instrument by its name, else by the name that stands for it in the table of names."""
    standing_for = instrument_names.meaning(name)
    return family_of(name) or (family_of(standing_for) if standing_for is not None else None)


def _nearest(text: InstrumentText, sources: Sequence[str], name: str) -> tuple[tuple[str, float], ...]:
    with torch.no_grad():
        trained = text(torch.arange(len(sources), device=text.parts.weight.device))
        cosines = F.cosine_similarity(text.encode([name]), trained).cpu()
    best = cosines.argsort(descending=True, stable=True)[:NEAREST].tolist()
    return tuple((sources[number], float(cosines[number])) for number in best)


def _known(sources: Sequence[str]) -> str:
    return excerpt(", ".join(sources), _MOST_CHARACTERS)


def _hint(name: str, sources: Sequence[str]) -> str:
    family = _family(name)
    if family is not None:
        kin = next((source for source in sources if family_of(source) == family), None)
        kin = "other" if kin is None and family in _OTHER and "other" in sources else kin
        if kin is not None:
            return f"did you mean {kin}?"
    return "weights trained with model.predictor.instruments=text take any name"
