"""The splits of a dataset: how many items of each have which label, and which artists, albums and recordings occur in more than one.

A probe may recognise an artist of the training split instead of the music. Of a dataset that comes in folds every item is tested by a probe
of the other folds: there, all items are those of test, and what is in another fold is in training.
"""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from reprlib import repr as shortened
from typing import Any

from jukemir_like.core.errors import RequestError
from jukemir_like.datasets import LARGEST_VALUE, NUMERIC_TYPES, SPLITS, Task
from jukemir_like.datasets.processed import ProcessedDataset

KINDS = ("artist", "album", "recording")
COMPARED_SPLITS = (("test", "train"), ("test", "valid"), ("valid", "train"))
"""Pairs (split, split whose artists it should not share)."""

_MOST_NAMES = 10
_NO_SPLIT = "none"


def part_names(processed: ProcessedDataset) -> tuple[str, ...]:
    """What the items are in: the folds of the dataset, or the splits."""
    return processed.folds or SPLITS


def part_of(processed: ProcessedDataset, uid: str) -> str | None:
    """The fold of an item, or its split; None where it is in none."""
    return processed.fold_of(uid) if processed.folds else processed.items[uid].get("split")


def overlaps(processed: ProcessedDataset) -> dict[str, dict[str, Any]]:
    """For each of artist, album, recording and the grouping key, where known: the values that occur in several splits, for ``audit.json``.

    Only items that are in a split count. Values are compared without regard to case and spaces; an item may have several (a list).
    """
    kinds = [*KINDS, *([processed.group] if processed.group not in (*KINDS, "audio_uid", None) else [])]
    overlaps_by_kind = {str(kind): _overlap(processed, str(kind)) for kind in kinds}
    return {kind: overlap for kind, overlap in overlaps_by_kind.items() if any(overlap["known"].values())}


def known_values(processed: ProcessedDataset, uid: str, kind: str) -> list[str]:
    """An item's artists, albums, … by its ``extra``; for its recording also what the clip was cut from. Empty where nothing is known."""
    record = processed.items[uid]
    value = (record.get("extra") or {}).get(kind)
    if kind == "recording" and value in (None, "", []):
        value = (record.get("clip") or {}).get("audio_uid")
    listed = value if isinstance(value, list) else [value]
    return [shown for one in listed if one is not None and (shown := " ".join(str(one).split()))]


def _overlap(processed: ProcessedDataset, kind: str) -> dict[str, Any]:
    items: dict[str, dict[str, set[str]]] = {part: {} for part in part_names(processed)}  # split or fold → uid → values
    names: dict[str, str] = {}
    for uid in processed.items:
        part = part_of(processed, uid)
        if part is not None:
            given = known_values(processed, uid, kind)
            items[part][uid] = {one.casefold() for one in given}
            for one in given:
                names.setdefault(one.casefold(), one)
    in_split = {split: set().union(*of_split.values()) for split, of_split in items.items()}
    counts = Counter(value for of_split in in_split.values() for value in of_split)
    known = {split: sum(map(bool, of_split.values())) for split, of_split in items.items()}
    if processed.folds:
        several = {value for value, count in counts.items() if count > 1}
        every = {uid: values for of_fold in items.values() for uid, values in of_fold.items()}
        heard = [_shared("test", "train", every, {"test": several, "train": several}, names)]
        known = {"train": sum(known.values()), "valid": 0, "test": sum(known.values())}
    else:
        heard = [_shared(split, before, items[split], in_split, names) for split, before in COMPARED_SPLITS]
    return {"known": known, "values": len(counts), "in_several_splits": sum(count > 1 for count in counts.values()), "heard": heard}


def _shared(
    split: str, before: str, items: Mapping[str, set[str]], in_split: Mapping[str, set[str]], names: Mapping[str, str]
) -> dict[str, Any]:
    """How many items of ``split`` have a value that occurs in ``before`` too."""
    shared = in_split[split] & in_split[before]
    concerned = [own & shared for own in items.values() if own & shared]
    return {
        "split": split,
        "in": before,
        "values": len(shared),
        "items": len(concerned),
        "of": len(items),
        "names": most_frequent((names[value] for own in concerned for value in own), _MOST_NAMES),
    }


