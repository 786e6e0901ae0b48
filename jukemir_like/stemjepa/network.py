"""Front-end, encoder, its teacher and the predictor together."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from jukemir_like.stemjepa import config, predictor, teacher
from jukemir_like.stemjepa.encoder import Encoder
from jukemir_like.stemjepa.frontend import LogMel


class Views(NamedTuple):
    """What the networks made of a batch of examples, each of shape ``(batch, patches, width)``."""

    context: Tensor
    target: Tensor
    prediction: Tensor


class Network(nn.Module):
    """A Stem-JEPA.

    Attributes:
        frontend: waveform → log-mel.
        encoder: log-mel → patches; what trains, and what embeds.
        teacher: its moving average, for targets and for the library's stems.
        predictor: context patches and an instrument → the missing stem's patches.
    """

    def __init__(self, settings: config.Model) -> None:
        super().__init__()
        self.settings = settings
        self.frontend = LogMel(settings.frontend)
        self.encoder = Encoder(settings)
        self.teacher = teacher.of(self.encoder)
        self.predictor = predictor.build(settings)

    def forward(self, context: Tensor, target: Tensor, source: Tensor, *, by_teacher: bool = True) -> Views:
        """Encodes a mix and the stem that it lacks, and predicts the latter from the former.

        Args:
            context: ``(batch, samples)``, the mix; a chunk of audio at the front-end's rate.
            target: ``(batch, samples)``, the missing stem.
            source: ``(batch,)``, its instrument's number.
            by_teacher: the teacher encodes the target, and no gradient reaches it; else the encoder does, and learns from both sides.
        """
        with torch.no_grad():
            log_mels = self.frontend(torch.cat([context, target]))
        if by_teacher:
            patches = self.encoder(log_mels[: len(context)])
            with torch.no_grad():
                targets = self.teacher(log_mels[len(context) :])
        else:
            patches, targets = self.encoder(log_mels).split(len(context))
        return Views(patches, targets, self.predictor(patches, source))

    def pooled(self, patches: Tensor) -> Tensor:
        """Patches averaged over time, bands side by side: ``(batch, bands · steps, width)`` → ``(batch, bands · width)``."""
        batch, tokens, width = patches.shape
        return patches.view(batch, self.settings.bands, tokens // self.settings.bands, width).mean(2).flatten(1)
