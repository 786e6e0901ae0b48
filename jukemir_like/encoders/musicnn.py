"""musicnn: convolutional networks that were trained to tag music (Pons and Serra, LBD of ISMIR 2019, arXiv 1909.06654).

The clip, at 16 kHz and not normalised, becomes a mel spectrogram as librosa makes it by default: power spectra of 512-sample Hann frames
every 256 samples, 96 bands. It is rounded to half precision, then its logarithm is taken. Every 187 frames, 3 s, are a patch. The network
gives the mean and the maximum over time of its features in each patch, and the vector is their mean over patches: first the means, then
the maxima, as Castellon, Donahue and Liang took them (ISMIR 2021, arXiv 2107.05677).

What the original leaves open or does otherwise:

- Rounded powers stay in half precision there with NumPy 2, and their logarithm overflows on ordinary music. Here it is taken in single
  precision, as with the NumPy that the original was written for, and powers above the largest number of half precision become that number:
  a vector is finite however loud the clip.
- A clip shorter than a patch, 2.976 s, is refused there. Here zeros are appended until it has one patch.
- Frames behind the last whole patch are dropped, here as there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from jukemir_like.audio import mel
from jukemir_like.core.errors import RequestError
from jukemir_like.encoders.card import Card
from jukemir_like.encoders.encoder import ClipEncoder
from jukemir_like.representations import spectra
from jukemir_like.representations.mfcc import BandedProduct

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from jukemir_like.encoders.nets.musicnn import MusicnnNet

PATCH_FRAMES = 187
N_MELS = 96

_N_FFT, _HOP_LENGTH = 512, 256
_LEAST_SAMPLES = (PATCH_FRAMES - 1) * _HOP_LENGTH
_LARGEST_HALF = np.float32(np.finfo(np.float16).max)
_LARGEST_MAGNITUDE = np.float32(1e9)  # its power is finite, and in any band above the largest half
_COMPRESSION = np.float32(10_000)
# The convolutions' results of one patch take 9 MB: more patches at once gain nothing on a core, and much on a GPU.
_PATCHES_AT_ONCE, _PATCHES_AT_ONCE_ON_GPU = 1, 16

# fmt: off
TAGS = {
    "msd": [
        "rock", "pop", "alternative", "indie", "electronic", "female vocalists", "dance", "00s", "alternative rock", "jazz", "beautiful",
        "metal", "chillout", "male vocalists", "classic rock", "soul", "indie rock", "Mellow", "electronica", "80s", "folk", "90s",
        "chill", "instrumental", "punk", "oldies", "blues", "hard rock", "ambient", "acoustic", "experimental", "female vocalist",
        "guitar", "Hip-Hop", "70s", "party", "country", "easy listening", "sexy", "catchy", "funk", "electro", "heavy metal",
        "Progressive rock", "60s", "rnb", "indie pop", "sad", "House", "happy",
    ],
    "mtt": [
        "guitar", "classical", "slow", "techno", "strings", "drums", "electronic", "rock", "fast", "piano", "ambient", "beat", "violin",
        "vocal", "synth", "female", "indian", "opera", "male", "singing", "vocals", "no vocals", "harpsichord", "loud", "quiet", "flute",
        "woman", "male vocal", "no vocal", "pop", "soft", "sitar", "solo", "man", "classic", "choir", "voice", "new age", "dance",
        "male voice", "female vocal", "beats", "harp", "cello", "no voice", "weird", "country", "metal", "female voice", "choral",
    ],
}
# fmt: on
"""Names of the tags, in the order of :meth:`Musicnn.tags`, by ``vocabulary`` of the card: of the Million Song Dataset, of MagnaTagATune."""


class Musicnn(ClipEncoder):
    """A musicnn, large or small: ``filters`` and ``hidden`` of the card's settings are the sizes of its convolutions and dense layer.

    Args: as of :class:`~jukemir_like.encoders.encoder.Encoder`.

    >>> musicnn = load("musicnn-msd")  # doctest: +SKIP
    >>> musicnn([audio.load("song.wav", 16000)]).shape  # doctest: +SKIP
    (1, 1506)
    """

    recipe = 1
    front_end_rate = 16_000
    precisions = ("32", "16")  # bfloat16 is up to 1.5 % off

    @property
    def parameters(self) -> dict[str, Any]:
        """As of every encoder, and what is done with the ends of clips."""
        return super().parameters | {"patch_frames": PATCH_FRAMES, "shorter_clips": "padded with zeros", "incomplete_patch": "dropped"}

    @staticmethod
    def convert(card: Card, files: Mapping[str, Path]) -> dict[str, Tensor]:
        """From a TensorFlow checkpoint, an index and one file of data; those of its numbers that only training needs are left out.

        Raises:
            RequestError: it is damaged, or of another network.
        """
        import torch

        from jukemir_like.encoders import tensorflow_bundle
        from jukemir_like.encoders.nets import musicnn as nets

        index = next(path for name, path in files.items() if name.endswith(".index"))
        shards = [path for name, path in sorted(files.items()) if not name.endswith(".index")]
        variables = tensorflow_bundle.read(index, shards, lambda name: not _is_of_optimiser(name))
        with torch.device("meta"):
            net = nets.MusicnnNet(card.settings["filters"], card.settings["hidden"])
        try:
            return nets.tensors(net, variables)
        except ValueError as error:
            raise RequestError(f"{index} is not the checkpoint of {card.name}: it {error}") from error

    def build(self) -> torch.nn.Module:
        """The network, with random numbers."""
        from jukemir_like.encoders.nets.musicnn import MusicnnNet

        return MusicnnNet(self.card.settings["filters"], self.card.settings["hidden"])

    def vector(self, clip: np.ndarray) -> np.ndarray:
        """Mean over patches of the means, then of the maxima: float32, shape ``(dimension,)``."""
        mean, maximum = self.pooled(clip)
        return np.concatenate([mean.mean(axis=0, dtype=np.float64), maximum.mean(axis=0, dtype=np.float64)]).astype(np.float32)

    def pooled(self, clip: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Mean and maximum over time of the features of each patch: float32, each of shape ``(patches, dimension / 2)``.

        Args:
            clip: mono float32, shape ``(samples,)``, at 16 kHz.
        """
        pairs = [(mean.float().cpu().numpy(), maximum.float().cpu().numpy()) for mean, maximum in self._pooled(clip)]
        return np.concatenate([mean for mean, _ in pairs]), np.concatenate([maximum for _, maximum in pairs])

    def tags(self, clip: np.ndarray) -> np.ndarray:
        """Probabilities of the tags of :data:`TAGS` in each patch, from 0 to 1: float32, shape ``(patches, 50)``.

        Args:
            clip: mono float32, shape ``(samples,)``, at 16 kHz.
        """
        import torch

        net = cast("MusicnnNet", self.net)
        with torch.inference_mode():
            return np.concatenate([net.tags(mean.float(), maximum.float()).cpu().numpy() for mean, maximum in self._pooled(clip)])

    def _pooled(self, clip: np.ndarray) -> Iterator[tuple[Tensor, Tensor]]:
        import torch

        on_gpu = self.device.type != "cpu"
        patches = torch.from_numpy(patches_of(spectrogram(clip)))
        for some in torch.split(patches, _PATCHES_AT_ONCE_ON_GPU if on_gpu else _PATCHES_AT_ONCE):
            with self.computing():
                mean, maximum = self.net(some.to(self.device))
            yield mean, maximum


