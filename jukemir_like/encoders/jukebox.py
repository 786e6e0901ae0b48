"""Jukebox (Dhariwal et al., 2020, arXiv 2005.00341): 4,800 numbers of a language model over codes of audio, by default its layer 36 of 72.

The recipe is that of Castellon, Donahue and Liang (ISMIR 2021, arXiv 2107.05677): the first 25 s at 44,100 Hz divided by their peak, codes
of the top level of the VQ-VAE (344.5 per second), the first 8,192 of them (23.8 s) through the model as unconditioned music, and the mean
of the states after a layer over the positions.

A shorter clip, which theirs refuses, has the positions that are there, and the model is told the same length as ever: no position sees a
later one, so they are those of a longer clip that begins the same, but for the last codes, which hear the clip's end. What is shorter than
one code, 128 samples, is completed with zeros.

The model's layers stay in the mapped file and come to the device one after another, for all clips of a batch; those behind the last wanted
one are not read. Layer 36 is 40.8 TFLOP a clip: seconds on a GPU, and on a processor minutes, of which the first clip says how many.
"""

from __future__ import annotations

import multiprocessing
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from jukemir_like.core import devices
from jukemir_like.encoders import weights
from jukemir_like.encoders.encoder import LayeredEncoder
from jukemir_like.representations.names import RepresentationName
from jukemir_like.representations.pooling import Pool

if TYPE_CHECKING:
    from torch import Tensor

    from jukemir_like.encoders.nets.jukebox_conversion import JukeboxNet
    from jukemir_like.encoders.nets.jukebox_prior import PriorShape

_SECONDS = 25
_HOP_LENGTH = 128
_CLIPS_AT_ONCE_ON_GPU = 8  # 157 MB each
_POSITIONS_AT_ONCE = 1024  # that a pool is given
_SAID_FROM_SECONDS = 10.0  # per clip
_DTYPES = {"32": "float32", "bf16": "bfloat16", "16": "float16"}


class Jukebox(LayeredEncoder):
    """The pooled states of one layer: 0 is the input of the first one, L the output of the L-th.

    Settings of the card: ``positions``, ``heads`` and ``blocks`` of the model.
    """

    recipe = 1
    _said = False

    def _set_name(self, name: RepresentationName) -> None:
        super()._set_name(name)
        self.batch_size = _CLIPS_AT_ONCE_ON_GPU if devices.may_have_gpu(self._device) else 1

    def computing(self) -> AbstractContextManager[None]:
        """Without autocast: the model is computed in the precision itself, the codes in float32."""
        return devices.computing(self.device)

    @property
    def parameters(self) -> dict[str, Any]:
        """As of every encoder with layers, and what becomes of long and of short clips."""
        return super().parameters | {"first seconds": _SECONDS, "divided by": "peak", "short clip": "the positions that are there"}

    @staticmethod
    def convert(card: Any, files: Mapping[str, Path]) -> Mapping[str, Tensor]:
        """From ``vqvae.pth.tar`` and ``prior_level_2.pth.tar``, see :mod:`jukemir_like.encoders.nets.jukebox_conversion`."""
        from jukemir_like.encoders.nets import jukebox_conversion

        return jukebox_conversion.convert(files["vqvae.pth.tar"], files["prior_level_2.pth.tar"], _shape(card))

    def build(self) -> JukeboxNet:
        """Encoder of audio into codes, and model of codes."""
        from jukemir_like.encoders.nets.jukebox_conversion import JukeboxNet

        return JukeboxNet(_shape(self.card))

    @cached_property
    def net(self) -> JukeboxNet:
        """The net in evaluation mode, its encoder on the device, its model mapped."""
        import torch

        if multiprocessing.parent_process() is not None:
            torch.set_num_threads(1)
        with torch.device("meta"):
            net = self.build()
        shapes = {name: tuple(tensor.shape) for name, tensor in net.state_dict().items()}
        net.load_state_dict(weights.load(self.header, shapes), assign=True)
        net.eval().requires_grad_(False).vqvae.to(self.device)
        return net

    def feed(self, clips: Sequence[np.ndarray], pools: Sequence[Mapping[str, Pool]]) -> None:
        """Adds the states of the wanted layers, from one pass through the model."""
        import torch

        wanted = max((int(layer) for of_clip in pools for layer in of_clip), default=0)
        codes = [self.net.vqvae(torch.from_numpy(waveform_of(clip)).to(self.device)) for clip in clips]
        began = time.perf_counter()
        for layer, states in self.net.prior.run(codes, wanted, self.device, getattr(torch, _DTYPES[self.precision])):
            if layer == 1:
                self._say_how_long(wanted, sum(map(len, states)), time.perf_counter() - began)
            for of_clip, frames in zip(pools, states, strict=True):
                if (pool := of_clip.get(str(layer))) is not None:
                    for some in torch.split(frames, _POSITIONS_AT_ONCE):
                        pool.add(some)
            began = time.perf_counter()

    def _say_how_long(self, layers: int, positions: int, seconds: float) -> None:
        """Says once, on a processor, how long a clip takes, by the seconds that the first layer took for ``positions``."""
        shape = _shape(self.card)
        if self._said or self.device.type != "cpu" or positions < shape.positions // 8:  # too few: most of it would be reading
            return
        self._said = True
        speed = shape.flop(positions) / seconds
        total = layers * shape.flop(shape.positions)
        if total / speed >= _SAID_FROM_SECONDS:
            print(f"jukemir-like: {describe_duration(self.name, total, speed)}", file=sys.stderr, flush=True)  # noqa: T201


def waveform_of(clip: np.ndarray) -> np.ndarray:
    """What is encoded: the first 25 s divided by their peak, completed to one code: float32 in [-1, 1].

    >>> waveform_of(np.array([0.0, -0.5, 0.25], np.float32))[:4]
    array([ 0. , -1. ,  0.5,  0. ], dtype=float32)
    """
    from jukemir_like.encoders.nets.jukebox_prior import SAMPLE_RATE

    first = clip[: _SECONDS * SAMPLE_RATE]
    peak = np.abs(first).max()
    waveform = first / peak if peak > 0 else first
    return np.pad(waveform, (0, max(0, _HOP_LENGTH - len(waveform)))).astype(np.float32, copy=False)


def describe_duration(name: str, flop: int, speed: float) -> str:
    """How long a clip takes, for who waits for it.

    Args:
        name: of the representation.
        flop: operations of a clip.
        speed: operations per second, as measured.

    >>> describe_duration("jukebox", 40_800_000_000_000, 60e9)
    'jukebox: a clip of 24 s or more is 40.8 TFLOP; at the 60 GFLOP/s of the first layer on this processor it takes about 11 minutes'
    """
    seconds = flop / speed
    duration = f"{seconds:.0f} seconds" if seconds < 100 else f"{seconds / 60:.0f} minutes"
    measured = f"at the {speed / 1e9:.2g} GFLOP/s of the first layer on this processor"
    return f"{name}: a clip of 24 s or more is {flop / 1e12:.1f} TFLOP; {measured} it takes about {duration}"


def _shape(card: Any) -> PriorShape:
    from jukemir_like.encoders.nets.jukebox_prior import PriorShape

    settings = card.settings
    return PriorShape(card.width, settings["positions"], int(card.layers), settings["heads"], settings["blocks"])
