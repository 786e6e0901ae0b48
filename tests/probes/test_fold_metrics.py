"""Metrics of predictions that several probes made: against scikit-learn on each fold, and on repeated rows."""

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, average_precision_score, r2_score, roc_auc_score

from jukemir_like.datasets import Task
from jukemir_like.probes.fold_metrics import count_undefined, evaluate_predictions, rank_within_folds
from jukemir_like.probes.tasks import Predictions

TAGS = Task("tags", "multilabel", ("a", "b", "c"))


def predictions(n=60, tags=3, folds=4, seed=0, ties=False):
    random = np.random.default_rng(seed)
    scores = random.normal(size=(n, tags)).astype(np.float32)
    scores = np.round(scores) if ties else scores
    uid = np.array([f"{i:03d}" for i in range(n)])
    return Predictions(uid, uid, random.random((n, tags)) < 0.3, scores, fold=random.integers(folds, size=n).astype(str))


@pytest.mark.parametrize("ties", [False, True])
def test_auc_is_the_mean_over_folds_weighted_by_pairs_and_precision_by_positives(ties):
    one = predictions(ties=ties)
    auc, precision = rank_within_folds(one.y, one.scores, one.fold)
    for tag in range(3):
        parts = [(one.y[one.fold == fold, tag], one.scores[one.fold == fold, tag]) for fold in np.unique(one.fold)]
        pairs = [y.sum() * (~y).sum() for y, _ in parts]
        assert auc[tag] == pytest.approx(np.average([roc_auc_score(*part) for part in parts], weights=pairs))
        by_fold = [average_precision_score(*part) for part in parts]
        assert precision[tag] == pytest.approx(np.average(by_fold, weights=[y.sum() for y, _ in parts]))
    values = evaluate_predictions(TAGS, one)
    assert values == {"roc_auc": pytest.approx(auc.mean()), "average_precision": pytest.approx(precision.mean())}


def test_weights_are_repeated_rows():
    one = predictions()
    weights = np.random.default_rng(1).integers(3, size=(5, 60))
    resampled = evaluate_predictions(TAGS, one, weights)
    for number, of_one in enumerate(weights):
        repeated = one.take(np.repeat(np.arange(60), of_one))
        expected = evaluate_predictions(TAGS, repeated)
        assert {name: values[number] for name, values in resampled.items()} == {
            name: pytest.approx(value) for name, value in expected.items()
        }


def test_a_constant_probe_of_each_fold_has_an_auc_of_one_half():
    """Put together, its scores would rank items of folds with few positives first, and the AUC would be below."""
    random = np.random.default_rng(0)
    y, fold = random.random((200, 1)) < 0.3, np.repeat(["1", "2", "3", "4", "5"], 40)
    constant = np.array([[y[fold != name].mean()] for name in fold], np.float32)
    auc, precision = rank_within_folds(y, constant, fold)
    assert auc.tolist() == [0.5]
    assert precision[0] == pytest.approx(np.average([y[fold == name].mean() for name in fold], weights=y[:, 0]))
    assert roc_auc_score(y[:, 0], constant[:, 0]) < 0.45


def test_folds_without_a_positive_or_a_negative_have_no_weight():
    y = np.array([[True], [False], [True], [True], [False]])
    scores = np.array([[2.0], [1.0], [0.0], [0.0], [9.0]])
    auc, precision = rank_within_folds(y, scores, np.array(["1", "1", "2", "2", "3"]))
    assert (auc.tolist(), precision.tolist()) == ([1.0], [1.0])
    assert np.isnan(rank_within_folds(y[:2], scores[:2], np.array(["1", "2"]))[0]).all()
    task = Task("tags", "multilabel", ("a", "b"))
    both = np.column_stack([y[:, 0], np.zeros(5, bool)])
    assert count_undefined(task, both, np.array(["1", "1", "2", "2", "3"])) == {"roc_auc": 1, "average_precision": 1}
    assert count_undefined(task, both, np.arange(5).astype(str)) == {"roc_auc": 2, "average_precision": 1}


def test_other_metrics_are_those_of_all_items():
    random = np.random.default_rng(0)
    uid, fold = np.arange(40).astype(str), random.integers(3, size=40).astype(str)
    y, scores = random.integers(3, size=40), random.normal(size=(40, 3)).astype(np.float32)
    found = evaluate_predictions(Task("genre", "multiclass", ("a", "b", "c")), Predictions(uid, uid, y, scores, fold=fold))
    assert found["accuracy"] == pytest.approx(accuracy_score(y, scores.argmax(1)))
    numbers = random.normal(size=(40, 1))
    found = evaluate_predictions(Task("bpm", "regression", ("bpm",)), Predictions(uid, uid, numbers, scores[:, :1], fold=fold))
    assert found["r2"] == pytest.approx(r2_score(numbers, scores[:, :1]))
