"""What a dataset is before it is processed: items with uid, split, label and source, and the tasks that the labels answer.

A dataset has one or more tasks. With one task, ``y`` in ``meta.json`` is its label; with several, ``y`` maps task name to label. A label
is a class name (multiclass, key), a list of tag names (multilabel), a list of numbers (regression) or beats per minute (tempo).
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from reprlib import repr as shortened
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from jukemir_like.midi.rendering import Rendering
    from jukemir_like.separation.pseudo_stems import Separation

TaskType = Literal["multiclass", "multilabel", "regression", "key", "tempo"]
PRIMARY_METRICS: dict[str, str] = {
    "multiclass": "accuracy",
    "multilabel": "roc_auc",
    "regression": "r2",
    "key": "weighted_score",
    "tempo": "accuracy1",
}
NUMERIC_TYPES = ("regression", "tempo")
"""Types of tasks whose labels are numbers."""
SPLITS = ("train", "valid", "test")
FOLD = "fold"
"""The key of ``extra`` that holds an item's fold."""
OWN_STEMS = "stems"
"""The key of ``extra`` that holds the names of an item's channels, where each item has stems of its own."""
SPLIT_OF_WORD = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("valid", "val", "validation", "dev", "development"), "valid"),
    **dict.fromkeys(("test", "testing", "eval", "evaluation"), "test"),
}
"""The usual words for a split, in lower case → the split."""
SPLIT_SHARES = {"train": 0.7, "valid": 0.15, "test": 0.15}
"""Shares of the items in splits that are assigned at random."""
LARGEST_VALUE = 1e100
"""Values of a regression task must be smaller in magnitude: the squares of larger ones overflow."""

KEYS = tuple(
    f"{tonic} {mode}" for mode in ("major", "minor") for tonic in ("C", "Db", "D", "Eb", "E", "F", "Gb", "G", "Ab", "A", "Bb", "B")
)
"""The 24 keys in the order of the classes: majors from C upwards in semitones, then minors; flats for the black keys."""

TEMPI = tuple(f"{30 * 2 ** (step / 36):.2f}" for step in range(121))
"""The classes of a tempo task, in beats per minute: 36 in an octave, each 1.94 % above the one before, from 30 to 302.

Labels are any tempo above 0; the classes are what a probe can answer, never more than 1 % beside a tempo in their range.
"""

_FLATS = {"C#": "Db", "D#": "Eb", "F#": "Gb", "G#": "Ab", "A#": "Bb", "Cb": "B", "B#": "C", "E#": "F", "Fb": "E"}
_OUTPUT_SUFFIXES = (".wav", ".npy")  # wav/<uid>.wav when a dataset is processed, <uid>.npy when vectors are extracted
_MOST_BYTES_OF_A_NAME = 255  # of the file systems in use
_MOST_BYTES_OF_A_UID = 2000  # of 4,096 bytes for a path: as much is left for the path of the cache


