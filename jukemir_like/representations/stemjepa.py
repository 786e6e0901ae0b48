"""Stem-JEPA's embedding of a clip: bands × width numbers, 3,840 at paper size.

The context encoder's output, averaged over time, frequency bands side by side (arXiv 2408.02514, section 4.3). Its name says which
weights it has, and is safe in paths and shells::

    stemjepa                    those of the package
    stemjepa-NAME               those called NAME: of the package, or <cache>/checkpoints/NAME.safetensors
    stemjepa-untrained          the same network as stemjepa, with random weights
    stemjepa-NAME-untrained     the same network as stemjepa-NAME, with random weights

Each may choose a layer and a pool, as in ``stemjepa@layer=2@pool=mean+std``: layer 0 is the embedding of the patches with their positions,
the last one, after the norm, is the encoder's output and the default. A frame is a time step, the patches of all bands side by side.

Loading one reads the header of its weights and checks the file, so that an error is raised before the first clip. Torch is imported, and
the network is built, with the first clip: in the worker process.
"""

from __future__ import annotations

import multiprocessing
import re
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jukemir_like.core import devices
from jukemir_like.core.cache import Cache
from jukemir_like.core.errors import RequestError
from jukemir_like.representations.layers import LayeredRepresentation
from jukemir_like.representations.names import parse
from jukemir_like.representations.pooling import Pool
from jukemir_like.stemjepa import checkpoint

if TYPE_CHECKING:
    import numpy as np

    from jukemir_like.stemjepa.inference import StemJEPA

_RECIPE = 2  # 1: resampling gave one sample less of about half of all lengths, and some MP3s were not decoded to their end
_SEED = 0  # of the random weights
_NAME = re.compile(r"stemjepa(-(?!untrained$|.*\.safetensors)(?P<weights>[\w.+-]+?))?(?P<untrained>-untrained)?")
_BATCH_SIZE, _BATCH_SIZE_WITH_GPU = 4, 32


def parse_name(representation: str) -> tuple[str | None, bool]:
    """What the name of one of Stem-JEPA's representations says.

    Returns:
        the name of the weights, None for those in the package; and whether the same network is used with random weights instead.

    Raises:
        RequestError: it is no such name.

    >>> parse_name("stemjepa"), parse_name("stemjepa-mine@layer=2"), parse_name("stemjepa-mine-untrained")
    ((None, False), ('mine', False), ('mine', True))
    """
    parts = _NAME.fullmatch(parse(representation).base)
    if parts is None:
        raise RequestError(f"{representation!r} names no weights: choose stemjepa, stemjepa-NAME or either with -untrained behind it")
    return parts["weights"], parts["untrained"] is not None


class StemJEPARepresentation(LayeredRepresentation):
    """The embedding by given weights.

    Args:
        name: see the module.
        weights: path or name of weights, instead of those that ``name`` means.
        cache: where named weights are looked for; None: the default cache.
        precision: ``32`` or ``bf16``.
        device: as in :meth:`~jukemir_like.stemjepa.inference.StemJEPA.from_pretrained`.

    Raises:
        RequestError: there are no such weights, layer or pool, or the file holds no weights or is damaged. From a call: the file has
            changed since, or its vectors are not finite.
    """

    def __init__(
        self,
        name: str = "stemjepa",
        *,
        weights: str | Path | None = None,
        cache: Cache | None = None,
        precision: str = "32",
        device: str | None = None,
    ) -> None:
        named, self._untrained = parse_name(name)
        self._path = checkpoint.resolve(named if weights is None else weights, cache)
        self._header = checkpoint.header(self._path)
        self._precision, self._device = precision, device
        model = self._header.model
        self.sample_rate = model.frontend.sample_rate
        depth, vector = model.encoder.depth, model.vector
        usual = str(depth if vector.layer is None else vector.layer)
        self.choose(name, [str(layer) for layer in range(depth + 1)], usual, model.dimension, vector.pool)
        self.batch_size = _BATCH_SIZE_WITH_GPU if devices.may_have_gpu(device) else _BATCH_SIZE

    @property
    def gpus(self) -> int:  # type: ignore[override]
        """How many GPUs it computes on."""
        return devices.gpus_of(self._device)

    def where(self) -> str:
        """The device that it computes on in this process."""
        return devices.describe(self._network.device)

    def why_no_gpu(self) -> str:
        """Why it computes on the processor though a GPU would be taken."""
        return devices.why_no_gpu() if self._device is None else ""

    @property
    def parameters(self) -> dict[str, Any]:
        """Digest of the weights (or the seed of random ones), precision, the model's configuration, version of the recipe.

        Where the name has options, layer and pool; so those of a plain name are what they were before there were any to choose.
        """
        weights = {"untrained": _SEED} if self._untrained else self._header.digest
        parameters = {"recipe": _RECIPE, "weights": weights, "precision": self._precision, "model": self._header.model.to_dict()}
        return parameters | (self.choice if self.name != parse(self.name).base else {})

    def feed(self, clips: Sequence[np.ndarray], pools: Sequence[Mapping[str, Pool]]) -> None:
        """Adds the frames of each clip to its pools, chunk by chunk."""
        self._network.feed(list(clips), [{int(layer): pool for layer, pool in of_clip.items()} for of_clip in pools])

    def vectors_of_layers(self, clips: Sequence[np.ndarray], layers: Sequence[str]) -> np.ndarray:
        """Vectors of several layers from one pass: float32, shape ``(len(clips), len(layers), dimension)``."""
        if self.pool == "mean":  # summed on the device, chunk by chunk
            return self._network.embed_layers(list(clips), [int(layer) for layer in layers])
        return super().vectors_of_layers(clips, layers)

    @cached_property
    def _network(self) -> StemJEPA:
        import torch

        from jukemir_like.stemjepa.inference import StemJEPA

        if multiprocessing.parent_process() is not None:
            torch.set_num_threads(1)  # in a worker; a forked one has none of the threads that its parent may have started
        if self._untrained:
            return StemJEPA.untrained(self._header.model, self._device, self._precision, seed=_SEED)
        network = StemJEPA.from_pretrained(self._path, self._device, self._precision)
        if network.digest != self._header.digest:
            raise RequestError(f"{self._path} has changed since {self.name} was loaded: run again")
        return network
