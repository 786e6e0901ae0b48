"""Stem-JEPA: learns from music that is split into stems to predict the embedding of a missing stem from a mix of others.

Riou, Lattner, Hadjeres, Anslow, Peeters, "Stem-JEPA: A Joint-Embedding Predictive Architecture for Musical Stem Compatibility
Estimation", ISMIR 2024, arXiv 2408.02514; the contrastive first phase is that of their successor, arXiv 2411.19806.

The room, in the order in which its modules import one another::

    config      what a model is made of, as it stands in the header of its weights
    frontend    waveform → log-mel
    encoder     log-mel → one vector a patch
    predictor   context patches and an instrument → the missing stem's patches
    objective   how far a prediction is from its target
    teacher     the target encoder, a moving average of the encoder
    network     all of these together
    settings    what a training run is told
    shapes      which tensors a network has, without making one
    tensorfile  the format of files of weights
    checkpoint  weights to and from a file
    conversion  weights of the original code
    stems/      folders of stems → examples to train on
    pooling     clips of any length → chunks, patches → one vector
    pretrained  embed, predict and rank with a trained network
    retrieval/  which stem of a library fits a mix, and how often that is right
    training/   the loop, its watching and its commands
    commands    retrieve and evaluate-retrieval
    configs/    recipes
    weights/    what the package brings along
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jukemir_like.stemjepa.inference import StemJEPA

__all__ = ["StemJEPA"]


def __getattr__(name: str) -> Any:
    """``StemJEPA`` when it is asked for: torch takes a second to import, and the header of weights can be read without it."""
    if name == "StemJEPA":
        from jukemir_like.stemjepa.inference import StemJEPA

        return StemJEPA
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
