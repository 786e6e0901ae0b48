"""How long probes take: the grid of 216 points against the same protocol done the plain way, and the linear protocol as a whole process."""

from __future__ import annotations

import copy
import json
import shutil
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from bench import timing
from jukemir_like.core.cache import Cache
from jukemir_like.core.machine import available_cpus
from jukemir_like.datasets import Task
from jukemir_like.probes import regularised
from jukemir_like.probes.fitting import one_thread
from jukemir_like.probes.protocols import Grid, Point, RegularisationPath
from jukemir_like.probes.stage import probe_dataset
from jukemir_like.probes.tasks import ProbeData, Split

LINEAR_RUNS = 3
GRID = Grid()
SAMPLE = [Point(standardise, hidden, batch, 1e-3, 0.5, 1e-4) for standardise in (False, True) for hidden in (0, 512) for batch in (64, 256)]


def write_dataset(cache, name, task, sizes, features, y):
    """A processed dataset with vectors, as the earlier stages leave it."""
    splits = np.repeat(["train", "valid", "test"], sizes)
    meta = {f"{i:05d}": {"split": split, "y": label, "extra": {}} for i, (split, label) in enumerate(zip(splits.tolist(), y, strict=True))}
    folder, vectors = cache.processed(name), cache.representation(name, "features")
    folder.mkdir(parents=True)
    vectors.mkdir(parents=True)
    (folder / "meta.json").write_text(json.dumps(meta))
    (folder / "dataset.json").write_text(json.dumps({"name": name, "tasks": {"task": task}, "group": None}))
    for uid, vector in zip(meta, features, strict=True):
        np.save(vectors / f"{uid}.npy", vector)


def emotions(cache):
    """744 × 160, two targets, in the splits of EmoMusic: 30 hidden causes, features of different scales, noisy targets (R² of about .5)."""
    random = np.random.default_rng(0)
    hidden = random.normal(size=(744, 30))
    features = 0.3 * hidden @ random.normal(size=(30, 160)) + random.normal(size=(744, 160))
    y = hidden @ random.normal(size=(30, 2)) / 6 + 0.9 * random.normal(size=(744, 2))
    task = {"type": "regression", "labels": ["arousal", "valence"]}
    features = (features * np.linspace(0.1, 5, 160)).astype(np.float32)
    write_dataset(cache, "emotions", task, (504, 115, 125), features, y.tolist())
    return features, y


def keys(cache):
    """7,000 × 768, 24 classes, 5,000 of them to train on: 60 hidden causes."""
    random = np.random.default_rng(1)
    hidden = random.normal(size=(7000, 60))
    features = (hidden @ random.normal(size=(60, 768)) + 2 * random.normal(size=(7000, 768))).astype(np.float32)
    y = (hidden @ random.normal(size=(60, 24)) + 3 * random.normal(size=(7000, 24))).argmax(1)
    labels = [f"class {i}" for i in range(24)]
    task = {"type": "multiclass", "labels": labels}
    write_dataset(cache, "keys", task, (5000, 1000, 1000), features, [labels[i] for i in y])
    return features, y


