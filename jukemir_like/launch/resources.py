"""What a batch of an extraction needs of a machine, as schedulers want to know it: processors, memory, time, a GPU.

Too little ends a batch, too much lets it wait longer in the queue; so these are bounds with room, not estimates of costs.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace
from pathlib import Path

from jukemir_like.core.cache import Cache
from jukemir_like.encoders import encoder
from jukemir_like.launch import images

CPUS = 4
CLIP_SECONDS = 30.0
"""Duration of a file that the time limit is made for."""

_GIB = 1 << 30
_MEMORY_OF_A_WORKER = _GIB  # a song of ten minutes is decoded, resampled and transformed in less
_ROOM = 1.5  # for batches of clips, over what the card says of one
_SPEED_OF_FEATURES = 100.0  # seconds of audio per second and processor; measured: 400 and more
_SPEED_OF_A_NET = 14.0  # the same for a net of _PARAMETERS, measured; larger nets are slower in proportion
_PARAMETERS = 86_000_000
_FEWEST_PARAMETERS = 20_000_000  # a convolution uses each of its few parameters many times
_GPU_IN_PROCESSORS = 30.0  # a modest one
_SAFETY = 4.0
_START_SECONDS = 600.0  # of a container on a slow file system, and of listing the inputs
_STEP_SECONDS = 1800


@dataclass(frozen=True)
class Resources:
    """What one batch gets.

    Args:
        cpus: processors.
        memory: bytes.
        seconds: time limit.
        gpus: 0 or 1.
    """

    cpus: int
    memory: int
    seconds: int
    gpus: int = 0

    @property
    def mebibytes(self) -> int:
        """The memory in MiB, rounded up.

        >>> Resources(1, (1 << 30) + 1, 60).mebibytes
        1025
        """
        return math.ceil(self.memory / (1 << 20))

    @property
    def time(self) -> str:
        """The time limit as ``HH:MM:SS``, rounded up to minutes.

        >>> Resources(1, 1, 30 * 3600 + 1).time
        '30:01:00'
        """
        minutes = math.ceil(self.seconds / 60)
        return f"{minutes // 60:02}:{minutes % 60:02}:00"


def of_batch(
    representation: str, batch_size: int, cache: Cache, *, card: str | Path | None = None, cpus: int | None = None,
    memory: float | None = None, hours: float | None = None, gpus: bool = False,
) -> Resources:  # fmt: skip
    """What a batch of ``representation`` needs.

    Args:
        representation: its name.
        batch_size: files, taken to last 30 s each.
        cache: where cards of encoders of the Hugging Face hub are.
        card: of an encoder of the user's own.
        cpus, memory, hours: what is known better: processors, GB, time limit; None: :data:`CPUS`, and what the encoder's card says.
        gpus: whether it gets a GPU.

    Raises:
        RequestError: the card cannot be read.

    >>> of_batch("mfcc", 256, Cache(Path("cache")))
    Resources(cpus=4, memory=5368709120, seconds=1800, gpus=0)
    """
    family = images.family_of(representation, card)
    described = encoder.find_card(representation, cache=cache, card=card) if family.cards else None
    cpus = cpus or CPUS
    net_memory = math.ceil(_ROOM * ((described and described.memory) or 0)) or _GIB if family.torch else 0
    # On processors each worker has a net of its own; on a GPU one net is shared.
    needed = _GIB + cpus * _MEMORY_OF_A_WORKER + net_memory if gpus else _GIB + cpus * max(_MEMORY_OF_A_WORKER, net_memory)
    parameters = max(_FEWEST_PARAMETERS, (described and described.parameters) or _FEWEST_PARAMETERS)
    speed = cpus * (_SPEED_OF_A_NET * _PARAMETERS / parameters if family.torch else _SPEED_OF_FEATURES)
    if gpus and family.torch:
        speed = max(speed, _GPU_IN_PROCESSORS * speed / cpus)
    seconds = _START_SECONDS + _SAFETY * batch_size * CLIP_SECONDS / speed
    resources = Resources(cpus, needed, math.ceil(seconds / _STEP_SECONDS) * _STEP_SECONDS, int(gpus))
    if memory is not None:
        resources = replace(resources, memory=math.ceil(memory * 1e9))
    return resources if hours is None else replace(resources, seconds=math.ceil(hours * 3600))


def job_name(representation: str) -> str:
    """The name of the job that extracts ``representation``: small letters, digits and hyphens, 48 at most, as every scheduler takes it.

    >>> job_name("hf:org/Name@layer=7")
    'extract-hf-org-name-layer-7'
    """
    return f"extract-{re.sub(r'[^a-z0-9]+', '-', representation.lower()).strip('-')}"[:48].rstrip("-")
