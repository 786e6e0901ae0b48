"""From ``meta.json``, ``dataset.json`` and vectors to what a probe is fitted on.

Items without a split, without a label or without a vector are left out and counted. Songs: where the items of a key task are clips of
recordings, the recording is what is scored.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from reprlib import repr as shortened
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jukemir_like.core.errors import RequestError
from jukemir_like.datasets import LARGEST_VALUE, SPLITS, Task
from jukemir_like.datasets.processed import ProcessedDataset
from jukemir_like.probes import metrics
from jukemir_like.probes.songs import Songs
from jukemir_like.probes.vectors import Vectors


@dataclass(frozen=True)
class Split:
    """One split of one task.

    Args:
        X: float32 of shape (n, dimension).
        y: labels as in ``predictions.npz``.
        uid: n strings. group: n strings.
        songs: which clips make which song; None where items are scored.
    """

    X: NDArray[np.float32]
    y: np.ndarray
    uid: NDArray[np.str_]
    group: NDArray[np.str_]
    songs: Songs | None


@dataclass(frozen=True)
class ProbeData:
    """All that a probe of one task needs: splits by name, and what was left out, as ``run.json`` tells it."""

    task: Task
    splits: dict[str, Split]
    left_out: dict[str, Any]
    notes: list[str]

    @property
    def train(self) -> Split:
        return self.splits["train"]


def no_vectors(processed: ProcessedDataset, uids: Sequence[str]) -> Vectors:
    """Vectors of no dimension for all items with audio: what the trivial baselines look at."""
    used = [uid for uid in uids if uid not in processed.failed]
    missing = {uid: processed.failed[uid] for uid in uids if uid in processed.failed}
    digest = hashlib.sha256("\0".join(used).encode(errors="surrogateescape")).hexdigest()
    return Vectors(np.empty((len(used), 0), np.float32), {uid: i for i, uid in enumerate(used)}, missing, digest, None)


def prepare(processed: ProcessedDataset, task: Task, vectors: Vectors) -> ProbeData:
    """Puts labels and vectors of one task together.

    Raises:
        RequestError: a label that the task does not have, a split without items, a split whose primary metric is undefined.
    """
    encode = _encoder(task)
    missing: Counter[str] = Counter()
    found: dict[str, list[tuple[str, Any]]] = {split: [] for split in SPLITS}
    no_label = no_split = 0
    for uid, record in processed.items.items():
        label = processed.label_of(uid, task.name)
        if record.get("split") is None:
            no_split += 1
        elif label is None or label == "":
            no_label += 1
        elif uid not in vectors.row:
            missing[vectors.missing[uid]] += 1
        else:
            try:
                found[record["split"]].append((uid, encode(label)))
            except (ValueError, TypeError, OverflowError) as error:
                where = f"label {shortened(label)} of {uid} in {processed.name}"
                raise RequestError(f"{where} does not fit task {task.name}: {error}; correct it and process again") from error
    splits = _splits(processed, task, vectors, found)
    left_out = {"vectors": dict(sorted(missing.items())), "no_label": no_label, "no_split": no_split}
    notes = [f"{task.name}: {count:,} items left out: {reason}" for reason, count in sorted(missing.items())]
    if no_label:
        notes.append(f"{task.name}: {no_label:,} items left out: no label")
    train = splits["train"].y
    seen = np.isin(np.arange(len(task.labels)), train) if train.ndim == 1 else np.atleast_1d(train.any(0))
    absent = [label for label, is_seen in zip(task.labels, seen, strict=True) if not is_seen] if task.type != "regression" else []
    if absent:
        notes.append(
            f"{task.name}: {len(absent)} of {len(task.labels)} labels are in no train item, no probe can learn them: {', '.join(absent)}"
        )
    undefined = {split: metrics.undefined(task, splits[split].y) for split in ("valid", "test")}
    return ProbeData(task, splits, {**left_out, "not_in_train": absent, "undefined": undefined}, notes)


def _splits(processed: ProcessedDataset, task: Task, vectors: Vectors, found: dict[str, list[tuple[str, Any]]]) -> dict[str, Split]:
    for split, pairs in found.items():
        if not pairs:
            raise RequestError(
                f"split {split} of {processed.name} has no item with a label for {task.name} and a vector: a probe needs all three"
            )
    uids = {split: [uid for uid, _ in pairs] for split, pairs in found.items()}
    labels = {split: np.array([y for _, y in pairs]) for split, pairs in found.items()}
    recordings = {split: [processed.recording_of(uid) for uid in uids[split]] for split in SPLITS}
    with_songs = task.type == "key" and any(len(set(names)) < len(names) for names in recordings.values())
    made = {}
    for split in SPLITS:
        songs = Songs.of(recordings[split]) if with_songs else None
        if songs is not None and (songs.of_songs(labels[split])[songs.song] != labels[split]).any():
            raise RequestError(
                f"clips of one recording in split {split} of {processed.name} have different keys: {task.name} is scored by song"
            )
        X = vectors.X[[vectors.row[uid] for uid in uids[split]]]
        group = np.array([processed.group_of(uid) for uid in uids[split]])
        made[split] = Split(X, labels[split], np.array(uids[split]), group, songs)
        if split != "train":
            _check_defined(processed.name, split, task, labels[split])
    return made


def _check_defined(dataset: str, split: str, task: Task, y: np.ndarray) -> None:
    """The primary metric must exist on ``y``, else nothing can be selected or reported."""
    where = f"of {task.name} is undefined in split {split} of {dataset}"
    if task.type == "regression" and (constant := np.ptp(y, axis=0) == 0).any():
        raise RequestError(
            f"R² {where}: all {len(y)} items have the same {task.labels[int(constant.argmax())]}; give that split more items"
        )
    if task.type == "multilabel" and metrics.undefined(task, y)["roc_auc"] == len(task.labels):
        raise RequestError(f"ROC-AUC {where}: no tag has both a positive and a negative among {len(y)} items; give that split more items")


def _encoder(task: Task) -> Callable[[Any], Any]:
    index = {label: i for i, label in enumerate(task.labels)}
    if task.type == "key":
        metrics.key_table(task.labels)

    def number(label: Any) -> int:
        if label not in index:
            raise ValueError(f"{shortened(label)} is not among its {len(index)} labels")
        return index[label]

    def tags(label: Any) -> list[bool]:
        if not isinstance(label, list):
            raise ValueError("a list of tags is expected")
        present = {number(tag) for tag in label}
        return [i in present for i in range(len(index))]

    def values(label: Any) -> list[float]:
        numbers = [float(value) for value in (label if isinstance(label, list) else [label])]
        if len(numbers) != len(index) or not all(abs(number) < LARGEST_VALUE for number in numbers):  # so written, NaN is found as well
            raise ValueError(f"{len(index)} finite numbers are expected")
        return numbers

    encoders: dict[str, Callable[[Any], Any]] = {"multiclass": number, "key": number, "multilabel": tags, "regression": values}
    return encoders[task.type]
