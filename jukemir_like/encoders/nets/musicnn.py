"""musicnn's network: wide and tall convolutions over a mel spectrogram, then dense layers (Pons and Serra, LBD of ISMIR 2019).

A patch of 187 frames × 96 mel bands becomes 187 frames of features, side by side: 561 of the front end (two *timbral* convolutions, which
are wide in frequency, and three *temporal* ones, which are long in time; of each the maximum over frequency) and three times ``filters`` of
the convolutions in the middle. Their maximum and mean over time give, through two dense layers, the probabilities of 50 tags.

Inputs are ``(patches, 187, 96)``, features ``(patches, channels, frames)``.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

_EPSILON = 1e-3  # of all batch normalisations, TensorFlow's default
_TIMBRAL = ((7, 38), (7, 67))  # frames, mel bands
_TIMBRAL_MAPS = 204
_TEMPORAL = (128, 64, 32)  # frames
_TEMPORAL_MAPS = 51
_MIDDLE = 7  # frames
FRONT_CHANNELS = len(_TIMBRAL) * _TIMBRAL_MAPS + len(_TEMPORAL) * _TEMPORAL_MAPS
"""Features of the front end: 561."""


class Normalisation(nn.Module):
    """Batch normalisation with given statistics."""

    gamma: Tensor
    beta: Tensor
    mean: Tensor
    variance: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        for name, value in (("gamma", 1.0), ("beta", 0.0), ("mean", 0.0), ("variance", 1.0)):
            self.register_buffer(name, torch.full((channels,), value))

    def forward(self, features: Tensor) -> Tensor:
        """Normalises ``(batch, channels, …)``."""
        mean, scale, beta = (
            values.reshape(-1, *[1] * (features.ndim - 2))
            for values in (self.mean, self.gamma * torch.rsqrt(self.variance + _EPSILON), self.beta)
        )
        return (features - mean) * scale + beta


class FrontBranch(nn.Module):
    """One convolution of the front end, ReLU, normalisation, and the maximum over frequency."""

    def __init__(self, maps: int, kernel: tuple[int, int]) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(1, maps, kernel)
        self.normalisation = Normalisation(maps)
        frames = kernel[0]
        self.before, self.after = (frames - 1) // 2, frames // 2

    def forward(self, spectrogram: Tensor) -> Tensor:
        """From ``(patches, frames, bands)`` to ``(patches, maps, frames)``."""
        padded = functional.pad(spectrogram, (0, 0, self.before, self.after))
        # ReLU and normalisation are monotonic, so the maximum can be taken before them: they then have 1/30 or 1/96 of the numbers to do.
        # Where gamma is negative they fall, and the largest result is of the smallest sum: with all signs turned, again the maximum.
        sign = torch.where(self.normalisation.gamma < 0, -1.0, 1.0)
        weight, bias = self.convolution.weight * sign[:, None, None, None], sign * self.convolution.get_parameter("bias")
        largest = functional.conv2d(padded[:, None], weight, bias).amax(dim=3)
        result: Tensor = self.normalisation(functional.relu(largest * sign[:, None]))
        return result


class Middle(nn.Module):
    """One convolution of the middle, over time and all channels, ReLU, normalisation."""

    def __init__(self, channels: int, filters: int) -> None:
        super().__init__()
        self.convolution = nn.Conv1d(channels, filters, _MIDDLE, padding=_MIDDLE // 2)
        self.normalisation = Normalisation(filters)

    def forward(self, features: Tensor) -> Tensor:
        """From ``(patches, channels, frames)`` to ``(patches, filters, frames)``."""
        result: Tensor = self.normalisation(functional.relu(self.convolution(features)))
        return result


class MusicnnNet(nn.Module):
    """The whole network.

    Args:
        filters: of each convolution in the middle.
        hidden: size of the first dense layer.
        tags: size of the second.
    """

    def __init__(self, filters: int, hidden: int, tags: int = 50) -> None:
        super().__init__()
        self.input = Normalisation(1)
        self.timbral = nn.ModuleList(FrontBranch(_TIMBRAL_MAPS, kernel) for kernel in _TIMBRAL)
        self.temporal = nn.ModuleList(FrontBranch(_TEMPORAL_MAPS, (frames, 1)) for frames in _TEMPORAL)
        self.middle = nn.ModuleList(Middle(channels, filters) for channels in (FRONT_CHANNELS, filters, filters))
        self.channels = FRONT_CHANNELS + 3 * filters
        self.pooled = Normalisation(2 * self.channels)
        self.dense = nn.Linear(2 * self.channels, hidden)
        self.normalisation = Normalisation(hidden)
        self.output = nn.Linear(hidden, tags)

    def features(self, spectrogram: Tensor) -> Tensor:
        """From ``(patches, frames, 96)`` to ``(patches, channels, frames)``."""
        normalised = self.input(spectrogram[:, None])[:, 0]
        front = torch.cat([branch(normalised) for branch in (*self.timbral, *self.temporal)], dim=1)
        first, second, third = self.middle
        one = first(front)
        two = one + second(one)
        three = two + third(two)
        return torch.cat([front, one, two, three], dim=1)

    def forward(self, spectrogram: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and maximum over time of the features of ``(patches, frames, 96)``: each ``(patches, channels)``."""
        features = self.features(spectrogram)
        return features.mean(dim=2), features.amax(dim=2)

    def tags(self, mean: Tensor, maximum: Tensor) -> Tensor:
        """Probabilities ``(patches, tags)``, from 0 to 1, by what :meth:`forward` gave."""
        pooled = torch.stack([maximum, mean], dim=2).flatten(1)  # maximum and mean of the first channel, of the second, …
        hidden = self.normalisation(functional.relu(self.dense(self.pooled(pooled))))
        return torch.sigmoid(self.output(hidden))


