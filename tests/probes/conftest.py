"""A small processed dataset with vectors, written as the earlier stages write them."""

import json

import numpy as np
import pytest

from jukemir_like.core.cache import Cache
from jukemir_like.core.resumable import digest_or_none
from jukemir_like.datasets import KEYS, Task
from jukemir_like.probes.stage import probe_dataset

TASKS = {
    "genre": Task("genre", "multiclass", ("blues", "jazz", "rock")),
    "key": Task("key", "key", KEYS),
    "tags": Task("tags", "multilabel", ("fast", "loud", "sad", "odd")),
    "emotion": Task("emotion", "regression", ("arousal", "valence")),
}


@pytest.fixture
def make_dataset(tmp_path):
    """A function that writes ``processed/`` and ``representations/`` of one dataset into a cache and returns the cache.

    ``make_dataset(tasks=…, sizes=…, dimension=…, clips=…, edit=…)``; ``edit(meta, description)`` may change both before they are written.
    Vectors hold the labels, linearly and noisily. With ``clips``, that many items make one recording.
    """

    def make(*, tasks=("genre", "key", "tags", "emotion"), sizes=(60, 30, 40), dimension=12, clips=1, seed=0, name="toy", edit=None):
        random = np.random.default_rng(seed)
        cache = Cache(tmp_path / "cache")
        meta, vectors = {}, {}
        for split, size in zip(("train", "valid", "test"), sizes, strict=True):
            for recording in range(size // clips):
                hidden = random.normal(size=6)
                y = {
                    "genre": TASKS["genre"].labels[int(hidden[:3].argmax())],
                    "key": KEYS[int(np.clip(4 * hidden[3] + 12, 0, 23))],
                    "tags": [tag for tag, value in zip(TASKS["tags"].labels, hidden, strict=False) if value > 0.3],
                    "emotion": [float(hidden[0] + hidden[1]), float(hidden[2] - 0.1 * hidden[4])],
                }
                y = {task: y[task] for task in tasks}
                for clip in range(clips):
                    uid = f"{split}/{recording:03d}-{clip}"
                    extra = {"artist": f"{split} {recording // 2}"}
                    meta[uid] = {"split": split, "y": y if len(tasks) > 1 else y[tasks[0]], "extra": extra}
                    if clips > 1:
                        meta[uid]["clip"] = {"audio_uid": f"{split}/{recording:03d}", "clip_idx": clip}
                    vectors[uid] = hidden + 0.5 * random.normal(size=6)
        mixing = random.normal(size=(6, dimension))
        description = {
            "name": name,
            "tasks": {task: TASKS[task].to_json() for task in tasks},
            "group": "artist",
            "stems": None,
            "sources": {"seed": seed},
            "versions": {},
            "failed": {},
        }
        if edit:
            edit(meta, description)
        folder = cache.processed(name)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "meta.json").write_text(json.dumps(meta))
        (folder / "dataset.json").write_text(json.dumps(description))
        for uid, vector in vectors.items():
            path = cache.representation(name, "rep") / f"{uid}.npy"
            path.parent.mkdir(parents=True, exist_ok=True)
            np.save(path, (vector @ mixing + 0.1 * random.normal(size=dimension)).astype(np.float32))
        return cache

    return make


@pytest.fixture
def deform(make_dataset):
    """A function that makes ``toy`` and ``toy~NAME`` with the vectors of the test items, or of all, changed by ``change``."""

    def make(change=lambda vector: vector, name="noise-20", relabel=lambda y: y, all_items=False, **options):
        cache = make_dataset(**options)
        clean, folder = cache.processed("toy"), cache.processed(f"toy~{name}")
        folder.mkdir(parents=True)
        meta, description = (json.loads((clean / file).read_text()) for file in ("meta.json", "dataset.json"))
        tested = {uid: {**record, "y": relabel(record["y"])} for uid, record in meta.items() if all_items or record["split"] == "test"}
        origin = {"of": "toy", "deformation": name, "seed": 0, "meta": digest_or_none(clean / "meta.json")}
        (folder / "meta.json").write_text(json.dumps(tested))
        (folder / "dataset.json").write_text(json.dumps(description | {"name": f"toy~{name}", "deformed": origin}))
        for uid in tested:
            target = cache.representation(f"toy~{name}", "rep") / f"{uid}.npy"
            target.parent.mkdir(parents=True, exist_ok=True)
            np.save(target, change(np.load(cache.representation("toy", "rep") / f"{uid}.npy")).astype(np.float32))
        return cache

    return make


@pytest.fixture
def runs(make_dataset):
    """Finished runs of protocol ``linear`` for all tasks of the small dataset."""
    return probe_dataset(make_dataset(), "toy", "rep").runs
