"""Datasets: uid → label, split and source clip. One module a dataset; each makes a :class:`Dataset`.

A dataset answers one or more questions (tasks). With one task, ``y`` in ``meta.json`` is its label; with several, ``y`` maps task name
to label. Labels are: a class name (multiclass, key), a list of tag names (multilabel), or a list of numbers (regression).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any, Literal

from jukemir_like.core.cache import Cache
from jukemir_like.core.errors import RequestError
from jukemir_like.datasets.options import parse
from jukemir_like.downloads.declarations import declaration_folder as declaration_folder

TaskType = Literal["multiclass", "multilabel", "regression", "key"]
PRIMARY_METRICS: dict[str, str] = {"multiclass": "accuracy", "multilabel": "roc_auc", "regression": "r2", "key": "weighted_score"}
SPLITS = ("train", "valid", "test")
LARGEST = 1e100
"""From which on values of a regression task are refused: their squares are no numbers any more."""

KEYS = tuple(
    f"{tonic} {mode}" for mode in ("major", "minor") for tonic in ("C", "Db", "D", "Eb", "E", "F", "Gb", "G", "Ab", "A", "Bb", "B")
)
"""The 24 keys in the order of the classes: majors from C upwards in semitones, then minors; flats for the black keys."""


@dataclass(frozen=True)
class Task:
    """One question that a dataset's labels answer.

    Args:
        name: e.g. ``genre``.
        type: what kind of label ``y`` is.
        labels: class names, tag names, or names of the predicted values, in the order of the probe's outputs.
    """

    name: str
    type: TaskType
    labels: tuple[str, ...]

    @property
    def primary_metric(self) -> str:
        """The metric that selects and ranks."""
        return PRIMARY_METRICS[self.type]

    def to_json(self) -> dict[str, Any]:
        return {"type": self.type, "labels": list(self.labels), "primary_metric": self.primary_metric}

    @classmethod
    def from_json(cls, name: str, value: dict[str, Any]) -> Task:
        return cls(name, value["type"], tuple(value["labels"]))


@dataclass(frozen=True)
class Clip:
    """A piece of a longer recording; times in seconds. The fields are those of ``meta.json``."""

    audio_uid: str
    audio_duration: float
    clip_idx: int
    clip_offset: float
    clip_duration: float


@dataclass(frozen=True)
class Item:
    """One record of a dataset.

    Args:
        uid: the WAV is ``wav/<uid>.wav``; may hold ``/`` (sub-folders).
        split: ``train``, ``valid``, ``test`` or None.
        y: the label, or a mapping of task name to label where the dataset has several tasks.
        source: the file its audio comes from; None where there is no audio.
        clip: which piece of ``source``; None for all of it.
        extra: anything else worth keeping; holds the grouping value.
    """

    uid: str
    split: str | None
    y: Any
    source: Path | None
    clip: Clip | None = None
    extra: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Dataset:
    """What ``process`` needs to know.

    Args:
        name: folder name in the cache.
        tasks: what its labels answer, by name.
        items: all records, in a fixed order.
        group: the key of ``extra`` whose items must stay together when resampling (artist, track); None: every item by itself.
        stems: names of the channels for a dataset of stems; None for mono.
        sources: digests or parameters of what it was made from.
        options: those that ``name`` asks for, sorted; see :func:`options`.
        understood: what was understood of a user's own table, see :mod:`.folder.understood`; None for the other datasets.
    """

    name: str
    tasks: dict[str, Task]
    items: list[Item]
    group: str | None = None
    stems: tuple[str, ...] | None = None
    sources: dict[str, Any] = field(default_factory=dict)
    options: tuple[str, ...] = ()
    understood: dict[str, Any] | None = None


_BUILT_IN = {
    "emomusic": ("emomusic", "jukemir_like.datasets.emomusic:dataset"),
    "giantsteps": ("giantsteps", "jukemir_like.datasets.giantsteps:dataset"),
    "giantsteps_clips": ("giantsteps", "jukemir_like.datasets.giantsteps:clips_dataset"),
    "gtzan_ff": ("gtzan", "jukemir_like.datasets.gtzan:dataset"),
    "magnatagatune": ("magnatagatune", "jukemir_like.datasets.magnatagatune:dataset"),
    "musdb18": ("musdb18", "jukemir_like.datasets.musdb:dataset"),
    "musdb18hq": ("musdb18hq", "jukemir_like.datasets.musdb:hq_dataset"),
    "synthband": ("synthband", "jukemir_like.synthband:dataset"),
    "synthband_stems": ("synthband", "jukemir_like.synthband:stems_dataset"),
}
"""Name → the raw assets' folder, and the function from that folder to a :class:`Dataset`."""

_OPTIONS = {
    "emomusic": ("artist_clean",),
    "giantsteps": ("unique",),
    "giantsteps_clips": ("unique",),
    "magnatagatune": ("artist_clean", "tagged_only"),
}


_STEMS = {"synthband": "synthband_stems"} | {name: name for name in ("musdb18", "musdb18hq", "synthband_stems")}


def names() -> list[str]:
    """The datasets that can be processed by name, sorted; without their options."""
    return sorted(_BUILT_IN)


def options(name: str) -> tuple[str, ...]:
    """The options of dataset ``name``: what may follow its name, with ``+`` before each, in this order.

    Raises:
        RequestError: unknown name.
    """
    return _OPTIONS.get(_parse(name)[0], ())


def stems_of(name: str) -> str | None:
    """The dataset that holds the songs of dataset ``name`` as stems, where there is one: itself, or another."""
    return _STEMS.get(name)


def is_known(name: str) -> bool:
    """Whether ``name``, options included, can be processed by name."""
    try:
        _parse(name)
    except RequestError:
        return False
    return True


def assets(name: str) -> str:
    """Which raw assets dataset ``name`` is made from: the name to give to ``download``.

    Raises:
        RequestError: unknown name or option.
    """
    return _BUILT_IN[_parse(name)[0]][0]


def load(name: str, cache: Cache) -> Dataset:
    """The dataset ``name``, options included, from its raw assets in ``cache``. Only annotations need to be there.

    Raises:
        RequestError: unknown name or option, or its assets are not there.
    """
    base, chosen = _parse(name)
    folder = cache.dataset(assets(name))
    if not folder.is_dir():
        raise RequestError(f"{base} is not in {cache.root}: run `jukemir-like download {assets(name)}` first")
    module, _, attribute = _BUILT_IN[base][1].partition(":")
    make: Callable[..., Dataset] = getattr(import_module(module), attribute)
    return make(folder, name, chosen) if chosen else make(folder, name)


def _parse(name: str) -> tuple[str, frozenset[str]]:
    """The dataset that ``name`` begins with, and its options."""
    return parse(name, {base: _OPTIONS.get(base, ()) for base in _BUILT_IN})