def tensors(net: MusicnnNet, variables: Mapping[str, np.ndarray]) -> dict[str, Tensor]:
    """The variables of the original checkpoint as tensors of ``net``.

    Args:
        net: its names and shapes count, not its numbers; it may be on torch's meta device.
        variables: by TensorFlow's names, without those of the optimiser.

    Raises:
        ValueError: variables are missing, unexpected or of other shapes; the message names the first.

    >>> len(tensors(MusicnnNet(64, 200), variables))  # doctest: +SKIP
    64
    """
    renamed = dict(_variables(net))
    unmatched = sorted(renamed.values() ^ variables.keys())
    if unmatched:
        kind = "lacks" if unmatched[0] in renamed.values() else "has the unexpected"
        raise ValueError(f"{kind} tensor {unmatched[0]!r} ({len(unmatched)} tensors are missing or unexpected)")
    found = {}
    for name, own in net.state_dict().items():
        original = variables[renamed[name]]
        # Kernels are (frames, bands, channels, maps), where those of the middle have their channels in place of the bands; dense (in, out).
        axes = {(4, 4): (3, 2, 0, 1), (4, 3): (3, 1, 0, 2), (2, 2): (1, 0), (1, 1): (0,)}.get((original.ndim, own.ndim))
        turned = None if axes is None else original.transpose(axes)
        if turned is not None and original.ndim == 4 and own.ndim == 3 and turned.shape[3] == 1:
            turned = turned[..., 0]
        if turned is None or turned.shape != tuple(own.shape):
            raise ValueError(f"has {renamed[name]!r} of shape {original.shape}, which does not fit {name} of shape {tuple(own.shape)}")
        found[name] = torch.from_numpy(np.array(turned, dtype=np.float32, order="C"))
    return found


def _variables(net: MusicnnNet) -> list[tuple[str, str]]:
    """Pairs of a tensor's name and its variable's: layers of a kind are numbered in the order in which the graph was built."""
    branches = [f"timbral.{i}" for i in range(len(net.timbral))] + [f"temporal.{i}" for i in range(len(net.temporal))]
    convolved = [*branches, *(f"middle.{i}" for i in range(len(net.middle)))]
    pairs = []
    for kind, layers in (("conv2d", [f"{layer}.convolution" for layer in convolved]), ("dense", ["dense", "output"])):
        for i, layer in enumerate(layers):
            pairs += [(f"{layer}.weight", f"{_numbered(kind, i)}/kernel"), (f"{layer}.bias", f"{_numbered(kind, i)}/bias")]
    for i, layer in enumerate(["input", *(f"{layer}.normalisation" for layer in convolved), "pooled", "normalisation"]):
        for own, original in (("gamma", "gamma"), ("beta", "beta"), ("mean", "moving_mean"), ("variance", "moving_variance")):
            pairs.append((f"{layer}.{own}", f"{_numbered('batch_normalization', i)}/{original}"))
    return pairs


def _numbered(kind: str, index: int) -> str:
    return f"{kind}_{index}" if index else kind