@dataclass(frozen=True)
class Task:
    """One question that the labels of a dataset answer.

    Args:
        name: e.g. ``genre``.
        type: what kind of label ``y`` is.
        labels: class names, tag names, names of the predicted values or tempi, in the order of the probe's outputs.
    """

    name: str
    type: TaskType
    labels: tuple[str, ...]

    @property
    def primary_metric(self) -> str:
        """The metric that selects and ranks.

        >>> Task("genre", "multiclass", ("jazz", "rock")).primary_metric
        'accuracy'
        """
        return PRIMARY_METRICS[self.type]

    def to_json(self) -> dict[str, Any]:
        """The task as it is written in ``dataset.json``, without its name."""
        return {"type": self.type, "labels": list(self.labels), "primary_metric": self.primary_metric}

    @classmethod
    def from_json(cls, name: str, value: dict[str, Any]) -> Task:
        """The inverse of :meth:`to_json`."""
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
        source: the file that holds its audio; None where there is no audio.
        clip: which piece of ``source``; None for all of it.
        extra: anything else worth keeping; holds the grouping value.
        stem_files: for each stem of the dataset the files that it is the sum of, relative to ``source``, a folder; None: ``source`` holds
            one channel, stream or file per stem.
        rendering: how ``source``, a MIDI file, becomes the stems of the dataset; None: it holds audio.
        separation: how ``source``, a mix, is divided into the stems of the dataset; None: it is not.
    """

    uid: str
    split: str | None
    y: Any
    source: Path | None
    clip: Clip | None = None
    extra: dict[str, Any] = field(default_factory=dict)
    stem_files: tuple[tuple[str, ...], ...] | None = None
    rendering: Rendering | None = None
    separation: Separation | None = None


@dataclass(frozen=True)
class Dataset:
    """A dataset from its raw assets: the input of ``process``.

    Args:
        name: folder name in the cache.
        tasks: what its labels answer, by name.
        items: all records, in a fixed order.
        group: the key of ``extra`` whose items must stay together when resampling (artist, track); None: every item by itself.
        stems: names of the channels of a dataset of stems; None for mono.
        sources: digests or parameters of what it was made from.
        options: those that ``name`` asks for, sorted; see :func:`jukemir_like.datasets.registry.options`.
        understood: how a user's own table was read, see :func:`jukemir_like.datasets.folder.labels.describe`; None for other datasets.
        folds: names of the folds that the items come in, in order: an item's is ``extra["fold"]``, and its split is None. None: in splits.
        notes: further lines to show when it is processed.
        stems_per_item: each item has stems of its own, any number of them, whose names are in ``extra["stems"]``; ``stems`` is None then.
    """

    name: str
    tasks: dict[str, Task]
    items: list[Item]
    group: str | None = None
    stems: tuple[str, ...] | None = None
    sources: dict[str, Any] = field(default_factory=dict)
    options: tuple[str, ...] = ()
    understood: dict[str, Any] | None = None
    folds: tuple[str, ...] | None = None
    notes: tuple[str, ...] = ()
    stems_per_item: bool = False


def label_encoder(task: Task) -> Callable[[Any], Any]:
    """A function from a label as ``meta.json`` has it to numbers.

    Returns:
        A function that gives: multiclass and key, the place of the class in ``task.labels``; multilabel, a list of booleans, one per tag;
        regression, a list of floats, one per output; tempo, a float, beats per minute. It raises ValueError or TypeError for a label that
        does not fit the task.

    >>> label_encoder(Task("tags", "multilabel", ("loud", "fast", "live")))(["fast"])
    [False, True, False]
    """
    index = {label: number for number, label in enumerate(task.labels)}

    def place(label: Any) -> int:
        if label not in index:
            raise ValueError(f"{shortened(label)} is not among its {len(index)} labels")
        return index[label]

    def flags(label: Any) -> list[bool]:
        if not isinstance(label, list):
            raise ValueError("a list of tags is expected")
        present = {place(tag) for tag in label}
        return [number in present for number in range(len(index))]

    def values(label: Any) -> list[float]:
        numbers = [float(value) for value in (label if isinstance(label, list) else [label])]
        if len(numbers) != len(index) or not all(abs(number) < LARGEST_VALUE for number in numbers):  # written so that NaN is refused too
            raise ValueError(f"{len(index)} finite numbers are expected")
        return numbers

    def tempo(label: Any) -> float:
        if not is_tempo(label):
            raise ValueError("a number above 0 is expected, beats per minute")
        return float(label)

    encoders: dict[str, Callable[[Any], Any]] = {
        "multiclass": place,
        "key": place,
        "multilabel": flags,
        "regression": values,
        "tempo": tempo,
    }
    return encoders[task.type]


def key_name(value: str) -> str | None:
    """The class of :data:`KEYS` that ``value`` names; None where it names none.

    Sharps and rare enharmonic names are read as the flats and naturals of the classes; letter case and spaces do not matter.

    >>> key_name("d#  Minor ")
    'Eb minor'
    >>> key_name("C / G minor") is None
    True
    """
    tonic, _, mode = " ".join(value.split()).partition(" ")
    tonic = tonic[:1].upper() + tonic[1:].lower()
    name = f"{_FLATS.get(tonic, tonic)} {mode.lower()}"
    return name if name in KEYS else None


def is_tempo(value: Any) -> bool:
    """Whether ``value``, a number or its text, can be a tempo: finite and above 0.

    >>> is_tempo("125.5"), is_tempo(0), is_tempo("fast")
    (True, False, False)
    """
    try:
        return not isinstance(value, bool) and 0 < float(value) < LARGEST_VALUE
    except (TypeError, ValueError, OverflowError):
        return False


def natural_order(name: str) -> tuple[list[tuple[bool, int, str]], str]:
    """What names of folds are sorted by: numbers in them as numbers.

    >>> sorted(["fold 10", "fold 9", "b", "2"], key=natural_order)
    ['2', 'b', 'fold 9', 'fold 10']
    """
    parts = re.findall(r"[0-9]+|[^0-9]+", name)
    numbers = [int(part) if re.fullmatch("[0-9]+", part) else None for part in parts]
    return [(number is None, number or 0, part) for number, part in zip(numbers, parts, strict=True)], name


def uid_fault(uid: str) -> str | None:
    """Why ``uid`` cannot be the name of a file, in words that follow it; None where it can.

    >>> uid_fault("a/b") is None, uid_fault("../a")
    (True, 'cannot be a file name: no part may be empty or start with a dot')
    """
    parts = uid.split("/")
    if any(not part or part.startswith(".") or "\0" in part for part in parts):
        return "cannot be a file name: no part may be empty or start with a dot"
    lengths = [len(os.fsencode(part)) for part in (*parts[:-1], parts[-1] + _OUTPUT_SUFFIXES[0])]
    if max(lengths) > _MOST_BYTES_OF_A_NAME or sum(lengths) + len(parts) > _MOST_BYTES_OF_A_UID:
        return f"cannot be a file name: it is too long ({len(os.fsencode(uid)):,} bytes)"
    return None


def uid_collision(uids: Iterable[str]) -> tuple[str, str] | None:
    """Two uids of which one needs a file where the other needs a folder; None where there are none.

    >>> uid_collision(["b", "a", "a.wav/b"])
    ('a', 'a.wav/b')
    """
    uids = list(uids)
    uid_below: dict[str, str] = {}  # folder → a uid in it
    for uid in uids:
        end = uid.find("/")
        while end >= 0:
            uid_below.setdefault(uid[:end], uid)
            end = uid.find("/", end + 1)
    return next(((uid, uid_below[uid + suffix]) for uid in uids for suffix in _OUTPUT_SUFFIXES if uid + suffix in uid_below), None)
