"""Which artists, albums and recordings stand in more than one split: what a probe may have learnt by heart instead of from the music."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from jukemir_like.datasets import SPLITS
from jukemir_like.datasets.processed import ProcessedDataset

KINDS = ("artist", "album", "recording")
HEARD = (("test", "train"), ("test", "valid"), ("valid", "train"))
"""(split, the split in which its artists may have been met before)."""

_MOST_NAMES = 10


def overlaps(processed: ProcessedDataset) -> dict[str, dict[str, Any]]:
    """For each of artist, album, recording and the grouping key, where known: what stands in several splits, as ``audit.json`` has it.

    Only items that are in a split count. Values are compared without regard to case and spaces; an item may have several (a list).
    """
    kinds = [*KINDS, *([processed.group] if processed.group not in (*KINDS, "audio_uid", None) else [])]
    found = {str(kind): _overlap(processed, str(kind)) for kind in kinds}
    return {kind: one for kind, one in found.items() if any(one["known"].values())}


def values(processed: ProcessedDataset, uid: str, kind: str) -> list[str]:
    """What an item's ``extra`` says of its artist, album …; of its recording also what it was cut from. Empty where nothing is known."""
    record = processed.items[uid]
    value = (record.get("extra") or {}).get(kind)
    if kind == "recording" and value in (None, "", []):
        value = (record.get("clip") or {}).get("audio_uid")
    listed = value if isinstance(value, list) else [value]
    return [shown for one in listed if one is not None and (shown := " ".join(str(one).split()))]


def _overlap(processed: ProcessedDataset, kind: str) -> dict[str, Any]:
    items: dict[str, dict[str, set[str]]] = {split: {} for split in SPLITS}  # split → uid → values
    names: dict[str, str] = {}
    for uid, record in processed.items.items():
        if record.get("split") is not None:
            given = values(processed, uid, kind)
            items[record["split"]][uid] = {one.casefold() for one in given}
            for one in given:
                names.setdefault(one.casefold(), one)
    there = {split: set().union(*of_split.values()) for split, of_split in items.items()}
    counts = Counter(value for of_split in there.values() for value in of_split)
    return {
        "known": {split: sum(map(bool, of_split.values())) for split, of_split in items.items()},
        "values": len(counts),
        "in_several_splits": sum(count > 1 for count in counts.values()),
        "heard": [_heard(split, before, items[split], there, names) for split, before in HEARD],
    }


def _heard(
    split: str, before: str, items: Mapping[str, set[str]], there: Mapping[str, set[str]], names: Mapping[str, str]
) -> dict[str, Any]:
    """How much of ``split`` has a value that was met in ``before``."""
    shared = there[split] & there[before]
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
