"""Tasks of tempo: both accuracies against mir_eval and a slow version by the definition, soft labels, and probes under every protocol."""

import math
from fractions import Fraction

import numpy as np
import pytest
import torch
from mir_eval.tempo import detection
from scipy.optimize import minimize
from scipy.special import log_softmax

from jukemir_like.core.errors import RequestError
from jukemir_like.datasets import TEMPI, Task
from jukemir_like.probes import metrics, tempo
from jukemir_like.probes.arrays import compare, probe
from jukemir_like.probes.fitting import fit_baseline
from jukemir_like.probes.inputs import read_inputs
from jukemir_like.probes.linear import InMemory, fit_path
from jukemir_like.probes.losses import mean_loss
from jukemir_like.probes.protocols import Grid, LinearEval, RegularisationPath
from jukemir_like.probes.runs import find_runs
from jukemir_like.probes.stage import probe_dataset
from jukemir_like.probes.targets import targets
from jukemir_like.probes.training import validation_metric

TASK = Task("tempo", "tempo", TEMPI)


def one_hot(bpm):
    """Scores of which the largest is at the class nearest to each tempo."""
    return -np.abs(np.log(tempo.tempi(TEMPI)) - np.log(bpm)[:, None])


def examples(n=400, seed=0):
    """Tempi, and estimates that are right, near, an octave off, or anything; as classes have them."""
    random = np.random.default_rng(seed)
    y = random.uniform(35, 240, n)
    factors = random.choice([1, 2, 3, 1 / 2, 1 / 3, 4 / 3, 1.5], n) * random.uniform(0.93, 1.07, n)
    scores = one_hot(y * factors)
    return y, scores, tempo.tempi(TEMPI)[scores.argmax(1)]


def test_accuracy1_is_that_of_mir_eval_with_a_tolerance_of_4_percent():
    y, scores, estimates = examples()
    expected = [
        detection(np.array([reference, reference]), 1.0, np.array([estimate, estimate]), tol=0.04)[1]
        for reference, estimate in zip(y, estimates, strict=True)
    ]
    assert 0.05 < np.mean(expected) < 0.5
    assert metrics.evaluate(TASK, y, scores)["accuracy1"] == pytest.approx(np.mean(expected), abs=1e-12)


def test_accuracy2_is_that_of_mir_eval_for_the_five_multiples():
    y, scores, estimates = examples()
    expected = [
        any(detection(np.full(2, reference * m), 1.0, np.full(2, estimate), tol=0.04)[1] for m in (1, 2, 3, 1 / 2, 1 / 3))
        for reference, estimate in zip(y, estimates, strict=True)
    ]
    assert metrics.evaluate(TASK, y, scores)["accuracy2"] == pytest.approx(np.mean(expected), abs=1e-12)


def test_both_accuracies_are_those_of_a_slow_version_by_the_definition():
    """In fractions: no rounding. Gouyon et al. 2006: within 4 % of the tempo, or of 2, 3, 1/2 and 1/3 times it."""
    random = np.random.default_rng(1)
    y, labels = random.integers(40, 200, 60).astype(float), tuple(str(bpm) for bpm in range(20, 400, 3))
    scores = random.normal(size=(60, len(labels)))

    def share(multiples):
        right = 0
        for reference, row in zip(y, scores, strict=True):
            estimate = Fraction(labels[int(row.argmax())])
            right += any(abs(estimate - m * Fraction(reference)) <= Fraction(4, 100) * m * Fraction(reference) for m in multiples)
        return right / len(y)

    values = metrics.evaluate(Task("tempo", "tempo", labels), y, scores)
    assert values == {
        "accuracy1": share([Fraction(1)]),
        "accuracy2": share([Fraction(1), Fraction(2), Fraction(3), Fraction(1, 2), Fraction(1, 3)]),
    }


def test_weights_are_multiplicities_also_for_many_resamples_at_once():
    y, scores, _ = examples(50)
    weights = np.random.default_rng(2).integers(0, 4, (7, 50))
    resampled = metrics.evaluate_resamples(TASK, y, scores, weights)
    for row, counts in enumerate(weights):
        repeated = metrics.evaluate(TASK, np.repeat(y, counts), np.repeat(scores, counts, 0))
        assert {name: values[row] for name, values in resampled.items()} == pytest.approx(repeated)


def test_every_tempo_in_the_range_of_the_classes_is_within_1_percent_of_one():
    classes = tempo.tempi(TEMPI)
    bpm = np.linspace(30, 302, 5000)
    assert (np.abs(classes - bpm[:, None]) / bpm[:, None]).min(1).max() < 0.01
    assert classes[36:] / classes[:-36] == pytest.approx(2, rel=5e-4)  # an octave is 36 classes