def spectrogram(clip: np.ndarray) -> np.ndarray:
    """The logarithmic mel spectrogram that the networks know: ``log10(1 + 10000 x)`` of rounded powers, float32, shape ``(frames, 96)``.

    Args:
        clip: mono float32, shape ``(samples,)``, at 16 kHz. Shorter than 2.976 s, it is taken to go on with zeros.
    """
    power = mel_power(clip)
    np.minimum(power, _LARGEST_HALF, out=power)
    rounded = power.astype(np.float16).astype(np.float32)
    rounded *= _COMPRESSION
    rounded += np.float32(1)
    return np.log10(rounded, out=rounded)


def mel_power(clip: np.ndarray) -> np.ndarray:
    """The mel spectrogram: float32, shape ``(frames, 96)``.

    Args:
        clip: as of :func:`spectrogram`.
    """
    if len(clip) < _LEAST_SAMPLES:
        clip = np.pad(clip, (0, _LEAST_SAMPLES - len(clip)))
    power = np.empty((spectra.frame_count(len(clip), _HOP_LENGTH), N_MELS), np.float32)
    product = _filters()
    # Transformed in double precision: an error of 1e-7 of a frame's loudest bin would round many a soft band to another half.
    with np.errstate(over="ignore"):  # samples of 1e36 and more
        for first, last, magnitude in spectra.magnitudes(clip, _N_FFT, _HOP_LENGTH, np.float32(1), np.float64):
            np.minimum(magnitude, _LARGEST_MAGNITUDE, out=magnitude)
            product(np.square(magnitude, out=magnitude), out=power[first:last])
    return power


def patches_of(frames: np.ndarray) -> np.ndarray:
    """Whole patches, without overlap: from ``(frames, 96)`` to ``(patches, 187, 96)``, without a copy.

    >>> patches_of(np.zeros((400, 96))).shape
    (2, 187, 96)
    """
    count = len(frames) // PATCH_FRAMES
    return frames[: count * PATCH_FRAMES].reshape(count, PATCH_FRAMES, frames.shape[1])


@cache
def _filters() -> BandedProduct:
    return BandedProduct(mel.filters(16_000, _N_FFT, N_MELS))


def _is_of_optimiser(variable: str) -> bool:
    """Whether a variable is of Adam's state: two slots for each weight, and two powers."""
    return variable.endswith(("/Adam", "/Adam_1")) or variable in ("beta1_power", "beta2_power")