def plain(features, y, point, patience=256):
    """One point, the published way: DataLoader, each batch scaled by scikit-learn, its metric on all of validation every 8 steps.

    Returns the best value, the steps, and the median of the seconds per step (of every eight with their validation).
    """
    import torch
    from sklearn.metrics import r2_score
    from sklearn.preprocessing import StandardScaler
    from torch import nn
    from torch.utils.data import DataLoader, TensorDataset

    torch.manual_seed(0)
    X, targets = torch.from_numpy(features), torch.from_numpy(y.astype(np.float32))
    scaler = StandardScaler().fit(features[:504]) if point.standardise else None
    train = DataLoader(TensorDataset(X[:504], targets[:504]), point.batch_size, shuffle=True)
    valid = DataLoader(TensorDataset(X[504:619], targets[504:619]), 256)
    layers = [nn.Linear(160, 2)]
    if point.hidden:
        layers = [nn.Linear(160, point.hidden), nn.ReLU(), nn.Dropout(point.dropout), nn.Linear(point.hidden, 2)]
    model = nn.Sequential(nn.Dropout(point.dropout), *layers)
    optimiser = torch.optim.Adam(model.parameters(), lr=point.learning_rate, weight_decay=point.weight_decay)
    loss = nn.MSELoss()

    def scaled(x):
        return torch.from_numpy(scaler.transform(x.numpy()).astype(np.float32)) if scaler else x

    best, waited, steps, state = -np.inf, 0, 0, None
    moments = [time.perf_counter()]
    while True:
        for x, target in train:
            model.train()
            optimiser.zero_grad()
            loss(model(scaled(x)), target).backward()
            optimiser.step()
            steps += 1
            if steps % 8:
                continue
            model.eval()
            with torch.no_grad():
                batches = [(model(scaled(x)).numpy(), target.numpy()) for x, target in valid]
            value = r2_score(np.concatenate([t for _, t in batches]), np.concatenate([p for p, _ in batches]))
            if value > best:
                best, waited, state = value, 0, copy.deepcopy(model.state_dict())
            else:
                waited += 1
            moments.append(time.perf_counter())
            if waited >= patience:
                model.load_state_dict(state)
                return best, steps, float(np.median(np.diff(moments))) / 8


def kind(point):
    """What decides the time of a step."""
    return point.standardise, point.hidden, point.batch_size


