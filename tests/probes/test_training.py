"""The fast training against the plain one: one point at a time, PyTorch's modules, autograd and Adam, scikit-learn's metrics."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import sklearn.metrics
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from jukemir_like.core.errors import RequestError
from jukemir_like.datasets import KEYS, Task
from jukemir_like.probes import metrics, training
from jukemir_like.probes.protocols import Grid, Point, group_points
from jukemir_like.probes.search import search
from jukemir_like.probes.selection import validation_value
from jukemir_like.probes.songs import Songs
from jukemir_like.probes.stacks import RandomStreams
from jukemir_like.probes.targets import targets
from jukemir_like.probes.tasks import ProbeData, Split
from jukemir_like.probes.training import Masks, TrainingData, train, validation_metric

CPU = torch.device("cpu")
LABELS = {"multiclass": 4, "multilabel": 5, "regression": 2}
POINTS = [Point(False, 0, 32, rate, 0.25, decay) for rate in (1e-3, 1e-2) for decay in (0.0, 1e-2)]
HIDDEN_POINTS = [Point(False, 24, 32, rate, 0.5, decay) for rate in (1e-3, 1e-2) for decay in (0.0, 1e-2)]


def problem(kind, sizes=(150, 60, 50), dimension=10, seed=0):
    random = np.random.default_rng(seed)
    mixing, labels = random.normal(size=(6, dimension)), LABELS[kind]
    splits = {}
    for name, n in zip(("train", "valid", "test"), sizes, strict=True):
        hidden = random.normal(size=(n, 6))
        X = (hidden @ mixing + random.normal(size=(n, dimension))).astype(np.float32)
        y = hidden[:, :labels] + 0.3 * random.normal(size=(n, labels))
        y = {"multiclass": y.argmax(1), "multilabel": y > 0.4, "regression": y}[kind]
        uid = np.array([f"{name}{i}" for i in range(n)])
        splits[name] = Split(X, y, uid, uid, None)
    return ProbeData(Task("t", kind, tuple(map(str, range(labels)))), splits, {}, [])


def training_data(data):
    features = {name: torch.from_numpy(split.X) for name, split in data.splits.items()}
    target = torch.from_numpy(targets(data.task, data.train.y))
    return TrainingData(
        data.task.type, **features, target=target, evaluation=validation_metric(data.task, data.splits["valid"].y, None, CPU)
    )


class PlainDropout(nn.Module):
    """Dropout by a mask that is given."""

    mask = None

    def forward(self, x):
        return x * self.mask if self.training else x


def plain(data, point, seed, evaluate_every, patience):
    """One point, as a textbook has it, given the same random numbers. Returns best step, all steps and scores on valid and test."""
    n, dimension = data.train.X.shape
    labels = len(data.task.labels)
    streams = RandomStreams(seed, point, n, dimension)

    def layer(inputs, outputs):
        made = nn.Linear(inputs, outputs)
        made.weight.data = torch.from_numpy(streams.initial_weights(inputs, outputs, fan_in=inputs).T.copy())
        made.bias.data = torch.from_numpy(streams.initial_weights(1, outputs, fan_in=inputs)[0])
        return made

    first, second = PlainDropout(), PlainDropout()
    if point.hidden:
        model = nn.Sequential(first, layer(dimension, point.hidden), nn.ReLU(), second, layer(point.hidden, labels))
    else:
        model = nn.Sequential(first, layer(dimension, labels))
    loss = {"multiclass": nn.CrossEntropyLoss(), "multilabel": nn.BCEWithLogitsLoss(), "regression": nn.MSELoss()}[data.task.type]
    optimiser = torch.optim.Adam(model.parameters(), lr=point.learning_rate, weight_decay=point.weight_decay)
    y = torch.from_numpy(data.train.y if data.task.type == "multiclass" else data.train.y.astype(np.float32))
    score = {
        "multiclass": lambda y, s: sklearn.metrics.accuracy_score(y, s.argmax(1)),
        "multilabel": sklearn.metrics.roc_auc_score,
        "regression": sklearn.metrics.r2_score,
    }[data.task.type]

    def outputs(split):
        with torch.no_grad():
            return model.eval()(torch.from_numpy(data.splits[split].X)).numpy()

    best, waited, step, kept = -np.inf, 0, 0, None
    while waited < patience:
        for _ in range(evaluate_every):
            rows = streams.minibatches(1)[0]
            first.mask, second.mask = torch.empty(point.batch_size, dimension), torch.empty(point.batch_size, point.hidden)
            streams.input_mask(first.mask.numpy())
            streams.hidden_mask(second.mask.numpy())
            optimiser.zero_grad()
            loss(model.train()(torch.from_numpy(data.train.X[rows])), y[rows]).backward()
            optimiser.step()
            step += 1
        value = score(data.splits["valid"].y, outputs("valid"))
        if value > best:
            best, waited, best_step, kept = value, 0, step, copy.deepcopy(model.state_dict())
        else:
            waited += 1
    model.load_state_dict(kept)
    return best_step, step, {split: outputs(split) for split in ("valid", "test")}


@pytest.mark.parametrize("points", [POINTS, HIDDEN_POINTS], ids=["linear", "hidden"])
@pytest.mark.parametrize("kind", LABELS)
def test_points_trained_together_are_what_the_plain_training_of_each_gives(kind, points):
    data = problem(kind)
    together = train(training_data(data), points, 3, 8, 6)
    assert [trained.point for trained in together] == points
    assert len({trained.steps for trained in together}) > 1, "all finish at once: nothing is dropped on the way"
    for trained in together:
        step, steps, scores = plain(data, trained.point, 3, 8, 6)
        assert (trained.step, trained.steps) == (step, steps)
        for split in ("valid", "test"):
            np.testing.assert_allclose(trained.scores[split], scores[split], rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("points", [POINTS, HIDDEN_POINTS], ids=["linear", "hidden"])
def test_a_point_alone_is_what_it_is_among_others(points):
    """One hidden point alone takes PyTorch's fused Adam, several take the stacked one; finished points were dropped from the stack."""
    data = problem("regression")
    for trained in train(training_data(data), points, 0, 8, 10):
        (alone,) = train(training_data(data), [trained.point], 0, 8, 10)
        assert (alone.step, alone.steps) == (trained.step, trained.steps)
        np.testing.assert_allclose(alone.scores["test"], trained.scores["test"], rtol=1e-3, atol=1e-4)


