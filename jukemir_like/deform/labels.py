"""Which labels follow a deformation: a key moves with the pitch, a tempo with the tempo.

All other labels stay what they are for the clean audio. Some of them may hold no longer, as a tag ``slow`` of what is played twice as fast:
that is said for each task (:func:`remarks`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from jukemir_like.datasets.dataset import KEYS, Task
from jukemir_like.deform.names import Deformation

_TEMPO_OUTPUTS = ("bpm", "tempo")  # of a regression task, in lower case


def move_key(label: str, semitones: float) -> str:
    """The key that is ``semitones`` higher.

    >>> move_key("B minor", 2), move_key("C major", -1)
    ('Db minor', 'B major')
    """
    place = KEYS.index(label)
    return KEYS[12 * (place // 12) + (place + int(semitones)) % 12]


def scale_tempo(label: Any, rate: float) -> Any:
    """A tempo, or a list of tempi, in beats per minute, times ``rate``.

    >>> scale_tempo([100.0], 0.5), scale_tempo(120, 1.5)
    ([50.0], 180.0)
    """
    return [float(value) * rate for value in label] if isinstance(label, list) else float(label) * rate


_FOLLOWING: dict[tuple[str, str], Callable[[Any, float], Any]] = {
    ("pitch", "key"): move_key,
    ("tempo", "tempo"): scale_tempo,
}
"""Kind of deformation and type of task → how a label follows: a function of the label and the deformation's number."""

_CONTROLS = {"pitch": 0.0, "tempo": 1.0}  # numbers that change nothing


def follow(task: Task, label: Any, deformation: Deformation) -> Any:
    """The label of a clip after ``deformation``; None where it has none.

    >>> follow(Task("key", "key", KEYS), "C major", Deformation("pitch", 2))
    'D major'
    """
    rule = _rule(task, deformation)
    return label if rule is None or label is None or label == "" else rule(label, deformation.value)


def remarks(tasks: Iterable[Task], deformation: Deformation) -> list[str]:
    """Lines for people: which labels follow, and which may no longer hold.

    >>> remarks([Task("key", "key", KEYS), Task("mood", "multilabel", ("sad",))], Deformation("pitch", 2))
    ['labels of key follow the pitch', 'labels of mood are those of the clean audio, also where what they name changes with the pitch']
    """
    kind = deformation.kind
    if kind not in _CONTROLS or deformation.value == _CONTROLS[kind]:
        return []
    following: list[str] = []
    kept: list[str] = []
    for task in tasks:
        (kept if _rule(task, deformation) is None else following).append(task.name)
    lines = [f"labels of {', '.join(following)} follow the {kind}"] if following else []
    if kept:
        lines.append(f"labels of {', '.join(kept)} are those of the clean audio, also where what they name changes with the {kind}")
    return lines


def _rule(task: Task, deformation: Deformation) -> Callable[[Any, float], Any] | None:
    is_tempo = task.type == "regression" and len(task.labels) == 1 and task.labels[0].lower() in _TEMPO_OUTPUTS
    return _FOLLOWING.get((deformation.kind, "tempo" if is_tempo else task.type))