def most_frequent(given: Iterable[str], most: int) -> list[str]:
    """The names that occur most often, of equals in alphabetical order."""
    counts = Counter(given)
    return sorted(counts, key=lambda name: (-counts[name], name))[:most]


def label_counts(processed: ProcessedDataset) -> dict[str, dict[str, Any]]:
    """Task → counts, as ``audit.json`` has them.

    ``without_label`` counts by split. Tasks of classes, keys and tags have ``counts``, label → split → items; ``absent``, split → labels
    that no item of it has; ``undeclared``, labels that ``dataset.json`` does not name → items; of tags ``without_tag`` by split.
    Regression and tempo (its output is ``bpm``) have ``values``, output → split → n, mean, std (population), min and max.
    """
    return {name: _counts_of_task(processed, task) for name, task in processed.tasks.items()}


def _counts_of_task(processed: ProcessedDataset, task: Task) -> dict[str, Any]:
    names = part_names(processed)
    given: dict[str, list[Any]] = {split: [] for split in (*names, _NO_SPLIT)}
    without: Counter[str] = Counter()
    for uid in processed.items:
        split, label = part_of(processed, uid) or _NO_SPLIT, processed.label_of(uid, task.name)
        if label is None or label == "":
            without[split] += 1
        else:
            given[split].append(_numbers(processed, uid, label) if task.type in NUMERIC_TYPES else label)
    given = {split: labels for split, labels in given.items() if labels or split in names}
    common = {"type": task.type, "without_label": dict(without)}
    if task.type in NUMERIC_TYPES:
        return common | _regression(["bpm"] if task.type == "tempo" else task.labels, given)
    return common | _classes(task, given)


def _classes(task: Task, given: Mapping[str, Sequence[Any]]) -> dict[str, Any]:
    tags = {split: [_listed(label) for label in labels] for split, labels in given.items()}
    counts = {split: Counter(tag for own in item_tags for tag in own) for split, item_tags in tags.items()}
    undeclared = sum(counts.values(), Counter[str]())
    for label in task.labels:
        del undeclared[label]
    counted: dict[str, Any] = {
        "counts": {label: {split: count[label] for split, count in counts.items()} for label in task.labels},
        "absent": {split: [label for label in task.labels if not counts[split][label]] for split in counts if split != _NO_SPLIT},
        "undeclared": dict(sorted(undeclared.items())),
    }
    if task.type == "multilabel":
        counted["without_tag"] = {split: sum(not own for own in of_split) for split, of_split in tags.items()}
    return counted


def _regression(outputs: Sequence[str], given: Mapping[str, Sequence[Any]]) -> dict[str, Any]:
    numbers: dict[str, dict[str, Any]] = {}
    for place, label in enumerate(outputs):
        numbers[label] = {}
        for split, values in given.items():
            own = [value[place] for value in values if len(value) > place]
            if own:
                described = {"mean": statistics.fmean(own), "std": statistics.pstdev(own), "min": min(own), "max": max(own)}
                numbers[label][split] = {"n": len(own)} | {name: round(value, 5) for name, value in described.items()}
    return {"values": numbers}


def _listed(label: Any) -> list[str]:
    return [str(one) for one in label] if isinstance(label, list) else [str(label)]


def _numbers(processed: ProcessedDataset, uid: str, label: Any) -> list[float]:
    try:
        numbers = [float(value) for value in (label if isinstance(label, list) else [label])]
        if all(abs(number) < LARGEST_VALUE for number in numbers):  # False for NaN too
            return numbers
    except (TypeError, ValueError, OverflowError):
        pass
    raise RequestError(f"label {shortened(label)} of {uid} in {processed.name} is no number: correct it and process again")