def test_large_weights_move_in_pieces_as_they_do_in_one(monkeypatch):
    data = problem("multiclass")
    whole = train(training_data(data), POINTS, 0, 8, 3)
    monkeypatch.setattr("jukemir_like.probes.stacks._CHUNK", 50)
    for one, other in zip(whole, train(training_data(data), POINTS, 0, 8, 3), strict=True):
        np.testing.assert_array_equal(one.scores["test"], other.scores["test"])


@pytest.mark.parametrize("workers", [2])
def test_results_do_not_depend_on_workers_or_on_what_else_is_in_the_grid(workers):
    data = problem("multilabel")
    grid = Grid(standardise=(False, True), hidden=(0, 8), batch_size=(16,), learning_rate=(1e-2,), dropout=(0.25,), patience=4)
    serial, parallel = (
        {trained.point: trained for job in search(data, grid, 0, count, "cpu") for trained in job} for count in (1, workers)
    )
    assert set(serial) == set(grid.points()) == set(parallel)
    for point, trained in serial.items():
        assert trained.scores["test"].tobytes() == parallel[point].scores["test"].tobytes()
    fewer = replace(grid, standardise=(True,), hidden=(8,), weight_decay=(1e-3,))
    ((alone,),) = search(data, fewer, 0, 1, "cpu")
    assert alone.scores["test"].tobytes() == serial[alone.point].scores["test"].tobytes()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
