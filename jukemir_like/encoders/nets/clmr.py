"""CLMR's encoder, a SampleCNN (Spijkervet and Burgoyne, ISMIR 2021, arXiv 2103.09410; Lee et al., SMC 2017, arXiv 1703.01789).

A convolution of length and stride 3, nine stages of convolution, batch norm, ReLU and max-pooling by 3, and a last one without pooling:
3¹⁰ = 59,049 samples become one frame of 512 numbers. The last layer, which the contrastive loss was trained through, is left out.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from jukemir_like.core.errors import RequestError
from jukemir_like.stemjepa.torch_files import read_tensors, without_prefix

WIDTHS = (128, 128, 128, 256, 256, 256, 256, 256, 256, 512, 512)
"""Channels of the stages."""

_LENGTH = 3  # of kernels, of the first stride and of the pools
_PREFIX = "model.encoder."  # of the trainer's checkpoint
_CHECKPOINT = "clmr_epoch=10000.ckpt"
_STAGE = "sequential.{}.{}."
_KINDS = ("weight", "bias", "running_mean", "running_var")
_IGNORED = ("fc.", "num_batches_tracked")


class SampleCNN(nn.Module):
    """Waveforms ``(batch, samples)`` → ``(batch, 512)``, of frames of 59,049 samples or a few hundred more."""

    def __init__(self) -> None:
        super().__init__()
        last = len(WIDTHS) - 1
        inputs = (1, *WIDTHS[:-1])
        self.stages = nn.Sequential(*(Stage(inputs[n], WIDTHS[n], first=n == 0, pooled=0 < n < last) for n in range(last + 1)))

    def forward(self, waveforms: Tensor) -> Tensor:
        """The frame of each waveform."""
        maps: Tensor = self.stages(waveforms[:, None])
        if maps.shape[-1] != 1:
            raise ValueError(f"waveforms of {waveforms.shape[-1]} samples make {maps.shape[-1]} frames, not one")
        return maps[..., 0]


class Stage(nn.Module):
    """Convolution, batch norm, ReLU, and max-pooling if ``pooled``; the first has a stride instead."""

    def __init__(self, inputs: int, outputs: int, *, first: bool, pooled: bool) -> None:
        super().__init__()
        stride, padding = (_LENGTH, 0) if first else (1, _LENGTH // 2)
        self.convolution = nn.Conv1d(inputs, outputs, _LENGTH, stride, padding)
        self.norm = StoredBatchNorm(outputs)
        self.pooled = pooled

    def forward(self, maps: Tensor) -> Tensor:
        """Maps ``(batch, inputs, time)`` → ``(batch, outputs, time)``; a third of the time where the stage has a stride or a pool."""
        maps = functional.relu(self.norm(self.convolution(maps)))
        return functional.max_pool1d(maps, _LENGTH) if self.pooled else maps


class StoredBatchNorm(nn.Module):
    """Batch norm by the stored statistics."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.ones(channels)), nn.Parameter(torch.zeros(channels))
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", torch.ones(channels))

    def forward(self, maps: Tensor) -> Tensor:
        """The same shape."""
        return functional.batch_norm(maps, self.running_mean, self.running_var, self.weight, self.bias)  # type: ignore[arg-type]


def convert(path: Path) -> dict[str, Tensor]:
    """The tensors of :class:`SampleCNN` from the checkpoint of CLMR's trainer, or from a state dict of its encoder.

    Args:
        path: the checkpoint, or a folder that has ``clmr_epoch=10000.ckpt`` somewhere in it.

    Raises:
        RequestError: it holds no such encoder; names the tensor.
    """
    if path.is_dir():
        checkpoints = sorted(path.rglob(_CHECKPOINT))
        if not checkpoints:
            raise RequestError(f"{path} holds no {_CHECKPOINT}: give the folder of CLMR's published checkpoint")
        path = checkpoints[0]
    stored = read_tensors(path)
    encoder = without_prefix(stored, _PREFIX) or dict(stored)
    with torch.device("meta"):
        expected = {name: tuple(tensor.shape) for name, tensor in SampleCNN().state_dict().items()}
    tensors: dict[str, Tensor] = {}
    for number in range(len(WIDTHS)):
        for kind in _KINDS:
            for part, name in ((0, f"stages.{number}.convolution.{kind}"), (1, f"stages.{number}.norm.{kind}")):
                if name in expected:
                    tensors[name] = _taken(path, encoder, _STAGE.format(number, part) + kind, expected[name])
    unknown = sorted(name for name in encoder if not name.startswith(_IGNORED[0]) and not name.endswith(_IGNORED[1]))
    if unknown:
        raise RequestError(f"{path} is not CLMR's encoder: it has the tensor {unknown[0][:80]!r} ({len(unknown)} such)")
    return tensors


def _taken(path: Path, encoder: dict[str, Tensor], name: str, shape: tuple[int, ...]) -> Tensor:
    tensor = encoder.pop(name, None)
    if tensor is None or tuple(tensor.shape) != shape or not tensor.is_floating_point():
        found = "missing" if tensor is None else f"{tensor.dtype} of shape {tuple(tensor.shape)}"
        raise RequestError(f"{path} is not CLMR's encoder: tensor {name} is {found}, expected is float32 of shape {shape}")
    tensor = tensor.to(torch.float32, copy=True)
    if not bool(tensor.isfinite().all()):
        raise RequestError(f"{path}: tensor {name} holds numbers that are infinite or NaN: these weights cannot be used")
    return tensor
