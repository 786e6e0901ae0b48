"""Stem-JEPA: learns from music that is split into stems to predict the embedding of a missing stem from a mix of others.

Riou, Lattner, Hadjeres, Anslow, Peeters, "Stem-JEPA: A Joint-Embedding Predictive Architecture for Musical Stem Compatibility
Estimation", ISMIR 2024, arXiv 2408.02514; the contrastive first phase is that of their successor, arXiv 2411.19806.

``model`` is the network and its losses, ``config`` its configuration. ``instrument_text`` makes the vector of an instrument of its name, if
that is wished (``instrument_names``: words and synonyms; ``interpretation``: what a name is taken for). ``checkpoint`` reads and writes
weights (``safetensors_file``: their format; ``tensor_shapes``: which tensors they must hold; ``conversion``: those of the original code;
``weights/``: those of the package). ``inference`` uses a trained network: embed, predict, rank (``clips``: files and arrays as waveforms;
``pooling``: one vector per clip). ``data/`` makes examples to train on from stems, ``training/`` trains (``settings``: its options;
``configs/``: its recipes), and ``retrieval/`` finds the stem of a library that fits a mix, and measures how often it is the right one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jukemir_like.stemjepa.inference import StemJEPA

__all__ = ["StemJEPA"]


def __getattr__(name: str) -> Any:
    """Imports ``StemJEPA`` on first use: torch takes a second to import, and the header of weights can be read without it."""
    if name == "StemJEPA":
        from jukemir_like.stemjepa.inference import StemJEPA

        return StemJEPA
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