def grid_table(folder):
    cache = Cache(Path(folder))
    features, y = emotions(cache)
    workers = available_cpus()
    started = time.perf_counter()
    (run,) = probe_dataset(cache, "emotions", "features", protocol="jukemir", settings=GRID, workers=workers, device="cpu").runs
    ours = time.perf_counter() - started
    candidates = {Point(*[one[name] for name in Point.__dataclass_fields__]): one for one in run.record["candidates"]}
    step_seconds, rows = {}, []
    for point in SAMPLE:
        value, steps, step_seconds[kind(point)] = plain(features, y, point)
        fast = candidates[point]
        rows.append((point, steps, fast["steps"], value, fast["value"], step_seconds[kind(point)]))
    whole = sum(candidates[point]["steps"] * step_seconds[kind(point)] for point in GRID.points())
    all_steps = sum(one["steps"] for one in candidates.values())
    lines = [
        f"Features of 744 × 160, two regression targets, {workers} cores, one run. *Plain*: the protocol one point at a time (PyTorch "
        "modules and `DataLoader`, a scikit-learn scaler on each batch, `r2_score` on all of validation every 8 steps, PyTorch's default "
        "number of threads). "
        f"All {len(candidates)} points were trained by `--protocol jukemir`, and the {len(SAMPLE)} below the plain way, each to its end. "
        "What is not in that table changes no step's time, so the plain way is charged, for all "
        f"{len(candidates)} points, its median seconds per step times the steps they took ({all_steps:,} in all).",
        "",
        "| | seconds | ratio |",
        "|---|---|---|",
        f"| {len(candidates)} points, plain (extrapolated as said) | {whole:,.0f} | 1 |",
        f"| {len(candidates)} points, `--protocol jukemir`, {workers} workers (measured) | {ours:,.0f} | **{whole / ours:.1f}** |",
        "",
        "| standardise | hidden | batch | plain: ms a step | steps, plain | steps, ours | R² on validation, plain | ours |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for point, steps, fast_steps, value, fast_value, seconds in rows:
        cells = ["yes" if point.standardise else "no", point.hidden or "–", point.batch_size, f"{1000 * seconds:.2f}"]
        lines.append("| " + " | ".join(map(str, [*cells, f"{steps:,}", f"{fast_steps:,}", f"{value:.3f}", f"{fast_value:.3f}"])) + " |")
    return lines


OURS = """
import sys
from jukemir_like.core.parallel import use_one_thread_per_process
use_one_thread_per_process()
from jukemir_like.core.cache import Cache
from jukemir_like.probes.stage import probe_dataset
probe_dataset(Cache.default(sys.argv[1]), "keys", "features")
"""
SCIKIT_LEARN = """
import sys
import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.preprocessing import StandardScaler
data = np.load(sys.argv[1])
X, y = data["X"], data["y"]
scale = StandardScaler().fit(X[:5000])
train, valid = scale.transform(X[:5000]), scale.transform(X[5000:6000])
losses = {}
for strength in map(float, sys.argv[2:]):
    model = LogisticRegression(C=1 / (strength * 5000), max_iter=10_000).fit(train, y[:5000])
    losses[strength] = log_loss(y[5000:6000], model.predict_proba(valid), labels=model.classes_)
best = min(losses, key=losses.get)
scale = StandardScaler().fit(X[:6000])
LogisticRegression(C=1 / (best * 6000), max_iter=10_000).fit(scale.transform(X[:6000]), y[:6000]).predict(scale.transform(X[6000:]))
"""


def linear_table(folder):
    cache = Cache(Path(folder))
    features, y = keys(cache)
    np.savez(Path(folder) / "data.npz", X=features, y=y)
    (run,) = probe_dataset(cache, "keys", "features").runs
    until_risen = [str(candidate["strength"]) for candidate in run.record["candidates"]]
    path = [str(strength) for strength in RegularisationPath().strengths]
    commands = {
        "ours": [sys.executable, "-c", OURS, folder],
        "scikit-learn": [sys.executable, "-c", SCIKIT_LEARN, str(Path(folder) / "data.npz"), *path],
        "scikit-learn, stopped": [sys.executable, "-c", SCIKIT_LEARN, str(Path(folder) / "data.npz"), *until_risen],
    }
    found = timing.in_turn(
        commands, runs=LINEAR_RUNS, before=lambda _: shutil.rmtree(cache.probe("keys", "features"), ignore_errors=True), warm_up=False
    )
    one, five = folds_seconds(features, y)
    return [
        f"7,000 vectors of 768 (5,000 to train on, 1,000 to select by), 24 classes, {len(path)} strengths in half decades, "
        "the selected one fitted again on 6,000; whole processes with their imports: "
        f"medians of {LINEAR_RUNS} runs in turn. Ours: from vectors on disk to results, one thread. scikit-learn: `StandardScaler` and "
        "`LogisticRegression` fit the same strengths one after another on one array, select and fit again, with its default number of "
        "threads. "
        f"*Five folds*: the same 7,000 items in five folds, each tested once, against one fit on the splits, both without reading "
        f"vectors: {five / one:.1f} times its CPU time ({five:.1f} s, {one:.1f} s).",
        "",
        "| | seconds | peak MB |",
        "|---|---|---|",
        f"| `--protocol linear` | **{found['ours'].seconds:.1f}** | {found['ours'].megabytes:,.0f} |",
        f"| scikit-learn | {found['scikit-learn'].seconds:.1f} | {found['scikit-learn'].megabytes:,.0f} |",
        f"| scikit-learn, only the {len(until_risen)} strengths that `linear` fits until the loss has risen | "
        f"{found['scikit-learn, stopped'].seconds:.1f} | {found['scikit-learn, stopped'].megabytes:,.0f} |",
    ]


def folds_seconds(features, y):
    """CPU seconds of one fit on the splits, and of five folds of all items."""
    uid, fold = np.char.mod("%05d", np.arange(len(y))), np.arange(len(y)) % 5

    def data(**rows):
        splits = {name: Split(features[of], y[of], uid[of], uid[of], None) for name, of in rows.items()}
        return ProbeData(Task("task", "multiclass", tuple(f"class {i}" for i in range(24))), splits, {}, [])

    splits = data(train=np.arange(5000), valid=np.arange(5000, 6000), test=np.arange(6000, 7000))
    folds = [data(train=np.flatnonzero(fold != f), test=np.flatnonzero(fold == f)) for f in range(5)]
    with one_thread():
        moments = [time.process_time()]
        regularised.fit(splits, RegularisationPath(), "splits")
        moments.append(time.process_time())
        regularised.fit_folds(folds, RegularisationPath(), "folds")
        moments.append(time.process_time())
    return np.diff(moments)


def section() -> str:
    """Markdown."""
    with tempfile.TemporaryDirectory() as first, tempfile.TemporaryDirectory() as second:
        linear, grid = linear_table(first), grid_table(second)
    return "\n".join(["## Probes", "", "### The grid", "", *grid, "", "### The linear protocol", "", *linear, ""])


if __name__ == "__main__":
    print(section())
