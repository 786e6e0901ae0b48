"""MusicFM and MuQ: a log-mel spectrogram, two residual stages of convolutions that divide time and bands by four, and a Conformer.

Won, Hung and Le (ICASSP 2024, arXiv 2311.03318) and Zhu et al. (arXiv 2501.01108); 25 states per second. The layers of the Conformer are
those of ``transformers``. A state of the input of layer 1 is called layer 0; the last one is behind the final normalisation.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import torch
from torch import Tensor, nn
from transformers import Wav2Vec2ConformerConfig
from transformers.models.wav2vec2_conformer.modeling_wav2vec2_conformer import Wav2Vec2ConformerEncoder

_N_MELS = 128


class Stage(nn.Module):
    """Halves bands and time: ``relu(bn(conv(relu(bn(conv(x))))) + bn(conv(x)))``, the first and the last convolution with stride 2.

    ``(batch, in_channels, bands, time)`` → ``(batch, channels, ⌈bands / 2⌉, ⌈time / 2⌉)``
    """

    def __init__(self, in_channels: int, channels: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(in_channels, channels, 3, 2, 1), nn.BatchNorm2d(channels)
        self.conv2, self.bn2 = nn.Conv2d(channels, channels, 3, 1, 1), nn.BatchNorm2d(channels)
        self.conv3, self.bn3 = nn.Conv2d(in_channels, channels, 3, 2, 1), nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        inner = self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x)))))
        return torch.relu(inner + self.bn3(self.conv3(x)))


class Subsampling(nn.Module):
    """``(batch, bands, time)`` → ``(batch, ⌈⌈time / 2⌉ / 2⌉, width)``: two stages and a linear layer over channels and bands."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.conv = nn.Sequential(Stage(1, channels), Stage(channels, channels))
        self.linear = nn.Linear(channels * _N_MELS // 4, width)

    def forward(self, spectrogram: Tensor) -> Tensor:
        x = self.conv(spectrogram[:, None])
        return cast(Tensor, self.linear(x.flatten(1, 2).transpose(1, 2)))


class MusicConformer(nn.Module):
    """The net.

    Args:
        config: ``config.json`` of MuQ: ``encoder_dim``, ``encoder_depth``, ``conv_dim``, ``w2v2_config``.
    """

    def __init__(self, config: Mapping[str, Any]) -> None:
        super().__init__()
        width, depth = config.get("encoder_dim", 1024), config.get("encoder_depth", 12)
        values = dict(config.get("w2v2_config") or {}) | {"hidden_size": width, "num_hidden_layers": depth}
        conformer = Wav2Vec2ConformerConfig.from_dict(values)
        conformer._attn_implementation = "eager"
        self.conv = Subsampling(config.get("conv_dim", 512), width)
        self.conformer = Wav2Vec2ConformerEncoder(conformer)  # type: ignore[no-untyped-call]

    def forward(self, spectrogram: Tensor) -> tuple[Tensor, ...]:
        """States of every layer, 0 first: each ``(batch, time, width)``, of a normalised spectrogram ``(batch, bands, time)``."""
        states: list[Tensor] = []
        hooks = [layer.register_forward_pre_hook(lambda _, inputs: states.append(inputs[0])) for layer in self.conformer.layers]
        try:  # the encoder by itself gives its last state alone
            last = self.conformer(self.conv(spectrogram)).last_hidden_state
        finally:
            for hook in hooks:
                hook.remove()
        return (*states, last)
