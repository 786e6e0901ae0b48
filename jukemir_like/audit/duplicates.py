"""Duplicate audio in a dataset: the same samples, or the same sound."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from jukemir_like.audit import measurements, splits
from jukemir_like.audit.fingerprints import BIT_ERROR_RATE, FRAMES_PER_SECOND, LEAST_FRAMES, WINDOW_FRAMES, find_matches
from jukemir_like.core.cache import Cache
from jukemir_like.core.records import Record
from jukemir_like.datasets.processed import ProcessedDataset


def duplicates(cache: Cache, processed: ProcessedDataset, measured: Mapping[str, Record]) -> dict[str, Any]:
    """Groups of items with the same samples, and pairs that sound alike, for ``audit.json``.

    Args:
        cache: holds the fingerprints.
        processed: the dataset.
        measured: records of :func:`jukemir_like.audit.measurements.measure`. Constant WAVs have nothing to compare and are left out.

    Of items with the same samples only the first is compared by fingerprint. Clips that are known to be of one recording are not compared.
    """
    groups: dict[str, list[str]] = {}
    for uid, record in measured.items():
        if not record["constant"]:
            groups.setdefault(record["samples_digest"], []).append(uid)
    same = [_described(processed, uids) for uids in groups.values() if len(uids) > 1]
    first = [uids[0] for uids in groups.values()]
    folder = cache.processed(processed.name)
    pairs = [
        _described(processed, [first[match.first], first[match.second]])
        | {
            "offset_seconds": round(match.offset_seconds, 2),
            "seconds": round(match.seconds, 2),
            "bit_error_rate": round(match.bit_error_rate, 4),
        }
        for match in find_matches([measurements.stored_fingerprint(folder, uid) for uid in first], _recordings(processed, first))
    ]
    return {
        "same_samples": same,
        "same_sound": pairs,
        "compared": {
            "items": len(first),
            "bit_error_rate": BIT_ERROR_RATE,
            "seconds": round(WINDOW_FRAMES / FRAMES_PER_SECOND, 2),
            "least_seconds": round(LEAST_FRAMES / FRAMES_PER_SECOND, 2),
        },
        "heard": _shared(processed, [group["items"] for group in same], [pair["items"] for pair in pairs]),
    }


def _described(processed: ProcessedDataset, uids: Sequence[str]) -> dict[str, Any]:
    records = [processed.items[uid] for uid in uids]
    labels = {json.dumps(record.get("y"), sort_keys=True) for record in records}
    return {"items": list(uids), "splits": [splits.part_of(processed, uid) for uid in uids], "labels_differ": len(labels) > 1}


def _recordings(processed: ProcessedDataset, uids: Sequence[str]) -> list[int]:
    """A number per item, equal for items of one recording."""
    numbers: dict[tuple[str, ...], int] = {}
    names = (splits.known_values(processed, uid, "recording") for uid in uids)
    return [numbers.setdefault(tuple(name) or ("", uid), len(numbers)) for uid, name in zip(uids, names, strict=True)]


def _shared(processed: ProcessedDataset, same: Sequence[Sequence[str]], alike: Sequence[Sequence[str]]) -> list[dict[str, Any]]:
    """How many items of a split also occur in another, by samples or by sound. What sounds like one of a group sounds like all of it."""
    group_of = {uid: group for group in same for uid in group}
    links: dict[str, set[str]] = {}
    for group in same:
        _link(links, group, group)
    for first, second in alike:
        _link(links, group_of.get(first, [first]), group_of.get(second, [second]))
    split_of = {uid: splits.part_of(processed, uid) for uid in processed.items}
    if processed.folds:
        heard = sum(any(split_of[other] not in (None, split_of[uid]) for other in others) for uid, others in links.items() if split_of[uid])
        return [{"split": "test", "in": "train", "of": sum(map(bool, split_of.values())), "items": heard}]
    sizes = list(split_of.values())
    return [
        {"split": split, "in": before, "of": sizes.count(split)}
        | {"items": sum(split_of[uid] == split and any(split_of[other] == before for other in others) for uid, others in links.items())}
        for split, before in splits.COMPARED_SPLITS
    ]


def _link(links: dict[str, set[str]], ones: Collection[str], others: Collection[str]) -> None:
    for one in ones:
        links.setdefault(one, set()).update(others)
    for other in others:
        links.setdefault(other, set()).update(ones)