def test_soft_labels_are_a_gaussian_over_the_logarithm_of_the_tempo():
    y = np.array([30.0, 61.3, 120.0, 302.4, 12.0, 900.0])
    soft = tempo.soft_labels(y, TEMPI)
    assert soft.sum(1) == pytest.approx(1)
    for bpm, row in zip(y, soft, strict=True):
        bpm = min(max(bpm, float(TEMPI[0])), float(TEMPI[-1]))
        shares = [math.exp(-((math.log(float(label) / bpm) / tempo.WIDTH) ** 2) / 2) for label in TEMPI]
        kept = [share if share >= 0.01 * max(shares) else 0 for share in shares]
        assert row == pytest.approx(np.array(kept) / sum(kept), abs=1e-9)


def test_targets_of_other_tasks_are_their_labels():
    assert targets(Task("g", "multiclass", ("a", "b", "c")), np.array([2, 0])).tolist() == [[0, 0, 1], [1, 0, 0]]
    assert targets(Task("t", "multilabel", ("a", "b")), np.array([[True, False]])).tolist() == [[1, 0]]
    assert targets(Task("e", "regression", ("a",)), np.array([[0.25]])).tolist() == [[0.25]]


def test_logistic_regression_towards_shares_is_that_of_a_general_optimiser():
    random = np.random.default_rng(3)
    X = random.normal(size=(80, 5)).astype(np.float32)
    y = np.exp(random.normal(4.6, 0.2, 80) + 0.2 * X[:, 0])
    labels = tuple(f"{bpm:.1f}" for bpm in np.geomspace(60, 180, 12))
    shares = targets(Task("tempo", "tempo", labels), y)
    features, strength = InMemory.fit(X), 0.1
    ((_, model),) = fit_path("tempo", features, shares, 12, RegularisationPath((strength,)))
    ours, Z = features.scorer(X)(model), (X - X.mean(0)) / X.std(0)  # a rotation does not change the penalty
    used = np.flatnonzero(shares.any(0))

    def loss(parameters):
        weights = parameters.reshape(Z.shape[1] + 1, len(used))
        log_p = log_softmax(Z @ weights[:-1] + weights[-1], 1)
        residual = (np.exp(log_p) - shares[:, used]) / len(y)
        gradient = np.concatenate([Z.T @ residual + strength * weights[:-1], residual.sum(0)[None]])
        return -(shares[:, used] * log_p).sum(1).mean() + strength / 2 * (weights[:-1] ** 2).sum(), gradient.ravel()

    best = minimize(loss, np.zeros((Z.shape[1] + 1) * len(used)), jac=True, method="L-BFGS-B", options={"maxiter": 5000, "ftol": 1e-15})
    weights = best.x.reshape(-1, len(used))
    expected = np.exp(log_softmax(Z @ weights[:-1] + weights[-1], 1))
    assert np.exp(log_softmax(ours[:, used].astype(float), 1)) == pytest.approx(expected, abs=2e-4)
    assert np.isneginf(ours[:, ~shares.any(0)]).all()


def test_the_metric_that_early_stopping_sees_is_the_metric():
    y, scores, _ = examples(60)
    stacked = torch.from_numpy(np.stack([scores, scores[:, ::-1].copy()])).float()
    values = validation_metric(TASK, y, None, torch.device("cpu"))(stacked)
    assert values.tolist() == pytest.approx([metrics.primary_metric(TASK, y, one.numpy()) for one in stacked])


