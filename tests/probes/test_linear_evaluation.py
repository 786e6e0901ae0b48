"""Protocol lineareval against the plain way: PyTorch's layer, losses, gradients and optimiser, scikit-learn's scaler and metrics."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.metrics import accuracy_score, average_precision_score, r2_score
from sklearn.preprocessing import StandardScaler

from jukemir_like.core.errors import RequestError
from jukemir_like.core.rows import Rows
from jukemir_like.datasets import KEYS, Task
from jukemir_like.probes import linear_evaluation
from jukemir_like.probes.fitting import FitOptions, fit, fit_together
from jukemir_like.probes.protocols import LinearEval
from jukemir_like.probes.songs import RULES, Songs
from jukemir_like.probes.tasks import ProbeData, Split

FAST = LinearEval(learning_rate=3e-3, max_epochs=25, patience=3)
SEEDS = (42, 43, 44)


def problem(kind, labels=5, dimension=21, sizes=(150, 60, 70), noise=2.0, seed=0, clips=1):
    """Features that hold the labels, linearly and noisily; ``clips`` of a song each."""
    random = np.random.default_rng(seed)
    n = sum(sizes)
    X = (random.normal(size=(n, dimension)) * random.uniform(0.1, 10, dimension) + 3).astype(np.float32)
    X[:, 0] = 7  # constant: its scale is 1
    signal = ((X - X.mean(0)) / np.maximum(X.std(0), 1e-3)) @ random.normal(size=(dimension, labels))
    y = np.repeat(signal[::clips], clips, 0) + noise * random.normal(size=(n, labels)) * (clips == 1)
    names = KEYS[:labels] if kind == "key" else tuple(f"label {i}" for i in range(labels))
    y = y > 1 if kind == "multilabel" else 20 * y + 100 if kind == "regression" else y.argmax(1)
    uid, split = np.array([f"{i:04d}" for i in range(n)]), np.repeat(["train", "valid", "test"], sizes)
    splits = {}
    for name in ("train", "valid", "test"):
        rows = split == name
        songs = Songs.from_recordings([f"song {i // clips}" for i in np.flatnonzero(rows)]) if clips > 1 else None
        splits[name] = Split(X[rows], y[rows], uid[rows], uid[rows], songs)
    return ProbeData(Task("task", kind, names), splits, {}, [])


def plain(data, settings, seed):
    """The protocol as one would write it down, with the random numbers that the seed gives."""
    train, valid = data.splits["train"], data.splits["valid"]
    order, weights = (np.random.Generator(np.random.SFC64(one)) for one in np.random.SeedSequence(seed).spawn(2))
    scaler = StandardScaler().fit(train.X.astype(np.float64))
    X = {name: torch.tensor(scaler.transform(split.X.astype(np.float64)), dtype=torch.float32) for name, split in data.splits.items()}
    dimension, labels = train.X.shape[1], len(data.task.labels)
    layer = torch.nn.Linear(dimension, labels)
    drawn = torch.tensor(weights.uniform(-(dimension**-0.5), dimension**-0.5, (labels, dimension + 1)), dtype=torch.float32)
    layer.load_state_dict({"weight": drawn[:, :-1], "bias": drawn[:, -1]})
    optimiser = torch.optim.Adam(layer.parameters(), settings.learning_rate)
    classes = data.task.type not in ("multilabel", "regression")
    loss = {"multilabel": torch.nn.BCEWithLogitsLoss(), "regression": torch.nn.MSELoss()}.get(data.task.type, torch.nn.CrossEntropyLoss())
    labels_scaler = StandardScaler().fit(train.y) if data.task.type == "regression" else None
    y = labels_scaler.transform(train.y) if labels_scaler else train.y
    target = torch.tensor(y) if classes else torch.tensor(y, dtype=torch.float32)

    def predicted(name):
        outputs = layer(X[name]).numpy()
        return labels_scaler.inverse_transform(outputs) if labels_scaler else outputs

    def stops(outputs):
        if classes:
            return accuracy_score(valid.y, outputs.argmax(1))
        if data.task.type == "regression":
            return r2_score(valid.y, outputs)
        kept = valid.y.any(0)
        return average_precision_score(valid.y[:, kept], outputs[:, kept], average="macro")

    best, best_epoch, state, epoch = -np.inf, 0, None, 0
    while epoch < settings.max_epochs and epoch - best_epoch < settings.patience:
        epoch += 1
        for rows in torch.from_numpy(order.permutation(len(target))).split(settings.batch_size):
            optimiser.zero_grad()
            loss(layer(X["train"][rows]), target[rows]).backward()
            optimiser.step()
        with torch.no_grad():
            value = stops(predicted("valid"))
        if value >= best:
            best, best_epoch, state = value, epoch, copy.deepcopy(layer.state_dict())
    layer.load_state_dict(state)
    with torch.no_grad():
        return best_epoch, epoch, {name: predicted(name) for name in ("valid", "test")}


def scores(probe):
    return {split: predictions.scores for split, predictions in probe.predictions.items()}


@pytest.mark.parametrize("kind", ["multiclass", "key", "multilabel", "regression"])
@pytest.mark.parametrize("settings", [FAST, replace(FAST, batch_size=37, patience=1), replace(FAST, batch_size=1000, max_epochs=4)])
def test_equals_the_plain_way(kind, settings):
    data = problem(kind)
    for seed, probe in zip(SEEDS, fit_together(data, [FitOptions(settings, seed, device="cpu") for seed in SEEDS]), strict=True):
        epoch, epochs, expected = plain(data, settings, seed)
        assert (probe.hyperparameters, probe.details["epochs"]) == ({"epoch": epoch}, epochs)
        for split in ("valid", "test"):
            np.testing.assert_allclose(scores(probe)[split], expected[split], rtol=5e-4, atol=5e-4)


@pytest.mark.parametrize("kind", ["multiclass", "multilabel", "regression"])
@pytest.mark.parametrize(("labels", "dimension", "batch"), [(5, 21, 64), (2, 15, 64), (3, 64, 7), (13, 16, 50)])
def test_a_seed_is_the_same_to_the_bit_alone_and_beside_others(kind, labels, dimension, batch):
    data = problem(kind, labels, dimension)
    settings = LinearEval(batch_size=batch, learning_rate=0.03 if kind == "regression" else 0.1, max_epochs=25, patience=1)
    together = fit_together(data, [FitOptions(settings, seed, device="cpu") for seed in (7, 42, 9, 43)])
    assert len({probe.details["epochs"] for probe in together}) > 1  # some stop while others go on
    for seed, beside_others in zip((7, 42, 9, 43), together, strict=True):
        alone = fit(data, FitOptions(settings, seed, device="cpu"))
        assert alone.details == beside_others.details
        for split in ("valid", "test"):
            np.testing.assert_array_equal(scores(alone)[split], scores(beside_others)[split])


@pytest.mark.parametrize("kind", ["multiclass", "multilabel", "regression"])
@pytest.mark.parametrize("dimension", [2047, 2048, 2100])
def test_a_seed_is_the_same_to_the_bit_in_a_thread_of_its_own(kind, dimension):
    """Vectors of 2,048 numbers and more have them."""
    data = problem(kind, 5, dimension)
    settings = LinearEval(learning_rate=0.002 if kind == "regression" else 0.1, max_epochs=12, patience=1)
    seeds = (7, 42, 9, 43)
    one, several = (fit_together(data, [FitOptions(settings, seed, workers, "cpu") for seed in seeds]) for workers in (1, 2))
    assert len({probe.details["epochs"] for probe in one}) > 1  # some stop while others go on
    for alone, beside_others in zip(one, several, strict=True):
        assert alone.details == beside_others.details
        for split in ("valid", "test"):
            np.testing.assert_array_equal(scores(alone)[split], scores(beside_others)[split])


@pytest.mark.parametrize(("workers", "dimension", "expected"), [(1, 2048, 1), (2, 2047, 1), (2, 2048, 3), (8, 2048, 3)])
def test_long_vectors_have_a_thread_for_each_seed_where_workers_are_allowed(monkeypatch, workers, dimension, expected):
    groups = []
    train = linear_evaluation._train
    monkeypatch.setattr(linear_evaluation, "_train", lambda layers, bar: (groups.append(len(layers)), train(layers, bar)))
    fit_together(problem("multiclass", 5, dimension), [FitOptions(replace(FAST, max_epochs=2), seed, workers, "cpu") for seed in SEEDS])
    assert groups == [expected]


@pytest.mark.parametrize("failing", SEEDS)
def test_what_fails_in_a_thread_fails_the_fit_and_ends_the_others(monkeypatch, failing):
    evaluate = linear_evaluation._Layers.evaluate

    def fail(layers):
        if layers.best[0].seed == failing:
            raise MemoryError("no more")
        evaluate(layers)

    monkeypatch.setattr(linear_evaluation._Layers, "evaluate", fail)
    data, settings = problem("multiclass", 5, 2048), LinearEval(max_epochs=10**9, patience=10**9)
    with pytest.raises(MemoryError, match="no more"):
        fit_together(data, [FitOptions(settings, seed, 2, "cpu") for seed in SEEDS])


def test_seeds_differ():
    first, second = (scores(fit(problem("multiclass"), FitOptions(FAST, seed, device="cpu")))["test"] for seed in (42, 43))
    assert not np.array_equal(first, second)


def test_vectors_that_are_read_in_chunks_give_the_same():
    data = problem("multiclass", dimension=16)
    on_disk = replace(data, splits={name: replace(split, X=Rows.of_array(split.X)) for name, split in data.splits.items()})
    whole, chunked = (fit(one, FitOptions(FAST, 42, device="cpu")) for one in (data, on_disk))
    assert whole.details == chunked.details
    np.testing.assert_allclose(scores(whole)["test"], scores(chunked)["test"], rtol=1e-5, atol=1e-5)


def test_songs_are_scored_by_the_rule_that_validation_selects():
    data = problem("key", clips=5)
    probe = fit(data, FitOptions(FAST, 42, device="cpu"))
    test, songs = probe.predictions["test"], data.splits["test"].songs
    assert probe.aggregation in RULES
    assert test.scores.shape == (14, 5)
    np.testing.assert_array_equal(test.scores, songs.scores(test.clip_scores, probe.aggregation))


def test_an_end_at_the_limit_is_said():
    data = problem("multiclass")
    (rising,) = fit_together(data, [FitOptions(LinearEval(max_epochs=5), 42, device="cpu")])
    assert rising.details["limit_reached"]
    assert "limit of 5 epochs" in rising.notes[0]
    (stopped,) = fit_together(data, [FitOptions(FAST, 42, device="cpu")])
    assert stopped.notes == ()
    assert not stopped.details["limit_reached"]


def test_features_that_overflow_are_refused():
    data = problem("multiclass")
    huge = data.splits["valid"].X.copy()
    huge[3] = np.inf
    data = replace(data, splits=data.splits | {"valid": replace(data.splits["valid"], X=huge)})
    with pytest.raises(RequestError, match="finite"):
        fit(data, FitOptions(FAST, 42, device="cpu"))


def test_more_labels_than_train_has():
    data = problem("multiclass")
    train = data.splits["train"]
    kept = train.y != 4
    few = replace(train, X=train.X[kept], y=train.y[kept], uid=train.uid[kept], group=train.group[kept])
    probe = fit(replace(data, splits=data.splits | {"train": few}), FitOptions(FAST, 42, device="cpu"))
    assert np.isfinite(scores(probe)["test"]).all()
