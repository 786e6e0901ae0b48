"""What a job of a scheduler is given: processors, memory, time, GPUs.

They grow with the input, from measured speeds (:mod:`~jukemir_like.launch.speeds`), the figures of ``docs/benchmarks.md`` and the cards of
encoders, with room to spare: what is asked for too much waits a little longer for its turn, what is asked for too little is ended in the
middle.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace
from pathlib import Path

from jukemir_like.core.cache import Cache
from jukemir_like.core.errors import RequestError
from jukemir_like.encoders import encoder
from jukemir_like.encoders.weights import MissingWeightsError
from jukemir_like.launch import estimates, images, planning
from jukemir_like.probes import regularised
from jukemir_like.probes.vectors import CHUNKS_ABOVE
from jukemir_like.representations.names import parse

CPUS = 4
CLIP_SECONDS = 30.0
"""Duration of a file that the time limit of an extraction is made for."""
UNKNOWN_ITEMS = 30_000
"""Items of a dataset that is not processed yet: as many as the largest of this package has."""
UNKNOWN_FOLDS = 3
"""Of one that comes in folds and is not processed yet: as many as the datasets of this package have that do."""

_MB, _GIB = 1_000_000, 1 << 30
_MEMORY_OF_A_WORKER = _GIB  # a song of ten minutes is decoded, resampled and transformed in less
_ROOM = 1.5  # for batches of clips, over what was measured for one
_FEATURES_SECONDS, _NET_SECONDS = 36.0, 750.0  # of a core for an hour of audio, where nothing was measured; a net's for _PARAMETERS
_PARAMETERS = 94_000_000
_CORES_IN_A_GPU = 30.0  # that compute as fast as a modest one; none was measured
_SPARE = 5.0  # times what was measured: processors and disks differ
_START_SECONDS = 600.0  # of a container on a slow file system, and of listing the inputs
_STEP_SECONDS = 600
_VECTORS_OF_A_PATH = 3.0  # times the vectors: 10 folds of 2,000 vectors of 4,800 follow 26 paths and take 71 times their size
_PYTHON_MB, _TORCH_MB = 400, 1_200  # a process with its imports


@dataclass(frozen=True)
class Node:
    """The most that one node of a cluster gives.

    Args:
        processors, gpus: how many.
        memory: MB.
        minutes: the longest that a job may take; None: as long as it wants.
    """

    processors: int
    memory: int
    gpus: int = 0
    minutes: int | None = None


@dataclass(frozen=True)
class Resources:
    """What one job gets.

    Args:
        cpus: processors.
        memory: bytes.
        seconds: time limit.
        gpus: how many.
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
    def minutes(self) -> int:
        """The time limit in minutes, rounded up."""
        return math.ceil(self.seconds / 60)

    @property
    def time(self) -> str:
        """The time limit as ``HH:MM:SS``, rounded up to minutes.

        >>> Resources(1, 1, 30 * 3600 + 1).time
        '30:01:00'
        """
        return f"{self.minutes // 60:02}:{self.minutes % 60:02}:00"

    def within(self, node: Node, attempt: int = 1) -> Resources:
        """The same for a job of ``node``, which has no more: one that no node can run would wait without end.

        Args:
            node: the largest that there is.
            attempt: from 1; a second one gets twice as much memory and time.

        >>> Resources(4, 6_000_000_000, 3600).within(Node(processors=2, memory=8_000, minutes=90), attempt=2)
        Resources(cpus=2, memory=8000000000, seconds=5400, gpus=0)
        """
        seconds = self.seconds * attempt if node.minutes is None else min(self.seconds * attempt, 60 * node.minutes)
        return Resources(min(self.cpus, node.processors), min(self.memory * attempt, node.memory * _MB), seconds, min(self.gpus, node.gpus))


def of_batch(
    representation: str, batch_size: int, cache: Cache, *, card: str | Path | None = None, cpus: int | None = None,
    memory: float | None = None, hours: float | None = None, gpus: bool = False,
) -> Resources:  # fmt: skip
    """What a batch of an extraction needs.

    Args:
        representation: its name.
        batch_size: files, taken to last 30 s each.
        cache: where cards of encoders of the Hugging Face hub are, and records of extractions, which tell how fast this machine is.
        card: of an encoder of the user's own.
        cpus, memory, hours: what is known better: processors, GB, time limit; None: :data:`CPUS`, and what was measured.
        gpus: whether it gets a GPU.

    Raises:
        RequestError: the card cannot be read.

    >>> of_batch("mfcc", 256, Cache(Path("cache")))
    Resources(cpus=4, memory=5368709120, seconds=1200, gpus=0)
    """
    card = planning.described_by(representation, None if card is None else str(card), cache)
    torch = images.family_of(representation, card).torch
    cpus = cpus or CPUS
    needed_by_net, seconds = _measured(representation, cache, card, torch)
    # On processors each worker has a net of its own; on a GPU one net is shared.
    needed = _GIB + cpus * _MEMORY_OF_A_WORKER + needed_by_net if gpus else _GIB + cpus * max(_MEMORY_OF_A_WORKER, needed_by_net)
    at_once = max(float(cpus), _CORES_IN_A_GPU) if gpus and torch else float(cpus)
    limit = _START_SECONDS + _SPARE * batch_size * CLIP_SECONDS / 3600 * seconds / at_once
    resources = Resources(cpus, needed, math.ceil(limit / _STEP_SECONDS) * _STEP_SECONDS, int(gpus))
    if memory is not None:
        resources = replace(resources, memory=math.ceil(memory * 1e9))
    return resources if hours is None else replace(resources, seconds=math.ceil(hours * 3600))