def tempo_data(n=240, dimension=20, seed=0):
    """Vectors that hold the tempo as a bump over 20 logarithmic lags, with noise; and tempi, whole ones."""
    random = np.random.default_rng(seed)
    bpm = np.round(np.exp(random.normal(4.65, 0.25, n)))
    lags = np.linspace(np.log(50), np.log(220), dimension)
    X = np.exp(-(((np.log(bpm)[:, None] - lags) / 0.08) ** 2)) + 0.1 * random.normal(size=(n, dimension))
    return X.astype(np.float32), bpm, np.repeat(["train", "valid", "test"], [n // 2, n // 4, n - n // 2 - n // 4])


GRID = Grid(standardise=(True,), hidden=(16,), batch_size=(64,), learning_rate=(1e-3,), dropout=(0.25,), weight_decay=(0.0,), patience=20)


LAYER = LinearEval(learning_rate=1e-2, patience=40)


@pytest.mark.parametrize(("protocol", "settings"), [("linear", None), ("jukemir", GRID), ("lineareval", LAYER)])
def test_a_probe_finds_the_tempo_and_answers_in_beats_per_minute(protocol, settings):
    X, bpm, split = tempo_data()
    result = probe(X, bpm, split=split, task_type="tempo", protocol=protocol, settings=settings)
    assert result.metric == "accuracy1"
    assert result.value > 0.6 > result.baseline["accuracy1"].value + 0.2
    table = result.to_pandas()
    right = np.abs(table["predicted"] - table["true"]) <= 0.04 * table["true"]
    assert right.mean() == pytest.approx(result.value)
    assert set(result.metrics) == {"accuracy1", "accuracy2"}


def test_folds_are_put_together_to_one_accuracy():
    X, bpm, _ = tempo_data(120)
    result = probe(X, bpm, folds=3, task_type="tempo")
    table = result.to_pandas()
    assert len(table) == 120
    assert result.value == pytest.approx((np.abs(table["predicted"] - table["true"]) <= 0.04 * table["true"]).mean())
    assert result.value > result.baseline["accuracy1"].value


def test_the_loss_of_held_out_items_is_the_cross_entropy_of_the_soft_label_at_its_best_scale():
    random = np.random.default_rng(4)
    y, scores = random.uniform(60, 180, 30), random.normal(size=(30, len(TEMPI))).astype(np.float32)
    shares = tempo.soft_labels(y, TEMPI)
    losses = [-(shares * log_softmax(scale * scores.astype(float), 1)).sum(1).mean() for scale in np.geomspace(0.01, 20, 4000)]
    assert mean_loss(TASK, y, scores) == pytest.approx(min(losses), abs=1e-4)
    scores[:, 100:] = -np.inf  # no train item is near these
    assert np.isfinite(mean_loss(TASK, y, scores))


def test_the_baseline_is_the_constant_tempo_with_most_credit_on_train():
    X, bpm, split = tempo_data()
    data = read_inputs(X, bpm, split=split, task_type="tempo").data
    train, test = bpm[split == "train"], bpm[split == "test"]
    shares = [np.mean(np.abs(float(label) - train) <= 0.04 * train) for label in TEMPI]
    best = float(TEMPI[int(np.argmax(shares))])
    assert fit_baseline(data).metrics["test"]["accuracy1"] == pytest.approx(np.mean(np.abs(best - test) <= 0.04 * test))


def test_more_information_is_a_better_tempo():
    X, bpm, split = tempo_data()
    whole, part = (probe(x, bpm, split=split, task_type="tempo") for x in (X, X[:, :3]))
    assert compare(whole, part).value > 0.1


@pytest.mark.parametrize(("wrong", "what"), [(0.0, "0.0"), (-3.0, "-3.0"), (float("inf"), "inf"), ("fast", "'fast'")])
def test_what_is_no_tempo_is_refused_in_one_line(wrong, what):
    X, bpm, split = tempo_data(40)
    labels = [wrong, *bpm[1:]]
    with pytest.raises(RequestError, match=f"y holds {what}, which is no tempo") as error:
        probe(X, labels, split=split, task_type="tempo")
    assert "\n" not in str(error.value)


def test_numbers_are_never_guessed_to_be_tempi():
    X, bpm, split = tempo_data(60)
    assert probe(X, bpm + 0.5, split=split).task_type == "regression"


def test_a_run_on_disk_has_tempi_and_is_read_again(make_dataset):
    def as_tempo(meta, description):
        description["tasks"] = {"tempo": TASK.to_json()}
        for record in meta.values():
            record["y"] = round(100 * 2 ** float(np.clip(record["y"][0] / 3, -1, 1)), 1)

    cache = make_dataset(tasks=("emotion",), edit=as_tempo)
    (run,) = probe_dataset(cache, "toy", "rep").runs
    test = run.predictions("test")
    assert test.y.dtype == np.float64
    assert test.y.shape == (len(test.uid),)
    assert run.record["metrics"]["test"] == pytest.approx(metrics.evaluate(TASK, test.y, test.scores))
    assert run.record["left_out"]["not_in_train"] == []
    assert [found.folder for found in find_runs(cache, "toy", "rep")] == [run.folder]
    assert probe_dataset(cache, "toy", "trivial").runs[0].task.primary_metric == "accuracy1"


def test_a_label_in_meta_json_that_is_no_tempo_is_told_with_its_item(make_dataset):
    def broken(meta, description):
        description["tasks"] = {"tempo": TASK.to_json()}
        for record in meta.values():
            record["y"] = 100
        meta["train/003-0"]["y"] = -1

    cache = make_dataset(tasks=("emotion",), edit=broken)
    with pytest.raises(RequestError, match=r"label -1 of train/003-0 in toy does not fit task tempo: a number above 0"):
        probe_dataset(cache, "toy", "rep")


def test_a_tempo_task_whose_labels_are_no_tempi_is_a_damaged_file(make_dataset):
    def broken(_, description):
        description["tasks"] = {"tempo": {**TASK.to_json(), "labels": ["slow", "fast"]}}

    cache = make_dataset(tasks=("emotion",), edit=broken)
    with pytest.raises(RequestError, match="task 'tempo' is one of tempi, and 'slow' is none"):
        probe_dataset(cache, "toy", "rep")
