"""CLMR (Spijkervet and Burgoyne, ISMIR 2021, arXiv 2103.09410): 512 numbers, by contrastive learning on MagnaTagATune.

A clip is cut into consecutive frames of 59,409 samples (2.7 s at 22,050 Hz) as Castellon, Donahue and Liang (ISMIR 2021) cut it, or, in the
variant ``clmr-59049``, of CLMR's own 59,049; its vector is the mean of the vectors of its frames. The last frame, whole or not, is always
left out, as theirs is; where it is the only one it is used, completed with zeros, and not refused as theirs is.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from jukemir_like.encoders.encoder import ClipEncoder

if TYPE_CHECKING:
    from torch import Tensor, nn

_FRAMES_AT_ONCE = 8  # some 300 MB


class CLMR(ClipEncoder):
    """The mean over frames of a SampleCNN's output. The card's setting ``frame`` is the length of a frame in samples."""

    recipe = 1
    front_end_rate = 22_050

    @property
    def parameters(self) -> dict[str, Any]:
        """As of every encoder, and what becomes of the rest of a clip."""
        return super().parameters | {"last frame": "left out", "clip of one frame": "completed with zeros"}

    @staticmethod
    def convert(card: Any, files: Mapping[str, Path]) -> Mapping[str, Tensor]:  # noqa: ARG004
        """From the checkpoint of CLMR's trainer, see :func:`jukemir_like.encoders.nets.clmr.convert`."""
        from jukemir_like.encoders.nets import clmr

        (path,) = files.values()
        return clmr.convert(path)

    def build(self) -> nn.Module:
        """A SampleCNN."""
        from jukemir_like.encoders.nets.clmr import SampleCNN

        return SampleCNN()

    def vector(self, clip: np.ndarray) -> np.ndarray:
        """The vector of one clip: shape ``(512,)``."""
        import torch

        frames = np.ascontiguousarray(frames_of(clip, int(self.card.settings["frame"])))
        outputs = [
            self.net(torch.from_numpy(frames[start : start + _FRAMES_AT_ONCE]).to(self.device)).cpu()
            for start in range(0, len(frames), _FRAMES_AT_ONCE)
        ]
        return np.asarray(torch.cat(outputs).mean(0, dtype=torch.float64).numpy(), np.float32)


def frames_of(clip: np.ndarray, length: int) -> np.ndarray:
    """Consecutive frames without the last one; the only one completed with zeros.

    Args:
        clip: shape ``(samples,)``.
        length: of a frame, in samples.

    Returns:
        shape ``(frames, length)``.

    >>> frames_of(np.arange(9), 4).tolist()
    [[0, 1, 2, 3], [4, 5, 6, 7]]
    >>> frames_of(np.arange(8), 4).tolist(), frames_of(np.arange(3), 4).tolist()
    ([[0, 1, 2, 3]], [[0, 1, 2, 0]])
    """
    count = -(-len(clip) // length) - 1
    if count < 1:
        return np.pad(clip, (0, length - len(clip)))[None]
    return clip[: count * length].reshape(count, length)