def of_extraction(representation: str, clips: int, node: Node, cache: Cache, *, attempt: int = 1) -> Resources:
    """Of a batch of ``clips`` of 30 s on a whole node; with a GPU where the net is computed by torch and the node has one.

    >>> node = Node(processors=4, memory=64_000)
    >>> of_extraction("mfcc", 256, node, Cache(Path("cache")), attempt=2).memory
    10737418240
    """
    torch = images.family_of(representation, planning.described_by(representation, None, cache)).torch
    needed = of_batch(representation, clips, cache, cpus=node.processors, gpus=torch and node.gpus > 0)
    return needed.within(node, attempt)


def of_stage(
    stage: str, items: int, node: Node, *, dimension: int = 0, examples: int = 0, folds: int = 0, deformed: bool = False, attempt: int = 1
) -> Resources:
    """Of any other stage.

    Args:
        stage: a command: ``process``, ``deform``, ``audit``, ``train``, ``evaluate-retrieval``, ``probe``, ``probe-grid`` (by protocol
            jukemir) or ``synthband``, the songs that are rendered.
        items: of the dataset.
        node: where it runs.
        dimension: of the vectors that are probed.
        examples: that are trained on, over all steps.
        folds: of a probe, each with a probe of its own; 0: it is fitted once, on splits.
        deformed: whether a probe is tested on deformed audio. In folds it then reads the vectors of all items twice, clean and deformed.
        attempt: from 1.

    >>> of_stage("probe", 25_000, Node(processors=16, memory=128_000), dimension=4_800)
    Resources(cpus=1, memory=3370000000, seconds=2700, gpus=0)
    """
    processors, gpus = node.processors, 0
    memory: float
    vectors_mb = 4e-6 * items * dimension
    read_mb = vectors_mb * (2 if deformed and folds else 1)
    if stage == "train":
        gpus = node.gpus
        memory, seconds = 4_000 + 300 * processors + 8_000 * gpus, examples / (500 * gpus or 40 * processors)
    elif stage == "probe":
        processors = 1
        side_by_side, fits = regularised.count_fits(items, folds) if folds else (0, 1)
        # Of each that is fitted side by side its own part of the vectors, as far as they are in memory.
        memory = _TORCH_MB + 0.01 * items + 4 * read_mb + _VECTORS_OF_A_PATH * side_by_side * min(vectors_mb, CHUNKS_ABOVE / _MB)
        seconds = 60 + fits * vectors_mb
    elif stage == "probe-grid":
        memory = _TORCH_MB + 0.01 * items + 4 * read_mb + (vectors_mb + 200) * processors
        seconds = max(1, folds) * (60 + 50 * vectors_mb + 900 / processors * items / 744)
    elif stage == "evaluate-retrieval":
        memory, seconds = 2 * _TORCH_MB + 200 * processors + 0.02 * items, 10 * items / processors
    elif stage in ("process", "deform", "audit", "synthband"):
        memory = _PYTHON_MB + 150 * processors + 0.005 * items
        seconds = {"process": 0.1, "deform": 1.0, "audit": 0.2, "synthband": 0.4}[stage] * items / processors
    else:
        raise RequestError(f"{stage} is no stage that runs on a cluster's node")
    limit = 60 * max(10, math.ceil(_SPARE * seconds / 60))
    return Resources(processors, math.ceil(memory) * _MB, limit, gpus).within(node, attempt)


def job_name(representation: str) -> str:
    """The name of the job that extracts ``representation``: small letters, digits and hyphens, 48 at most, as every scheduler takes it.

    >>> job_name("hf:org/Name@layer=7")
    'extract-hf-org-name-layer-7'
    """
    return f"extract-{re.sub(r'[^a-z0-9]+', '-', representation.lower()).strip('-')}"[:48].rstrip("-")


def _measured(representation: str, cache: Cache, card: str | Path | None, torch: bool) -> tuple[int, float]:
    """Bytes that a net takes in a process, and seconds of one core for an hour of audio; bounds where nothing was measured."""
    try:
        is_encoder = encoder.is_encoder(parse(representation).base, card, cache)
        described = encoder.find_card(representation, cache=cache, card=card) if is_encoder else None
    except MissingWeightsError:  # of a model of the hub, whose card comes with its weights
        described = None
    speed = None if card is not None else estimates.processor_speed(representation, cache)
    peak = 0 if speed is None or speed.peak_mb is None else speed.peak_mb * _MB
    memory = math.ceil(_ROOM * max(peak, (described and described.memory) or 0))
    if speed is None:
        parameters = (described and described.parameters) or _PARAMETERS
        return memory or (_GIB if torch else 0), _NET_SECONDS * max(1.0, parameters / _PARAMETERS) if torch else _FEATURES_SECONDS
    return memory, speed.seconds * max(1.0, speed.charged_seconds(CLIP_SECONDS) / CLIP_SECONDS)
