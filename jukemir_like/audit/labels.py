"""How many items of each split have which label."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from reprlib import repr as shortened
from typing import Any

from jukemir_like.core.errors import RequestError
from jukemir_like.datasets import LARGEST_VALUE, SPLITS, Task
from jukemir_like.datasets.processed import ProcessedDataset

_NO_SPLIT = "none"


def labels(processed: ProcessedDataset) -> dict[str, dict[str, Any]]:
    """Task → counts, as ``audit.json`` has them.

    ``without_label`` counts by split. Tasks of classes, keys and tags have ``counts``, label → split → items; ``absent``, split → labels
    that no item of it has; ``undeclared``, labels that ``dataset.json`` does not name → items; of tags ``without_tag`` by split.
    Regression has ``values``, output → split → n, mean, std (population), min and max.
    """
    return {name: _of_task(processed, task) for name, task in processed.tasks.items()}


def _of_task(processed: ProcessedDataset, task: Task) -> dict[str, Any]:
    given: dict[str, list[Any]] = {split: [] for split in (*SPLITS, _NO_SPLIT)}
    without: Counter[str] = Counter()
    for uid, record in processed.items.items():
        split, label = record.get("split") or _NO_SPLIT, processed.label_of(uid, task.name)
        if label is None or label == "":
            without[split] += 1
        else:
            given[split].append(_numbers(processed, uid, label) if task.type == "regression" else label)
    given = {split: found for split, found in given.items() if found or split in SPLITS}
    common = {"type": task.type, "without_label": dict(without)}
    return common | (_regression(task, given) if task.type == "regression" else _classes(task, given))


def _classes(task: Task, given: Mapping[str, Sequence[Any]]) -> dict[str, Any]:
    tags = {split: [_listed(label) for label in found] for split, found in given.items()}
    counts = {split: Counter(tag for own in found for tag in own) for split, found in tags.items()}
    undeclared = sum(counts.values(), Counter[str]())
    for label in task.labels:
        del undeclared[label]
    found: dict[str, Any] = {
        "counts": {label: {split: count[label] for split, count in counts.items()} for label in task.labels},
        "absent": {split: [label for label in task.labels if not counts[split][label]] for split in SPLITS},
        "undeclared": dict(sorted(undeclared.items())),
    }
    if task.type == "multilabel":
        found["without_tag"] = {split: sum(not own for own in of_split) for split, of_split in tags.items()}
    return found


def _regression(task: Task, given: Mapping[str, Sequence[Any]]) -> dict[str, Any]:
    numbers: dict[str, dict[str, Any]] = {}
    for place, label in enumerate(task.labels):
        numbers[label] = {}
        for split, found in given.items():
            own = [value[place] for value in found if len(value) > place]
            if own:
                described = {"mean": statistics.fmean(own), "std": statistics.pstdev(own), "min": min(own), "max": max(own)}
                numbers[label][split] = {"n": len(own)} | {name: round(value, 5) for name, value in described.items()}
    return {"values": numbers}


def _listed(label: Any) -> list[str]:
    return [str(one) for one in label] if isinstance(label, list) else [str(label)]


def _numbers(processed: ProcessedDataset, uid: str, label: Any) -> list[float]:
    try:
        numbers = [float(value) for value in (label if isinstance(label, list) else [label])]
        if all(abs(number) < LARGEST_VALUE for number in numbers):  # so written, NaN is found as well
            return numbers
    except (TypeError, ValueError, OverflowError):
        pass
    raise RequestError(f"label {shortened(label)} of {uid} in {processed.name} is no number: correct it and process again")
