"""What a stage takes of a cluster's node: memory, minutes, processors and GPUs, so that a scheduler can be asked for them.

They grow with the input, from the figures of ``docs/benchmarks.md`` and the encoders' cards, with room to spare: what is asked for too much
waits a little longer for its turn, what is asked for too little is ended in the middle. A second attempt asks for twice as much of both
memory and time. Never more than the largest node has, as a job that no node can run would wait without end.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from jukemir_like.core.errors import RequestError
from jukemir_like.encoders import card as cards
from jukemir_like.launch import images
from jukemir_like.representations.names import parse

UNKNOWN_ITEMS = 30_000
"""Items of a dataset that is not processed yet: as many as the largest of this package has."""

_SPARE = 5.0  # times what was measured: processors and disks differ
_LEAST_MINUTES = 10
_PYTHON_MB, _TORCH_MB = 400, 1_200  # a process with its imports
_FLOPS_OF_A_CORE = 5e10  # of a net, in fp32
_CORES_IN_A_GPU = 50  # that compute as fast as it, taken low
_FRAMES_OF_A_CLIP = 2_000  # 30 s at 50 frames/s, and what lies before and behind the net's blocks
_SECONDS_OF_A_CLIP = {"chroma": 0.05, "mfcc": 0.02}  # 30 s long, on one core


@dataclass(frozen=True)
class Node:
    """The most that one node of a partition gives.

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
    """What is asked for.

    Args:
        memory: MB.
        minutes: until the job is ended.
        processors, gpus: how many.
    """

    memory: int
    minutes: int
    processors: int
    gpus: int = 0


def of_extraction(representation: str, clips: int, node: Node, *, attempt: int = 1) -> Resources:
    """Of a batch of ``clips`` of 30 s; on a GPU where the representation's net is computed by torch and the node has one.

    >>> node = Node(processors=4, memory=64_000)
    >>> of_extraction("mfcc", 256, node)
    Resources(memory=1000, minutes=10, processors=4, gpus=0)
    >>> of_extraction("mfcc", 256, node, attempt=2).memory
    2000
    """
    card = _card(representation)
    torch = images.family_of(representation).torch
    gpus = min(1, node.gpus) if torch else 0
    net = (card.memory or 2_000_000_000) // 1_000_000 if card else 400 if torch else 100
    seconds = _SECONDS_OF_A_CLIP.get(parse(representation).base, 0.2)
    if card:
        seconds = 0.1 + 2.0 * (card.parameters or 100_000_000) * _FRAMES_OF_A_CLIP / _FLOPS_OF_A_CORE
    at_once = _CORES_IN_A_GPU if gpus else node.processors
    # A process per GPU has the net, or each of those that share the processors.
    memory = (_TORCH_MB if torch else _PYTHON_MB) + net * (1 if gpus else node.processors) + 50 * node.processors
    return _asked(memory, clips * seconds / at_once, node, attempt, gpus)


def of_stage(stage: str, items: int, node: Node, *, dimension: int = 0, examples: int = 0, attempt: int = 1) -> Resources:
    """Of any other stage.

    Args:
        stage: a command: ``process``, ``audit``, ``train``, ``evaluate-retrieval``, ``probe``, ``probe-grid`` (by protocol jukemir) or
            ``synthband``, the songs that are rendered.
        items: of the dataset.
        node: where it runs.
        dimension: of the vectors that are probed.
        examples: that are trained on, over all steps.
        attempt: from 1.

    >>> of_stage("probe", 25_000, Node(processors=16, memory=128_000), dimension=4_800)
    Resources(memory=3370, minutes=45, processors=1, gpus=0)
    """
    processors, gpus = node.processors, 0
    memory: float
    vectors_mb = 4e-6 * items * dimension
    if stage == "train":
        gpus = node.gpus
        memory, seconds = 4_000 + 300 * processors + 8_000 * gpus, examples / (500 * gpus or 40 * processors)
    elif stage == "probe":
        processors = 1
        memory, seconds = _TORCH_MB + 0.01 * items + 4 * vectors_mb, 60 + vectors_mb
    elif stage == "probe-grid":
        memory = _TORCH_MB + 0.01 * items + 4 * vectors_mb + (vectors_mb + 200) * processors
        seconds = 60 + 50 * vectors_mb + 900 / processors * items / 744
    elif stage == "evaluate-retrieval":
        memory, seconds = 2 * _TORCH_MB + 200 * processors + 0.02 * items, 10 * items / processors
    elif stage in ("process", "audit", "synthband"):
        memory = _PYTHON_MB + 150 * processors + 0.005 * items
        seconds = {"process": 0.1, "audit": 0.2, "synthband": 0.4}[stage] * items / processors
    else:
        raise RequestError(f"{stage} is no stage that runs on a cluster's node")
    return _asked(memory, seconds, node, attempt, gpus, processors)


def _asked(memory: float, seconds: float, node: Node, attempt: int, gpus: int, processors: int | None = None) -> Resources:
    minutes = max(_LEAST_MINUTES, math.ceil(_SPARE * seconds / 60)) * attempt
    return Resources(
        min(max(math.ceil(memory), 500) * attempt, node.memory),
        minutes if node.minutes is None else min(minutes, node.minutes),
        node.processors if processors is None else processors,
        gpus,
    )


def _card(representation: str) -> cards.Card | None:
    base = parse(representation).base
    return cards.read(base) if base in cards.names() else None
