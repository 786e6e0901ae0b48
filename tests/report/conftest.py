"""Run folders in the documented format, with predictions whose quality is known, and the folders of the stages before them."""

import json

import numpy as np
import pytest

from jukemir_like.core.atomic import write_json
from jukemir_like.core.cache import Cache
from jukemir_like.datasets import KEYS, Task
from jukemir_like.probes import metrics, runs
from jukemir_like.probes.tasks import Predictions

GENRES = ("ballad", "bossa", "disco", "funk", "house", "metal", "reggae", "waltz")
TAGS = tuple(f"tag {index:02d}" for index in range(20))
TASKS = {
    "key": Task("key", "key", KEYS),
    "genre": Task("genre", "multiclass", GENRES),
    "tags": Task("tags", "multilabel", TAGS),
    "emotion": Task("emotion", "regression", ("arousal", "valence")),
    "tempo": Task("tempo", "regression", ("bpm",)),
}


def labels(task, n, random):
    if task.type in ("multiclass", "key"):
        return random.integers(len(task.labels), size=n)
    if task.type == "multilabel":
        y = random.random((n, len(task.labels))) < np.linspace(0.5, 0.05, len(task.labels))
        y[:, -1] = False  # a tag without a positive
        return y
    return random.standard_normal((n, len(task.labels)))


def predicted(task, y, quality, random):
    """Scores that know the labels the better, the larger ``quality``; 0 knows nothing and says the same of every item."""
    k = len(task.labels)
    if not quality:
        return np.tile(np.arange(k, 0, -1) if task.type != "regression" else np.zeros(k), (len(y), 1)).astype(np.float32)
    if task.type == "regression":
        return (y * quality + 0.5 * random.standard_normal(y.shape) * (1 - quality)).astype(np.float32)
    truth = np.eye(k)[y] if y.ndim == 1 else y
    scores = truth * 3 * quality + random.standard_normal((len(y), k))
    if task.type == "key":
        scores += 2 * quality * metrics.mirex_table()[y]
    return scores.astype(np.float32)


def make_run(cache, dataset, representation, task, quality, *, seed=0, protocol="linear", n=150, per_group=5, missing=0, **changes):
    """Writes one run; ``missing`` leaves out the last test items, as missing vectors do. Returns the run."""
    predictions, scored, groups = {}, {}, {}
    for split, size in (("valid", n // 2), ("test", n)):
        random = np.random.default_rng([n, len(task.labels), len(split)])  # the same labels for every representation
        y = labels(task, size, random)
        scores = predicted(task, y, quality, np.random.default_rng([seed, len(representation), len(task.name), int(100 * quality)]))
        keep = slice(0, size - missing if split == "test" else size)
        uid = np.array([f"{split}-{index:04d}" for index in range(size)])
        group = np.array([f"artist {split}-{index // per_group:03d}" for index in range(size)])
        predictions[split] = Predictions(uid[keep], group[keep], y[keep], scores[keep])
        scored[split], groups[split] = len(uid[keep]), len(set(group[keep]))
    evaluated = {split: metrics.evaluate(task, one.y, one.scores) for split, one in predictions.items()}
    record = {
        "format": runs.FORMAT,
        "dataset": dataset,
        "representation": representation,
        "protocol": protocol,
        "seed": seed,
        "task": {"name": task.name, **task.to_json()},
        "configuration": {},
        "configuration_hash": "0123456789abcdef",
        "selected": {"strength": 1.0},
        "aggregation": None,
        "metrics": evaluated,
        "n": {"train": 4 * n, **scored},
        "scored": scored,
        "groups": groups,
        "left_out": {
            "vectors": {"no vector": missing} if missing else {},
            "no_label": 0,
            "no_split": 0,
            "not_in_train": [],
            "undefined": {split: metrics.count_undefined(task, one.y) for split, one in predictions.items()},
        },
        "notes": [],
        "seconds": 1.25,
        "versions": {"jukemir-like": "0.1.0", "numpy": "2.4.0"},
        "lineage": {
            "meta": "a" * 64,
            "vectors": "b" * 64,
            "task": "c" * 16,
            "signature": "d" * 16,
            "sources": {"seed": 0},
        },
    }
    folder = runs.run_folder(cache, dataset, representation, task.name, protocol, seed)
    return runs.save_run(folder, {**record, **changes}, predictions)


def make_stages(cache, dataset, tasks, representations=(), failed=None):
    """``dataset.json``, ``meta.json`` and the records of the stages before the probe."""
    processed = cache.processed(dataset)
    description = {
        "name": dataset,
        "tasks": {task.name: task.to_json() for task in tasks},
        "group": "artist",
        "stems": None,
        "items": {"train": 600, "valid": 75, "test": 150},
        "metadata_only": False,
        "failed": failed or {},
        "sources": {"seed": 0},
        "versions": {"jukemir-like": "0.1.0"},
    }
    write_json(processed / "dataset.json", description)
    for folder, name, seconds in (
        (processed, "process", 0.05),
        *((cache.representation(dataset, one), "all", 0.1) for one in representations),
    ):
        lines = []
        for index in range(20):
            record = {"input": f"{index}.wav", "digest": "e" * 64, "audio_seconds": 30.0, "seconds": seconds, "status": "done"}
            lines.append(record | {"reason": None, "signature": "d" * 16, "time": 1e9 + index})
        lines += [
            {"input": name, "digest": None, "audio_seconds": 0.0, "seconds": 0.0, "status": "failed", "reason": reason}
            | {"signature": "d" * 16, "time": 1e9}
            for name, reason in (failed or {}).items()
        ]
        (folder / ".records").mkdir(parents=True, exist_ok=True)
        (folder / ".records" / f"{name}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


@pytest.fixture
def cache(tmp_path):
    return Cache(tmp_path / "cache")


@pytest.fixture(scope="session", name="make_run")
def make_run_fixture():
    return make_run


@pytest.fixture(scope="session", name="make_stages")
def make_stages_fixture():
    return make_stages


@pytest.fixture(scope="session")
def tasks():
    return TASKS