@pytest.mark.gpu
def test_a_gpu_gives_what_a_cpu_gives():
    data = problem("multilabel")
    grid = Grid(hidden=(0, 32), batch_size=(16,), learning_rate=(1e-3, 1e-2), dropout=(0.25,), patience=4)
    on_cpu, on_gpu = ({trained.point: trained for job in search(data, grid, 0, 1, device) for trained in job} for device in ("cpu", "cuda"))
    for point, trained in on_cpu.items():
        values = [validation_value(data.task, data.splits["valid"], one.scores["valid"])[0] for one in (trained, on_gpu[point])]
        assert values[0] == pytest.approx(values[1], abs=0.02)


def test_points_with_a_hidden_layer_go_together_only_where_that_is_faster():
    from jukemir_like.probes.search import _jobs

    points = Grid().points()
    on_cpu, on_gpu = _jobs(points, together=False), _jobs(points, together=True)
    assert sorted(map(len, on_cpu)) == [1] * 108 + [9] * 12
    assert sorted(map(len, on_gpu)) == [9] * 24
    for jobs in (on_cpu, on_gpu):
        assert sorted(point for job in jobs for point in job) == points
        assert all(len(group_points(job)) == 1 for job in jobs)


def test_features_that_overflow_end_instead_of_running_for_ever():
    data = problem("regression")
    for split in data.splits.values():
        split.X[:] = 3e38
    for points in (POINTS, HIDDEN_POINTS):
        for trained in train(training_data(data), points, 0, 8, 3):
            assert (trained.step, trained.steps) == (0, 24)


def test_minibatches_are_slices_of_whole_shuffles():
    streams = RandomStreams(0, POINTS[0], 45, 10)  # 32 does not divide 45
    rows = np.concatenate([streams.minibatches(steps).ravel() for steps in (1, 5, 8, 31)])
    assert rows.size == 45 * 32
    for shuffle in rows.reshape(32, 45):
        assert sorted(shuffle) == list(range(45))
    few = RandomStreams(0, POINTS[0], 5, 10).minibatches(2)  # a batch larger than the train split
    assert few.shape == (2, 32)
    assert sorted(few.ravel()[:60]) == sorted(list(range(5)) * 12)


@pytest.mark.parametrize("dropout", [0.25, 0.5, 0.75, 0.1, 0.0])
def test_masks_drop_the_asked_share_and_keep_the_mean(dropout):
    point = Point(False, 50, 400, 1e-3, dropout, 0.0)
    streams, masks = RandomStreams(0, point, 10, 300), (np.empty((400, 300), np.float32), np.empty((400, 50), np.float32))
    streams.input_mask(masks[0])
    streams.hidden_mask(masks[1])
    share = round(256 * dropout) / 256
    for mask in masks:
        spread = np.sqrt(max(share * (1 - share), 1e-9) / mask.size)
        assert abs((mask == 0).mean() - share) < 5 * spread
        assert set(np.unique(mask)) <= {0, np.float32(1 / (1 - share))}


def test_random_numbers_differ_between_seeds_and_groups_only():
    def first(seed, point):
        return RandomStreams(seed, point, 100, 10).minibatches(1).tolist()

    base = POINTS[0]
    same = Point(base.standardise, base.hidden, base.batch_size, 0.5, base.dropout, 0.5)
    assert first(0, base) == first(0, same)
    assert len({str(first(seed, point)) for seed in (0, 1) for point in (base, Point(True, 0, 32, 1e-3, 0.25, 0.0))}) == 4


@pytest.mark.parametrize("coarse", [False, True])
@pytest.mark.parametrize("kind", ["multiclass", "multilabel", "regression", "key"])
def test_evaluations_are_the_primary_metric(kind, coarse):
    random = np.random.default_rng(0)
    labels = 24 if kind == "key" else 6
    task = Task("t", kind, KEYS if kind == "key" else tuple("abcdef"))
    outputs = random.normal(size=(3, 80, labels)).astype(np.float32)
    outputs = np.round(outputs) if coarse else outputs  # ties, and zeros of both signs
    y = {"multilabel": random.random((80, labels)) < 0.3, "regression": random.normal(size=(80, labels))}.get(kind)
    if y is None:
        y = random.integers(labels, size=80)
    elif kind == "multilabel":
        y[:, 0], y[:, 1] = False, True
    found = validation_metric(task, y, None, CPU)(torch.from_numpy(outputs))
    np.testing.assert_allclose(found, [metrics.primary_metric(task, y, one) for one in outputs], rtol=1e-12, atol=1e-12)


def test_evaluations_of_songs_take_the_best_rule():
    random = np.random.default_rng(1)
    task, recordings = Task("t", "key", KEYS), [f"s{i}" for i in random.integers(30, size=90)]
    songs = Songs.from_recordings(recordings)
    y = random.integers(24, size=len(songs.names))[songs.song_of_clip]
    outputs = random.normal(size=(20, 90, 24)).astype(np.float32)
    outputs[:, np.arange(90), y] += random.gamma(0.5, 2.0, size=(20, 90)).astype(np.float32)  # clips of different confidence
    split = Split(outputs[0], y, np.array(recordings), np.array(recordings), songs)
    chosen = [validation_value(task, split, one) for one in outputs]
    assert len({rule for _, rule in chosen}) > 2
    np.testing.assert_allclose(
        validation_metric(task, y, songs, CPU)(torch.from_numpy(outputs)), [value for value, _ in chosen], rtol=1e-12
    )


def test_evaluations_of_outputs_that_are_not_finite_are_nan():
    outputs = torch.zeros(3, 5, 2)
    outputs[1, 0, 0], outputs[2, 0, 0] = torch.nan, torch.inf
    found = validation_metric(Task("t", "regression", ("a", "b")), np.arange(10.0).reshape(5, 2), None, CPU)(outputs)
    assert torch.isfinite(found).tolist() == [True, False, False]


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_one_line():
    with pytest.raises(RequestError, match="no GPU here"):
        next(search(problem("regression"), Grid(), 0, 1, "cuda"))


@pytest.mark.parametrize(("block_bytes", "hidden"), [(1, 3), (700, 3), (700, 0), (1 << 20, 3)])
def test_masks_are_the_same_whether_they_are_sampled_one_by_one_or_ahead(monkeypatch, block_bytes, hidden):
    """As on a GPU, where several blocks are on their way; 7 steps and then 4, of 4 · (16 + 3) · 4 bytes each."""
    monkeypatch.setattr(training, "_BLOCK_BYTES", block_bytes)
    point, shapes = Point(False, hidden, 4, 1e-3, 0.5, 0.0), ((4, 16), (4, hidden))
    ahead, one_by_one = (RandomStreams(0, point, 10, 16) for _ in range(2))
    masks = Masks(ahead, *shapes, CPU, ahead=True)
    found = [*masks(7), *masks(4)]  # kept, as a GPU that is behind still needs them
    assert len(found) == 11
    for inputs, of_hidden in found:
        expected = np.empty(shapes[0], np.float32), np.empty(shapes[1], np.float32)
        one_by_one.input_mask(expected[0])
        if hidden:
            one_by_one.hidden_mask(expected[1])
        assert np.array_equal(inputs.numpy(), expected[0])
        assert np.array_equal(of_hidden.numpy(), expected[1])


def test_masks_for_a_gpu_are_copied_once_for_many_steps():
    class Copies(TorchDispatchMode):
        count = 0

        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            self.count += function.overloadpacket in (torch.ops.aten._to_copy, torch.ops.aten.copy_)
            return function(*args, **(kwargs or {}))

    random = RandomStreams(0, Point(False, 3, 4, 1e-3, 0.5, 0.0), 10, 16)
    with Copies() as copies:
        assert len(list(Masks(random, (4, 16), (4, 3), CPU, ahead=True)(100))) == 100
    assert copies.count <= 2
